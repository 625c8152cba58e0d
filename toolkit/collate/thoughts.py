"""The rationale of a row as the thought of a model that thinks before it answers: <think> ... </think> answer.

Templates of thinking models (Qwen3, GLM) take the thought out of the content by these tags, write it in the last answer
and drop it from earlier ones.
"""

import re
from collections.abc import Mapping
from typing import Any

from toolkit.errors import RowError, UsageError

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"
TAGS = re.compile(f"{re.escape(OPEN)}|{re.escape(CLOSE)}")

Parts = list[Mapping[str, Any]]


def thought_and_answer(row: Mapping[str, Any]) -> tuple[Parts, Parts] | None:
    """The parts of the thought and of the answer, in the last turn of a row; None where it has no rationale.

    The columns `rationale` and `answer` where they are all of a row's only answer; otherwise, so with images between or
    after several turns, what stands in the turn before `answer`.

    Raises:
        UsageError: the columns were not read. RowError: the turn does not end with `answer`.
    """
    if missing := {"rationale", "answer"} - row.keys():
        raise UsageError(f"thoughts=True needs the columns rationale and answer; columns= lacks {sorted(missing)}")
    messages, rationale, answer = row["messages"], row["rationale"], row["answer"].strip()
    if not rationale or messages[-1]["role"] != "assistant":
        return None
    parts: Parts = list(messages[-1]["content"])
    answers = [message for message in messages if message["role"] == "assistant"]
    if answer and len(answers) == 1 and all(part["type"] == "text" for part in parts):
        return [_text(rationale)], [_text(answer)]
    written = parts[-1]["text"].rstrip() if parts[-1]["type"] == "text" else ""
    lines = [0, *(match.end() for match in re.finditer(r"\s+", written))]
    start = next((at for at in lines if at < len(written) and answer.endswith(written[at:])), None)
    if start is None:
        raise RowError(
            f"row {row['id']!r}: its last turn does not end with its answer, so where the rationale ends is not known",
            kind="rationale_not_told_apart",
        )
    thought = [*parts[:-1], *([_text(written[:start].rstrip())] if start else [])]
    return (thought, [_text(written[start:])]) if thought else None


def with_tags(thought: list[dict[str, str]], answer: list[dict[str, str]]) -> list[dict[str, str]]:
    """Parts with the tags of a thought; neighbouring texts as one."""
    parts: list[dict[str, str]] = []
    for part in ({"type": "text", "text": OPEN}, *thought, {"type": "text", "text": CLOSE}, *answer):
        if part["type"] == "text" and parts and parts[-1]["type"] == "text":
            parts[-1] = {"type": "text", "text": parts[-1]["text"] + part["text"]}
        else:
            parts.append(part)
    return parts


def _text(text: str) -> Mapping[str, Any]:
    return {"type": "text", "text": text}
