"""One column holds questions and answers in pairs: a list of {user, assistant}, {question, answer} and the like.

Source: HuggingFaceM4/the_cauldron and HuggingFaceM4/FineVision keep conversations in this shape.
"""

from collections.abc import Iterable, Mapping

from toolkit.errors import RowError
from toolkit.sources.published.shapes import Columns, Draft, Guess, Record
from toolkit.sources.published.shapes.messages import items_of, read_pieces, show
from toolkit.sources.published.shapes.pictures import parse_text
from toolkit.sources.published.shapes.placing import Turn
from toolkit.sources.published.shapes.table import Table
from toolkit.sources.published.shapes.words import PAIR_KEYS


class Pairs:
    uses = ("pairs",)

    def recognise(self, table: Table, given: Columns) -> Guess | None:
        found = [
            name
            for name, facts in table.columns.items()
            if any({f"[].{question}", f"[].{answer}"} <= facts.inner().keys() for question, answer in PAIR_KEYS)
        ]
        if not found and "pairs" not in given:
            return None
        more = [f"several columns hold questions and answers: {', '.join(found)}"] if len(found) > 1 else []
        return Guess({} if "pairs" in given else {"pairs": tuple(found[:1])}, tuple(more))

    def read(self, record: Record, columns: Columns) -> Draft:
        (column,) = columns["pairs"]
        value = items_of(parse_text(record[column]), column)
        if value is None or (isinstance(value, (list, str)) and not value):
            raise RowError(f"column {column!r} holds no questions; expected pairs", kind="empty_conversation")
        if not isinstance(value, (list, tuple)):
            raise RowError(f"column {column!r} holds {show(value)}; expected a list of pairs", kind="bad_shape")
        return Draft(tuple(turn for pair in value for turn in _turns(pair, column)))

    def problems(self, columns: Columns) -> Iterable[str]:
        if len(columns.get("pairs", ())) != 1:
            yield "shape 'pairs' needs the column that holds them"


def _turns(pair: object, column: str) -> Iterable[Turn]:
    keys = next((keys for keys in PAIR_KEYS if isinstance(pair, Mapping) and set(keys) <= pair.keys()), None)
    if keys is None or not isinstance(pair, Mapping):
        raise RowError(
            f"column {column!r}: a pair is {show(pair)}; expected a question and an answer", kind="bad_shape"
        )
    for key, role in zip(keys, ("user", "assistant"), strict=True):
        if pair[key] is None:
            kind = "null_prompt" if role == "user" else "null_answer"
            raise RowError(f"column {column!r}: {key!r} is null; expected text", kind=kind)
        yield Turn(role, tuple(read_pieces(pair[key], column)))


SHAPE = Pairs()
