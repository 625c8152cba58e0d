"""What a row may write next.

A grammar is a generator: it yields an `Ask` and gets the id that was chosen. So it reads as the answer does, from left
to right, and every row of a batch stands at a place of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from toolkit.collate.common import Collator


class Ask(NamedTuple):
    """The next token of a row.

    Attributes:
        kind: "text" from the text head, "image" from the head of pictures, or "fixed".
        allowed: bool (V,), for text.
        token: for fixed.
    """

    kind: Literal["text", "image", "fixed"]
    allowed: Tensor | None = None
    token: int = -1


IMAGE = Ask("image")
Grammar = Generator[Ask, int, None]


def fixed(token: int) -> Ask:
    return Ask("fixed", token=token)


def image_run(length: int) -> Generator[Ask, int, list[int]]:
    """That many ids of a picture."""
    ids: list[int] = []
    while len(ids) < length:
        ids.append((yield IMAGE))
    return ids


@dataclass
class Written:
    """What a row has written so far.

    Attributes:
        parts: in reading order; ids of a text, or the ids of a picture as its tokenizer gives them.
        finished: whether the answer was closed by the model, and not by the limit of tokens.
    """

    parts: list[tuple[Literal["text", "image"], list[int]]] = field(default_factory=list)
    num_tokens: int = 0
    finished: bool = False

    def text(self, token: int) -> None:
        if not self.parts or self.parts[-1][0] != "text":
            self.parts.append(("text", []))
        self.parts[-1][1].append(token)

    @property
    def num_images(self) -> int:
        return sum(kind == "image" for kind, _ in self.parts)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """
    Attributes:
        max_new_tokens: of an answer, pictures included; a picture that would not fit is not begun.
        max_images: pictures of an answer; None = as many as fit.
        image_first: whether an answer opens with a picture, whatever the model would do.
    """

    max_new_tokens: int
    max_images: int | None = None
    image_first: bool = False


class Sampler(ABC):
    """A drawing family: its inputs, heads, embeddings and grammar.

    Args:
        model: as transformers has it, on its device.
        collator: of the same family.
        boi: the token that opens a picture.

    Attributes:
        image_ids: int64 (C,), the id of each code of the head of pictures.
        least_tokens: of the smallest picture, its frame included.
    """

    image_ids: Tensor
    least_tokens: int

    def __init__(self, model: Any, collator: Collator, *, boi: int) -> None:
        self.model, self.collator, self.boi = model, collator, boi
        encoder = collator.encoder
        self.closer = encoder.closing_id()
        head = model.lm_head.weight
        allowed = torch.zeros(len(head), dtype=torch.bool, device=head.device)
        allowed[: len(encoder.tokenizer)] = True
        allowed[list(encoder.control_ids)] = False
        if self.closer is not None:
            allowed[self.closer] = True
        self.text_only = self.forbid(allowed)
        self.text_or_image = self.text_only.clone()
        self.text_or_image[boi] = True

    def forbid(self, allowed: Tensor) -> Tensor:
        """`allowed` without what the family never writes as text."""
        return allowed

    @abstractmethod
    def inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Arguments of `model.model` for a batch of prompts."""

    @abstractmethod
    def image_scores(self, hidden: Tensor) -> Tensor:
        """Logits of the codes of a picture: float (B, D) -> (B, C)."""

    @abstractmethod
    def embed_images(self, ids: Tensor) -> Tensor:
        """Input embeddings of picture ids: int64 (B,) -> (B, D)."""

    @abstractmethod
    def picture(self, room: int) -> Generator[Ask, int, list[int]]:
        """What follows boi, in at most `room` tokens; returns the ids as the family's tokenizer gives them."""

    def text_scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.model.lm_head(hidden)
        return scores

    def embed_text(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self.model.get_input_embeddings()(ids)
        return embeddings

    def grammar(self, written: Written, limits: Limits) -> Grammar:
        """Text and pictures in any order, until the closing token or the limit."""
        while (room := limits.max_new_tokens - written.num_tokens) > 0:
            more = limits.max_images is None or written.num_images < limits.max_images
            may_draw = more and room >= self.least_tokens
            if may_draw and limits.image_first and not written.parts:
                token = yield fixed(self.boi)
            else:
                token = yield Ask("text", self.text_or_image if may_draw else self.text_only)
            if token == self.closer:
                written.finished = True
                return
            if token == self.boi:
                ids = yield from self.picture(room - 1)
                written.parts.append(("image", ids))
            else:
                written.text(token)


class Turn:
    """A row that is being written: its grammar, and what it asks for."""

    def __init__(self, sampler: Sampler, limits: Limits) -> None:
        self.written = Written()
        self._grammar = sampler.grammar(self.written, limits)
        self.ask: Ask | None = next(self._grammar, None)

    def send(self, token: int) -> None:
        if self.ask is not None:
            self.written.num_tokens += 1
            try:
                self.ask = self._grammar.send(token)
            except StopIteration:
                self.ask = None


def ids_tensor(ids: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(list(ids), dtype=torch.int64, device=like.device)
