"""Photographs take the place of scenes here: the recipe starts from a real picture."""

from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.script import Script, wording_of
from toolkit.photos import Photo, photos
from toolkit.scene.hints import OCCASIONS
from toolkit.scene.language import sentence
from toolkit.scene.streams import Stream
from toolkit.scene.wording import reworded


def _photo(index: int) -> Photo:
    return photos()[index % len(photos())]


def _home(photo: Photo) -> str:
    return f"{'lives' if photo.kind == 'animal' else 'stands'} in {photo.place}"


def _record(draw: Draw) -> Record:
    photo = _photo(draw.index)
    return Record(
        values={"label": photo.name, "source": f"{photo.author}, {photo.source}", "license": photo.licence},
        images={"image": photo.bytes},
    )


def _brief(request: Request) -> dict[str, Any]:
    photo = _photo(request.origin.index)
    occasion = Stream("photo", *request.origin.draw.key).pick(OCCASIONS)
    return {
        "caption": f"A photograph of the {photo.name}, which {_home(photo)}.",
        "instruction": reworded(
            f"For {occasion} I would like to see {photo.hint}.",
            wording_of("photo", request.origin.draw),
        ),
    }


def _rationale(request: Request) -> dict[str, Any]:
    photo = _photo(request.origin.index)
    rationale = (
        f"{sentence(photo.hint)}: that describes the {photo.name}, which {_home(photo)}. In a good picture of it the "
        f"{photo.detail} can be seen clearly."
    )
    return {"rationale": rationale, "answer": f"Here is the {photo.name}."}


def _guess(request: Request) -> dict[str, Any]:
    """Whatever the hints in the words stand for."""
    said = request.origin.values["instruction"].lower()
    return {"things": [photo.name for photo in photos() if photo.hint.lower() in said]}


SCRIPT = Script(
    answers={"category_brief": _brief, "hint_guess": _guess, "picture_rationale": _rationale}, record=_record
)
