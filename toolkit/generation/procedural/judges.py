"""The scene engine as a judge: what it says is read off the pictures and texts it is sent, by the verifier, which
shares no code with what drew them.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.generation.core.protocol import Request
from toolkit.generation.procedural.scripts import edit_of
from toolkit.images import decode_image
from toolkit.scene.edits import changed_mask
from toolkit.scene.graph import said
from toolkit.scene.verify.documents import find_defects
from toolkit.scene.verify.locality import change
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import read_caption

Judge = Callable[[Request], dict[str, Any]]


def _pixels(image: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(decode_image(image, "picture"))


def _matches(request: Request) -> dict[str, Any]:
    text, seen = read_caption(request.origin.values["caption"]), read_picture(_pixels(request.images[0]))
    told, shown = Counter(text.things), Counter(seen.things)
    missing, surplus = list(told - shown), list(shown - told)
    problem = f"missing {missing[:2]}, not told {surplus[:2]}" if missing or surplus else ""
    if (text.background, text.style) != (seen.background, seen.style):
        problem = problem or f"drawn {seen.style} on {seen.background}"
    return {"problem": problem, "matches": not problem}


def _edit(request: Request) -> dict[str, Any]:
    edit = edit_of(request.origin.seed, request.origin.index)
    before, after = _pixels(request.images[0]), _pixels(request.images[1])
    moved = change(before, after, changed_mask(edit.before, edit.after, before.shape[0]))
    is_done = sorted(tuple(thing) for thing in read_picture(after).things) == sorted(
        tuple(said(edit.after, thing)) for thing in edit.after.things
    )
    return {
        "problem": "" if is_done and not moved.outside else f"{moved.outside} pixels outside",
        "is_done": is_done,
        "rest_is_unchanged": not moved.outside,
    }


def _pick(request: Request) -> dict[str, Any]:
    """By style and shape as read from pixels."""
    model, *candidates = (read_picture(_pixels(image)) for image in request.images)
    keyword = request.origin.values["keyword"]
    fitting = [
        number
        for number, seen in enumerate(candidates, 1)
        if seen.style == model.style and any(thing.shape == keyword for thing in seen.things)
    ]
    return {"choice": fitting[0] if fitting else 0}


def _document(request: Request) -> dict[str, Any]:
    pictures = iter(request.images)
    parts: list[tuple[str, npt.NDArray[np.uint8] | None]] = []
    for line in str(request.origin.values["page"]).split("\n"):
        if re.fullmatch(r"\[picture \d+\]", line):
            parts[-1] = (parts[-1][0], _pixels(next(pictures)))
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
    return {
        "needs_pictures": bool(re.search(r"\b(drawings?|pictures?|show)\b", request.origin.values["question"].lower()))
    }


JUDGES: dict[str, Judge] = {
    "picture_matches": _matches,
    "edit_judge": _edit,
    "pick_picture": _pick,
    "internet_judge": _document,
    "internet_blind": _blind,
}
