"""UnifiedTrainer: what it logs, how it evaluates, and how it resumes inside an epoch."""

import warnings

import pytest

from tests.installed import needs
from tests.packed import pack_demo
from tests.training_families import ROWS, bare, reading, wrapped
from toolkit.collate.lengths import measure_lengths
from toolkit.collate.loss import vocabulary_losses
from toolkit.streaming.dataset import StreamingDataset

torch = pytest.importorskip("torch", reason="training needs torch; pip install torch")
transformers = pytest.importorskip("transformers", reason="the Trainer is transformers'; pip install transformers")
needs("accelerate", reason="transformers' Trainer needs it; pip install accelerate")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """21 rows: 11 batches of 2."""
    return pack_demo(tmp_path_factory.mktemp("trainer") / "packed", ["image_generation", "llava_cot", "image_editing"])


@pytest.fixture(scope="module")
def emu3():
    """Drops a tenth of what it computes, so that random states count."""
    return bare("emu3", drop=0.1)


def make(emu3, folder, *, train=None, evaluate=None, model=None, **options):
    model = model or bare("emu3", drop=0.1)[0]
    settings = {
        "max_steps": 9,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "learning_rate": 3e-3,
    }
    settings |= {"logging_steps": 1, "save_steps": 1, "report_to": [], "disable_tqdm": True, "use_cpu": True}
    settings |= {"dataloader_pin_memory": False, "lr_scheduler_type": "linear"} | options
    from toolkit.training.trainer import UnifiedTrainer

    return UnifiedTrainer(
        model=wrapped("emu3", model),
        args=transformers.TrainingArguments(output_dir=str(folder), **settings),
        train_dataset=train,
        eval_dataset=evaluate,
        data_collator=emu3[1],
    )


def test_losses_of_text_and_pictures_are_logged_over_the_tokens_of_an_update(emu3, tmp_path):
    model, collate = bare("emu3")
    losses = vocabulary_losses(model, collate(ROWS))
    made = make(emu3, tmp_path, train=ROWS, model=model, max_steps=1, per_device_train_batch_size=1, save_strategy="no")
    made.train()
    logged = made.state.log_history[0]
    assert logged["loss"] == pytest.approx(losses.mean.item(), rel=1e-5)
    assert logged["text_loss"] == pytest.approx(losses.text.mean().item(), rel=1e-5)
    assert logged["image_loss"] == pytest.approx(losses.image.mean().item(), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
def test_an_evaluation_is_the_mean_over_tokens_whatever_its_batches(emu3, tmp_path, rows):
    model, collate = emu3
    losses = vocabulary_losses(model.eval(), collate(ROWS))
    found = make(emu3, tmp_path, evaluate=ROWS, model=model, per_device_eval_batch_size=rows).evaluate()
    assert found["eval_loss"] == pytest.approx(losses.mean.item(), rel=1e-5)
    assert found["eval_text_loss"] == pytest.approx(losses.text.mean().item(), rel=1e-5)
    assert found["eval_image_loss"] == pytest.approx(losses.image.mean().item(), rel=1e-5)


def test_a_model_whose_batches_would_weigh_the_same_is_told(tmp_path):
    from toolkit.training.trainer import UnifiedTrainer

    model, collate = bare("Qwen3-VL")
    options = {"report_to": [], "use_cpu": True, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), **options)
    with pytest.warns(
        UserWarning, match="of Qwen3VLForConditionalGeneration .* each of the 4 batches .* weigh the same"
    ):
        UnifiedTrainer(model=model, args=arguments, train_dataset=ROWS, data_collator=collate)
    with warnings.catch_warnings(action="error"):
        UnifiedTrainer(model=reading(model, collate), args=arguments, train_dataset=ROWS, data_collator=collate)


def test_a_kind_that_nothing_is_of_is_left_out(emu3, tmp_path):
    found = make(emu3, tmp_path, evaluate=ROWS[:1], model=emu3[0]).evaluate()
    assert found["eval_text_loss"] == found["eval_loss"]
    assert "eval_image_loss" not in found


def test_training_resumes_inside_an_accumulated_epoch_as_if_undisturbed(emu3, packed, tmp_path, monkeypatch):
    def rows():
        return StreamingDataset(packed, decode=None, seed=3, batch_size=2)

    whole = make(emu3, tmp_path, train=rows())
    whole.train()
    encoded = []
    encode = type(emu3[1]).encode
    monkeypatch.setattr(type(emu3[1]), "encode", lambda self, row: encoded.append(row["id"]) or encode(self, row))
    for step, workers in ((2, 0), (4, 2)):  # epochs have 4, 4 and 3 batches; both stop inside one
        encoded.clear()
        resumed = make(emu3, tmp_path, train=rows(), dataloader_num_workers=workers)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert _logged(resumed) == _logged(whole)
        assert all(
            torch.equal(*pair) for pair in zip(resumed.model.parameters(), whole.model.parameters(), strict=True)
        )
        if not workers:
            assert len(encoded) == 5 + 2 * 21  # what was left of the first epoch, and two whole ones


def _logged(made):
    names = ("step", "loss", "text_loss", "image_loss", "learning_rate", "epoch")
    return [
        {name: entry[name] for name in names if name in entry} for entry in made.state.log_history if "loss" in entry
    ]


def test_a_dataset_of_token_batches_is_trained_on_as_it_is(emu3, packed, tmp_path):
    seen = []
    collate = emu3[1]
    measure_lengths(packed, collate, tmp_path / "lengths")

    def rows():
        return StreamingDataset(packed, decode=None, max_tokens=600, lengths=tmp_path / "lengths")

    made = make(emu3, tmp_path, train=rows(), max_steps=2, save_strategy="no", gradient_accumulation_steps=1)
    made.data_collator.collate = lambda batch: seen.append([row["id"] for row in batch]) or collate(batch)
    made.train()
    assert seen[:2] == [[row["id"] for row in batch] for batch in list(rows())[:2]]


@pytest.mark.parametrize("packing", [False, True])
def test_rows_that_are_held_out_are_evaluated_in_batches_by_tokens(emu3, packed, tmp_path, packing):
    model, collate = bare("emu3")
    measure_lengths(packed, collate, tmp_path / "lengths")

    def rows(**options):
        options |= {"lengths": tmp_path / "lengths", "holdout": 0.3}
        return StreamingDataset(packed, decode=None, **options)

    held_out = list(rows(split="holdout"))
    losses = vocabulary_losses(model.eval(), collate(held_out))
    evaluate = rows(split="holdout", max_tokens=1500, packing=packing)
    assert 1 < len(held_out) < 21
    found = make(emu3, tmp_path, evaluate=evaluate, model=model, per_device_eval_batch_size=1).evaluate()
    assert found["eval_text_loss"] == pytest.approx(losses.text.mean().item(), rel=1e-4)
    assert found["eval_image_loss"] == pytest.approx(losses.image.mean().item(), rel=1e-4)
    assert {row["id"] for row in held_out}.isdisjoint(row["id"] for batch in rows(max_tokens=1500) for row in batch)
