from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Request
from toolkit.generation.procedural.judges import picture_matches
from toolkit.generation.procedural.script import Script, picture, scene_caption, scene_stream, texts, wording_of
from toolkit.scene.briefs import Brief, sample_brief
from toolkit.scene.heldout import drawn_without
from toolkit.scene.language import with_article
from toolkit.scene.wording import reworded

TASK = "image_generation"


@lru_cache(64)
def _brief(seed: int, index: int) -> Brief:
    return drawn_without(sample_brief, scene_stream(TASK, seed, index))


def _topic_brief(request: Request) -> dict[str, Any]:
    seed, index = request.origin.seed, request.origin.index
    brief = _brief(seed, index)
    named = {word for thing in brief.scene.things for word in (thing.shape, thing.colour)} | {brief.scene.style}
    return {
        "caption": scene_caption(brief.scene, TASK, seed, index, "output"),
        "named": sorted(named),
        "instruction": reworded(brief.instruction, wording_of(TASK, seed, index)),
    }


def _rationale(request: Request) -> dict[str, Any]:
    brief = _brief(request.origin.seed, request.origin.index)
    rationale = f"{texts(brief.steps)} All of it goes on {with_article(brief.scene.background)} background."
    return {"rationale": rationale, "answer": f"Here is the picture for {brief.occasion}."}


def _draw(request: Request) -> list[bytes]:
    return [picture(_brief(request.origin.seed, request.origin.index).scene)]


def _topic(seed: int, index: int) -> dict[str, str]:
    scene = _brief(seed, index).scene
    return {"topic": _brief(seed, index).occasion, "scene": f"{scene.style} style, {scene.background} background"}


def _facts(seed: int, index: int) -> dict[str, Any]:
    return {"graph": _brief(seed, index).scene.to_dict()}


SCRIPT = Script(
    topic=_topic,
    facts=_facts,
    answers={
        "topic_brief": _topic_brief,
        "picture_rationale": _rationale,
        "draw_picture": _draw,
        "picture_matches": picture_matches,
    },
)
