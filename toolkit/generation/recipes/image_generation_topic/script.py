from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.procedural.judges import picture_matches
from toolkit.generation.procedural.script import Script, look, picture, scene_caption, scene_stream, texts, wording_of
from toolkit.scene.briefs import Brief, sample_brief
from toolkit.scene.heldout import drawn_without
from toolkit.scene.hints import COLOUR_HINTS, SHAPE_HINTS, STYLE_HINTS
from toolkit.scene.language import with_article
from toolkit.scene.wording import reworded

TASK = "image_generation"


@lru_cache(64)
def _brief(draw: Draw) -> Brief:
    return drawn_without(lambda stream: sample_brief(stream, look(TASK, draw)), scene_stream(TASK, draw))


def _topic_brief(request: Request) -> dict[str, Any]:
    draw = request.origin.draw
    brief = _brief(draw)
    named = {word for thing in brief.scene.things for word in (thing.shape, thing.colour)} | {brief.scene.style}
    return {
        "caption": scene_caption(brief.scene, TASK, draw, "output"),
        "named": sorted(named),
        "instruction": reworded(brief.instruction, wording_of(TASK, draw)),
    }


def _rationale(request: Request) -> dict[str, Any]:
    brief = _brief(request.origin.draw)
    rationale = f"{texts(brief.steps)} All of it goes on {with_article(brief.scene.background)} background."
    return {"rationale": rationale, "answer": f"Here is the picture for {brief.occasion}."}


def _draw(request: Request) -> list[bytes]:
    return [picture(_brief(request.origin.draw).scene)]


def _topic(draw: Draw) -> dict[str, str]:
    scene = _brief(draw).scene
    return {"topic": _brief(draw).occasion, "scene": f"{scene.style} style, {scene.background} background"}


def _facts(draw: Draw) -> dict[str, Any]:
    return {"graph": _brief(draw).scene.to_dict()}


def _guess(request: Request) -> dict[str, Any]:
    """Whatever the hints in the words stand for."""
    said = request.origin.values["instruction"].lower()
    known = {**SHAPE_HINTS, **COLOUR_HINTS, **STYLE_HINTS}
    return {"things": [name for name, hint in known.items() if hint.lower() in said]}


SCRIPT = Script(
    topic=_topic,
    facts=_facts,
    answers={
        "topic_brief": _topic_brief,
        "hint_guess": _guess,
        "picture_rationale": _rationale,
        "draw_picture": _draw,
        "picture_matches": picture_matches,
    },
)
