"""How diverse the scene engine's rows are: instructions of every recipe, and drawings taken for duplicates.

    python benchmarks/generate_diversity.py [--samples 3000] [--drawings 1000]

Prints for each recipe how many instructions are distinct, the share of distinct runs of three words, sentence frames
(shapes, colours, places, numbers and lists masked), the share of the most frequent frame, and how many have at least
0.8 of their runs of three words in common with an earlier one (found by MinHash, compared exactly). And of drawings of
told problems, all of which mean different things: how many pHash alone would leave out, and how many are.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from toolkit.generation.core.protocol import Origin, Request
from toolkit.generation.journal import Finished
from toolkit.generation.procedural.procedural import script_of
from toolkit.generation.recipes import get_recipe
from toolkit.generation.reports.diversity import diversity
from toolkit.generation.runs.duplicates import _Texts, show_the_same
from toolkit.images.hash import phash
from toolkit.scene.render import encode
from toolkit.scene.streams import Stream
from toolkit.scene.told import PROBLEMS, sample_problem

ASKED = {
    "image_generation_topic": "topic_brief",
    "image_generation_category": "category_brief",
    "image_editing": "edit_instruction",
    "image_correction": "correction_description",
    "mm_reasoning_o": "o_question",
    "mm_reasoning_mm": "mm_question",
    "mm_reasoning_t": "t_question",
    "mm_internet": "internet_question",
}
OLD_BITS, NEAR = 4, 0.8


def instructions(recipe: str, count: int) -> Iterator[str]:
    answer = script_of(get_recipe(recipe).script).answers[ASKED[recipe]]
    for index in range(count):
        origin = Origin(recipe=recipe, seed=0, index=index)
        reply = answer(Request(kind="chat", step=ASKED[recipe], user="-", seed=0, origin=origin))
        assert isinstance(reply, dict)
        text = str(reply.get("instruction") or reply.get("question") or reply["description"])
        yield _as_asked(text, index) if recipe == "image_correction" else text


def _as_asked(description: str, index: int) -> str:
    from toolkit.generation.recipes.image_correction.recipe import _ENDS, _LEADS

    stream = Stream("recipe", "image_correction", 0, index, "ask")
    return f"{stream.pick(_LEADS)} {description} {stream.pick(_ENDS)}"


def near(texts: list[str]) -> int:
    seen, count = _Texts(NEAR), 0
    for index, text in enumerate(texts):
        if seen.like(text, Finished(str(index), "", index, "ok", None, None, None, None)):
            count += 1
        else:
            seen.add(text, str(index))
    return count


def drawings(count: int) -> tuple[int, int]:
    """Of so many different last drawings: left out by pHash alone, and by pixels too."""
    kept: dict[str, bytes] = {}
    index = 0
    while len(kept) < count:
        problem = sample_problem(Stream("drawings", index), tuple(PROBLEMS)[index % len(PROBLEMS)])
        last = [thought.drawing for thought in problem.thoughts if thought.drawing][-1]
        index += 1
        kept.setdefault(f"{last.caption} {problem.facts['style']}", encode(last.draw()))
    pictures = [(phash(content), content) for content in kept.values()]
    by_hash = by_pixels = 0
    for number, (mine, content) in enumerate(pictures):
        close = [other for hash, other in pictures[:number] if (hash ^ mine).bit_count() <= 6]
        by_hash += any((hash ^ mine).bit_count() <= OLD_BITS for hash, _ in pictures[:number])
        by_pixels += any(show_the_same(content, other) for other in close)
    return by_hash, by_pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--drawings", type=int, default=1000)
    asked = parser.parse_args()
    heads = ("recipe", "distinct", "distinct-3", "frames", "most", "near-duplicates")
    print(("{:28}" + "{:>16}" * 5).format(*heads))
    for recipe in ASKED:
        texts = list(instructions(recipe, asked.samples))
        found = diversity(texts)
        cells = (found.distinct, f"{found.distinct_3:.3f}", found.frames, f"{found.most:.3f}", near(texts))
        print(("{:28}" + "{:>16}" * 5).format(recipe, *cells), flush=True)
    by_hash, by_pixels = drawings(asked.drawings)
    print(f"of {asked.drawings:,} different drawings: {by_hash} left out by pHash alone, {by_pixels} by pixels too")


if __name__ == "__main__":
    main()
