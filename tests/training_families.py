"""The families as they are trained, four rows of very different lengths, and what one update does to the weights."""

import pytest

from tests.collate_tiny import make_row
from tests.understanding_families import MAKERS
from toolkit.collate import TOKENIZERS, get_collator
from toolkit.demo import tiny_models

torch = pytest.importorskip("torch", reason="training needs torch; pip install torch")
transformers = pytest.importorskip("transformers", reason="transformers' models are trained; pip install transformers")

from toolkit.collate.loss import LossModel, janus_losses, vocabulary_losses  # noqa: E402
from toolkit.collate.understanding_loss import understanding_losses  # noqa: E402

DRAWING = ("chameleon", "emu3", "janus")
FAMILIES = (*DRAWING, "llava")
READING = ("llava", *MAKERS)
ROWS = [
    make_row("long", "Tell me a long story.", "Once upon a time there was a fox. " * 8),
    make_row("draw", "Draw.", "{green}"),
    make_row("look", "{red}What colour?", "Red."),
    make_row("both", "{blue}Make it white.", "First {black} then {white} done."),
]


def bare(family, *, drop=0.0):
    """The model of transformers and its collator."""
    tiny = MAKERS[family]() if family in MAKERS else getattr(tiny_models, f"tiny_{family}")()
    for module in tiny.model.modules():  # Emu3 drops a tenth, and two ways to one update would draw it apart
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = drop
        if isinstance(module, torch.nn.Dropout):
            module.p = drop
    tokens = {"image_tokens": TOKENIZERS.load(family)(tiny.model, tiny.processor)} if family in DRAWING else {}
    return tiny.model, get_collator(family if tokens else "understanding", processor=tiny.processor, **tokens)


def wrapped(family, model, **options):
    """What is handed to a loop: the loss of the stock LLaVA is right as it is."""
    losses = janus_losses if family == "janus" else vocabulary_losses
    return LossModel(model, losses, **options) if family in DRAWING else model


def trainer(model, collate, folder, *, rows=ROWS, eval_rows=None, **options):
    settings = {"max_steps": 1, "save_strategy": "no", "logging_steps": 1, "lr_scheduler_type": "constant"}
    settings |= {"report_to": [], "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False}
    settings |= {"remove_unused_columns": False, "ddp_find_unused_parameters": True} | options
    arguments = transformers.TrainingArguments(output_dir=str(folder), **settings)
    return transformers.Trainer(
        model=model, args=arguments, train_dataset=rows, eval_dataset=eval_rows, data_collator=collate
    )


PLAIN_STEP = {"optim": "sgd", "learning_rate": 1.0, "max_grad_norm": 0}


def changes(model, run):
    """name -> what `run` adds to a weight; all weights in one tensor."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    run()
    return torch.cat([(value.detach() - before[name]).flatten() for name, value in model.named_parameters()])


def reading(model, collate):
    """A model that writes text only, with the loss that does for every batch on every rank."""
    return LossModel(model, understanding_losses(collate))


def trainer_update(family, folder, *, rows, accumulation):
    model, collate = bare(family)
    options = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": accumulation, **PLAIN_STEP}
    made = reading(model, collate) if family in MAKERS else wrapped(family, model)
    return changes(model, trainer(made, collate, folder, **options).train)


def difference(found, expected):
    return ((found - expected).norm() / expected.norm()).item()
