"""Turns under any name of a role -> the turns of a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from toolkit.errors import RowError, UsageError, shown
from toolkit.sources.dialects.dialect import Turn

ROLES = {
    **dict.fromkeys(("user", "human", "instruction", "question", "<|user|>"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "bot", "model", "ai", "bard", "answer", "<|assistant|>"), "assistant"
    ),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
}
Doubled = Literal["error", "join"]
Opening = Literal["error", "keep", "drop"]
Tools = Literal["user", "error"]


@dataclass(frozen=True, kw_only=True)
class TurnOptions:
    """
    Attributes:
        placeholder: stands for a picture in a text.
        doubled: two turns of one role in sequence: "error", or "join" them, an empty line between.
        opening: an answer before the first question: "error", "keep" it behind an empty question, or "drop" it, which
            the provenance of the row says.
        tools: what a tool says: part of the "user" turns, or "error".
    """

    placeholder: str = "<image>"
    doubled: Doubled = "error"
    opening: Opening = "error"
    tools: Tools = "user"

    def __post_init__(self) -> None:
        if not self.placeholder:
            raise UsageError("placeholder is empty; expected what stands for a picture")
        for name, words in (("doubled", Doubled), ("opening", Opening), ("tools", Tools)):
            check_word(name, getattr(self, name), get_args(words))


def check_word(name: str, value: object, known: Sequence[object]) -> None:
    """
    Raises:
        UsageError: it is not one of the known.
    """
    if value not in known:
        raise UsageError(f"{name} is {value!r}; expected one of {', '.join(map(repr, known))}")


def role_of(name: object, options: TurnOptions) -> str:
    """
    Raises:
        RowError: kind "unknown_role".
    """
    role = ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if role is None or (role == "tool" and options.tools == "error"):
        known = ", ".join(sorted(each for each, of in ROLES.items() if options.tools != "error" or of != "tool"))
        raise RowError(f"a turn is from {shown(name)}; known: {known}", kind="unknown_role")
    return "user" if role == "tool" else role


def settle(turns: Sequence[Turn], options: TurnOptions) -> tuple[tuple[Turn, ...], dict[str, int]]:
    """Turns in the order that rows have, as far as the options say, and what to note of them. What is left wrong is for
    the rules of rows to refuse.

    Raises:
        RowError: kind "bad_turns".
    """
    settled: list[Turn] = []
    facts: dict[str, int] = {}
    for turn in turns:
        if not any(each.role != "system" for each in settled) and turn.role == "assistant":
            if options.opening == "error":
                raise RowError(
                    "an answer stands before the first question; the option opening=keep puts an empty question before "
                    "it, opening=drop leaves it out",
                    kind="bad_turns",
                )
            if options.opening == "drop":
                facts["dropped_turns"] = facts.get("dropped_turns", 0) + 1
                continue
            settled.append(Turn("user", ()))
        if settled and settled[-1].role == turn.role:
            if options.doubled == "error":
                raise RowError(
                    f"two turns of the {turn.role} in sequence; the option doubled=join makes them one",
                    kind="bad_turns",
                )
            before = settled.pop()
            turn = Turn(
                turn.role, (*before.content, *(("\n\n",) if before.content and turn.content else ()), *turn.content)
            )
        settled.append(turn)
    return tuple(settled), facts
