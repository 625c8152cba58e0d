"""Photographs take the place of scenes here: the recipe starts from a real picture."""

from typing import Any

from toolkit.generation.core.protocol import Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.script import Script, wording_of
from toolkit.photos import Photo, photos
from toolkit.scene.hints import OCCASIONS
from toolkit.scene.streams import Stream
from toolkit.scene.wording import reworded


def _photo(index: int) -> Photo:
    return photos()[index % len(photos())]


def _record(seed: int, index: int) -> Record:
    photo = _photo(index)
    return Record(
        values={"label": photo.name, "source": f"{photo.author}, {photo.source}", "license": photo.licence},
        images={"image": photo.bytes},
    )


def _brief(request: Request) -> dict[str, Any]:
    photo = _photo(request.origin.index)
    occasion = Stream("photo", request.origin.seed, request.origin.index).pick(OCCASIONS)
    return {
        "caption": f"A photograph of the {photo.name}, {photo.place}.",
        "instruction": reworded(
            f"For {occasion} I would like to see {photo.hint}.",
            wording_of("photo", request.origin.seed, request.origin.index),
        ),
    }


def _rationale(request: Request) -> dict[str, Any]:
    photo = _photo(request.origin.index)
    rationale = (
        f"That describes the {photo.name}. It belongs to {photo.place}, and the {photo.detail} should be easy to see."
    )
    return {"rationale": rationale, "answer": f"Here is the {photo.name}."}


SCRIPT = Script(answers={"category_brief": _brief, "picture_rationale": _rationale}, record=_record)
