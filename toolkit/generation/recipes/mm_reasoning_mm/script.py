from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.judges import pixels
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
    look,
    picture,
    scene_caption,
    scene_stream,
    seen_as_drawn,
    wording_of,
)
from toolkit.scene.documents import told_together
from toolkit.scene.graph import Kind, Scene, select
from toolkit.scene.language import groups, listed, noun, number_word, with_article
from toolkit.scene.retrieval import Retrieval, counted, sample_retrieval
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_mm"


@lru_cache(64)
def _sampled(draw: Draw) -> Retrieval:
    return sample_retrieval(scene_stream(TASK, draw), look(TASK, draw))


def _retrieval(request: Request) -> Retrieval:
    return _sampled(request.origin.draw)


def _record(draw: Draw) -> Record:
    query = _sampled(draw).query
    values = {"caption": scene_caption(query, TASK, draw, "input"), **SOURCED}
    return Record(values=values, images={"image": picture(query)})


def _keyword(request: Request) -> dict[str, Any]:
    found = _retrieval(request)
    ask = (
        f"Find a picture in the same style as mine that shows {with_article(found.keyword)}. Does it show more "
        f"{noun(found.compared, many=True)} than mine, fewer, or the same number?"
    )
    wording = wording_of(TASK, request.origin.draw)
    return {"keyword": found.keyword, "question": reworded(ask, wording)}


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


def _compared(request: Request) -> dict[str, Any]:
    found = _retrieval(request)
    style, keyword = found.query.style, with_article(found.keyword)
    seen = (
        f"Your picture is drawn in the {style} style and shows {counted(found.query)}. I look for {keyword} in "
        "that style and find this one."
    )
    compare = (
        f"It shows {counted(found.match)}: {_inventory(found.match)}. Yours shows {counted(found.query)}: "
        f"{_inventory(found.query)}."
    )
    what = noun(found.compared, many=True)
    if found.compared != Kind():
        here, there = (len(select(scene, found.compared)) for scene in (found.query, found.match))
        compare += f" Counting {what}, I get {number_word(there)} there and {number_word(here)} in yours."
    equal = found.comparison == "the same number"
    closing = (
        f"So both show the same number of {what}." if equal else f"So it shows {found.comparison} {what} than yours."
    )
    return {"look": seen, "compare": compare, "closing": closing, "answer": found.comparison}


def _inventory(scene: Scene) -> str:
    return listed(told_together(groups(scene)))


def _facts(draw: Draw) -> dict[str, Any]:
    found = _sampled(draw)
    return {
        "graph": found.query.to_dict(),
        "graph_found": found.match.to_dict(),
        "program": [["compare", found.compared.named()]],
        "read_as_drawn": seen_as_drawn(found.query) and seen_as_drawn(found.match),
    }


SCRIPT = Script(
    answers={
        "mm_keyword": _keyword,
        "find_pictures": lambda request: [picture(each.scene) for each in _retrieval(request).pool],
        "pick_picture": _pick,
        "mm_reason": _compared,
        "second_answer": lambda request: {"answer": _retrieval(request).comparison},
    },
    record=_record,
    facts=_facts,
)
