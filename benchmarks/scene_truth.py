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
from functools import partial
from math import log
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from toolkit.scene import told
from toolkit.scene.defects import sample_defect
from toolkit.scene.documents import DEFECT_KINDS, sample_document
from toolkit.scene.edits import EDITS, changed_mask, sample_edit
from toolkit.scene.gates import flaws
from toolkit.scene.graph import Scene, said
from toolkit.scene.language import caption, referring, the
from toolkit.scene.questions import KINDS, ask
from toolkit.scene.raster import Pixels
from toolkit.scene.render import encode, render
from toolkit.scene.sampler import sample_scene
from toolkit.scene.streams import Stream
from toolkit.scene.told.chart import DAYS
from toolkit.scene.told.figure import Problem
from toolkit.scene.verify.documents import find_defects
from toolkit.scene.verify.figures import read_board, read_chart, read_clock, read_row
from toolkit.scene.verify.locality import change
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import ReadScene, read_caption, read_phrase

ROOM = 0.05  # how far above chance a blind guess may get


class Line(NamedTuple):
    what: str
    found: str
    bound: str
    holds: bool


def expected(scene: Scene) -> ReadScene:
    """The graph in the reader's terms."""
    things = tuple(sorted(tuple(said(scene, thing)) for thing in scene.things))
    return ReadScene(things, scene.background, scene.style)  # type: ignore[arg-type]


def agrees(read: ReadScene, scene: Scene) -> bool:
    return (tuple(tuple(thing) for thing in read.things), read.background, read.style) == tuple(expected(scene))


def check_scene(seed: int, index: int) -> Counter[str]:
    """What is wrong with one sampled scene: "flaw", "caption", "pixels" or "phrase"."""
    stream = Stream("truth", seed, index)
    scene = sample_scene(stream.child("scene"))
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
    edit = sample_edit(Stream("edit", seed, index), tuple(EDITS)[index % len(EDITS)])
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
    defect = sample_defect(Stream("defect", seed, index))
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


def blind(pairs: list[tuple[str, int]]) -> tuple[float, float]:
    """Accuracy of the most frequent answer, and of naive Bayes over the question's words (first half learns, second
    half is asked).
    """
    half = len(pairs) // 2
    learnt, asked = pairs[:half], pairs[half:]
    frequent = Counter(answer for _, answer in learnt).most_common(1)[0][0]
    words = {
        answer: Counter(w for text, a in learnt if a == answer for w in set(text.lower().split()))
        for answer in {a for _, a in learnt}
    }
    priors = Counter(a for _, a in learnt)

    def guess(text: str) -> int:
        return max(
            words,
            key=lambda a: (
                log(priors[a]) + sum(log((words[a][w] + 1) / (priors[a] + 2)) for w in set(text.lower().split()))
            ),
        )

    return sum(answer == frequent for _, answer in asked) / len(asked), sum(
        answer == guess(text) for text, answer in asked
    ) / len(asked)


def answer_lines(seed: int, count: int) -> Iterable[Line]:
    """Per kind of question: how often the majority answer and a text-only guesser are right."""
    for kind in KINDS:
        asked = [ask(Stream("ask", seed, index), kind)[1] for index in range(count)]
        majority, bayes = blind([(question.text, question.target) for question in asked])
        chance = sum(1 / len(question.choices) for question in asked) / count
        yield Line(
            f"blind guess, {kind}",
            f"{majority:.3f} / {bayes:.3f}",
            f"<= {chance + ROOM:.3f}",
            max(majority, bayes) <= chance + ROOM,
        )
    for kind in told.PROBLEMS:
        problems = [told.sample_problem(Stream("told", seed, index), kind) for index in range(count)]
        # "the star" is one of four seats: what counts is the place of the answer in the question
        share = max(Counter(_answer_class(p.question, p.answer, kind) for p in problems).values()) / count
        yield Line(
            f"majority answer, told {kind}",
            f"{share:.3f}",
            f"<= {1 / problems[0].num_choices + ROOM:.3f}",
            share <= 1 / problems[0].num_choices + ROOM,
        )


def _answer_class(question: str, answer: str, kind: str) -> str:
    if kind != "row":
        return answer
    listing = question.split(":")[1].split(".")[0]
    return str(
        sorted(listing.index(f" {shape}") for shape in _shapes_in(listing)).index(
            listing.index(f" {answer.removeprefix('the ')}")
        )
    )


def _shapes_in(listing: str) -> list[str]:
    return [item.split()[-1] for item in listing.replace(" and ", ", ").split(", ")]


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
    lines = [
        speed_line(),
        *answer_lines(options.seed, max(options.scenes // 4, 600)),
        *truth_lines(options.seed, options.scenes, options.workers),
    ]
    for line in lines:
        print(f"{'ok  ' if line.holds else 'MISS'} {line.what:<40} {line.found:<42} {line.bound}")
    return 0 if all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
