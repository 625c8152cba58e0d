from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
    box_fields,
    closing,
    joint_box,
    look,
    picture,
    scene_caption,
    scene_stream,
    seen_as_drawn,
    wording_of,
)
from toolkit.scene import questions
from toolkit.scene.charts import CHART_KINDS, Chart, ChartQuestion, ask_chart
from toolkit.scene.difficulty import level_named
from toolkit.scene.graph import Box, Scene
from toolkit.scene.heldout import drawn_without
from toolkit.scene.programs import Outcome, written
from toolkit.scene.questions_hidden import HIDDEN_KINDS
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.questions_written import WRITTEN_KINDS
from toolkit.scene.render import encode
from toolkit.scene.verify.figures import read_chart
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_o"
_TRIES = 8  # drawings of things that hide others, or say something, until the verifier is sure of one
_THIRDS: tuple[Box, ...] = ((0, 0, 1, 0.34375), (0, 0.328125, 1, 0.671875), (0, 0.65625, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question about a picture, from whatever part of the engine.

    Attributes:
        steps: each with the boxes that are looked at.
    """

    drawn: Scene | Chart
    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]
    caption: str
    steps: tuple[tuple[str, tuple[Box, ...]], ...]
    program: list[list[object]]


@lru_cache(64)
def _sampled(draw: Draw) -> Asked:
    kind = kind_of(draw)
    stream = scene_stream(TASK, draw)
    if kind in CHART_KINDS:
        return _about_chart(ask_chart(stream, kind))
    for attempt in range(_TRIES):
        scene, question, outcome = drawn_without(
            lambda stream: questions.ask(stream, kind, ALL_KINDS, look(TASK, draw)),
            stream.child("try", attempt) if attempt else stream,
        )
        if kind not in (*HIDDEN_KINDS, *WRITTEN_KINDS) or seen_as_drawn(scene):
            break
    return _about_scene(scene, question, outcome, draw)


def kind_of(draw: Draw) -> str:
    """Of the question; kinds take turns."""
    level = level_named(draw.level)
    kinds: tuple[str, ...] = (*(level.kinds or ALL_KINDS), *(level.charts or CHART_KINDS))
    return kinds[draw.index % len(kinds)]


def _about_scene(scene: Scene, question: questions.Question, outcome: Outcome, draw: Draw) -> Asked:
    return Asked(
        drawn=scene,
        kind=question.kind,
        text=question.text,
        answer=outcome.answer,
        choices=question.choices,
        caption=scene_caption(scene, TASK, draw, "input"),
        steps=tuple(_boxed(scene, outcome)),
        program=written(question.program),
    )


def _about_chart(asked: ChartQuestion) -> Asked:
    steps, seen = [], set[str]()
    for step in asked.steps:
        steps.append((step.text, tuple(asked.chart.box(id) for id in step.ids if id not in seen)))
        seen.update(step.ids)
    return Asked(
        drawn=asked.chart,
        kind=asked.kind,
        text=asked.text,
        answer=asked.answer,
        choices=asked.choices,
        caption=asked.chart.caption,
        steps=tuple(steps),
        program=[[asked.kind]],
    )


def _boxed(scene: Scene, outcome: Outcome) -> Iterator[tuple[str, tuple[Box, ...]]]:
    """Each step with what is looked at for the first time."""
    seen = set[str]()
    for step in outcome.steps:
        fresh = [scene.thing(id) for id in step.ids if id not in seen]
        seen.update(step.ids)
        places = dict.fromkeys(thing.place for thing in fresh)
        boxes = tuple(joint_box(scene, [thing for thing in fresh if thing.place == place]) for place in places)
        yield step.text, _THIRDS if len(fresh) == len(scene.things) > 2 else boxes


def _question(request: Request) -> Asked:
    return _sampled(request.origin.draw)


def _record(draw: Draw) -> Record:
    asked = _sampled(draw)
    drawn = asked.drawn
    image = picture(drawn) if isinstance(drawn, Scene) else encode(drawn.draw())
    return Record(values={"caption": asked.caption, **SOURCED}, images={"image": image})


def _asked(request: Request) -> dict[str, Any]:
    return {"question": reworded(_question(request).text, wording_of(TASK, request.origin.draw), with_opening=True)}


def _facts(draw: Draw) -> dict[str, Any]:
    asked = _sampled(draw)
    drawn = asked.drawn
    is_scene = isinstance(drawn, Scene)
    return {
        "graph" if is_scene else "chart": drawn.to_dict(),
        "question": asked.kind,
        "program": asked.program,
        "choices": len(asked.choices),
        "read_as_drawn": seen_as_drawn(drawn) if isinstance(drawn, Scene) else measured_as_drawn(drawn),
    }


def measured_as_drawn(chart: Chart) -> bool:
    read = read_chart(chart.draw())
    return read is not None and tuple(read[0]) == chart.amounts


def _reasoned(request: Request) -> dict[str, Any]:
    asked = _question(request)
    steps = [{"text": text, "boxes": [box_fields(box) for box in boxes]} for text, boxes in asked.steps]
    return {"steps": steps, "answer": asked.answer, "closing": closing(asked.kind, asked.answer)}


def _blind(request: Request) -> dict[str, Any]:
    """Of the answers that are equally likely, any."""
    choices = _question(request).choices
    guess = scene_stream(TASK, request.origin.draw).child("blind").pick(choices)
    return {"can_tell": len(choices) == 1, "answer": guess}


SCRIPT = Script(
    answers={
        "o_question": _asked,
        "o_reason": _reasoned,
        "blind_answer": _blind,
        "second_answer": lambda request: {"answer": _question(request).answer},
    },
    record=_record,
    facts=_facts,
)
