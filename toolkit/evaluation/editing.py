"""Parts that ask for a changed picture: the change must be done, and the rest left alone."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.evaluation.checks import Check, Verdict, check, same_things
from toolkit.evaluation.drawing import expected, no_picture
from toolkit.evaluation.items import VERSION, Item, Pixels, Reply
from toolkit.scene.defects import DEFECTS, sample_defect
from toolkit.scene.edits import EDITS, changed, changed_mask, sample_edit
from toolkit.scene.graph import Scene
from toolkit.scene.language import caption
from toolkit.scene.render import SIDE, render
from toolkit.scene.streams import Stream
from toolkit.scene.verify.pixels import find_things

# Outside the change, a pixel may differ by this much (levels), as encoding does, in all but this share of pixels.
_LEVELS, _SHARE = 48, 0.02


def _editing(id: str, number: int) -> Item:
    """Every second time the change is named outright, else it has to be found out."""
    kind = tuple(EDITS)[number % len(EDITS)]
    edit = sample_edit(Stream("benchmark", VERSION, "editing", number), kind)
    before, after = render(edit.before), render(edit.after)
    return Item(
        id=id,
        part="editing",
        kind=kind,
        task="image_editing",
        prompt=(before, edit.simple if number // len(EDITS) % 2 else edit.nuanced),
        answer=(after,),
        check=partial(_check, edit.before, edit.after),
        facts={"wording": "simple" if number // len(EDITS) % 2 else "nuanced"},
    )


def _correction(id: str, number: int) -> Item:
    kind = tuple(DEFECTS)[number % len(DEFECTS)]
    stream = Stream("benchmark", VERSION, "correction", number)
    defect = sample_defect(stream, kind)
    told = caption(defect.right, stream.child("caption"))
    return Item(
        id=id,
        part="correction",
        kind=kind,
        task="image_correction",
        prompt=(render(defect.wrong), f"This picture should show: {told} One thing is wrong. Draw it as it should be."),
        answer=(f"{defect.finding} {defect.remedy}", render(defect.right)),
        check=partial(_check, defect.wrong, defect.right),
    )


def _check(before: Scene, after: Scene, reply: Reply) -> list[Check]:
    if not reply.pictures:
        return [no_picture()]
    touched = frozenset(changed(before, after))
    kept = frozenset(thing.id for thing in after.things) - touched
    gone = [each for each, thing in zip(expected(before), before.things, strict=True) if thing.id in touched]
    drawn = reply.pictures[-1]
    change, rest = same_things(find_things(drawn), expected(after, kept=kept), gone)
    return [change, rest, _ground(render(before), drawn, changed_mask(before, after, SIDE))]


def _ground(before: Pixels, drawn: Pixels, allowed: npt.NDArray[np.bool_]) -> Check:
    """Whether all but what had to change looks as it did, encoding aside."""
    if drawn.shape != before.shape:
        drawn = np.asarray(Image.fromarray(drawn).resize(before.shape[1::-1], Image.Resampling.LANCZOS))
    differs = np.abs(drawn.astype(np.int16) - before.astype(np.int16)).max(axis=2) > _LEVELS
    share = float(differs[~allowed].mean())
    verdict = Verdict.RIGHT if share <= _SHARE else Verdict.WRONG
    return check("untouched", verdict, f"{100 * share:.1f} % of the pixels that had to stay are others")


PARTS: dict[str, Callable[[str, int], Item]] = {"editing": _editing, "correction": _correction}
