"""Chameleon, Anole and Emu3: picture ids are part of the text vocabulary, so one head and one table of embeddings serve
both.
"""

import re
from collections.abc import Generator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from toolkit.collate.chameleon import ChameleonCollator
from toolkit.collate.emu3 import Emu3Collator
from toolkit.sampling.grammar import Ask, Sampler, fixed, ids_tensor, image_run


class VocabularySampler(Sampler):
    def forbid(self, allowed: Tensor) -> Tensor:
        self.image_ids = ids_tensor(self.model.model.vocabulary_mapping.image_tokens, allowed)
        return allowed.index_fill(0, self.image_ids, False)

    def inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}

    def image_scores(self, hidden: Tensor) -> Tensor:
        return self.text_scores(hidden)[:, self.image_ids]

    def embed_images(self, ids: Tensor) -> Tensor:
        return self.embed_text(ids)


class ChameleonSampler(VocabularySampler):
    """A picture: boi, `image_seq_length` ids, eoi."""

    def __init__(self, model: Any, collator: ChameleonCollator) -> None:
        super().__init__(model, collator, boi=collator.boi)
        self.num_ids, self.eoi = collator.num_ids, collator.eoi
        self.least_tokens = self.num_ids + 2

    def picture(self, room: int) -> Generator[Ask, int, list[int]]:
        ids = yield from image_run(self.num_ids)
        yield fixed(self.eoi)
        return ids


class Emu3Sampler(VocabularySampler):
    """A picture: boi, its size as text that the model chooses, <|image token|>, H rows of W ids and an end of line,
    eof, eoi.
    """

    def __init__(self, model: Any, collator: Emu3Collator) -> None:
        super().__init__(model, collator, boi=collator.opening[0])
        self.end_of_line, self.wrapper, self.closing = collator.end_of_line, collator.wrapper[0], collator.closing
        self.least_tokens = len("1*1") + len((self.boi, self.wrapper, "an id", self.end_of_line)) + len(self.closing)

    def picture(self, room: int) -> Generator[Ask, int, list[int]]:
        size, spent = "", 0
        while True:
            token = yield Ask("text", self._size_tokens(size, room - spent))
            spent += 1
            if token == self.wrapper:
                break
            size += self._digits[token]
        height, width = map(int, size.split("*"))
        ids = []
        for _ in range(height):
            ids += yield from image_run(width)
            ids.append((yield fixed(self.end_of_line)))
        for token in self.closing:
            yield fixed(token)
        return ids

    @cached_property
    def _digits(self) -> dict[int, str]:
        """Ids of tokens that hold nothing but digits and asterisks."""
        vocabulary = self.collator.encoder.tokenizer.get_vocab()
        return {number: text for text, number in vocabulary.items() if re.fullmatch(r"[0-9*]+", text)}

    def _size_tokens(self, size: str, room: int) -> Tensor:
        """bool (V,): tokens that go on with a size so that the picture still fits into `room` tokens."""
        ids = [number for number, digits in self._digits.items() if self._fits(size + digits, room - 1)]
        if re.fullmatch(r"\d+\*\d+", size):
            ids.append(self.wrapper)
        return torch.zeros_like(self.text_only).index_fill(0, ids_tensor(ids, self.text_only), True)

    def _fits(self, size: str, room: int) -> bool:
        """Whether a picture of this size, or of the smallest one whose size begins so, fits into `room` more tokens."""
        if not (found := re.fullmatch(r"([1-9]\d*)(?:(\*)([1-9]\d*)?)?", size)):
            return False
        height, asterisk, width = found.groups()
        to_write = 1 + (not asterisk) + (not width)
        return to_write + int(height) * (int(width or 1) + 1) + len(self.closing) <= room
