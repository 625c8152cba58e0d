"""The YAML of a spec -> RunSpec; what it may say is in `spec_models`.

name: first-rows
seed: 0
topics: topics.yaml                          # in place of the 24 x 12 that come along
prompts: prompts                             # a folder of prompts that take the place of those of the same name
columns:                                     # drawn for each sample; prompts may name them
  persona: {values: [a nurse, a pilot]}
backends:
  all: {kind: procedural}                    # or text, vision, judge, image, retrieve, safety, one by one
  judge.picture_matches: {kind: clip, ...}   # one step of a role, by the name of its prompt
  text: {mix: [{weight: 3, kind: ...}, {weight: 1, kind: ...}]}
recipes:
  image_editing: {n: 100}
  image_generation_category: {accept: 20, n: 60, source: photos.parquet}
  mine: {n: 20, use: "./mine/recipe.py:RECIPE"}
budget: {max_usd: 5.0}
concurrency: 8
duplicates: {images: true, text: 0.8}        # leave out samples that are near-duplicates of an earlier one
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolkit.errors import UsageError, reason_of, shown
from toolkit.generation.core.columns import Column, column
from toolkit.generation.core.options import problems_of
from toolkit.generation.core.spec import PROCEDURAL, BackendSpec, Duplicates, RecipeSpec, RunSpec, SourceSpec
from toolkit.generation.core.spec_models import BackendFile, MixFile, RecipeFile, SourceFile, SpecFile
from toolkit.parsing import load_yaml
from toolkit.scene.difficulty import USUAL

PRESETS = Path(__file__).parent.parent / "presets"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_HUB_NAME = re.compile(r"[\w.-]+/[\w-]+")  # a name with a dot needs hf://
TRIES_PER_ROW = 3  # of a recipe with `accept` and no `n`


def read_spec(path: Path) -> RunSpec:
    """
    Args:
        path: a file, or the name of a preset.

    Raises:
        UsageError: not readable, or wrong; says which key.
    """
    if not path.exists():
        presets = {each.stem: each for each in PRESETS.glob("*.yaml")}
        if str(path) not in presets:
            raise UsageError(f"{path} is neither a file nor a preset; presets: {', '.join(sorted(presets))}")
        path = presets[str(path)]
    try:
        content = load_yaml(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML: {reason_of(error)}") from error
    return parse_spec(content, where=str(path), folder=path.parent)


def parse_spec(content: Any, *, where: str = "spec", folder: Path = Path()) -> RunSpec:
    """A spec from plain values; paths in it are relative to `folder`.

    Raises:
        UsageError: it is wrong; names all that is.
    """
    if not isinstance(content, dict):
        known = ", ".join(sorted(SpecFile.model_fields))
        raise UsageError(f"{where}: expected a mapping with {known}; found {type(content).__name__}")
    if not content.get("recipes"):
        raise UsageError(f"{where}: recipes is empty; name one, as in: recipes: {{image_editing: {{n: 10}}}}")
    try:
        found = SpecFile.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{where}: {'; '.join(problems_of(error, SpecFile))}") from error
    backends, mixes = _backends(found.backends or {"all": BackendFile(kind="procedural")}, folder)
    spec = RunSpec(
        name=found.name,
        seed=found.seed,
        backends=backends,
        mixes=mixes,
        recipes=tuple(_recipe(name, each, where, folder) for name, each in found.recipes.items()),
        max_usd=found.budget.max_usd if found.budget else None,
        concurrency=found.concurrency,
        attempts=found.attempts,
        stop_after=found.stop_after,
        prices=found.prices or {},
        duplicates=Duplicates(**found.duplicates.model_dump()) if found.duplicates else Duplicates(),
        topics=str(folder / found.topics) if found.topics else "",
        prompts=str(folder / found.prompts) if found.prompts else "",
        columns=_columns(found.columns or {}, where),
    )
    kinds = {backend.kind for role, backend in spec.backends.items() if role != "safety"}
    if spec.is_procedural and len(kinds) > 1:
        raise UsageError(
            f"{where}: backends mix 'procedural' with {sorted(kinds - {'procedural'})}; it draws its own scenes, not "
            "what a model wrote"
        )
    levels = {each.options.get("difficulty", USUAL) for each in spec.backends.values() if each.kind == PROCEDURAL}
    if len(levels) > 1:
        raise UsageError(f"{where}: backends: a run has one difficulty, here {sorted(levels)}; 'mixed' draws from all")
    return spec


def _columns(content: Mapping[str, Any], where: str) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for name, value in content.items():
        found[name] = column(str(name), value, found, f"{where}: columns")
    return found


def _backends(
    content: Mapping[str, BackendFile | MixFile], folder: Path
) -> tuple[dict[str, BackendSpec], dict[str, tuple[tuple[float, str], ...]]]:
    found: dict[str, BackendSpec] = {}
    mixes: dict[str, tuple[tuple[float, str], ...]] = {}
    for role, value in content.items():
        if isinstance(value, MixFile):
            names = [f"{role}[{number}]" for number in range(len(value.mix))]
            mixes[role] = tuple((each.weight, name) for each, name in zip(value.mix, names, strict=True))
            found |= {name: _backend(each, folder) for each, name in zip(value.mix, names, strict=True)}
        else:
            found[role] = _backend(value, folder)
    return found, mixes


def _backend(content: BackendFile, folder: Path) -> BackendSpec:
    return BackendSpec(kind=content.kind, options=dict(content.model_extra or {}), target=located(content.kind, folder))


def _recipe(name: str, content: RecipeFile, where: str, folder: Path) -> RecipeSpec:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}: recipes: {shown(name)} is no name of letters, digits, _, . and -; for a recipe of your own: "
            'mine: {n: 10, use: "./mine/recipe.py:RECIPE"}'
        )
    return RecipeSpec(
        name=name,
        use=located(content.use or name, folder),
        n=content.n or TRIES_PER_ROW * (content.accept or 0),
        accept=content.accept,
        source=_source(content.source, folder),
        options=content.options or {},
    )


def _source(given: SourceFile | None, folder: Path) -> SourceSpec | None:
    if not given:
        return None
    here, name = folder / Path(given.path).expanduser(), given.path.removeprefix("hf://datasets/")
    is_remote = given.path.startswith("hf://") or bool(_HUB_NAME.fullmatch(name) and not here.exists())
    path = name if is_remote else str(here)
    shape = located(given.shape, folder)
    return SourceSpec(**{**given.model_dump(), "path": path, "shape": shape, "is_remote": is_remote})


def located(name: str, folder: Path) -> str:
    """A name whose file, if it names one, is found from anywhere."""
    file, _, attribute = name.rpartition(":")
    return f"{folder.resolve() / Path(file).expanduser()}:{attribute}" if file.endswith(".py") else name
