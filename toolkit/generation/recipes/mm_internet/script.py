import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.judges import pixels
from toolkit.generation.procedural.script import SOURCED, Script, look, picture, scene_stream, wording_of
from toolkit.scene.documents import DEFECT_KINDS, Document, sample_document
from toolkit.scene.heldout import drawn_without
from toolkit.scene.verify.documents import find_defects
from toolkit.scene.wording import reworded

_PLANTED_ONE_IN = 4  # documents with a defect, for the judges to find


@lru_cache(64)
def document_of(draw: Draw) -> Document:
    """One in four has a planted defect."""
    group, place = divmod(draw.index, _PLANTED_ONE_IN)
    planted = DEFECT_KINDS[group % len(DEFECT_KINDS)] if place == _PLANTED_ONE_IN - 1 else ""
    stream = scene_stream("mm_internet", draw)
    document = drawn_without(lambda stream: sample_document(stream, planted, look("mm_internet", draw)), stream)
    return replace(document, question=reworded(document.question, wording_of("mm_internet", draw)))


def _facts(draw: Draw) -> dict[str, Any]:
    document = document_of(draw)
    return {"page": document.kind, "graphs": [each.scene.to_dict() for each in document.passages if each.scene]}


def _record(draw: Draw) -> Record:
    texts: list[str | None] = []
    images, captions = {}, []
    for passage in document_of(draw).passages:
        texts.append(passage.text)
        if passage.scene is not None:
            images[f"images/{len(texts)}"] = picture(passage.scene)
            captions.append(passage.caption)
            texts.append(None)
    return Record(values={"texts": texts, "captions": captions, **SOURCED}, images=images)


def _judge(request: Request) -> dict[str, Any]:
    shown = iter(request.images)
    parts: list[tuple[str, npt.NDArray[np.uint8] | None]] = []
    for line in str(request.origin.values["page"]).split("\n"):
        if re.fullmatch(r"\[picture \d+\]", line):
            parts[-1] = (parts[-1][0], pixels(next(shown)))
        else:
            parts.append((line, None))
    defects = find_defects(request.origin.values["question"], parts)
    return {
        "problem": ", ".join(sorted(defects)),
        "is_coherent": "duplicate" not in defects,
        "is_on_topic": "off_topic" not in defects,
        "pictures_fit": "swapped" not in defects,
        "answers_question": "unanswerable" not in defects,
    }


def _blind(request: Request) -> dict[str, Any]:
    """Whoever asks to be shown something is not answered by words."""
    asks = re.search(r"\b(drawings?|pictures?|show)\b", request.origin.values["question"].lower())
    return {"needs_pictures": bool(asks)}


SCRIPT = Script(
    answers={
        "internet_question": lambda request: {"question": document_of(request.origin.draw).question},
        "internet_judge": _judge,
        "internet_blind": _blind,
    },
    record=_record,
    facts=_facts,
)
