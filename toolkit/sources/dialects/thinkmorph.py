"""ThinkMorph: a question, numbered thoughts with a picture after each but the last, and a final answer.

Source: https://huggingface.co/datasets/ThinkMorph/Visual_Search (its columns are spelled "resoning_thought_0")
"""

from itertools import zip_longest

from toolkit.errors import RowError
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Piece, Turn, Use, is_text, text_in
from toolkit.sources.dialects.fields import pool
from toolkit.sources.dialects.placing import PlaceOptions, filled, place
from toolkit.sources.dialects.tasks import INTERLEAVED_COT


def fits(fields: Fields) -> bool:
    return is_text(fields["question"]) and any(map(is_text, fields["thoughts"].values()))


def read(fields: Fields, options: PlaceOptions) -> Draft:
    thoughts = [text_in(fields["thoughts"], name) for name, value in fields["thoughts"].items() if value]
    drawn = pool(fields, "drawn")
    if len(drawn) > len(thoughts):
        raise RowError(
            f"{len(drawn)} pictures of the reasoning and {len(thoughts)} thoughts; expected a thought before each",
            kind="count_mismatch",
        )
    trace: list[Piece] = [
        piece for pair in zip_longest(thoughts, drawn) for piece in pair if piece is not None and piece != ""
    ]
    answer = text_in(fields, "answer", default="")
    asked = place([Turn("user", (text_in(fields, "question"),))], pool(fields), options.placeholder)
    return Draft((*asked, Turn("assistant", (*trace, *filled([answer])))), "\n".join(thoughts), answer)


DIALECT = Dialect(
    name="thinkmorph",
    reads="ThinkMorph's training sets",
    sign="a question and numbered thoughts, with pictures between them",
    task=INTERLEAVED_COT,
    uses={
        "question": Use(("question", "problem")),
        "thoughts": Use((r"rea?soning_thought_\d+",), many=True),
        "drawn": Use((r"reasoning_image_\d+",), needed=False, many=True),
        "answer": Use(("(final[ _])?answer",), needed=False),
        "images": Use((r"problem_image_\d+",), needed=False, many=True),
    },
    fits=fits,
    read=read,
    options=PlaceOptions,
)
