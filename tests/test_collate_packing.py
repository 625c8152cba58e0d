"""Packed rows: the losses and gradients of every family are those of the same rows alone."""

import itertools

import pytest
import torch
from torch.utils.data import DataLoader

from tests.collate_tiny import QUADRANT_ROWS, make_row
from tests.packed import pack_demo
from toolkit.collate import get_collator
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.common import Sample, pack
from toolkit.collate.emu3 import emu3_tokenizer
from toolkit.collate.janus import janus_tokenizer
from toolkit.collate.loss import janus_losses, vocabulary_losses
from toolkit.collate.packing import check_packing
from toolkit.demo.tiny_models import tiny_chameleon, tiny_emu3, tiny_janus, tiny_llava
from toolkit.errors import UsageError
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.token_batches import PackedRows

FAMILIES = {
    "chameleon": (tiny_chameleon, chameleon_tokenizer, vocabulary_losses),
    "emu3": (tiny_emu3, emu3_tokenizer, vocabulary_losses),
    "janus": (tiny_janus, janus_tokenizer, janus_losses),
}


def drawing(name: str, **options):
    build, make_tokenizer, losses = FAMILIES[name]
    tiny = build()
    image_tokens = make_tokenizer(tiny.model, tiny.processor)
    return tiny.model, get_collator(name, processor=tiny.processor, image_tokens=image_tokens, **options), losses


def gradients(model) -> dict[str, torch.Tensor]:
    found = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
    model.zero_grad()
    return found


def test_a_sequence_is_its_rows_and_no_row_is_asked_for_its_first_token():
    one = Sample(columns={"input_ids": [1, 2, 3], "labels": [1, -100, 3]}, tensors={"pixels": torch.ones(1, 2)})
    two = Sample(columns={"input_ids": [4, 5], "labels": [4, 5], "mask": [1, 0]}, tensors={"pixels": torch.zeros(2, 2)})
    packed = pack([one, two])
    assert packed.columns == {
        "input_ids": [1, 2, 3, 4, 5],
        "labels": [-100, -100, 3, -100, 5],
        "mask": [0, 0, 0, 1, 0],
        "position_ids": [0, 1, 2, 0, 1],
    }
    assert packed.tensors["pixels"].tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("name", FAMILIES)
def test_losses_and_gradients_of_packed_rows_are_those_of_the_rows(name):
    model, collate, losses = drawing(name)
    model.eval()  # Emu3 has dropout
    alone = losses(model, collate(QUADRANT_ROWS))
    torch.cat(alone[:2]).sum().backward()
    expected = gradients(model)
    packed = collate([PackedRows(QUADRANT_ROWS[:3]), PackedRows(QUADRANT_ROWS[3:])])  # the second one is padded
    assert "attention_mask" not in packed
    assert packed["input_ids"].shape[0] == 2
    found = losses(model, packed)
    torch.cat(found[:2]).sum().backward()
    for ours, theirs in zip(found[:2], alone[:2], strict=True):  # text, image
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    own = gradients(model)
    assert own.keys() == expected.keys()
    for parameter, gradient in own.items():
        torch.testing.assert_close(gradient, expected[parameter], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("is_training", [False, True])
def test_the_stock_forward_keeps_packed_rows_apart_too(is_training):
    """It makes a cache by default, with which it would not; the batch says otherwise."""
    tiny = tiny_llava()
    tiny.model.train(is_training)
    collate = get_collator("understanding", processor=tiny.processor)
    rows = [QUADRANT_ROWS[0], QUADRANT_ROWS[1], QUADRANT_ROWS[1]]
    alone = torch.cat([tiny.model(**collate([row])).logits[0] for row in rows])
    batch = collate(PackedRows(rows))
    torch.testing.assert_close(tiny.model(**batch).logits[0], alone, rtol=1e-4, atol=1e-4)
    del batch["use_cache"]
    assert (tiny.model(**batch).logits[0] - alone).abs().max() > 0.01


def test_whether_a_model_keeps_rows_apart_is_found_out_by_running_it():
    tiny = tiny_llava()
    collate = get_collator("understanding", processor=tiny.processor)
    collate.packs = False  # as of any processor that is not known
    with pytest.raises(UsageError, match=r"call check_packing\(model, collate, rows\)"):
        collate(PackedRows(QUADRANT_ROWS[:2]))
    check_packing(tiny.model, collate, QUADRANT_ROWS[:2])
    assert collate(PackedRows(QUADRANT_ROWS[:2]))["input_ids"].shape[0] == 1

    class Leaky(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = tiny.model

        def forward(self, **batch):
            return self.model(**{**batch, "use_cache": True})

    collate.packs = False
    with pytest.raises(UsageError, match="Leaky: the logits of a row differ by"):
        check_packing(Leaky(), collate, QUADRANT_ROWS[:2])
    assert not collate.packs


def test_bad_rows_leave_their_sequence_and_are_counted():
    _, collate, _ = drawing("chameleon", max_length=40, on_bad_row="skip")
    long = make_row("long", "Why? " * 20, "Because.")
    batch = collate(PackedRows([QUADRANT_ROWS[0], long, QUADRANT_ROWS[0]]))
    assert batch["input_ids"].tolist()[0] == 2 * collate([QUADRANT_ROWS[0]])["input_ids"].tolist()[0]
    assert collate.skipped == {"too_long": 1}
    assert (collate([PackedRows([long]), PackedRows([long])])["labels"] == -100).all()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [None, 1])  # 1: as in the Trainer of transformers
@pytest.mark.parametrize("packing", [False, True])
def test_streamed_batches_are_collated_within_the_budget(tmp_path, workers, batch_size, packing):
    folder = pack_demo(tmp_path / "packed", ["image_editing", "cot_collection"])
    _, collate, _ = drawing("chameleon")
    rows = list(StreamingDataset(folder, decode=None))
    lengths = {row["id"]: collate.encode(row).num_tokens for row in rows}
    budget = max(lengths.values()) * 2
    dataset = StreamingDataset(
        folder, decode=None, max_tokens=budget, packing=packing, lengths=lambda row: lengths[row["id"]]
    )
    batches = list(DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=collate))
    assert all(batch["input_ids"].numel() <= budget for batch in batches)
    kept = [batch["labels"] != -100 for batch in batches]
    supervised = sum(int(mask.sum()) for mask in kept)
    assert supervised == sum(int((collate([row])["labels"] != -100).sum()) for row in rows)
    assert all(("position_ids" in batch) == packing for batch in batches)


def test_a_loader_that_puts_batches_together_is_told(tmp_path):
    folder = pack_demo(tmp_path / "packed", ["cot_collection"])
    _, collate, _ = drawing("chameleon")
    dataset = StreamingDataset(folder, decode=None, max_tokens=400, lengths=lambda row: 400)
    with pytest.raises(UsageError, match=r"^4 batches at once, .*give the loader batch_size=None"):
        next(iter(DataLoader(dataset, batch_size=4, collate_fn=collate)))


def test_rows_that_are_longer_than_their_lengths_say_are_an_error(tmp_path):
    folder = pack_demo(tmp_path / "packed", ["cot_collection"])
    _, collate, _ = drawing("chameleon", on_bad_row="skip")
    dataset = StreamingDataset(folder, decode=None, max_tokens=100, lengths=lambda row: 3)
    with pytest.raises(UsageError, match=r"tokens, but lengths= says 3; measure them with this very collator"):
        list(itertools.islice(DataLoader(dataset, batch_size=None, collate_fn=collate), 1))
