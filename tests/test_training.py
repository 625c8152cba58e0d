"""LossModel as transformers and PEFT take it: one update however its rows are cut, checkpointing, adapters, saving."""

import copy
import math
from functools import partial

import pytest

from tests.installed import needs
from tests.training_families import (
    DRAWING,
    FAMILIES,
    PLAIN_STEP,
    READING,
    ROWS,
    bare,
    changes,
    difference,
    reading,
    trainer,
    trainer_update,
    wrapped,
)
from tests.understanding_families import MAKERS
from toolkit.collate.loss import LossModel, TokenLosses, janus_losses, tokens_of_update
from toolkit.collate.understanding_loss import understanding_losses
from toolkit.errors import UsageError
from toolkit.sampling.answers import Sampling
from toolkit.sources.skips import Skips
from unifiedvisual import sample_answers

torch = pytest.importorskip("torch", reason="training needs torch; pip install torch")
needs("accelerate", "peft", reason="Trainer needs the one, adapters are the other's; pip install -e '.[dev]'")


@pytest.mark.parametrize("family", [*FAMILIES, *MAKERS])
def test_an_update_is_the_same_however_its_rows_are_cut(family, tmp_path):
    whole = trainer_update(family, tmp_path, rows=4, accumulation=1)
    assert whole.norm() > 1
    for rows in (2, 1) if family in FAMILIES else (1,):
        assert difference(trainer_update(family, tmp_path, rows=rows, accumulation=4 // rows), whole) < 1e-5


def test_a_loop_of_ones_own_takes_the_step_of_the_trainer(tmp_path):
    model, collate = bare("janus")
    made = wrapped("janus", model)
    batches = [collate(ROWS[:1]), collate(ROWS[1:])]
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=1.0)

    def step():
        for batch in batches:
            made(**batch, num_items_in_batch=tokens_of_update(batches))["loss"].backward()
        optimizer.step()

    assert difference(changes(model, step), trainer_update("janus", tmp_path, rows=4, accumulation=1)) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_which_no_row_is_left_has_no_part_in_an_update(family):
    model, collate = bare(family)
    made, whole = wrapped(family, model), collate(ROWS)
    collate.max_length, collate._skips = 1, Skips(on_bad_row="skip")
    nothing = collate(ROWS[:2])
    assert collate.skipped == {"too_long": 2}
    made(**nothing)["loss"].backward()
    assert not any(each.grad.any() for each in model.parameters() if each.grad is not None)
    assert tokens_of_update([whole, nothing]) == tokens_of_update([whole])
    if family in DRAWING:
        assert made(**nothing)["loss"] == 0
        assert made(**nothing, num_items_in_batch=torch.tensor(0))["loss"] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_changes_no_gradient(family):
    model, collate = bare(family)
    made, batch = wrapped(family, model).train(), collate(ROWS)

    def gradients():
        made.zero_grad()
        made(**batch)["loss"].backward()
        return torch.cat([each.grad.flatten() for each in made.parameters() if each.grad is not None])

    plain = gradients()
    made.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    assert torch.allclose(gradients(), plain, atol=1e-6)


def adapted(family):
    import peft

    model, collate = bare(family)
    layers = r"(?!.*(vqmodel|vision)).*(q_proj|v_proj)"
    config = peft.LoraConfig(r=2, target_modules=layers, init_lora_weights=False)
    torch.manual_seed(0)
    return peft.get_peft_model(model, config), collate


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_alone_are_trained_and_saved_and_sampled_with(family, tmp_path):
    from peft import PeftModel

    model, collate = adapted(family)
    made = wrapped(family, model)
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, **PLAIN_STEP}
    options |= {"save_strategy": "steps", "save_steps": 1, "gradient_checkpointing": True}
    before = {name: value.clone() for name, value in made.named_parameters()}
    trainer(made, collate, tmp_path, **options).train()
    moved = {name for name, value in made.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if "lora_" in name}
    if family in DRAWING:
        assert made.state_dict().keys() == moved

    again, _ = adapted(family)
    resumed = trainer(
        wrapped(family, again),
        collate,
        tmp_path,
        **options,
    )
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert all(torch.equal(one, other) for one, other in zip(again.parameters(), model.parameters(), strict=True))

    if family not in DRAWING:
        return
    made.save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(bare(family)[0], tmp_path / "adapter")
    draw = partial(sample_answers, rows=ROWS[1:2], text=Sampling(temperature=0), image=Sampling(temperature=0))
    first, second = (next(draw(each, collate, max_new_tokens=12, image_first=True)) for each in (made, loaded))
    assert first.image_ids[0].tolist() == second.image_ids[0].tolist()


@pytest.mark.parametrize("family", DRAWING)
def test_tied_weights_are_saved_once_and_found_again(family, tmp_path):
    model, collate = bare(family)
    config = copy.deepcopy(model.config)
    config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = True
    tied = type(model)(config)
    assert tied.lm_head.weight is tied.get_input_embeddings().weight
    made = wrapped(family, tied)
    options = {"per_device_train_batch_size": 4, "save_strategy": "steps", "save_steps": 1, **PLAIN_STEP}
    trainer(made, collate, tmp_path, **options).train()
    state = made.state_dict()
    assert not any(name.endswith("lm_head.weight") for name in state)
    torch.manual_seed(1)
    again = wrapped(family, type(model)(config))
    assert again.load_state_dict(state) == ([], [])  # strict
    assert torch.equal(again.lm_head.weight, made.lm_head.weight)
    incomplete = {name: value for name, value in state.items() if not name.endswith("norm.weight")}
    with pytest.raises(RuntimeError, match="Missing key"):
        again.load_state_dict(incomplete)


def losses_of(text, image, log_z=None):
    """Losses that were agreed on before."""
    made = TokenLosses(torch.tensor(text), torch.tensor(image), None if log_z is None else torch.tensor(log_z))
    return lambda model, batch: made


def test_the_loss_is_a_weighted_sum_over_the_tokens_of_the_update():
    labels = torch.zeros(1, 1, dtype=torch.int64)

    def loss(losses, **options):
        items = options.pop("items", None)
        return LossModel(torch.nn.Identity(), losses, **options)(labels, num_items_in_batch=items)["loss"].item()

    losses = losses_of([1.0, 2.0], [6.0], [10.0, 0.0, 5.0])
    assert loss(losses) == 3.0
    assert loss(losses, items=18) == 0.5
    assert loss(losses, text_weight=0.5, image_weight=2.0) == pytest.approx((0.5 * 3 + 2 * 6) / 3)
    assert loss(losses, z_loss=0.1) == pytest.approx((9 + 0.1 * 125) / 3)
    with pytest.raises(UsageError, match="z_loss is for models with one vocabulary"):
        loss(losses_of([1.0], [1.0]), z_loss=0.1)


def test_text_and_pictures_are_told_apart_in_what_is_returned():
    found = LossModel(torch.nn.Identity(), losses_of([1.0, 2.0], []))(torch.zeros(1, 1))
    assert (found["text_loss"].item(), found["text_tokens"].item(), found["image_tokens"].item()) == (1.5, 2, 0)
    assert math.isnan(found["image_loss"].item())


def test_log_z_is_that_of_the_softmax():
    model, collate = bare("chameleon")
    batch = collate(ROWS[1:2])
    with torch.no_grad():
        losses = wrapped("chameleon", model)._losses(model, batch)
        hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        expected = model.lm_head(hidden).exp().sum(-1).log()[0, :-1][batch["labels"][0, 1:] != -100]
    assert torch.allclose(losses.log_z, expected, atol=1e-5)


def test_what_a_loss_model_lacks_is_that_of_the_model_inside():
    model, collate = bare("janus")
    made = wrapped("janus", model)
    assert made.config is model.config
    assert made.generate == model.generate
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = made.no_such_thing
    twin = copy.deepcopy(made)
    assert twin.model is not model
    assert torch.equal(twin(**collate(ROWS))["loss"], made(**collate(ROWS))["loss"])


def test_every_rank_of_janus_has_gradients_of_the_same_parameters():
    model, collate = bare("janus")
    names = []
    for rows in (ROWS[:1], ROWS[1:2], ROWS):
        model.zero_grad()
        wrapped("janus", model)(**collate(rows))["loss"].backward()
        names.append({name for name, value in model.named_parameters() if value.grad is not None})
    assert names[0] == names[1] == names[2]
    model.zero_grad()
    wrapped("janus", model)(**collate(ROWS[:1]))["loss"].backward()
    assert not any(value.grad.any() for value in model.model.vision_model.parameters())


@pytest.mark.parametrize("family", READING)
def test_a_batch_without_pictures_has_gradients_of_the_same_parameters(family):
    model, collate = bare(family)
    made, names = reading(model, collate), []
    for rows in (ROWS[2:3], ROWS[:1]):
        made.zero_grad()
        made(**collate(rows))["loss"].backward()
        names.append({name for name, value in model.named_parameters() if value.grad is not None})
    assert names[0] == names[1]
    towers = {name: value for name, value in model.named_parameters() if "vis" in name and value.grad is not None}
    assert towers
    assert not any(value.grad.any() for value in towers.values())


def test_losses_of_models_that_understand_want_their_collator():
    with pytest.raises(UsageError, match="Emu3Collator: understanding_losses is for"):
        understanding_losses(bare("emu3")[1])


def test_a_black_picture_has_no_part_in_the_loss():
    model, collate = bare("janus")
    batch = collate(ROWS[:2])
    trained = janus_losses(model, batch)
    with torch.no_grad():
        evaluated = janus_losses(model, batch)
    assert torch.equal(trained.mean, evaluated.mean)


def test_evaluation_has_a_loss_and_the_best_model_is_loaded_at_the_end(tmp_path):
    model, collate = bare("chameleon")
    options = {"per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 300.0, "optim": "sgd"}
    options |= {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "per_device_eval_batch_size": 4}
    made = trainer(wrapped("chameleon", model), collate, tmp_path, eval_rows=ROWS, **options)
    made.train()
    losses = [entry["eval_loss"] for entry in made.state.log_history if "eval_loss" in entry]
    best = min(losses)
    assert losses[-1] > best  # such steps lead away again
    assert made.evaluate()["eval_loss"] == pytest.approx(best, rel=1e-5)
