"""What is taken from an order or a position because nothing in a row says it. Such rows are counted by kind; `inspect`
and `verify` say each kind, and what in a mapping settles it.
"""

from collections.abc import Iterable, Mapping, Sequence

from toolkit.sources.published.shapes.pictures import Reference

SIDES, LIST, START, END, LAST = "sides_by_order", "list_order", "at_start", "at_end", "last_is_output"
SENTENCES = {
    SIDES: "two images in one list and no placeholder: the first is taken for the prompt's, the second for the "
    "answer's; `sides: [prompt, answer]` in a mapping confirms it, `sides: [answer, prompt]` reverses it",
    LIST: "several images in one list: placeholders take them in the order of the list; `sides:` in a mapping, such as "
    "[answer, prompt], says of which side each is",
    START: "images that no placeholder places: they are put before the prompt; `placeholder:` in a mapping says what "
    "stands for an image, `sides:` or `answer_images:` which are the answer's",
    END: "images that no placeholder places: they are put after the answer; `placeholder:` in a mapping says what "
    "stands for an image, `sides:` or `prompt_images:` which are the prompt's",
    LAST: "answers of several images: the last of each is the output, the others are intermediate, as the task is "
    "defined; `task:` in a mapping gives another",
}


def assumed_of(
    lists: Iterable[Sequence[Reference]],
    in_order: Sequence[Reference | None],
    added: Sequence[tuple[int, bool, Reference]],
    row: Sequence[Reference],
) -> list[str]:
    """Kinds of what was taken for granted in one row.

    Args:
        lists: its pictures, as they are listed together.
        in_order: those that placeholders took one after the other.
        added: those that no placeholder places, and whether at a start.
        row: the list of pictures that is of no side.
    """
    several = [reference for each in lists if len(each) > 1 for reference in each]
    found = [LIST] if several and any(reference in in_order for reference in several) else []
    starts = {at_start for _, at_start, _ in added}
    if starts == {True, False} and {at_start for _, at_start, reference in added if reference in row} == starts:
        return [*found, SIDES]
    return found + [kind for kind, at_start in ((START, True), (END, False)) if at_start in starts]


def lines_of(counts: Mapping[str, int]) -> list[str]:
    """A line for each kind that occurs.

    Args:
        counts: kind -> rows.
    """
    return [
        f"taken by position: {counts[kind]:,} rows have {SENTENCES[kind]}" for kind in SENTENCES if counts.get(kind)
    ]
