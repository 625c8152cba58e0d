"""Rows without their prompts: a share of them trains what classifier-free guidance compares with.

Source: arXiv 2207.12598, "Classifier-Free Diffusion Guidance", algorithm 1.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import UsageError

NEEDED = ("id", "messages", "images")


@dataclass(frozen=True, kw_only=True)
class PromptDropout:
    """Which rows lose their prompt: a pure function of seed, epoch and id, so the same ones after a resume.

    Attributes:
        share: of the rows with an image in an answer; no others are touched.
    """

    share: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UsageError(f"prompt_dropout is {self.share!r}; expected a share of the rows, 0 to 1")

    def hits(self, row: Mapping[str, Any], epoch: int) -> bool:
        digest = hashlib.blake2b(f"{self.seed} {epoch} {row['id']}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") < self.share * 2**64 and draws(row)


def make_dropout(share: float, seed: int, columns: Sequence[str]) -> PromptDropout | None:
    """From the arguments of a dataset; None where no prompt is dropped.

    Raises:
        UsageError: a share that cannot be, or a column that is needed is not read.
    """
    dropout = PromptDropout(share=share, seed=seed)
    if missing := [name for name in NEEDED if share and name not in columns]:
        raise UsageError(f"prompt_dropout={share} needs the columns {', '.join(NEEDED)}; columns= lacks {missing}")
    return dropout if share else None


def draws(row: Mapping[str, Any]) -> bool:
    """Whether an answer of the row holds an image."""
    answers = (message for message in row["messages"] if message["role"] == "assistant")
    return any(part["type"] == "image" for message in answers for part in message["content"])


def without_prompt(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with one empty text in each of its prompts; what belongs to their images goes with them."""
    messages: list[Mapping[str, Any]] = []
    kept: list[int] = []
    number = 0
    for message in row["messages"]:
        images = sum(part["type"] == "image" for part in message["content"])
        if message["role"] == "assistant":
            kept += range(number, number + images)
            messages.append(message)
        else:
            messages.append({**message, "content": [{"type": "text", "text": ""}]})
        number += images
    aligned = ("images", "image_roles", "image_captions")
    bare = {**row, "messages": messages, **{name: [row[name][n] for n in kept] for name in aligned if row.get(name)}}
    bare.pop("num_tokens", None)  # fewer now
    if "instruction" in row:
        bare["instruction"] = ""
    if row.get("regions"):
        places = {old: new for new, old in enumerate(kept)}
        bare["regions"] = [
            {**region, "image": places[region["image"]]} for region in row["regions"] if region["image"] in places
        ]
    return bare
