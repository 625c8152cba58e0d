"""LLaVA and ShareGPT: a list of turns {from, value}, pictures as <image> in the texts and in a list beside them.

Source: https://github.com/haotian-liu/LLaVA docs/Finetune_Custom_Data.md; https://github.com/lm-sys/FastChat (ShareGPT)
"""

from typing import Any

from toolkit.errors import RowError, shorten, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Turn, Use
from toolkit.sources.dialects.fields import IMAGES, pool
from toolkit.sources.dialects.placing import filled, place, place_in
from toolkit.sources.dialects.tasks import CONVERSATION
from toolkit.sources.dialects.turns import TurnOptions, role_of, settle
from toolkit.sources.published.shapes.pictures import parse_text

SPEAKERS, TEXTS = ("from", "role", "speaker"), ("value", "content", "text", "markdown")


def fits(fields: Fields) -> bool:
    turns = parse_text(fields["turns"])
    return isinstance(turns, list) and bool(turns) and all(isinstance(turn, dict) and "from" in turn for turn in turns)


def read(fields: Fields, options: TurnOptions) -> Draft:
    value = parse_text(fields["turns"])
    if not isinstance(value, list) or not value:
        raise RowError(f"conversations are {shown(value)}; expected a list of turns", kind="bad_record")
    turns = [_turn(turn, options) for turn in value]
    if isinstance(system := fields.get("system"), str) and system.strip():
        turns.insert(0, Turn("system", (system,)))
    settled, facts = settle(place(turns, pool(fields), options.placeholder), options)
    return Draft(settled, facts=facts)


def _turn(turn: Any, options: TurnOptions) -> Turn:
    if not isinstance(turn, dict):
        raise RowError(f"a turn is {shown(turn)}; expected from and value", kind="bad_record")
    speaker = next((turn[key] for key in SPEAKERS if turn.get(key) is not None), None)
    text = next((turn[key] for key in TEXTS if turn.get(key) is not None), None)
    if speaker is None or text is None:
        raise RowError(f"a turn has {shorten(turn)}; expected from and value", kind="bad_record")
    if not isinstance(text, str):
        raise RowError(f"a turn says {shown(text)}; expected text", kind="bad_text")
    return place_in(
        Turn(role_of(speaker, options), filled([text])), turn.get("images") or turn.get("image"), options.placeholder
    )


DIALECT = Dialect(
    name="conversations",
    reads="LLaVA-Instruct, LLaVA-OneVision-Data, ShareGPT4V, ALLaVA, Cambrian, and what is made like them",
    sign="a list of turns {from, value}",
    task=CONVERSATION,
    uses={
        "turns": Use(("conversations?", "turns", "dialog(ue)?", "messages")),
        "images": IMAGES,
        "system": Use(("system(_prompt)?",), needed=False),
    },
    fits=fits,
    read=read,
    options=TurnOptions,
)
