"""Does the scene engine tell the truth? Reads back what it says and draws, with code that shares nothing with it, and
prints a table.

    python benchmarks/scene_truth.py                 10,000 scenes, about 12 minutes on two cores
    python benchmarks/scene_truth.py --scenes 200    a look

Exit code 1 if any line misses its bound.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scene_answers import Line, answer_lines

from toolkit.scene import told
from toolkit.scene.defects import sample_defect
from toolkit.scene.difficulty import LEVELS
from toolkit.scene.documents import DEFECT_KINDS, sample_document
from toolkit.scene.edits import EDITS, changed_mask, sample_edit
from toolkit.scene.gates import flaws
from toolkit.scene.graph import SQUARE, TALL, WIDE, Kind, Scene, said
from toolkit.scene.language import caption, referring, the
from toolkit.scene.raster import Pixels
from toolkit.scene.render import encode, render
from toolkit.scene.sampler import Fixed, Look, Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.told.chart import DAYS
from toolkit.scene.told.figure import Problem
from toolkit.scene.verify.documents import find_defects
from toolkit.scene.verify.figures import read_board, read_chart, read_clock, read_row
from toolkit.scene.verify.locality import change
from toolkit.scene.verify.pixels import find_things, read_picture
from toolkit.scene.verify.text import ReadScene, read_caption, read_hidden, read_phrase


def expected(scene: Scene) -> ReadScene:
    """The graph in the reader's terms."""
    things = tuple(sorted(tuple(said(scene, thing)) for thing in scene.things))
    return ReadScene(things, scene.background, scene.style)  # type: ignore[arg-type]


def agrees(read: ReadScene, scene: Scene) -> bool:
    return (tuple(tuple(thing) for thing in read.things), read.background, read.style) == tuple(expected(scene))


def look(index: int) -> Look:
    """Shapes of pictures and levels of difficulty take turns."""
    canvases = (SQUARE, *WIDE, *TALL)
    levels = tuple(LEVELS.values())
    return Look(extra=levels[index // len(canvases) % len(levels)].extra, canvas=canvases[index % len(canvases)])


def check_overlap(seed: int, index: int) -> Counter[str]:
    """A thing that hides a part of another: which is in front, what the other is, and the caption."""
    stream = Stream("overlap", seed, index)
    behind = Kind(size=stream.pick(("medium", "large")), pattern="plain", shape=stream.pick(SHAPES))
    wish = Wish(fixed=(Fixed(behind, front=Kind(shape=stream.pick(SHAPES))),), num_places=2 + index % 4)
    scene = sample_scene(stream, replace(wish, look=look(index)._replace(extra=0)))
    front = next(thing for thing in scene.things if thing.over)
    back = scene.thing(front.over)
    truth = [(f"{front.colour} {front.shape}", f"{back.colour} {back.shape}")]
    text = caption(scene, stream.child("caption"))
    found = find_things(render(scene), overlapping=True)
    is_unsure = any(each.unsure & {"hidden", "shape"} for each in found if each.thing.place == front.place)
    is_read = [(each.hidden_by, f"{each.thing.colour} {each.thing.shape}") for each in found if each.hidden_by] == truth
    return Counter(
        caption=int(read_hidden(text) != truth or not agrees(read_caption(text), scene)),
        unsure=int(is_unsure),
        right=int(is_read and not is_unsure),
        wrong=int(not is_read and not is_unsure),
    )


def check_scene(seed: int, index: int) -> Counter[str]:
    """What is wrong with one sampled scene: "flaw", "caption", "pixels" or "phrase"."""
    stream = Stream("truth", seed, index)
    scene = sample_scene(stream.child("scene"), Wish(look=look(index)))
    wrong: Counter[str] = Counter(things=len(scene.things), flaw=sum(1 for _ in flaws(scene)))
    wrong["caption"] = int(not agrees(read_caption(caption(scene, stream.child("caption"))), scene))
    seen = read_picture(render(scene))
    wrong["pixels"] = int(not agrees(seen, scene))
    for thing in scene.things:
        if (kind := referring(scene, thing)) is not None:
            named = read_phrase(the(kind))
            fits = [
                found for found in seen.things if all(getattr(found, name) == value for name, value in named.items())
            ]
            wrong["phrases"] += 1
            wrong["phrase"] += int(len(fits) != 1)
    return wrong


def check_edit(seed: int, index: int) -> Counter[str]:
    """One edit: pixels outside the mask, no change at all, and (every tenth) whether the new picture reads as the new
    graph.
    """
    edit = sample_edit(Stream("edit", seed, index), tuple(EDITS)[index % len(EDITS)], look(index // len(EDITS)))
    after = render(edit.after)
    found = change(render(edit.before), after, changed_mask(edit.before, edit.after))
    wrong: Counter[str] = Counter(
        outside=int(found.outside > 0),
        nothing=int(found.inside == 0),
        told=int(edit.simple.rstrip(".").lower() in edit.nuanced.lower()),
    )
    if index % 10 == 0:
        wrong["pixels"] = int(not agrees(read_picture(after), edit.after))
    return wrong


def check_defect(seed: int, index: int) -> Counter[str]:
    """One counterfactual: the wrong picture must not fit the description, and must read as the wrong graph."""
    defect = sample_defect(Stream("defect", seed, index), look=look(index))
    seen = read_picture(render(defect.wrong))
    return Counter(same=int(agrees(seen, defect.right)), pixels=int(not agrees(seen, defect.wrong)))


def check_drawing(seed: int, index: int) -> Counter[str]:
    """The last drawing of a told problem against the problem's facts."""
    kind = tuple(told.PROBLEMS)[index % len(told.PROBLEMS)]
    problem = told.sample_problem(Stream("drawing", seed, index), kind)
    pixels = [thought.drawing for thought in problem.thoughts if thought.drawing][-1].draw()
    return Counter(drawing=int(not drawing_fits(kind, pixels, problem)))


def drawing_fits(kind: str, pixels: Pixels, problem: Problem) -> bool:
    facts: Any = problem.facts
    if kind == "chart":
        return bool(read_chart(pixels) == (facts["amounts"], DAYS.index(problem.answer)))
    if kind == "clock":
        return bool([read_clock(pixels)] == facts["minutes"][-1:])
    if kind == "row":
        return bool(read_row(pixels) == facts["order"])
    board, stops = read_board(pixels), facts["stops"]
    return board is not None and board[0] == stops[0] and set(stops) - {board[0]} <= board[1]


def check_document(seed: int, index: int) -> Counter[str]:
    """One document of each kind of defect: what the checker says against what was planted."""
    counts: Counter[str] = Counter()
    for planted in ("", *DEFECT_KINDS):
        document = sample_document(Stream("document", seed, index), planted)
        found = find_defects(
            document.question,
            [(passage.text, render(passage.scene) if passage.scene else None) for passage in document.passages],
        )
        for kind in DEFECT_KINDS:
            counts[f"{kind} {'hit' if kind in found else 'miss'}"] += kind == planted
            counts[f"{kind} false"] += kind != planted and kind in found
    return counts


def total(check: Callable[[int, int], Counter[str]], seed: int, count: int, workers: int) -> Counter[str]:
    with ProcessPoolExecutor(workers) as pool:
        result: Counter[str] = Counter()
        for found in pool.map(partial(check, seed), range(count), chunksize=8):
            result.update(found)
    return result


def never(what: str, wrong: int, count: int, note: str = "") -> Line:
    """A line about what may not happen once."""
    return Line(what, f"{wrong:,} of {count:,}{note}", "0", wrong == 0)


def truth_lines(seed: int, count: int, workers: int) -> Iterable[Line]:
    scenes = total(check_scene, seed, count, workers)
    for what, kind in (
        ("scenes with a broken gate", "flaw"),
        ("captions read back wrongly", "caption"),
        ("pictures read back wrongly", "pixels"),
    ):
        yield never(what, scenes[kind], count, f" ({scenes['things']:,} things)")
    yield never("ambiguous phrases, seen in pixels", scenes["phrase"], scenes["phrases"])
    edits = total(check_edit, seed, count, workers)
    yield never("edits with a pixel changed outside", edits["outside"], count)
    yield never("edits that change nothing", edits["nothing"], count)
    yield never("nuanced wordings that tell the edit", edits["told"], count)
    yield never("edited pictures read back wrongly", edits["pixels"], count // 10)
    few = max(count // 10, 20)
    pairs = total(check_overlap, seed, few, workers)
    shares = ", ".join(f"{name} {pairs[name]:,}" for name in ("right", "unsure"))
    yield never("things in front read wrongly", pairs["wrong"], few, f"; {shares}")
    yield never("captions of hidden things read wrongly", pairs["caption"], few)
    defects = total(check_defect, seed, few, workers)
    yield never("wrong pictures that fit the text", defects["same"], few)
    yield never("wrong pictures read back wrongly", defects["pixels"], few)
    yield never("told drawings read back wrongly", total(check_drawing, seed, few, workers)["drawing"], few)
    yield from document_lines(seed, max(count // 50, 10), workers)


def document_lines(seed: int, count: int, workers: int) -> Iterable[Line]:
    counts = total(check_document, seed, count, workers)
    for kind in DEFECT_KINDS:
        hits, misses, false = (counts[f"{kind} {word}"] for word in ("hit", "miss", "false"))
        precision, recall = hits / max(hits + false, 1), hits / max(hits + misses, 1)
        yield Line(
            f"documents, {kind}",
            f"precision {precision:.3f}, recall {recall:.3f} of {count}",
            ">= 0.95 both",
            min(precision, recall) >= 0.95,
        )


def speed_line(count: int = 200) -> Line:
    streams = [Stream("speed", index) for index in range(count)]
    sample_scene(streams[0])
    start = time.process_time()
    scenes = [sample_scene(stream) for stream in streams]
    pictures = [render(scene) for scene in scenes]
    drawn = time.process_time() - start
    for picture in pictures:
        encode(picture)
    both = time.process_time() - start
    return Line(
        "scenes per CPU second, 512 x 512",
        f"{count / drawn:.0f}; {count / both:.0f} with PNG",
        ">= 40",
        count / both >= 40,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    lines = chain(
        [speed_line()],
        answer_lines(options.seed, max(options.scenes // 4, 600)),
        truth_lines(options.seed, options.scenes, options.workers),
    )
    holds = True
    for line in lines:
        holds &= line.holds
        print(f"{'ok  ' if line.holds else 'MISS'} {line.what:<40} {line.found:<42} {line.bound}", flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
