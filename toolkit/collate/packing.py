"""Whether a model keeps the rows of a packed sequence apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from toolkit.collate.common import Collator, pack
from toolkit.errors import UsageError

MAX_DIFFERENCE = 0.05  # of the standard deviation of logits; rounding is far less, a row that is seen far more


def check_packing(model: Any, collate: Collator, rows: Sequence[Mapping[str, Any]]) -> None:
    """Whether a model that reads pictures and writes text keeps packed rows apart; from then on `collate` packs.

    The last row's logits are compared: behind others, and alone.

    Args:
        model: called as `model(**batch).logits`; put into eval mode and back.
        rows: at least two, of those to train on.

    Raises:
        UsageError: it does not, as with convolutions, M-RoPE or cross-attention.
    """
    samples = [collate.encode(row) for row in rows]
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    try:
        with torch.no_grad():
            together, alone = (
                model(**{name: value.to(device) for name, value in batch.items()}).logits[0].float()
                for batch in (collate.batch([pack(samples)]), collate.batch(samples[-1:]))
            )
    finally:
        model.train(was_training)
    difference = (together[-len(alone) :] - alone).abs().mean() / alone.std()
    if len(samples) < 2 or difference > MAX_DIFFERENCE:
        raise UsageError(
            f"{type(model).__name__}: the logits of a row differ by {difference:.2f} of their standard deviation where "
            f"{len(samples) - 1} other rows are before it in its sequence; packing would train on that, so leave "
            "packing=True out"
        )
    collate.packs = True
