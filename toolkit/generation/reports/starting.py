"""What a spec may say, for people and for editors: a commented spec to start from, and JSON Schemas."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from toolkit.generation.backends import BACKENDS, CommonOptions
from toolkit.generation.core.prompting import find_prompts
from toolkit.generation.core.protocol import Backend
from toolkit.generation.core.spec_models import SpecFile
from toolkit.generation.recipes import get_recipe
from toolkit.generation.recipes.recipe import Recipe

_FILLED = {"model": "MODEL", "base_url": "http://localhost:8000/v1", "path": "pictures.jsonl"}
_KIND_OF = {"openai_chat": {"image": "openai_images", "retrieve": "folder"}}
_DRAWERS = {"generate": "image", "edit": "image"}


def commented_spec(recipe_name: str, kind: str, n: int = 10) -> str:
    """A spec of one recipe, answered by one kind of backend, with a comment for everything else it may say.

    Raises:
        UnknownName: no such recipe or backend.
    """
    recipe, name = get_recipe(recipe_name), recipe_name.rpartition(":")[2] if ":" in recipe_name else recipe_name
    BACKENDS.check(kind)
    used = f"use: {json.dumps(recipe_name)}, " if name != recipe_name else ""
    lines = [
        f"# {(recipe.make.__doc__ or f'Rows of the task {recipe.row_task.name}.').strip().splitlines()[0]}",
        "# Next: unifiedvisual generate validate, plan, preview, run, finalize",
        f"name: {name}",
        "seed: 0",
        "",
        "backends:",
        *_backends(recipe, kind),
        "",
        "recipes:",
        f"  {name}:",
        *([f"    use: {json.dumps(recipe_name)}"] if used else []),
        f"    n: {n}                       # samples tried; rejected ones count",
        "    # accept: 10               # stop after so many rows",
        *_source(recipe, kind),
        *_options(recipe),
        "",
        "# budget: {max_usd: 5.0}      # no call is sent that could pass it",
        "# concurrency: 8              # samples under way at the same time",
        *(["# topics: topics.yaml         # a list, or a tree whose leaves count"] if recipe.topics else []),
        "# prompts: prompts            # a folder; a file in it takes the place of the prompt of its name:",
        f"#                               {', '.join(recipe.prompts) or 'none is asked'}",
        "# columns: {persona: [a nurse, a pilot]}      # drawn for each sample; prompts of yours may name them",
        "# duplicates: {images: true, text: 0.8}       # near-duplicates that finalize leaves out",
    ]
    return "\n".join(lines) + "\n"


def _backends(recipe: Recipe, kind: str) -> Iterator[str]:
    prompts = find_prompts(recipe.prompts, recipe.prompt_folders).values()
    roles = sorted({prompt.role for prompt in prompts})
    if kind == "procedural" or not roles:
        yield "  all: {kind: procedural}     # no key, no network; it plays every role, or none"
        return
    others = _KIND_OF.get(kind, {})
    for role in [role for role in roles if role in others]:
        yield from _backend(role, others[role], [each.name for each in prompts if each.role == role])
    yield from _backend("all", kind, [each.name for each in prompts if each.role not in others])


def _backend(role: str, kind: str, asked: Iterable[str]) -> Iterator[str]:
    found: type[Backend] = BACKENDS.load(kind)
    yield f"  {role}:                       # {', '.join(asked)}"
    yield f"    kind: {kind}"
    for model in (found.options, CommonOptions):
        for name, each in (model.model_fields if model else {}).items():
            if each.is_required():
                yield f"    {name}: {_FILLED.get(name, name.upper())}"
            elif name not in ("mode", "gather_s", "poll_s") or found.takes_batches:
                yield f"    # {name}: {_default(each)}"


def _default(each: FieldInfo) -> str:
    return json.dumps(each.get_default(call_default_factory=True), default=str)


def _source(recipe: Recipe, kind: str) -> Iterator[str]:
    if recipe.record is None:
        return
    fields = recipe.record.model_fields
    needed = [name for name, each in fields.items() if each.is_required()]
    mark = "# " if not recipe.needs_record or (kind == "procedural" and recipe.script) else ""
    without = "; needs none: without, samples start from topics" if not recipe.needs_record else ""
    may = ", ".join(name for name in fields if name not in needed)
    yield f"    # records of {', '.join(needed)}; may have {may}{without}"
    yield f"    {mark}source: {recipe.name}.jsonl"
    yield "    # source: {path: ORG/NAME, split: train, columns: {" + f"{needed[0]}: COLUMN" + "}}   # or of the Hub"


def _options(recipe: Recipe) -> Iterator[str]:
    if recipe.options.model_fields:
        yield "    # options:"
        for name, each in recipe.options.model_fields.items():
            yield f"    #   {name}: {_default(each)}"


def spec_schema() -> dict[str, Any]:
    """JSON Schema of a spec, with the options of every kind of backend that comes along."""
    schema = SpecFile.model_json_schema()
    kinds = [_kind_schema(kind) for kind in BACKENDS]
    plain = schema["$defs"].pop("BackendFile")
    schema["$defs"]["BackendFile"] = {"anyOf": [*kinds, {**plain, "title": "a kind of your own"}]}
    return schema


def _kind_schema(kind: str) -> dict[str, Any]:
    found: type[Backend] = BACKENDS.load(kind)
    models: list[type[BaseModel]] = [CommonOptions, *([found.options] if found.options else [])]
    own = [model.model_json_schema() for model in models]
    properties = {name: each for model in own for name, each in model.get("properties", {}).items()}
    required = [name for model in own for name in model.get("required", ())]
    return {
        "title": kind,
        "type": "object",
        "properties": {"kind": {"const": kind}, **properties},
        "required": ["kind", *required],
        "additionalProperties": found.options is None,
    }


def recipe_schema(name: str) -> dict[str, Any]:
    """JSON Schemas of a recipe's record and options; of its record null where it starts from nothing."""
    recipe = get_recipe(name)
    record = recipe.record.model_json_schema() if recipe.record else None
    return {"record": record, "options": recipe.options.model_json_schema()}
