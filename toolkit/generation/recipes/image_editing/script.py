from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.judges import picture_matches, pixels
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
    look,
    picture,
    scene_caption,
    scene_stream,
    texts,
    wording_of,
)
from toolkit.scene.edits import EDITS, Edit, changed_mask, sample_edit
from toolkit.scene.graph import said
from toolkit.scene.heldout import drawn_without
from toolkit.scene.verify.locality import change
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.wording import reworded

TASK = "image_editing"


@lru_cache(64)
def edit_of(draw: Draw) -> Edit:
    kind = tuple(EDITS)[draw.index % len(EDITS)]
    return drawn_without(lambda stream: sample_edit(stream, kind, look(TASK, draw)), scene_stream(TASK, draw))


def _told(draw: Draw) -> dict[str, str]:
    """The order, and what the pictures show."""
    edit = edit_of(draw)
    return {
        "edit": edit.simple,
        "caption": scene_caption(edit.before, TASK, draw, "input"),
        "target_caption": scene_caption(edit.after, TASK, draw, "output"),
    }


def _record(draw: Draw) -> Record:
    return Record(values={**_told(draw), **SOURCED}, images={"image": picture(edit_of(draw).before)})


def _topic(draw: Draw) -> dict[str, str]:
    scene = edit_of(draw).before
    return {"topic": "shapes", "scene": f"{scene.style} style, {scene.background} background"}


def _edit(request: Request) -> Edit:
    return edit_of(request.origin.draw)


def _instruction(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.draw)
    return {"instruction": reworded(_edit(request).nuanced, wording)}


def _facts(draw: Draw) -> dict[str, Any]:
    edit = edit_of(draw)
    return {"edit": edit.kind, "graph": edit.before.to_dict(), "graph_after": edit.after.to_dict()}


def _rationale(request: Request) -> dict[str, Any]:
    edit = _edit(request)
    return {
        "rationale": f"{texts(edit.steps)} Everything else stays as it is.",
        "answer": f"In short, I {edit.simple[0].lower()}{edit.simple[1:]}",
    }


def _judge(request: Request) -> dict[str, Any]:
    edit = _edit(request)
    before, after = pixels(request.images[0]), pixels(request.images[1])
    moved = change(before, after, changed_mask(edit.before, edit.after))
    shown = sorted(tuple(thing) for thing in read_picture(after).things)
    is_done = shown == sorted(tuple(said(edit.after, thing)) for thing in edit.after.things)
    return {
        "problem": "" if is_done and not moved.outside else f"{moved.outside} pixels outside",
        "is_done": is_done,
        "rest_is_unchanged": not moved.outside,
    }


SCRIPT = Script(
    answers={
        "edit_proposal": lambda request: _told(request.origin.draw),
        "draw_picture": lambda request: [picture(_edit(request).before)],
        "picture_matches": picture_matches,
        "edit_instruction": _instruction,
        "draw_edit": lambda request: [picture(_edit(request).after)],
        "edit_judge": _judge,
        "edit_rationale": _rationale,
    },
    record=_record,
    topic=_topic,
    facts=_facts,
)
