"""Which parts of a model are trained."""

from collections import Counter
from typing import Any, Literal, get_args

from toolkit.errors import MissingExtra, UsageError

ImagePart = Literal["image_head", "image_embeddings"]
JANUS_MODULES: dict[ImagePart, tuple[str, ...]] = {
    "image_head": ("generation_head",),
    "image_embeddings": ("generation_embeddings", "generation_aligner"),
}
VOCABULARY_MODULES: dict[ImagePart, str] = {"image_head": "lm_head", "image_embeddings": "embed_tokens"}


def train_only(model: Any, *parts: ImagePart) -> Any:
    """Freezes a model but for what it draws with, as Anole was made of Chameleon.

    Of Chameleon and Emu3 these are the rows of picture ids in the head and in the embeddings, as an adapter of PEFT: it
    keeps them apart, so that weight decay leaves the other rows alone too; `merge_and_unload()` puts them in place. Of
    Janus they are modules of their own.

    Source: GAIR-NLP/anole, README: "fine-tuned the output head's logits for image token ids, all else frozen".

    Args:
        model: of transformers.
        parts: "image_head", "image_embeddings", or both.

    Returns:
        The model to be trained: `LossModel(train_only(model, "image_head"), losses)`.

    Raises:
        UsageError: no such part; or the model draws with tied weights, and one part is asked for. MissingExtra: PEFT is
            not installed.
    """
    if not parts or (unknown := set(parts) - set(get_args(ImagePart))):
        raise UsageError(f"parts are {parts!r}, {unknown if parts else 'none'}; expected some of {get_args(ImagePart)}")
    if hasattr(model.model, "generation_head"):
        model.requires_grad_(False)
        for name in (name for part in parts for name in JANUS_MODULES[part]):
            model.model.get_submodule(name).requires_grad_(True)
        return model
    if model.lm_head.weight is model.get_input_embeddings().weight and len(set(parts)) == 1:
        raise UsageError("head and embeddings of this model are tied; name both, image_head and image_embeddings")
    try:
        import peft
    except ModuleNotFoundError as error:
        raise MissingExtra("peft", "dev") from error
    config = peft.TrainableTokensConfig(
        token_indices=list(model.model.vocabulary_mapping.image_tokens),
        target_modules=[VOCABULARY_MODULES[part] for part in dict.fromkeys(parts)],
    )
    return peft.get_peft_model(model, config)


def trained_parameters(model: Any, *, depth: int = 2) -> dict[str, tuple[int, int]]:
    """Per module, named by its first `depth` names, how many of its numbers are trained, and of how many."""
    trained: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        module = ".".join(name.split(".")[:-1][:depth])
        total[module] += parameter.numel()
        trained[module] += parameter.numel() * parameter.requires_grad
    return {module: (trained[module], total[module]) for module in total}
