"""Rows in, batches for one model family out.

    row -> template (which text, which tokens are answer) -> pictures spliced in -> length budget -> padded tensors

template        a row through a chat template: token ids and which of them the model has to write
tokenizers      the VQ encoder of a checkpoint, by its model type
tokens          pictures as VQ ids: the model's own frozen tokenizer, or ids computed beforehand and kept in Parquet
common          what every family shares: decoding, splicing, padding, the length budget, counted skips
understanding   models that write text only        chameleon, emu3, janus   models that write pictures too
loss            losses of text and of pictures, which the stock models cannot give
understanding_loss   those of models that write text only, for any batch on any rank

    collate = get_collator("emu3", processor=processor, image_tokens=emu3_tokenizer(model, processor))
    Trainer(model, TrainingArguments(..., remove_unused_columns=False), data_collator=collate,
    train_dataset=rows).train()

Every picture in an assistant turn is answer, whether its role is `intermediate` or `output`: the models that draw are
trained on both.
A model on a GPU cannot tokenize pictures in forked workers: run `tokens.tokenize` once and pass `StoredTokens`. Only
the files here import torch.
"""

import inspect
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.collate.tokenizers import TOKENIZERS, get_tokenizer, load_tokenizer
from toolkit.errors import MissingExtra, UsageError
from toolkit.registry import Registry

if TYPE_CHECKING:
    from toolkit.collate.common import Collator

__all__ = ["COLLATORS", "TOKENIZERS", "get_collator", "get_tokenizer", "load_collator", "load_tokenizer"]

# Adding a family is one file and one line here.
COLLATORS = Registry(
    "collators",
    {
        "chameleon": "toolkit.collate.chameleon:ChameleonCollator",
        "emu3": "toolkit.collate.emu3:Emu3Collator",
        "janus": "toolkit.collate.janus:JanusCollator",
        "understanding": "toolkit.collate.understanding:UnderstandingCollator",
    },
    wrong=lambda found: f"has no {', '.join(found.__abstractmethods__)}" if inspect.isabstract(found) else "",
)


def get_collator(name: str, **options: Any) -> "Collator":
    """The collator of a model family, to be passed as `collate_fn` or `data_collator`.

    Args:
        name: a key of `COLLATORS`, or "module:NAME" or "path/to/file.py:NAME" of a `Collator`.
        options: arguments of that collator; `processor` in every case, `image_tokens` where pictures become ids.

    Raises:
        UnknownName: no such family; lists the known. UsageError: "module:NAME" cannot be loaded, or
            the options are not its own.
        MissingExtra: torch is not installed.
    """
    try:
        make: Callable[..., Collator] = COLLATORS.load(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra("torch", "train") from error
    try:
        inspect.signature(make).bind(**options)
    except TypeError as error:
        takes = ", ".join(inspect.signature(make).parameters)
        raise UsageError(f"collator {name!r}: {error}; it takes {takes}") from error
    return make(**options)


def load_collator(
    name: str,
    checkpoint: str,
    *,
    image_tokens: str | PathLike[str] | None = None,
    revision: str | None = None,
    token: str | None = None,
    **options: Any,
) -> "Collator":
    """The collator of a checkpoint's processor; no model is loaded.

    Args:
        name: as for `get_collator`.
        checkpoint: a folder or a Hub model, org/name, in the form of transformers.
        image_tokens: a folder that `tokenize` wrote, for families whose pictures are ids.
        revision: branch, tag or commit of a Hub model.
        token: of the Hub.
        options: other arguments of that collator.

    Raises:
        UnknownName, UsageError, MissingExtra: as `get_collator`. SourceError: the checkpoint cannot be opened.
    """
    from toolkit.collate.tokenizers import opened

    processor = opened("AutoProcessor", checkpoint, revision=revision, token=token)
    if image_tokens is not None:
        from toolkit.collate.tokens import StoredTokens

        options["image_tokens"] = StoredTokens(Path(image_tokens))
    return get_collator(name, processor=processor, **options)
