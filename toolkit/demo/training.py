"""A tiny random Janus learns text and pictures of a packed dataset for a few steps: the path of a real training run, on
a CPU.
"""

from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from toolkit.collate import get_collator
from toolkit.collate.janus import janus_tokenizer
from toolkit.collate.loss import LossModel, janus_losses
from toolkit.demo.tiny_models import tiny_janus
from toolkit.streaming.dataset import StreamingDataset

BATCH, LEARNING_RATE = 4, 3e-3


def train(packed: Path, config: str, *, steps: int) -> list[dict[str, float]]:
    """Losses of each step: "text_loss" and "image_loss", nan where a batch has none."""
    torch.set_num_threads(1)  # so small a model is faster without others
    tiny = tiny_janus()
    collate = get_collator("janus", processor=tiny.processor, image_tokens=janus_tokenizer(tiny.model, tiny.processor))
    dataset = StreamingDataset(packed, config, batch_size=BATCH, decode=None)
    model = LossModel(tiny.model.train(), janus_losses)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=LEARNING_RATE)
    losses: list[dict[str, float]] = []
    for epoch in range(steps):
        dataset.set_epoch(epoch)
        for batch in islice(DataLoader(dataset, BATCH, collate_fn=collate), steps - len(losses)):
            found = model(**batch)
            optimizer.zero_grad()
            found["loss"].backward()
            optimizer.step()
            losses.append({name: found[name].item() for name in ("text_loss", "image_loss")})
    return losses
