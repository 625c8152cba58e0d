"""LLaVA-CoT-100k: conversations whose answers are SUMMARY, CAPTION, REASONING and CONCLUSION. The answer stays as it is
published, with its tags; rationale and answer are told apart by them.

Source: https://huggingface.co/datasets/Xkev/LLaVA-CoT-100k
"""

import re
from dataclasses import replace

from toolkit.errors import RowError, shown
from toolkit.sources.dialects import conversations
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields
from toolkit.sources.dialects.tasks import COT_VISUAL
from toolkit.sources.dialects.turns import TurnOptions
from toolkit.sources.published.shapes.pictures import parse_text

TAGS = ("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")
TAGGED = re.compile(r"\s*".join(["", *(rf"<{tag}>(?P<{tag}>.*?)</{tag}>" for tag in TAGS), ""]), re.DOTALL)


def fits(fields: Fields) -> bool:
    turns = parse_text(fields["turns"])
    return conversations.fits(fields) and any("<CONCLUSION>" in str(turn.get("value")) for turn in turns)


def read(fields: Fields, options: TurnOptions) -> Draft:
    draft = conversations.read(fields, options)
    rationale, answer = [], []
    for turn in draft.turns:
        if turn.role == "assistant":
            text = "".join(piece for piece in turn.content if isinstance(piece, str))
            found = TAGGED.fullmatch(text)
            if not found:
                raise RowError(f"an answer is {shown(text)}; expected {', '.join(TAGS)}, each once", kind="bad_tags")
            rationale += [found[tag].strip() for tag in TAGS[:3]]
            answer.append(found["CONCLUSION"].strip())
    return draft._replace(rationale="\n\n".join(rationale), answer="\n\n".join(answer))


DIALECT: Dialect = replace(
    conversations.DIALECT,
    name="llava-cot",
    reads="LLaVA-CoT-100k",
    sign="conversations whose answers are tagged SUMMARY, CAPTION, REASONING, CONCLUSION",
    task=COT_VISUAL,
    fits=fits,
    read=read,
)
