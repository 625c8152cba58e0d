"""Rows of one question and one answer, for formats that know no more: their parts, and where reasoning ends."""

from collections.abc import Sequence

from conversion.pairs import refuse
from conversion.report import Tally
from conversion.text import has_neighbours, texts_of
from toolkit.schema import Part, Row


def one_turn(row: Row) -> tuple[list[Part], list[Part]]:
    """Parts of the question, behind those of a system message, and of the answer.

    Raises:
        RowError: kinds "several_turns", "input_images" (in the system message).
    """
    system = [part for message in row.messages if message.role == "system" for part in message.content]
    turns = [message for message in row.messages if message.role != "system"]
    if len(turns) != 2:
        raise refuse(row, "several_turns", f"has {len(turns)} turns; the reader knows one question and one answer")
    if any(part.type == "image" for part in system):
        raise refuse(row, "input_images", "its system message has pictures, for which the reader has no place")
    return [*system, *turns[0].content], list(turns[1].content)


def texts_between(parts: Sequence[Part]) -> list[str | None]:
    """Texts around the pictures: one before the first, one after each; None where there is no text at all."""
    texts: list[str | None] = [None]
    for part in parts:
        if part.type == "image":
            texts.append(None)
        else:
            texts[-1] = part.text if texts[-1] is None else f"{texts[-1]}\n{part.text}"
    return texts


def split_answer(row: Row, text: str) -> tuple[str, str]:
    """Reasoning and answer of the text that ends an answer, where the row tells them apart; else all is answer."""
    answer = row.answer.strip()
    told_apart = bool(row.rationale and answer) and text.rstrip().endswith(answer)
    place = text.rindex(answer) if told_apart else 0
    return text[:place], text[place:]


def count_turn(tally: Tally, row: Row) -> None:
    """That a system message became part of the question, neighbouring texts one, and empty ones none."""
    tally.count("flattened", "system_message", row.id, row.messages[0].role == "system")
    tally.count("flattened", "neighbouring_texts", row.id, has_neighbours(row))
    tally.count("flattened", "empty_text", row.id, "" in texts_of(row))
