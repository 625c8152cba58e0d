from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.judges import pixels
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
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
def edit_of(seed: int, index: int) -> Edit:
    kind = tuple(EDITS)[index % len(EDITS)]
    return drawn_without(lambda stream: sample_edit(stream, kind), scene_stream(TASK, seed, index))


def _record(seed: int, index: int) -> Record:
    edit = edit_of(seed, index)
    values = {
        "edit": edit.simple,
        "caption": scene_caption(edit.before, TASK, seed, index, "input"),
        "target_caption": scene_caption(edit.after, TASK, seed, index, "output"),
        **SOURCED,
    }
    return Record(values=values, images={"image": picture(edit.before)})


def _edit(request: Request) -> Edit:
    return edit_of(request.origin.seed, request.origin.index)


def _instruction(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.seed, request.origin.index)
    return {"instruction": reworded(_edit(request).nuanced, wording)}


def _facts(seed: int, index: int) -> dict[str, Any]:
    edit = edit_of(seed, index)
    return {"edit": edit.kind, "graph": edit.before.to_dict(), "graph_after": edit.after.to_dict()}


def _rationale(request: Request) -> dict[str, Any]:
    edit = _edit(request)
    return {"rationale": f"{texts(edit.steps)} Everything else stays as it is.", "answer": f"In short: {edit.simple}"}


def _judge(request: Request) -> dict[str, Any]:
    edit = _edit(request)
    before, after = pixels(request.images[0]), pixels(request.images[1])
    moved = change(before, after, changed_mask(edit.before, edit.after, before.shape[0]))
    shown = sorted(tuple(thing) for thing in read_picture(after).things)
    is_done = shown == sorted(tuple(said(edit.after, thing)) for thing in edit.after.things)
    return {
        "problem": "" if is_done and not moved.outside else f"{moved.outside} pixels outside",
        "is_done": is_done,
        "rest_is_unchanged": not moved.outside,
    }


SCRIPT = Script(
    answers={
        "edit_instruction": _instruction,
        "draw_edit": lambda request: [picture(_edit(request).after)],
        "edit_judge": _judge,
        "edit_rationale": _rationale,
    },
    record=_record,
    facts=_facts,
)
