"""A spec with everything its samples need: recipes, prompts, keys, records; and the promise that a folder holds rows of
one spec only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownName, UsageError
from toolkit.generation.backends import get_backend
from toolkit.generation.calls.budget import Price, price_of
from toolkit.generation.core.prompting import Prompt, find_prompts
from toolkit.generation.core.spec import ROLES, BackendSpec, RunSpec, recipe_key, sample_id
from toolkit.generation.recipes import get_recipe
from toolkit.generation.recipes.recipe import SAFETY_PROMPT, Recipe
from toolkit.generation.recipes.records import Records, open_records
from toolkit.staging.files import write_whole

LOCK_FILE = "spec.lock.json"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A recipe of a run with everything its samples need.

    Attributes:
        prompts: that it may ask, by name; the safety prompt among them if the spec has that role.
        seats: roles that are asked, by the names of the spec's backends.
        key: hash of all that shapes its rows.
        n: samples, no more than there are records.
    """

    recipe: Recipe
    prompts: Mapping[str, Prompt]
    seats: tuple[str, ...]
    key: str
    n: int
    options: Mapping[str, Any]
    records: Records

    def id(self, index: int) -> str:
        return sample_id(self.key, index, self.records.sha256(index))


def plan(spec: RunSpec) -> list[Planned]:
    """The recipes of a spec, checked against their files.

    Raises:
        UnknownName: no such recipe, backend or role. UsageError: a role nobody plays, a source that is needed.
        SourceError: a source that cannot be read.
    """
    recipes = {wanted.name: replace(get_recipe(wanted.use), name=wanted.name) for wanted in spec.recipes}
    prompts = {name: _prompts(spec, recipe) for name, recipe in recipes.items()}
    steps = {f"{each.role}.{each.step}" for found in prompts.values() for each in found.values()}
    for role, backend in spec.backends.items():
        if role not in (*ROLES, "all", *steps):
            raise UnknownName("role of backends", role, {*ROLES, "all", *steps})
        get_backend(backend)
    planned = []
    for wanted in spec.recipes:
        recipe, found = recipes[wanted.name], prompts[wanted.name]
        shas = {name: each.sha256 for name, each in found.items()}
        records = open_records(recipe, wanted.source)
        seats = tuple(sorted({spec.seat(each.role, each.step) for each in found.values()}))
        planned.append(
            Planned(
                recipe=recipe,
                prompts=found,
                seats=seats,
                key=recipe_key(spec, wanted, version=recipe.version, prompts=shas, roles=seats),
                n=min(wanted.n, len(records)),
                options=wanted.options,
                records=records,
            )
        )
    return planned


def _prompts(spec: RunSpec, recipe: Recipe) -> dict[str, Prompt]:
    names = (*recipe.prompts, SAFETY_PROMPT) if "safety" in spec.backends else recipe.prompts
    return find_prompts(names, recipe.prompt_folders)


def price_for(spec: RunSpec, backend: BackendSpec) -> Price | None:
    """What a backend's calls cost; None = unknown."""
    if get_backend(backend).is_free:
        return Price()
    return price_of(backend.model, spec.prices, is_batch=backend.is_batch)


def agree(folder: Path, keys: dict[str, str], *, fork: bool) -> None:
    """Refuse to mix rows of two specs in one folder without being told to."""
    path = folder / LOCK_FILE
    locked: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    changed = sorted(name for name in keys if locked.get(name, keys[name]) != keys[name])
    if changed and not fork:
        raise UsageError(
            f"{folder} holds rows of another spec for {', '.join(changed)} (seed, backends, prompts, options or "
            "version differ); "
            "take another folder, or --fork to leave them behind and pay for new ones"
        )
    if locked != locked | keys:
        write_whole(path, json.dumps(locked | keys, indent=2, sort_keys=True))
