"""Parts that ask for a changed picture: the change must be done, and the rest left alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.evaluation.checks import Check, Verdict, check, same_things
from toolkit.evaluation.items import VERSION, Item, Pixels, Reply
from toolkit.evaluation.wanted import expected, no_picture
from toolkit.scene.defects import DEFECTS, sample_defect
from toolkit.scene.edits import EDITS, changed, changed_mask, sample_edit
from toolkit.scene.graph import Scene
from toolkit.scene.language import caption
from toolkit.scene.render import SIDE, render
from toolkit.scene.streams import Stream
from toolkit.scene.verify.pixels import find_things

# Outside the change, a pixel may differ by so many levels, as encoding makes it, in all but this share of pixels.
_LEVELS, _SHARE = 48, 0.02
# So may the mean of a cell of pixels, which noise leaves alone and another ground does not.
_CELL, _CELL_LEVELS, _CELL_SHARE = 8, 3.5, 0.04


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
    return [change, rest, _ground(render(before), drawn, changed_mask(before, after))]


def _ground(before: Pixels, drawn: Pixels, allowed: npt.NDArray[np.bool_]) -> Check:
    """Whether all but what had to change looks as it did, encoding aside."""
    if drawn.shape != before.shape:
        drawn = np.asarray(Image.fromarray(drawn).resize(before.shape[1::-1], Image.Resampling.LANCZOS))
    gap = drawn.astype(np.float64) - before
    pixels = float((np.abs(gap).max(axis=2) > _LEVELS)[~allowed].mean())
    means = _cells(gap * ~allowed[..., None]) / np.maximum(_cells(~allowed[..., None]), 1e-9)
    free = _cells(~allowed[..., None])[..., 0] > 0.5
    means -= np.median(means[free], axis=0)  # a little lighter or darker all over is not another ground
    cells = float((np.abs(means).max(axis=2) > _CELL_LEVELS)[free].mean())
    verdict = Verdict.RIGHT if pixels <= _SHARE and cells <= _CELL_SHARE else Verdict.WRONG
    return check(
        "untouched",
        verdict,
        f"of what had to stay, {100 * pixels:.1f} % of the pixels and {100 * cells:.1f} % of the ground are others",
    )


def _cells(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Means over cells of 8 x 8 pixels, (64, 64, channels)."""
    side = SIDE // _CELL
    means: npt.NDArray[np.float64] = values.reshape(side, _CELL, side, _CELL, -1).mean(axis=(1, 3))
    return means


PARTS: dict[str, Callable[[str, int], Item]] = {"editing": _editing, "correction": _correction}
