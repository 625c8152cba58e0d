"""Texts and pictures -> unit vectors of one space, by CLIP, SigLIP and their kin in transformers."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import SourceError
from toolkit.generation.backends.local import device_of
from toolkit.images import decode_image

BATCH = 32
Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Rows are unit vectors, so that products are cosines.

    Attributes:
        revision: changes when the same picture may get another vector.
    """

    revision: str

    def texts(self, texts: Sequence[str]) -> Vectors: ...

    def images(self, images: Sequence[bytes]) -> Vectors: ...


class TransformersEmbedder:
    """
    Args:
        options: model, and revision, device, dtype if need be.

    Raises:
        SourceError: the model cannot be loaded.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        try:
            self._load(options)
        except Exception as error:  # of transformers, and of what it reads with
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SourceError(
                f"model {options['model']}: cannot be loaded: {reason}; expected CLIP, SigLIP or their kin, in a "
                "folder or on the Hub, org/name"
            ) from error

    def _load(self, options: dict[str, Any]) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        name, revision, dtype = options["model"], options.get("revision") or "main", options.get("dtype", "float32")
        loaders: list[Any] = [AutoModel, AutoTokenizer, AutoImageProcessor]  # not typed
        self._model = (
            loaders[0]
            .from_pretrained(name, revision=revision, dtype=getattr(torch, dtype))
            .to(device_of(options))
            .eval()
        )
        self._tokenizer = loaders[1].from_pretrained(name, revision=revision)
        self._processor = loaders[2].from_pretrained(name, revision=revision, backend="pil")
        # SigLIP is trained on texts of full length (its model card); CLIP stops at the end token.
        self._padding: Any = "max_length" if self._model.config.model_type.startswith("siglip") else True
        self._max_tokens = self._model.config.text_config.max_position_embeddings
        self.revision = f"{getattr(self._model.config, '_commit_hash', None) or _fingerprint(Path(name))}-{dtype}"

    def texts(self, texts: Sequence[str]) -> Vectors:
        """(len(texts), D); what is longer than the model reads is cut off."""
        return self._batches(texts, self._some_texts)

    def images(self, images: Sequence[bytes]) -> Vectors:
        """(len(images), D)."""
        return self._batches(images, self._some_images)

    def _some_texts(self, texts: Sequence[str]) -> Any:
        inputs = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        )
        names = ("input_ids", "attention_mask")
        return self._model.get_text_features(
            **{name: inputs[name].to(self._model.device) for name in names if name in inputs}
        )

    def _some_images(self, images: Sequence[bytes]) -> Any:
        inputs = self._processor([decode_image(image, "picture") for image in images], return_tensors="pt")
        return self._model.get_image_features(
            pixel_values=inputs["pixel_values"].to(self._model.device, self._model.dtype)
        )

    def _batches(self, items: Sequence[Any], embed: Any) -> Vectors:
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(items), BATCH):
                features = embed(items[start : start + BATCH])
                features = getattr(features, "pooler_output", features)  # transformers 5 gives an output object
                found.append(torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy())
        return np.concatenate(found)


def _fingerprint(folder: Path) -> str:
    """Of a model in a folder, which has no commit: names, sizes and times of its files."""
    files = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.glob("*")) if path.is_file()
    ]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:40]
