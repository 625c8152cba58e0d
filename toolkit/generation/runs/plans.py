"""A spec with everything its samples need: recipes, keys, records; and the promise that a folder holds rows of one spec
only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.atomic import write_atomically
from toolkit.errors import UsageError
from toolkit.generation.core.prompting import prompt
from toolkit.generation.core.spec import RunSpec, recipe_key, sample_id
from toolkit.generation.recipes import get_recipe
from toolkit.generation.recipes.recipe import SAFETY_PROMPT, Recipe
from toolkit.generation.recipes.records import Records, open_records

LOCK_FILE = "spec.lock.json"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A recipe of a run with everything its samples need.

    Attributes:
        key: hash of all that shapes its rows.
        n: samples, no more than there are records.
    """

    recipe: Recipe
    key: str
    n: int
    options: Mapping[str, Any]
    records: Records

    def id(self, index: int) -> str:
        return sample_id(self.key, index, self.records.sha256(index))


def plan(spec: RunSpec) -> list[Planned]:
    """The recipes of a spec, checked against their files.

    Raises:
        UsageError: a role nobody plays, a source that is needed. SourceError: a source that cannot be read.
    """
    planned = []
    for wanted in spec.recipes:
        recipe = get_recipe(wanted.name)
        prompts = (*recipe.prompts, SAFETY_PROMPT) if "safety" in spec.backends else recipe.prompts
        shas = {name: prompt(name).sha256 for name in prompts}
        records = open_records(wanted.name, recipe.record, wanted.source)
        key = recipe_key(spec, wanted, version=recipe.version, prompts=shas, roles=recipe.seats(spec))
        planned.append(
            Planned(recipe=recipe, key=key, n=min(wanted.n, len(records)), options=wanted.options, records=records)
        )
    return planned


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
        write_atomically(path, json.dumps(locked | keys, indent=2, sort_keys=True))
