"""Prompt, rationale and answer are columns of their own, with what belongs to the prompt beside them: system message,
context, input, choices, hint. Each is a string, a list of parts, or JSON text of one.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from toolkit.errors import RowError
from toolkit.sources.published.shapes import Columns, Draft, Guess, Record
from toolkit.sources.published.shapes.facts import ColumnFacts
from toolkit.sources.published.shapes.messages import as_text, read_pieces, show, text_of_pieces
from toolkit.sources.published.shapes.pictures import parse_text
from toolkit.sources.published.shapes.placing import Break, Piece, Turn
from toolkit.sources.published.shapes.table import Table, holds_text, is_free_text
from toolkit.sources.published.shapes.words import ALIASES, COLUMN_NAMES, squash

TEXT_USES = ("system", "context", "prompt", "input", "hint", "rationale", "answer")
PROMPT_BLOCKS = ("context", "prompt", "input", "choices", "hint")  # in the order in which they are put together
LABELLED = re.compile(r"\s*\(?[A-Za-z0-9]{1,2}[.):]\s")  # "A. ", "(b) ", "3: "


class PromptAndAnswer:
    uses = ("system", "context", "prompt", "input", "choices", "hint", "rationale", "answer", "answer_choice")

    def recognise(self, table: Table, given: Columns) -> Guess | None:
        columns: dict[str, tuple[str, ...]] = {}
        problems: list[str] = []
        for use in ("prompt", "answer", "rationale", "system", "context", "input", "choices", "hint"):
            if use in given or (use == "answer" and "answer_choice" in given):
                continue
            taken = {name for names in columns.values() for name in names}
            found = _named(use, table.without(taken))
            if len(found) > 1:
                problems.append(f"several columns may be the {use}: {', '.join(found)}")
            if found:
                columns[use] = tuple(found[:1])
            if found and use not in ("answer", "choices") and table.columns[found[0]].text.kind == "number":
                problems.append(
                    f"column {found[0]!r} holds numbers: are they the {use}? Say so, or list it under ignore"
                )
            problems += _unfit(use, table) if use not in columns else ()
        together = {**columns, **given}
        if together.get("choices") and (names := columns.get("answer")) and _are_numbers(table, names[0]):
            problems.append(
                f"column {names[0]!r} holds numbers beside choices in {together['choices'][0]!r}: the number of a "
                "choice, or a number? Give it as answer_choice (counted from 0), or as answer"
            )
        if not {"answer", "answer_choice"} & together.keys() and "prompt" in together:
            taken = {name for names in columns.values() for name in names}
            texts = [name for name, facts in table.without(taken).columns.items() if is_free_text(facts)]
            problems += [
                f"column {name!r} holds texts, and no column is called an answer: is it one?" for name in texts
            ]
        return Guess(columns, tuple(problems), tuple(_order_told(table, together)))

    def read(self, record: Record, columns: Columns) -> Draft:
        parts = columns.get("parts", ())
        _refuse_nulls(record, columns)
        pieces = {
            use: tuple(read_pieces(record[name], name, parts)) for use in TEXT_USES for name in columns.get(use, ())[:1]
        }
        for name in columns.get("choices", ())[:1]:
            pieces["choices"] = tuple(_choices(record[name], name))
        for name in columns.get("answer_choice", ())[:1]:
            pieces["answer"] = (_chosen(record[name], record[columns["choices"][0]], name),)
        prompt = _joined(pieces.get(use, ()) for use in PROMPT_BLOCKS)
        rationale, answer = pieces.get("rationale", ()), pieces.get("answer", ())
        turns = [Turn("user", prompt), Turn("assistant", (*rationale, Break(), *answer))]
        if text_of_pieces(pieces.get("system", ())):
            turns.insert(0, Turn("system", pieces["system"]))
        thought = text_of_pieces(rationale)
        return Draft(tuple(turns), rationale=thought, answer=text_of_pieces(answer) if thought else None)

    def problems(self, columns: Columns) -> Iterable[str]:
        answers = ("answer", "answer_choice", "answer_images", "images")
        if not columns.get("prompt") or not any(columns.get(use) for use in answers):
            yield "no column holds a conversation, and prompt and answer were not both found"
        if columns.get("answer_choice") and not columns.get("choices"):
            yield "answer_choice needs the column of the choices"


def _order_told(table: Table, columns: Columns) -> Iterator[str]:
    """In which order columns are put together, where the rows do not say it."""
    blocks = [columns[use][0] for use in PROMPT_BLOCKS if columns.get(use)]
    if len(blocks) > 1:
        yield f"taken by position: the prompt is {', '.join(blocks)}, in this order ({table.rows:,} rows)"
    if columns.get("rationale") and columns.get("answer"):
        names = f"{columns['rationale'][0]!r} stands before {columns['answer'][0]!r}"
        yield f"taken by position: {names} in the answer ({table.rows:,} rows)"
    if columns.get("choices"):
        yield f"taken by position: choices in {columns['choices'][0]!r} that have no label are A, B, C in their order"


def _refuse_nulls(record: Record, columns: Columns) -> None:
    """An answer may be null where a picture of its own stands for it."""
    for name in columns.get("prompt", ()):
        if record[name] is None:
            raise RowError(f"column {name!r} is null; expected the prompt", kind="null_prompt")
    for name in columns.get("answer", ()):
        if record[name] is None and not any(record[each] for each in columns.get("answer_images", ())):
            raise RowError(f"column {name!r} is null; expected the answer", kind="null_answer")


def _named(use: str, table: Table) -> list[str]:
    """Columns whose names say this use: the telling names, or else the others where they hold texts of their own."""
    telling, others = COLUMN_NAMES[use]
    by_name = {name.rpartition(".")[2].lower(): name for name in reversed(list(table.columns))}
    fits = _holds_choices if use == "choices" else _holds_messages
    found = [by_name[name] for name in telling if name in by_name and fits(table.columns[by_name[name]])]
    if found:
        return found
    weak = [by_name[name] for name in others if name in by_name]
    return [name for name in weak if _holds_messages(table.columns[name]) and is_free_text(table.columns[name])]


def _unfit(use: str, table: Table) -> Iterator[str]:
    """Columns that are called what they would be used for, and hold what cannot be."""
    fits = _holds_choices if use == "choices" else holds_text
    for name, facts in table.columns.items():
        if name.rpartition(".")[2].lower() in COLUMN_NAMES[use][0] and facts.has_values and not fits(facts):
            yield f"column {name!r} holds {facts.type}, which cannot be read as the {use}; if it is none, ignore it"


def _holds_messages(facts: ColumnFacts) -> bool:
    """Texts or parts, and not merely names of tasks."""
    values = facts.text.values
    return holds_text(facts) and not (values and all(squash(value) in ALIASES for value in values))


def _holds_choices(facts: ColumnFacts) -> bool:
    return holds_text(facts) or any(path in ("[]", "") and leaf.filled for path, leaf in facts.inner().items())


def _are_numbers(table: Table, name: str) -> bool:
    text = table.columns[name].text
    return text.kind == "number" or bool(text.values and all(value.strip().isdigit() for value in text.values))


def _joined(blocks: Iterable[tuple[Piece, ...]]) -> tuple[Piece, ...]:
    """Blocks with an empty line between them."""
    filled = [block for block in blocks if block]
    return tuple(chain.from_iterable((Break(), *block) for block in filled))[1:]


def _choices(value: Any, column: str) -> Iterator[str]:
    """One choice a line, lettered where they have no labels of their own."""
    value = parse_text(value)
    if isinstance(value, dict):
        labels, texts = value.get("label"), value.get("text")
        if not (isinstance(labels, list) and isinstance(texts, list) and len(labels) == len(texts)):
            labels, texts = list(value), list(value.values())
        value = [f"{label}. {text}" for label, text in zip(labels, texts, strict=True)]
    if isinstance(value, (list, tuple)):
        if any(choice is None for choice in value):
            raise RowError(f"column {column!r} holds {show(value)}; expected every choice", kind="null_choice")
        texts = [as_text(choice, column) for choice in value]
        if not all(LABELLED.match(text) for text in texts):
            texts = [f"{chr(ord('A') + number)}. {text}" for number, text in enumerate(texts)]
        if texts:
            yield "\n".join(texts)
    elif value is not None:
        yield as_text(value, column)


def _chosen(value: Any, choices: Any, column: str) -> str:
    choices = parse_text(choices)
    number = (
        int(value) if isinstance(value, (int, float)) or (isinstance(value, str) and value.strip().isdigit()) else -1
    )
    if not isinstance(choices, (list, tuple)) or not 0 <= number < len(choices):
        raise RowError(
            f"column {column!r} is {value!r} and the choices are {show(choices)}; expected the number of one, from 0",
            kind="bad_choice",
        )
    return as_text(choices[number], column)


SHAPE = PromptAndAnswer()
