"""One run: the rows of a regime, packed, streamed, collated, trained on; and the answers scored along the way."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from toolkit.collate.loss import LossModel, vocabulary_losses
from toolkit.evaluation.microworld.measures import MEASURES, is_right, items
from toolkit.evaluation.microworld.model import make_model, row_mean_losses
from toolkit.evaluation.microworld.regimes import CONTROLS, REGIMES, row_of, rows
from toolkit.evaluation.microworld.split import Split
from toolkit.packing.rows import pack_rows
from toolkit.sampling.answers import Sampling, sample_answers
from toolkit.streaming.dataset import StreamingDataset

BATCH = 64
LEARNING_RATE = 4e-3
_DECAY = 0.99  # of the averaged weights, which are scored


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Attributes:
        tokens: to train on, prompts and answers alike.
        every: tokens between two looks.
        items: of the dataset, of both sides together; the model sees them again and again.
        mixture: kind of row -> share, instead of the regime's rows.
    """

    tokens: int = 4_800_000
    every: int = 400_000
    items: int = 24_000
    mixture: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """Scores at one time of a run: measure -> share right."""

    tokens: int
    rows: int
    loss: float
    scores: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of a run; `looks` along the way, and at the end with all measures."""

    regime: str
    seed: int
    steps: int
    parameters: int
    cpu_s: float
    looks: list[Look] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, columns: dict[str, Any]) -> "Run":
        return cls(**{**columns, "looks": [Look(**each) for each in columns["looks"]]})


def train(
    regime: str, seed: int, folder: Path, settings: Settings, *, on_look: Callable[[Look], None] = lambda look: None
) -> Run:
    """Train from scratch and score. The same arguments give the same figures on the same machine.

    Args:
        regime: a key of REGIMES or CONTROLS, or any name where the settings have a mixture.
        seed: of the split of the world, of items, weights and order.
        folder: for the packed rows.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    packed = folder / f"{regime.replace(' ', '-').replace(',', '')}-{seed}"
    pack_rows(rows(regime, seed, settings.items, mixture=settings.mixture), packed)
    made = make_model(seed)
    is_row_mean = settings.mixture is None and {**REGIMES, **CONTROLS}[regime][2]
    model = LossModel(made.model, row_mean_losses if is_row_mean else vocabulary_losses)
    averaged = AveragedModel(made.model, multi_avg_fn=get_ema_multi_avg_fn(_DECAY))  # type: ignore[no-untyped-call]
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=LEARNING_RATE)
    split, looks, losses = Split.of(seed), list[Look](), list[float]()
    tokens = steps = 0
    for batch in _batches(packed, made.collator, seed):
        loss = model(**batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        averaged.update_parameters(made.model)
        losses.append(loss.item())
        steps += 1
        before, tokens = tokens, tokens + int(batch["attention_mask"].sum())
        is_end = tokens >= settings.tokens
        if is_end or before // settings.every != tokens // settings.every:
            scores = score(averaged.module, made.collator, split, seed, at_end=is_end)
            looks.append(Look(tokens=tokens, rows=steps * BATCH, loss=sum(losses) / len(losses), scores=scores))
            losses.clear()
            on_look(looks[-1])
        if is_end:
            break
    return Run(
        regime=regime,
        seed=seed,
        steps=steps,
        parameters=made.num_parameters,
        cpu_s=time.process_time() - started,
        looks=looks,
    )


def _batches(packed: Path, collator: Any, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    dataset = StreamingDataset(str(packed), seed=seed, batch_size=BATCH, decode=None)
    while True:
        yield from DataLoader(dataset, batch_size=BATCH, collate_fn=collator)
        dataset.set_epoch(dataset.epoch + 1)


def score(model: Any, collator: Any, split: Split, seed: int, *, at_end: bool) -> dict[str, float]:
    """Measure -> share of items answered rightly, the likeliest token each time."""
    greedy = Sampling(temperature=0)
    found = {}
    for measure in MEASURES:
        asked = items(split, measure, seed, at_end=at_end)
        if not asked:
            continue
        prompts = [row_of(f"{measure} {n}", each.task, each.prompt, ()).to_dict() for n, each in enumerate(asked)]
        answers = sample_answers(
            model, collator, prompts, text=greedy, image=greedy, max_new_tokens=72, max_images=2, batch_size=80
        )
        right = [is_right(item, each.text, each.images or ()) for item, each in zip(asked, answers, strict=True)]
        found[measure] = sum(right) / len(right)
    return found
