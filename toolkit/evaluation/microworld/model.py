"""A real Chameleon of 0.1 M parameters, with a word tokenizer, and the micro-world's codes in place of a VQ encoder."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from toolkit.collate.chameleon import ChameleonCollator
from toolkit.collate.common import IGNORE_INDEX, Sample
from toolkit.collate.loss import TokenLosses, vocabulary_losses
from toolkit.evaluation.microworld.items import words
from toolkit.evaluation.microworld.world import NUM_CODES, encode, paint

_CONTROL = ("<s>", "</s>", "<pad>", "<unk>", "<reserved08706>", "<image>", "<racm3:break>", "<eoss>")
LAYERS: dict[str, int] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}


class Codes:
    """The micro-world's lossless codes as an image tokenizer of Chameleon."""

    revision = "microworld 1"
    can_decode = True

    def __init__(self, first_id: int) -> None:
        self.first_id = first_id

    def encode(self, images: list[Image.Image]) -> list[Tensor]:
        """int64 (16,) a picture."""
        return [torch.tensor(encode(image)) + self.first_id for image in images]

    def decode(self, ids: Sequence[Tensor]) -> list[Image.Image]:
        """Pictures of 32 x 32 pixels."""
        return [paint((each - self.first_id).clamp(0, NUM_CODES - 1).tolist()) for each in ids]


def _letters(number: int) -> str:
    return "".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:02d}")


def _tokenizer() -> Any:
    """A token a word; the codes are named as Chameleon names them."""
    codes = [f"IMGIMG{_letters(number)}Z" for number in range(NUM_CODES)]
    vocabulary = {word: n for n, word in enumerate([*_CONTROL, *codes, *words()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([*_CONTROL, *codes])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        sep_token="<reserved08706>",
        extra_special_tokens={"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>"},
    )


def make_model(seed: int) -> SimpleNamespace:
    """`model` with random weights, `collator`, and `num_parameters` without those of the unused VQ part."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    vq = {"base_channels": 32, "channel_multiplier": [1, 1, 1, 1], "num_res_blocks": 1}
    config = transformers.ChameleonConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        vocabulary_map=tokenizer.get_vocab(),
        vq_config={"embed_dim": 8, "num_embeddings": 8, "latent_channels": 8, "resolution": 16, **vq},
        **LAYERS,
    )
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = transformers.ChameleonProcessor(
        transformers.ChameleonImageProcessor(**size), tokenizer, image_seq_length=16
    )
    model = transformers.ChameleonForConditionalGeneration(config)
    model.model.vqmodel = torch.nn.Identity()  # pictures come as codes
    codes = Codes(tokenizer.convert_tokens_to_ids(f"IMGIMG{_letters(0)}Z"))
    return SimpleNamespace(
        model=model,
        collator=RememberingCollator(processor, image_tokens=codes),
        num_parameters=sum(each.numel() for each in model.parameters() if each.requires_grad),
    )


class RememberingCollator(ChameleonCollator):
    """Encodes each row once: epochs over a small dataset see the same tokens again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: dict[str, Sample] = {}

    def encode(self, row: Mapping[str, Any]) -> Sample:
        if row["id"] not in self._seen:
            self._seen[row["id"]] = super().encode(row)
        return self._seen[row["id"]]

    def encode_prompt(self, row: Mapping[str, Any]) -> Sample:
        return super().encode({**row, "id": f"{row['id']}?", "messages": row["messages"][:1]})


def row_mean_losses(model: Any, batch: Mapping[str, Tensor]) -> TokenLosses:
    """As `vocabulary_losses`, with every row weighing alike however many tokens it has to write."""
    losses = vocabulary_losses(model, batch)
    supervised = batch["labels"][:, 1:] != IGNORE_INDEX
    counts = supervised.sum(1)
    weights = (supervised.sum() / (len(counts) * counts.clamp(min=1)))[:, None].expand(supervised.shape)[supervised]
    image_tokens = torch.tensor(model.model.vocabulary_mapping.image_tokens)
    is_image = torch.isin(batch["labels"][:, 1:][supervised], image_tokens)
    return TokenLosses(losses.text * weights[~is_image], losses.image * weights[is_image])
