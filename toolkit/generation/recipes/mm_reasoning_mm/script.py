from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.judges import pixels
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
    closing,
    look,
    picture,
    scene_caption,
    scene_stream,
    seen_as_drawn,
    wording_of,
)
from toolkit.scene.difficulty import level_named
from toolkit.scene.language import with_article
from toolkit.scene.programs import written
from toolkit.scene.questions_hidden import HIDDEN_KINDS
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.retrieval import Retrieval, sample_retrieval
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_mm"


@lru_cache(64)
def _sampled(draw: Draw) -> Retrieval:
    kinds = [kind for kind in level_named(draw.level).kinds or ALL_KINDS if kind not in HIDDEN_KINDS]
    return sample_retrieval(scene_stream(TASK, draw), kinds[draw.index % len(kinds)], look(TASK, draw))


def _retrieval(request: Request) -> Retrieval:
    return _sampled(request.origin.draw)


def _record(draw: Draw) -> Record:
    query = _sampled(draw).query
    values = {"caption": scene_caption(query, TASK, draw, "input"), **SOURCED}
    return Record(values=values, images={"image": picture(query)})


def _question(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.draw)
    return {"question": reworded(_retrieval(request).question.text, wording, with_opening=True)}


def _found(request: Request) -> list[bytes]:
    slots = {slot.keyword: slot.pool for slot in _retrieval(request).slots}
    return [picture(each.scene) for each in slots[request.origin.values["keyword"]]]


def _pick(request: Request) -> dict[str, Any]:
    """By style and shape as read from pixels."""
    model, *candidates = (read_picture(pixels(image)) for image in request.images)
    keyword = request.origin.values["keyword"]
    fitting = [
        number
        for number, seen in enumerate(candidates, 1)
        if seen.style == model.style and any(thing.shape == keyword for thing in seen.things)
    ]
    return {"choice": fitting[0] if fitting else 0}


def _reasoned(request: Request) -> dict[str, Any]:
    found = _retrieval(request)
    steps = [{"text": step.text, "keyword": ""} for step in found.outcome.steps]
    for slot in found.slots:
        shown = f"In another picture in the {found.query.style} style, this is {with_article(slot.keyword)}:"
        steps[slot.step] = {"text": f"{steps[slot.step]['text']} {shown}", "keyword": slot.keyword}
    answer = found.outcome.answer
    return {"steps": steps, "answer": answer, "closing": closing(found.question.kind, answer)}


def _facts(draw: Draw) -> dict[str, Any]:
    found = _sampled(draw)
    return {
        "graph": found.query.to_dict(),
        "graphs_found": [slot.match.to_dict() for slot in found.slots],
        "question": found.question.kind,
        "program": written(found.question.program),
        "read_as_drawn": all(map(seen_as_drawn, (found.query, *(slot.match for slot in found.slots)))),
    }


SCRIPT = Script(
    answers={
        "mm_question": _question,
        "mm_reason": _reasoned,
        "second_answer": lambda request: {"answer": _retrieval(request).outcome.answer},
        "find_pictures": _found,
        "pick_picture": _pick,
    },
    record=_record,
    facts=_facts,
)
