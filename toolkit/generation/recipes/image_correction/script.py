from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.procedural.judges import picture_matches
from toolkit.generation.procedural.script import (
    Script,
    box_fields,
    joint_box,
    look,
    picture,
    scene_caption,
    scene_stream,
)
from toolkit.scene.defects import DEFECTS, Defect, sample_defect
from toolkit.scene.heldout import drawn_without

TASK = "image_correction"


@lru_cache(64)
def _sampled(draw: Draw) -> Defect:
    kind = tuple(DEFECTS)[draw.index % len(DEFECTS)]
    return drawn_without(lambda stream: sample_defect(stream, kind, look(TASK, draw)), scene_stream(TASK, draw))


def _defect(request: Request) -> Defect:
    return _sampled(request.origin.draw)


def _described(request: Request) -> dict[str, Any]:
    defect, draw = _defect(request), request.origin.draw
    words = {defect.wrong.thing(id).shape for id in defect.ids}
    words |= {thing.shape for thing in defect.right.things if thing.id in defect.ids}
    return {
        "description": scene_caption(defect.right, TASK, draw, "output"),
        "wrong_description": scene_caption(defect.wrong, TASK, draw, "input"),
        "defect_words": sorted(words),
    }


def _found(request: Request) -> dict[str, Any]:
    defect = _defect(request)
    box = joint_box(defect.wrong, [defect.wrong.thing(id) for id in defect.ids])
    seen = "I compare the picture with the text, place by place."
    return {"look": seen, "box": box_fields(box), "finding": defect.finding, "remedy": defect.remedy}


def _topic(draw: Draw) -> dict[str, str]:
    scene = _sampled(draw).right
    return {"topic": "shapes", "scene": f"{scene.style} style, {scene.background} background"}


def _facts(draw: Draw) -> dict[str, Any]:
    defect = _sampled(draw)
    return {"graph": defect.wrong.to_dict(), "graph_after": defect.right.to_dict(), "concerned": list(defect.ids)}


SCRIPT = Script(
    topic=_topic,
    facts=_facts,
    answers={
        "correction_description": _described,
        "draw_picture": lambda request: [picture(_defect(request).wrong)],
        "picture_matches": picture_matches,
        "correction_find": _found,
        "draw_correction": lambda request: [picture(_defect(request).right)],
    },
)
