"""Zebra-CoT's reader of interleaved answers: a question, a reasoning trace and a final answer, with references to
pictures in the first two.

Trace, pictures of the trace and final answer are trained. The reader wraps texts in tags, skips what refers to a
missing picture or has no trace, and deletes "THOUGHT n:".
Source: https://github.com/multimodal-reasoning-lab/Bagel-Zebra-CoT@bbf53c3
data/interleave_datasets/think_trace_dataset.py#L91
"""

import re
from collections.abc import Sequence

from conversion.bagel_config import MAX_EDIT_PIXELS
from conversion.bagel_interleaved_import import DRAW, DRAWN
from conversion.one_turn import count_turn, one_turn, split_answer, texts_between
from conversion.pairs import picture_size, refuse
from conversion.shard import Notes, ShardFolder
from toolkit.schema import Part, Row

# What it looks for in texts. Source: think_trace_dataset.py#L94, #L103, #L108
REFERENCE = re.compile(r"<image_start>\[([^\]]+)\]<image_end>|<IMAGE_PLACEHOLDER>")
THOUGHT = re.compile(r"THOUGHT\s*\d+:\s*")


class ZebraWriter:
    def __init__(self, shard: ShardFolder) -> None:
        self.shard = shard

    def write(self, row: Row) -> None:
        question, answer = one_turn(row)
        trace, final = _trace(row, answer)
        if any(part.text and REFERENCE.search(part.text) for part in (*question, *answer)):
            raise refuse(row, "image_reference", "a text holds what the reader takes for a reference to a picture")
        for number in range(len(row.images)):
            picture_size(row, number, max_pixels=MAX_EDIT_PIXELS)
        count_turn(self.shard.tally, row)
        is_deleted = any(THOUGHT.search(part.text) for part in trace)
        self.shard.tally.count("warned", "text_deleted_by_reader", row.id, is_deleted)
        # No token is trained to begin a picture with no text before it; only its own pixels are.
        before_pictures = texts_between(trace)[:-1]
        unannounced = any(not (text or "").strip() for text in before_pictures)
        self.shard.tally.count("warned", "picture_unannounced", row.id, unannounced)
        asked = row.image_roles.count("input")
        keys = [
            f"problem_image_{number + 1}" if number < asked else f"reasoning_image_{number - asked + 1}"
            for number in range(len(row.images))
        ]
        record = {
            "id": row.id,
            "task": row.task,
            "Question": _referring(question, keys[:asked]),
            "Text Reasoning Trace": _referring(trace, keys[asked:]),
            "Final Answer": final,
            **{key: self.shard.image(row, number) for number, key in enumerate(keys)},
        }
        self.shard.line("zebra_cot.jsonl", record)

    def close(self) -> Notes:
        return {}


def _trace(row: Row, answer: list[Part]) -> tuple[list[Part], str]:
    """What comes before the final answer, and the final answer.

    Raises:
        RowError: kinds "no_final_answer", "no_trace".
    """
    if answer[-1:] and answer[-1].type == "text" and answer[-1].text.strip():
        reason, final = split_answer(row, answer[-1].text)
        trace = [*answer[:-1], *([Part("text", reason)] if reason else [])]
    else:
        raise refuse(
            row, "no_final_answer", "its answer ends with a picture, or empty; the reader trains a final answer"
        )
    if not any(part.type == "image" or part.text.strip() for part in trace):
        raise refuse(row, "no_trace", "has nothing before its final answer; the reader skips such rows")
    return trace, final


def _referring(parts: Sequence[Part], keys: Sequence[str]) -> str:
    names = iter(keys)
    return "\n".join(f"{DRAW}[{next(names)}]{DRAWN}" if part.type == "image" else part.text for part in parts)
