"""Training what draws and nothing else."""

import copy

import pytest

from tests.installed import needs
from tests.training_families import PLAIN_STEP, ROWS, bare, trainer, wrapped
from toolkit.errors import UsageError
from toolkit.training.freezing import train_only, trained_parameters

torch = pytest.importorskip("torch", reason="training needs torch; pip install torch")
needs("accelerate", "peft", reason="Trainer needs the one, rows of a head are the other's; pip install -e '.[dev]'")


@pytest.mark.parametrize("family", ["chameleon", "emu3"])
@pytest.mark.parametrize(
    ("parts", "modules"),
    [(["image_head"], ["lm_head"]), (["image_head", "image_embeddings"], ["lm_head", "embed_tokens"])],
)
def test_rows_of_picture_ids_alone_are_trained_whatever_the_weight_decay(family, parts, modules, tmp_path):
    model, collate = bare(family)
    ids = model.model.vocabulary_mapping.image_tokens
    before = copy.deepcopy(model.state_dict())
    partial = train_only(model, *parts)
    options = {"per_device_train_batch_size": 4, **PLAIN_STEP, "optim": "adamw_torch", "weight_decay": 0.5}
    made = trainer(wrapped(family, partial), collate, tmp_path, **options | {"learning_rate": 0.01})
    made.train()
    assert sum(trained for trained, _ in trained_parameters(made.model).values()) == len(modules) * len(ids) * 32
    after = partial.merge_and_unload().state_dict()
    for name, value in after.items():
        moved = (value != before[name]).reshape(len(value), -1).any(1) if value.ndim else value != before[name]
        is_drawn_with = any(name.endswith(f"{module}.weight") for module in modules)
        assert moved.nonzero().flatten().tolist() == (sorted(ids) if is_drawn_with else [])


@pytest.mark.parametrize(
    ("part", "modules"),
    [("image_head", {"generation_head"}), ("image_embeddings", {"generation_embeddings", "generation_aligner"})],
)
def test_janus_has_modules_of_its_own_for_pictures(part, modules):
    model, collate = bare("janus")
    made = wrapped("janus", train_only(model, part))
    made(**collate(ROWS))["loss"].backward()
    trained = {name.split(".")[2] for name, value in made.named_parameters() if value.grad is not None}
    assert trained == modules
    counts = trained_parameters(made, depth=3)
    assert {module.split(".")[2] for module, (some, _) in counts.items() if some} == modules
    assert all(some in (0, whole) for some, whole in counts.values())


def test_parts_of_no_model_and_tied_parts_are_refused():
    model, _ = bare("chameleon")
    with pytest.raises(UsageError, match="expected some of"):
        train_only(model, "tail")
    with pytest.raises(UsageError, match="expected some of"):
        train_only(model)
    model.lm_head.weight = model.get_input_embeddings().weight
    with pytest.raises(UsageError, match="tied; name both"):
        train_only(model, "image_head")
