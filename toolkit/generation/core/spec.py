"""What to make: a YAML file -> RunSpec, checked once.

    name: first-rows
    seed: 0
    backends:
      all: {kind: procedural}                    # or text, vision, judge, image, retrieve, safety, one by one
      judge.picture_matches: {kind: clip, ...}   # one step of a role, by the name of its prompt
    recipes:
      image_editing: {n: 100}
      image_generation_category: {n: 20, source: photos.jsonl}
      mine: {n: 20, use: "./mine/recipe.py:RECIPE"}
    budget: {max_usd: 5.0}
    concurrency: 8
    duplicate_bits: 4                            # leave out samples whose pictures look like those of an earlier one

Whatever changes the rows of a recipe is in its `recipe_key`; `n`, the budget, the concurrency and what is left out at
the end are not, so raising n keeps every row that is there.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import UnknownName, UsageError, reason_of, shown
from toolkit.generation.core.keys import digest
from toolkit.generation.core.texts import public_url
from toolkit.parsing import load_yaml

ROLES = ("text", "vision", "judge", "image", "retrieve", "safety")  # safety is played only if the spec says by whom
FALLBACK = {"judge": "vision", "vision": "text", "text": "all", "image": "all", "retrieve": "all"}
# Options of a backend that do not change what it answers.
PRIVATE = (
    *("api_key_env", "mode", "gather_s", "poll_s", "timeout_s", "max_parallel", "requests_per_minute"),
    "max_tokens_name",
)
_KEYS = {
    "name",
    "seed",
    "backends",
    "recipes",
    "budget",
    "concurrency",
    "attempts",
    "prices",
    "stop_after",
    "duplicate_bits",
}
_RECIPE_KEYS = {"n", "use", "source", "options"}
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
PRESETS = Path(__file__).parent.parent / "presets"


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """Who answers a role.

    Attributes:
        kind: a name of `backends.BACKENDS`, known or of the form "module:NAME".
        options: of that kind: base_url, model, params, ...
        target: the kind, with the path of a file made one from here.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""

    def identity(self) -> dict[str, Any]:
        """All of it that can change an answer; addresses without what is secret in them."""
        options = {name: value for name, value in self.options.items() if name not in PRIVATE}
        if isinstance(url := options.get("base_url"), str):
            options["base_url"] = public_url(url)
        return {"kind": self.kind, **options}

    @property
    def is_batch(self) -> bool:
        return self.options.get("mode") == "batch"

    @property
    def model(self) -> str:
        return str(self.options.get("model", self.kind))


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """How many rows of a recipe, from what.

    Attributes:
        name: of the recipe in this run.
        use: of `recipes.RECIPES`, known or of the form "module:NAME", with the path of a file made one from here.
        n: samples tried; rejected ones count.
        source: JSON Lines file of records, for recipes that start from one; "" = the scene engine.
        options: of the recipe.
    """

    name: str
    use: str
    n: int
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A whole run.

    Attributes:
        max_usd: no call is sent that could pass it; None = no cap. Of N shards, each has an N-th of it.
        concurrency: samples under way at the same time, each with at most one call in flight.
        attempts: sends of a call before its sample fails.
        stop_after: samples that fail one after another before the run stops.
        prices: model -> price, over those of the price table.
        duplicate_bits: a sample is left out of the packed rows if the pHash of a picture differs in at most so many of
            64 bits from an earlier sample's in the same role; None = none is.
    """

    name: str
    seed: int = 0
    backends: Mapping[str, BackendSpec]
    recipes: tuple[RecipeSpec, ...]
    max_usd: float | None = None
    concurrency: int = 8
    attempts: int = 5
    stop_after: int = 10
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    duplicate_bits: int | None = None

    def seat(self, role: str, step: str) -> str:
        """Under which name of `backends` a step is played: its own, or that of its role."""
        own = f"{role}.{step}"
        return own if own in self.backends else role

    def backend(self, role: str) -> BackendSpec:
        """Who plays a role: itself, or the one it falls back to.

        Raises:
            UsageError: nobody.
        """
        asked = role
        while role not in self.backends:
            if role not in FALLBACK:
                raise UsageError(f"backends: nobody answers {asked!r}; add {asked!r} or 'all' to the spec")
            role = FALLBACK[role]
        return self.backends[role]

    def recipe(self, name: str) -> RecipeSpec:
        return next(recipe for recipe in self.recipes if recipe.name == name)

    @property
    def is_procedural(self) -> bool:
        return any(backend.kind == "procedural" for backend in self.backends.values())


def recipe_key(
    spec: RunSpec, recipe: RecipeSpec, *, version: int, prompts: Mapping[str, str], roles: Iterable[str]
) -> str:
    """Hash of all that shapes the rows of a recipe, but not of how many.

    Args:
        prompts: name -> sha256 of the prompt files it uses.
        roles: that it calls, as `RunSpec.seat` names them.
    """
    backends = {role: spec.backend(role).identity() for role in sorted(roles)}
    return digest(
        [
            recipe.name,
            version,
            spec.seed,
            dict(recipe.options),
            bool(recipe.source),
            dict(sorted(prompts.items())),
            backends,
        ]
    )


def sample_id(recipe_key: str, index: int, record_sha256: str) -> str:
    """Identity of one sample; that of a sample with a record changes with the record, and with no other."""
    return digest([recipe_key, index, record_sha256])[:32]


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
    """A spec from plain values; paths in it are relative to `folder`."""
    if not isinstance(content, dict):
        raise UsageError(f"{where}: expected a mapping with {', '.join(sorted(_KEYS))}; found {type(content).__name__}")
    _known(content, _KEYS, where)
    budget = _table(content, "budget", where)
    _known(budget, {"max_usd"}, f"{where}: budget")
    spec = RunSpec(
        name=str(content.get("name", "run")),
        seed=_whole(content.get("seed", 0), f"{where}: seed", least=0),
        backends=_backends(_table(content, "backends", where) or {"all": {"kind": "procedural"}}, where, folder),
        recipes=tuple(_recipe(name, value, where, folder) for name, value in _table(content, "recipes", where).items()),
        max_usd=None if budget.get("max_usd") is None else _amount(budget["max_usd"], f"{where}: budget.max_usd"),
        concurrency=_whole(content.get("concurrency", 8), f"{where}: concurrency"),
        attempts=_whole(content.get("attempts", 5), f"{where}: attempts"),
        stop_after=_whole(content.get("stop_after", 10), f"{where}: stop_after"),
        prices=_table(content, "prices", where),
        duplicate_bits=None
        if content.get("duplicate_bits") is None
        else _whole(content["duplicate_bits"], f"{where}: duplicate_bits", least=0),
    )
    if not spec.recipes:
        raise UsageError(f"{where}: recipes is empty; name one, as in: recipes: {{image_editing: {{n: 10}}}}")
    kinds = {backend.kind for role, backend in spec.backends.items() if role != "safety"}
    if spec.is_procedural and len(kinds) > 1:
        raise UsageError(
            f"{where}: backends mix 'procedural' with {sorted(kinds - {'procedural'})}; it draws its own scenes, not "
            "what a model wrote"
        )
    return spec


def _table(content: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = content.get(name) or {}
    if not isinstance(found, dict):
        raise UsageError(f"{where}: {name} is {shown(found)}; expected a mapping")
    return found


def _known(content: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in content:
        if name not in known:
            raise UnknownName(f"key in {where}", name, known)


def _backends(content: Mapping[str, Any], where: str, folder: Path) -> dict[str, BackendSpec]:
    found = {}
    for role, value in content.items():
        if not isinstance(value, dict) or "kind" not in value:
            raise UsageError(f"{where}: backends.{role} is {shown(value)}; expected a mapping with kind")
        options = {name: option for name, option in value.items() if name != "kind"}
        kind = str(value["kind"])
        found[role] = BackendSpec(kind=kind, options=options, target=_located(kind, folder))
    return found


def _recipe(name: str, content: Any, where: str, folder: Path) -> RecipeSpec:
    content = content if isinstance(content, dict) else {"n": content}
    _known(content, _RECIPE_KEYS, f"{where}: recipes.{name}")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}: recipes: {shown(name)} is no name of letters, digits, _, . and -; for a recipe of your own: "
            'mine: {n: 10, use: "./mine/recipe.py:RECIPE"}'
        )
    source = content.get("source") or ""
    return RecipeSpec(
        name=name,
        use=_located(str(content.get("use") or name), folder),
        n=_whole(content.get("n"), f"{where}: recipes.{name}.n"),
        source=str(folder / source) if source else "",
        options=_table(content, "options", f"{where}: recipes.{name}"),
    )


def _located(name: str, folder: Path) -> str:
    """A name whose file, if it names one, is found from anywhere."""
    file, _, attribute = name.rpartition(":")
    return f"{folder.resolve() / Path(file).expanduser()}:{attribute}" if file.endswith(".py") else name


def _whole(value: Any, where: str, *, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{where} is {shown(value)}; expected a whole number of at least {least}")
    return value


def _amount(value: Any, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise UsageError(f"{where} is {shown(value)}; expected an amount in US dollars")
    return float(value)
