"""Rows in, sampled answers out: text and pictures in the order in which the model wrote them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from toolkit.collate.common import Collator, Sample
from toolkit.collate.loss import unwrapped
from toolkit.collate.tokens import ImageDecoder
from toolkit.errors import UnifiedVisualError
from toolkit.sampling import SAMPLERS
from toolkit.sampling.grammar import Ask, Limits, Sampler, Turn, Written, ids_tensor
from toolkit.streaming.guidance import without_prompt


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is drawn.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_k: from how many of the likeliest; 0 = all.
        top_p: from the likeliest that together have this probability.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def warpers(self) -> Any:
        warpers = LogitsProcessorList()
        if self.temperature not in (0, 1):
            warpers.append(TemperatureLogitsWarper(float(self.temperature)))
        if self.top_k:
            warpers.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1:
            warpers.append(TopPLogitsWarper(float(self.top_p)))
        return warpers


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model wrote for a row.

    Attributes:
        row_id: of the prompt.
        content: parts as in a message, {"type", "text"}; texts without the blanks at their ends, empty ones left out.
        images: in reading order; None without an image decoder.
        image_ids: per picture its ids, int64 (N,), as the family's tokenizer gives them.
        num_tokens: written, pictures and frames included.
        finished: False where the limit of tokens ended it.
    """

    row_id: str
    content: list[dict[str, str]]
    images: list[Image.Image] | None
    image_ids: list[Tensor]
    num_tokens: int
    finished: bool

    @property
    def text(self) -> str:
        """Its texts, joined by a line break."""
        return "\n".join(part["text"] for part in self.content if part["type"] == "text")


def sample_answers(
    model: Any,
    collator: Collator,
    rows: Iterable[Mapping[str, Any]],
    *,
    text: Sampling | None = None,
    image: Sampling | None = None,
    guidance_scale: float = 1.0,
    max_new_tokens: int = 4096,
    max_images: int | None = None,
    image_first: bool = False,
    seed: int = 0,
    batch_size: int = 8,
    image_decoder: ImageDecoder | None = None,
    family: str = "",
) -> Iterator[Answer]:
    """Answers of Chameleon, Anole, Emu3 or Janus to the prompts of rows, text and pictures interleaved.

    Prompts are encoded by the collator as in training; the last answer of a row, where it has one, is not shown to the
    model. Rows of a batch are written side by side with one cache. What a row draws depends on `seed` and its id alone,
    up to rounding: not on its batch, nor on what other rows write.

    Args:
        model: of transformers, on its device; also inside a LossModel, DistributedDataParallel or a PEFT model.
        collator: `get_collator` of its family.
        rows: as the collator takes them.
        text, image: how text and ids of pictures are drawn; default: temperature 1.
        guidance_scale: above 1, ids of pictures are drawn by classifier-free guidance: logits without the prompt, plus
            this times what the prompt adds. For models that were trained without the prompt of some rows.
        max_new_tokens: of an answer; a picture that would not fit is not begun.
        max_images: of an answer; None = as many as fit.
        image_first: answers open with a picture, whatever the model would do.
        seed: another one gives other answers.
        batch_size: rows written side by side.
        image_decoder: turns ids into pictures; default: the collator's tokenizer, where it can. Without one answers
            hold ids alone.
        family: a key of `SAMPLERS` or "module:NAME"; default: the model's type.

    Yields:
        An answer per row, in their order.

    Raises:
        UsageError: the model is of a family that does not draw. RowError: a row is bad.
    """
    model = unwrapped(model)
    sampler: Sampler = SAMPLERS.load(family or model.config.model_type)(model, collator)
    limits = Limits(max_new_tokens=max_new_tokens, max_images=max_images, image_first=image_first)
    decoder = image_decoder or _own_decoder(collator)
    batches = _Batches(sampler, limits, (text or Sampling(), image or Sampling()), guidance_scale, seed)
    remaining = iter(rows)
    was_training = model.training
    while batch := list(islice(remaining, batch_size)):
        model.eval()
        try:
            written = batches.write(batch)
        finally:
            model.train(was_training)
        for row, each in zip(batch, written, strict=True):
            yield _answer(row["id"], each, collator, decoder)


class _Batches:
    """Writes the answers of batches of rows."""

    def __init__(
        self,
        sampler: Sampler,
        limits: Limits,
        sampling: tuple[Sampling, Sampling],
        guidance_scale: float,
        seed: int,
    ) -> None:
        self.sampler, self.limits, self.guidance_scale, self.seed = sampler, limits, guidance_scale, seed
        self.text, self.image = sampling
        self._warp_text, self._warp_image = self.text.warpers(), self.image.warpers()

    @torch.no_grad()
    def write(self, rows: Sequence[Mapping[str, Any]]) -> list[Written]:
        turns = [Turn(self.sampler, self.limits) for _ in rows]
        uniform = torch.stack([self._uniform(row["id"]) for row in rows]).to(self.sampler.text_only.device)
        state = _State(self.sampler, self._samples(rows))
        live = list(range(len(rows)))
        for step in range(self.limits.max_new_tokens):
            ids = self._choose(state.hidden, [turns[n].ask for n in live], uniform[live, step])
            is_image = [(ask := turns[n].ask) is not None and ask.kind == "image" for n in live]
            for n, token in zip(live, ids.tolist(), strict=True):
                turns[n].send(token)
            keep = [at for at, n in enumerate(live) if turns[n].ask is not None]
            if not keep:
                break
            if len(keep) <= len(live) // 2:  # rows that have ended cost as much as others
                state.select(keep)
                ids, is_image, live = ids[keep], [is_image[at] for at in keep], [live[at] for at in keep]
            state.step(ids, is_image)
        return [turn.written for turn in turns]

    def _samples(self, rows: Sequence[Mapping[str, Any]]) -> list[list[Sample]]:
        """Prompts, and for guidance the same rows without theirs."""
        variants = [rows, [without_prompt(row) for row in rows]] if self.guidance_scale > 1 else [rows]
        return [[self.sampler.collator.encode_prompt(row) for row in variant] for variant in variants]

    def _uniform(self, row_id: str) -> Tensor:
        """float64 (max_new_tokens,), one number a token: the same for a row in any batch."""
        digest = hashlib.sha256(f"{self.seed} {row_id}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        return torch.rand(self.limits.max_new_tokens, generator=generator, dtype=torch.float64)

    def _choose(self, hidden: Tensor, asks: Sequence[Ask | None], uniform: Tensor) -> Tensor:
        """int64 (B,); `hidden` is (B, D), or (2 B, D) with rows without prompts behind."""
        ids = ids_tensor([ask.token if ask else 0 for ask in asks], hidden)
        kinds = [ask.kind if ask else "fixed" for ask in asks]
        if texts := [at for at, kind in enumerate(kinds) if kind == "text"]:
            allowed = torch.stack([ask.allowed for ask in asks if ask is not None and ask.allowed is not None])
            scores = self.sampler.text_scores(hidden[texts]).float().masked_fill(~allowed, -torch.inf)
            ids[texts] = _draw(self._warp_text(None, scores), uniform[texts], greedy=self.text.temperature == 0)
        if images := [at for at, kind in enumerate(kinds) if kind == "image"]:
            scores = self.sampler.image_scores(hidden[images]).float()
            if self.guidance_scale > 1:
                bare = self.sampler.image_scores(hidden[[at + len(asks) for at in images]]).float()
                scores = bare + self.guidance_scale * (scores - bare)
            drawn = _draw(self._warp_image(None, scores), uniform[images], greedy=self.image.temperature == 0)
            ids[images] = self.sampler.image_ids[drawn]
        return ids


class _State:
    """Hidden states of the last tokens of a batch, and the cache of all before.

    Prompts are padded on the right, as in training; the padding stays in the cache and is masked.
    """

    def __init__(self, sampler: Sampler, samples: Sequence[Sequence[Sample]]) -> None:
        self.sampler, self.copies = sampler, len(samples)
        device = sampler.text_only.device
        batch = sampler.collator.batch([sample for variant in samples for sample in variant])
        batch = {name: value.to(device) for name, value in batch.items()}
        self.mask = batch["attention_mask"]
        self.positions = self.mask.sum(1)
        outputs = sampler.model.model(**sampler.inputs(batch), use_cache=True)
        self.hidden = outputs.last_hidden_state[torch.arange(len(self.mask), device=device), self.positions - 1]
        self._cache_name = next(
            name for name in ("cache", "past_key_values") if name in outputs
        )  # transformers 4 and 5
        self._cache = outputs[self._cache_name]

    def select(self, keep: Sequence[int]) -> None:
        num_rows = len(self.mask) // self.copies
        index = ids_tensor([at + copy * num_rows for copy in range(self.copies) for at in keep], self.mask)
        self.mask, self.positions = self.mask[index], self.positions[index]
        self._cache.batch_select_indices(index)

    def step(self, ids: Tensor, is_image: Sequence[bool]) -> None:
        images = torch.tensor(is_image, device=ids.device)
        text = self.sampler.embed_text(ids.masked_fill(images, 0))
        embeds = text.index_put((images,), self.sampler.embed_images(ids[images]).to(text.dtype))
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        outputs = self.sampler.model.model(
            inputs_embeds=embeds.repeat(self.copies, 1)[:, None],
            attention_mask=self.mask,
            position_ids=self.positions[:, None],
            use_cache=True,
            **{self._cache_name: self._cache},
        )
        self.hidden, self.positions = outputs.last_hidden_state[:, -1], self.positions + 1


def _draw(scores: Tensor, uniform: Tensor, *, greedy: bool) -> Tensor:
    """One column of each row of logits (B, C), by inverting their distribution at `uniform` (B,)."""
    if greedy:
        return scores.argmax(-1)
    mass = scores.double().softmax(-1).cumsum(-1)
    if mass[:, -1].isnan().any():
        raise UnifiedVisualError(
            "the model's logits are not numbers; its weights or the precision it runs in are broken"
        )
    return torch.searchsorted(mass, uniform[:, None] * mass[:, -1:], right=True).squeeze(1)


def _own_decoder(collator: Collator) -> ImageDecoder | None:
    tokens = getattr(collator, "image_tokens", None)
    return tokens if isinstance(tokens, ImageDecoder) and tokens.can_decode else None


def _answer(row_id: str, written: Written, collator: Collator, decoder: ImageDecoder | None) -> Answer:
    content, image_ids = [], []
    for kind, ids in written.parts:
        if kind == "image":
            content.append({"type": "image", "text": ""})
            image_ids.append(torch.tensor(ids, dtype=torch.int64))
        elif text := collator.encoder.tokenizer.decode(ids, clean_up_tokenization_spaces=False).strip():
            content.append({"type": "text", "text": text})
    return Answer(
        row_id=row_id,
        content=content,
        images=decoder.decode(image_ids) if decoder else None,
        image_ids=image_ids,
        num_tokens=written.num_tokens,
        finished=written.finished,
    )
