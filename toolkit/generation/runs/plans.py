"""A spec with everything its samples need: recipes, prompts, keys, records; and the promise that a folder holds rows of
one spec only.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from toolkit.errors import UnknownName, UsageError
from toolkit.generation.backends import check_backend, get_backend
from toolkit.generation.calls.prices import Asked, Price, price_of, price_table, retired_on
from toolkit.generation.core.columns import By
from toolkit.generation.core.options import Options, read_options
from toolkit.generation.core.prompting import Prompt, check_own, find_own, find_prompts, own_names, step_of
from toolkit.generation.core.spec import PROCEDURAL, ROLES, BackendSpec, RecipeSpec, RunSpec, recipe_key, sample_id
from toolkit.generation.core.topics import Topics, read_topics
from toolkit.generation.journal.reading import finished
from toolkit.generation.procedural.procedural import script_of
from toolkit.generation.recipes import get_recipe
from toolkit.generation.recipes.recipe import SAFETY_PROMPT, Recipe
from toolkit.generation.recipes.records import Records, open_records
from toolkit.scene.streams import Stream
from toolkit.staging.files import write_whole
from toolkit.staging.locks import is_held

LOCK_FILE = "spec.lock.json"
PRICED_TIERS = (None, "auto", "default", "flex")  # others cost more than the table says


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A recipe of a run with everything its samples need.

    Attributes:
        prompts: that it may ask, by name; the safety prompt among them if the spec has that role.
        roles: that are asked; each by its own name, or as "role.step".
        seats: who answers, by the names of the spec's backends.
        key: hash of all that shapes its rows.
        n: samples, no more than there are records.
        accept: rows that are wanted; None = all that are accepted.
    """

    recipe: Recipe
    prompts: Mapping[str, Prompt]
    roles: tuple[str, ...]
    seats: tuple[str, ...]
    key: str
    n: int
    accept: int | None
    options: Options
    records: Records
    topics: Topics

    def id(self, index: int) -> str:
        return sample_id(self.key, index, self.records.sha256(index))


def plan(spec: RunSpec) -> list[Planned]:
    """The recipes of a spec, checked against their files.

    Raises:
        UnknownName: no such recipe, backend or role. UsageError: a role nobody plays, a source that is needed.
        SourceError: a source that cannot be read.
    """
    recipes = {wanted.name: _as_used(spec, wanted) for wanted in spec.recipes}
    prompts = {name: _prompts(spec, recipe) for name, recipe in recipes.items()}
    steps = {f"{each.role}.{each.step}" for found in prompts.values() for each in found.values()}
    for name, backend in spec.backends.items():
        if (role := name.partition("[")[0]) not in (*ROLES, "all", *steps):
            raise UnknownName("role of backends", role, {*ROLES, "all", *steps})
        check_backend(backend)
    for name, found in prompts.items():
        _check_answered(spec, recipes[name], found.values())
    topics = read_topics(Path(spec.topics)) if spec.topics else Topics()
    return [_planned(spec, each, recipes[each.name], prompts[each.name], topics) for each in spec.recipes]


def _as_used(spec: RunSpec, wanted: RecipeSpec) -> Recipe:
    recipe = replace(get_recipe(wanted.use), name=wanted.name)
    is_drawn = _draws_records(spec, wanted) and script_of(recipe.script).record is not None
    return recipe.with_records() if wanted.source or is_drawn else recipe


def _draws_records(spec: RunSpec, wanted: RecipeSpec) -> bool:
    """Whether the scene engine may, for recipes whose records it knows."""
    return spec.is_procedural and not wanted.from_nothing


def _check_answered(spec: RunSpec, recipe: Recipe, prompts: Iterable[Prompt]) -> None:
    """
    Raises:
        UsageError: a backend is asked for what it does not do.
    """
    scripted = script_of(recipe.script).answers
    prompts = tuple(prompts)
    is_scripted = any(prompt.step in scripted for prompt in prompts)  # not all are asked where the scene engine plays
    for prompt in prompts:
        seat = spec.seat(prompt.role, prompt.step)
        for _, name in spec.players(seat):
            backend = spec.backend(name)
            if not get_backend(backend).takes(prompt.kind, prompt.step, backend.options):
                raise UsageError(
                    f"backends: {seat}: {backend.kind!r} does not answer {prompt.step} of {recipe.name}, which wants "
                    f"{prompt.kind}; give {prompt.role} or {prompt.role}.{prompt.step} another backend"
                )
            if backend.kind == PROCEDURAL and not is_scripted:
                raise UsageError(
                    f"backends: {seat}: the scene engine has no answer to {prompt.step} of {recipe.name}, whose script "
                    f"answers {', '.join(scripted) or 'nothing'}; add it there, or give {prompt.role} another backend"
                )


def _planned(
    spec: RunSpec, wanted: RecipeSpec, recipe: Recipe, prompts: Mapping[str, Prompt], topics: Topics
) -> Planned:
    records = open_records(
        recipe, wanted.source, wanted.n, is_procedural=_draws_records(spec, wanted), difficulty=spec.difficulty
    )
    options = read_options(recipe.options, wanted.options, f"recipes.{wanted.name}: options")
    roles = tuple(sorted({spec.seat(each.role, each.step) for each in prompts.values()}))
    key = recipe_key(
        spec,
        replace(wanted, options=options.model_dump(mode="json")),
        version=recipe.version,
        prompts={name: each.sha256 for name, each in prompts.items()},
        roles=roles,
        topics=topics.sha256 if recipe.topics else "",
        columns=columns_named(spec, prompts.values()),
    )
    return Planned(
        recipe=recipe,
        prompts=prompts,
        roles=roles,
        seats=tuple(sorted({name for role in roles for _, name in spec.players(role)})),
        key=key,
        n=min(wanted.n, len(records)),
        accept=wanted.accept,
        options=options,
        records=records,
        topics=topics,
    )


def player_of(spec: RunSpec, recipe: str, role: str, index: int) -> str:
    """Who answers for a role in a sample, by the names of the spec's backends; the same however often it is made."""
    return spec.player(role, Stream("mix", spec.seed, recipe, role, index))


def columns_named(spec: RunSpec, prompts: Iterable[Prompt]) -> set[str]:
    """Columns of the spec that prompts name, and those on which they depend."""
    found = {name for each in prompts for name in each.names & spec.columns.keys()}
    for name in reversed(list(spec.columns)):
        if name in found and isinstance(column := spec.columns[name], By):
            found.add(column.by)
    return found


def _prompts(spec: RunSpec, recipe: Recipe) -> dict[str, Prompt]:
    names = (*recipe.prompts, SAFETY_PROMPT) if "safety" in spec.backends else recipe.prompts
    found = find_prompts(names, recipe.prompt_folders)
    if spec.prompts:
        own = find_own(Path(spec.prompts), found)
        for name, prompt in own.items():
            check_own(prompt, found[name], spec.columns)
        found |= own
    return found


def warnings(spec: RunSpec, planned: list[Planned], today: date | None = None) -> Iterator[str]:
    """What a run would do otherwise than its spec seems to say, in words."""
    for each in planned:
        name, wanted = each.recipe.name, spec.recipe(each.recipe.name).n
        distinct = len(each.topics) if each.recipe.topics else 0
        for reason, count in each.records.lost.items():
            yield f"recipes.{name}: of its source {count:,} were left out: {reason}"
        if each.n < wanted:
            yield f"recipes.{name}: n is {wanted:,}, but its source has {each.n:,} records"
        if distinct and each.n > distinct and not spec.is_procedural:
            times = -(-each.n // distinct)
            many = f"{each.n:,} samples start from {distinct:,} topics"
            yield f"recipes.{name}: {many}, so each comes up to {times} times"
    named = {name for each in planned for name in columns_named(spec, each.prompts.values())}
    if unnamed := [name for name in spec.columns if name not in named]:
        yield f"columns: {', '.join(unnamed)}: no prompt names them; put prompts of your own in a folder under prompts"
    used = {name for each in planned for name in each.prompts}
    for own in sorted(own_names(Path(spec.prompts)) - used - {step_of(name) for name in used}):
        yield f"prompts: {own} takes the place of none that is asked: {', '.join(sorted(used))}"
    yield from _same_judge(spec, planned)
    backends = {seat: spec.backend(seat) for each in planned for seat in each.seats}
    for seat, backend in sorted(backends.items()):
        key = str(backend.options.get("api_key_env") or "")
        if key and not os.environ.get(key):
            yield f"backends.{seat}: {key} is not set; run needs it"
        retired = None if backend.model in spec.prices else retired_on(backend.model)
        if retired:
            said = "was retired" if retired <= (today or date.today()) else "will be retired"
            yield f"backends.{seat}: {backend.model} {said} on {retired} (as of {price_table()['as_of']})"


def _same_judge(spec: RunSpec, planned: list[Planned]) -> Iterator[str]:
    for each in planned:
        authors = {model for role in each.roles if _part(role) in ("text", "vision") for model in _models(spec, role)}
        judges = {model for role in each.roles if _part(role) == "judge" for model in _models(spec, role)}
        if both := sorted((authors & judges) - {"procedural"}):
            yield (
                f"recipes.{each.recipe.name}: {', '.join(both)} judges what it wrote itself, and tends to accept it; "
                "give the judge another model"
            )


def _part(role: str) -> str:
    return role.partition(".")[0]


def _models(spec: RunSpec, role: str) -> set[str]:
    """All that take turns in a role."""
    return {spec.backend(name).model for _, name in spec.players(role)}


def check_budget(spec: RunSpec, planned: list[Planned]) -> None:
    """
    Raises:
        UsageError: there is a cap, and a model without a price, or without a limit of what it may write.
    """
    for seat in sorted({seat for each in planned for seat in each.seats} if spec.max_usd is not None else ()):
        backend = spec.backend(seat)
        price = price_for(backend, spec.prices)
        if price is None:
            raise UsageError(
                f"backends.{seat}: {backend.model}: no price is known, so a cap of ${spec.max_usd:.2f} means nothing; "
                "add it under prices, or remove budget.max_usd"
            )
        if price.output_per_mtok and not Asked.by(backend.options.get("params") or {}).is_limited:
            raise UsageError(
                f"backends.{seat}: params send no limit of output, so a cap of ${spec.max_usd:.2f} means nothing; set "
                "max_tokens, or remove budget.max_usd"
            )


def price_for(backend: BackendSpec, prices: Mapping[str, Mapping[str, float]]) -> Price | None:
    """What a backend's calls cost; None = unknown.

    Args:
        prices: model -> price, over those of the price table.
    """
    if get_backend(backend).is_free:
        return Price()
    tier = (backend.options.get("params") or {}).get("service_tier")
    if tier not in PRICED_TIERS and backend.model not in prices:
        return None
    return price_of(backend.model, prices, is_batch=backend.is_batch)


def agree(folder: Path, keys: dict[str, str], *, fork: bool) -> None:
    """Refuse to mix rows of two specs in one folder without being told to. Where no sample of a recipe is finished and
    nobody is at work, its spec may be corrected.
    """
    path = folder / LOCK_FILE
    locked: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    changed = sorted(name for name in keys if locked.get(name, keys[name]) != keys[name])
    is_busy = any(map(is_held, (folder / "shards").glob("*/LOCK")))
    changed = [name for name in changed if is_busy or next(finished(folder, name), None)]
    if changed and not fork:
        raise UsageError(
            f"{folder} holds rows of another spec for {', '.join(changed)} (seed, backends, prompts, options or "
            "version differ); "
            "take another folder, or --fork to leave them behind and pay for new ones"
        )
    if locked != locked | keys:
        write_whole(path, json.dumps(locked | keys, indent=2, sort_keys=True))
