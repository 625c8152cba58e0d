"""What a recipe made -> the finished, checked row."""

from collections.abc import Mapping
from typing import Any

from toolkit.generation.core.keys import canonical
from toolkit.generation.recipes.recipe import Context, Made, Shown
from toolkit.rules import check_row
from toolkit.scene.names import LICENSE, SOURCE
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, quadrant_of, text_of


def to_row(context: Context, made: Made, *, is_procedural: bool, safety: Mapping[str, Any]) -> Row:
    """
    Args:
        safety: verdict, for provenance.

    Raises:
        RowError: it breaks a rule of rows.
    """
    recipe, task = context.recipe, context.recipe.row_task
    origin = "upstream" if recipe.imports else "procedural" if is_procedural else "generated"
    id = f"{task.prefix}-{origin[:4]}-{context.sample[:20]}"
    messages = _messages(made)
    shown = [part for part in made.parts if isinstance(part, Shown)]
    row = Row(
        id=id,
        task=task.name,
        quadrant=quadrant_of(messages),
        source=made.source or context.record.text("source") or (SOURCE if is_procedural else ""),
        license=made.license or context.record.text("license") or (LICENSE if is_procedural else ""),
        origin=origin,
        messages=messages,
        images=tuple(
            EncodedImage(context.bytes_of(each.blob), f"{id}-{number}.{each.blob.suffix or 'bin'}")
            for number, each in enumerate(shown)
        ),
        image_roles=tuple(each.role for each in shown),
        image_captions=tuple(each.caption for each in shown),
        instruction=made.instruction or text_of(messages, "user"),
        rationale=made.rationale,
        answer=made.answer,
        regions=made.regions,
        provenance=canonical(_provenance(context, made, shown, safety)),
    )
    check_row(row)
    return row


def _provenance(context: Context, made: Made, shown: list[Shown], safety: Mapping[str, Any]) -> dict[str, Any]:
    known = {"columns": dict(context.columns), "scene": dict(context.scene), "verdicts": context.verdicts}
    return {
        "recipe": context.recipe.name,
        "version": context.recipe.version,
        "seed": context.seed,
        "index": context.index,
        "safety": dict(safety),
        **made.facts,
        **{name: value for name, value in known.items() if value},
        **({"record_sha256": context.record.sha256} if context.record.sha256 else {}),
        "images_sha256": [each.blob.sha256 for each in shown],
        "calls": context.trail,
    }


def _messages(made: Made) -> tuple[Message, ...]:
    turns = [
        (role, parts) for turn in made.turns for role, parts in (("user", turn.user), ("assistant", turn.assistant))
    ]
    system = [Message("system", (Part("text", made.system),))] if made.system else []
    return (*system, *(_message(role, parts) for role, parts in turns))


def _message(role: str, parts: tuple[str | Shown, ...]) -> Message:
    return Message(
        role,
        tuple(
            Part("text", part) if isinstance(part, str) else IMAGE_PART
            for part in parts
            if not isinstance(part, str) or part.strip()
        ),
    )
