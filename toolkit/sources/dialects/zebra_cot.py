"""Zebra-CoT: a question, a trace and a final answer, with numbered pictures in columns, <image_start>[name]<image_end>
where each stands in the texts.

Source: https://huggingface.co/datasets/multimodal-reasoning-lab/Zebra-CoT
"""

import re
from collections.abc import Mapping

from toolkit.errors import ImageError, RowError
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, NoOptions, Piece, Turn, Use, is_text, text_in
from toolkit.sources.dialects.fields import one_picture
from toolkit.sources.dialects.placing import filled
from toolkit.sources.dialects.tasks import INTERLEAVED_COT

PICTURE = re.compile(r"\n?<image_start>\s*\[?\s*([^\]<>]+?)\s*\]?\s*<image_end>\n?")


def fits(fields: Fields) -> bool:
    return is_text(fields["question"]) and is_text(fields["trace"])


def read(fields: Fields, options: NoOptions) -> Draft:
    columns = {name: value for name, value in fields["images"].items() if value}
    used: set[str] = set()
    question = _pieces(text_in(fields, "question"), columns, used)
    trace = _pieces(text_in(fields, "trace"), columns, used)
    left = [name for name in columns if name not in used]
    if wrong := [name for name in left if not name.startswith("problem")]:
        raise RowError(
            f"no text refers to {wrong[0]!r}; expected <image_start>[{wrong[0]}]<image_end>", kind="unused_image"
        )
    front = tuple(one_picture(columns[name], name) for name in left)
    answer = text_in(fields, "answer", default="")
    rationale = "\n".join(text for piece in trace if isinstance(piece, str) and (text := piece.strip()))
    turns = (Turn("user", (*front, *question)), Turn("assistant", (*trace, *filled([answer]))))
    return Draft(turns, *((rationale, answer) if answer else ()))


def _pieces(text: str, columns: Mapping[str, object], used: set[str]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for number, piece in enumerate(PICTURE.split(text)):
        if number % 2 and piece not in columns:
            raise ImageError(f"refers to picture {piece!r}, but has none of that name", kind="missing_image")
        pieces.append(one_picture(columns[piece], piece) if number % 2 else piece)
        used |= {piece} if number % 2 else set()
    return filled(pieces)


DIALECT = Dialect(
    name="zebra-cot",
    reads="Zebra-CoT",
    sign="a question, a reasoning trace and numbered pictures",
    task=INTERLEAVED_COT,
    uses={
        "question": Use(("question", "problem")),
        "trace": Use(("text[ _]reasoning[ _]trace", "reasoning[ _]trace", "trace")),
        "answer": Use(("final[ _]answer", "answer"), needed=False),
        "images": Use((r"(problem|reasoning)_image_\d+", r".*image_?\d+"), needed=False, many=True),
    },
    fits=fits,
    read=read,
)
