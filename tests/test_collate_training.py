"""The collators inside the loops that people use: transformers' Trainer, DistributedDataParallel."""

import pytest

from tests.collate_tiny import QUADRANT_ROWS
from toolkit.collate import get_collator
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.common import open_image
from toolkit.collate.emu3 import emu3_tokenizer
from toolkit.collate.janus import janus_tokenizer
from toolkit.collate.loss import LossModel, janus_losses, vocabulary_losses
from toolkit.demo.tiny_models import tiny_chameleon, tiny_emu3, tiny_janus, tiny_llava

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
transformers = pytest.importorskip(
    "transformers", reason="the collator tests run transformers' own models and processors; pip install transformers"
)

FAMILIES = {
    "chameleon": (tiny_chameleon, chameleon_tokenizer, vocabulary_losses),
    "emu3": (tiny_emu3, emu3_tokenizer, None),
    "janus": (tiny_janus, janus_tokenizer, janus_losses),
}


def prepared(name):
    build, make_tokenizer, loss = FAMILIES[name]
    tiny = build()
    collate = get_collator(name, processor=tiny.processor, image_tokens=make_tokenizer(tiny.model, tiny.processor))
    return tiny.model, collate, LossModel(tiny.model, loss) if loss else tiny.model


@pytest.mark.parametrize("name", FAMILIES)
def test_trainer_lowers_the_loss_and_leaves_the_vq_alone(tmp_path, name):
    pytest.importorskip("accelerate", reason="transformers' Trainer needs it; pip install accelerate")
    model, collate, trainable = prepared(name)
    before, ids = (
        {key: value.clone() for key, value in model.model.vqmodel.state_dict().items()},
        collate(QUADRANT_ROWS)["input_ids"],
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=12,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=3e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(model=trainable, args=arguments, train_dataset=QUADRANT_ROWS, data_collator=collate)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] < 8  # ln V is 5.6: accumulation has not added the micro-batches up
    assert losses[-1] < losses[0] - 0.5
    assert all(torch.equal(value, before[key]) for key, value in model.model.vqmodel.state_dict().items())
    assert torch.equal(collate(QUADRANT_ROWS)["input_ids"], ids)


@pytest.mark.parametrize("name", ["chameleon", "janus"])
def test_distributed_gradients_are_the_plain_ones_in_batches_with_and_without_pictures(tmp_path, name):
    _, collate, wrapped = prepared(name)
    batches = [collate(QUADRANT_ROWS[:1]), collate(QUADRANT_ROWS), collate(QUADRANT_ROWS[2:3])]
    plain = [_gradients(wrapped, batch) for batch in batches]
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        distributed = torch.nn.parallel.DistributedDataParallel(wrapped, find_unused_parameters=True)
        for batch, expected in zip(batches, plain, strict=True):
            found = _gradients(distributed, batch)
            assert all(torch.allclose(found[f"module.{key}"], value, atol=1e-6) for key, value in expected.items())
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")  # trl's own
def test_trls_own_collator_would_supervise_placeholders_and_prompts_which_ours_masks():
    sft = pytest.importorskip(
        "trl.trainer.sft_trainer", reason="the comparison is with trl's collator; pip install trl"
    )
    tiny = tiny_llava()
    image_id = tiny.tokenizer.convert_tokens_to_ids("<image>")
    rows = [{**row, "images": [open_image(image) for image in row["images"]]} for row in QUADRANT_ROWS]
    theirs = sft.DataCollatorForVisionLanguageModeling(processor=tiny.processor)(rows)
    ours = get_collator("understanding", processor=tiny.processor)(rows)
    assert (theirs["labels"] == image_id).sum() == 5 * 4  # pictures of 4 placeholders each
    assert (theirs["labels"][0] != -100).sum() > (ours["labels"][0] != -100).sum()
    assert not (ours["labels"] == image_id).any()


@pytest.mark.filterwarnings("ignore")  # trl's own
def test_trl_takes_no_picture_in_a_completion_so_rows_keep_the_form_of_messages():
    sft = pytest.importorskip("trl.trainer.sft_trainer", reason="the limit is one of trl; pip install trl")
    (prompt, answer), images = QUADRANT_ROWS[2]["messages"], [open_image(image) for image in QUADRANT_ROWS[2]["images"]]
    with pytest.raises(ValueError, match="image"):
        sft.DataCollatorForVisionLanguageModeling(processor=tiny_llava().processor)(
            [{"prompt": [prompt], "completion": [answer], "images": images}]
        )


def _gradients(model, batch):
    model.zero_grad()
    model(**batch)["loss"].backward()
    return {key: parameter.grad.clone() for key, parameter in model.named_parameters() if parameter.grad is not None}
