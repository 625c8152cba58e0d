"""The VQ encoder of a checkpoint, found by the checkpoint's model type."""

from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol, cast

from toolkit.errors import MissingExtra, SourceError, UsageError
from toolkit.registry import Registry

if TYPE_CHECKING:
    from toolkit.collate.tokens import VQTokenizer

# Model type, as the checkpoint's config.json names it -> a `MakeTokenizer`.
TOKENIZERS = Registry(
    "tokenizers",
    {
        "chameleon": "toolkit.collate.chameleon:chameleon_tokenizer",
        "emu3": "toolkit.collate.emu3:emu3_tokenizer",
        "janus": "toolkit.collate.janus:janus_tokenizer",
    },
)


class MakeTokenizer(Protocol):
    def __call__(self, model: Any, processor: Any, /, *, image_size: int | None = None) -> "VQTokenizer":
        """The tokenizer of a model.

        Args:
            image_size: pictures are at most `image_size` x `image_size` pixels; None = as the processor has it.

        Raises:
            UsageError: pictures of this model have one size (`fixed_size` raises it).
        """


def fixed_size(family: str, image_size: int | None) -> None:
    """Raises UsageError for an `image_size`, which this family cannot choose."""
    if image_size is not None:
        raise UsageError(
            f"image_size={image_size}: pictures of {family} have one size, which its processor fixes; leave it out"
        )


def get_tokenizer(
    model: Any, processor: Any, *, name: str = "", image_size: int | None = None, decoder: Any = None
) -> "VQTokenizer":
    """The VQ tokenizer of a model in memory, with the model's own frozen encoder.

        tokens = get_tokenizer(model, processor)
        collate = get_collator("emu3", processor=processor, image_tokens=tokens)

    Args:
        name: of the tokenizer, or "module:NAME"; default: the model type of `model.config`.
        image_size: pictures are at most `image_size` x `image_size` pixels, where the family lets one choose.
        decoder: of Chameleon, where pictures are to be made of ids; see `chameleon_tokenizer`.

    Raises:
        UsageError: the model has no VQ tokenizer, its pictures have one size, or it has a decoder of its own.
        SourceError: there is no decoder where `decoder` says.
    """
    make: Any = _maker(name or model.config.model_type, type(model).__name__)
    if decoder is None:
        return cast("VQTokenizer", make(model, processor, image_size=image_size))
    if "decoder" not in signature(make).parameters:
        raise UsageError(f"decoder={decoder!r}: {type(model).__name__} has a decoder of its own; leave it out")
    return cast("VQTokenizer", make(model, processor, image_size=image_size, decoder=decoder))


def load_tokenizer(
    checkpoint: str,
    *,
    name: str = "",
    revision: str | None = None,
    image_size: int | None = None,
    device: str | None = None,
    token: str | None = None,
) -> tuple[str, "VQTokenizer"]:
    """The tokenizer of a checkpoint, its VQ encoder on a device; the rest of the model stays on the CPU.

    Args:
        checkpoint: a folder or a Hub model, org/name, in the form of transformers.
        name: of the tokenizer, or "module:NAME"; default: the model type of the checkpoint.
        revision: branch, tag or commit of a Hub model.
        image_size: pictures are at most `image_size` x `image_size` pixels, where the family lets one choose.
        device: "cpu", "cuda", "cuda:1", ...; default: "cuda" where there is one.
        token: of the Hub.

    Returns:
        Name of the tokenizer, and the tokenizer.

    Raises:
        MissingExtra: torch or transformers is not installed.
        UsageError: the model has no VQ tokenizer, or an option does not fit it. SourceError: it cannot be opened.
    """
    where: dict[str, Any] = {"revision": revision, "token": token}
    name = name or opened("AutoConfig", checkpoint, **where).model_type
    make, processor = _maker(name, checkpoint), opened("AutoProcessor", checkpoint, **where)
    tokenizer = make(opened("AutoModelForImageTextToText", checkpoint, **where), processor, image_size=image_size)
    has_cuda = import_module("torch").cuda.is_available()
    tokenizer.module.to(device or ("cuda" if has_cuda else "cpu"))
    return name, tokenizer


def opened(kind: str, checkpoint: str, **where: Any) -> Any:
    """What a class of transformers makes of a checkpoint.

    Raises:
        MissingExtra: torch or transformers is not installed. SourceError: the checkpoint cannot be opened.
    """
    try:
        import_module("torch")
        transformers = import_module("transformers")
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    try:
        return getattr(transformers, kind).from_pretrained(checkpoint, **where)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"model {checkpoint}: cannot be opened: {str(error).splitlines()[0]}; expected a folder or a Hub model, "
            "org/name"
        ) from error


def _maker(name: str, checkpoint: str) -> MakeTokenizer:
    if name not in TOKENIZERS and ":" not in name:
        raise UsageError(
            f"model {checkpoint} is of type {name!r}; expected one that writes pictures as VQ ids: "
            f"{', '.join(TOKENIZERS)}"
        )
    make: MakeTokenizer = TOKENIZERS.load(name)
    return make
