"""Who answers calls: one file a kind; each is built from its options and has `send`.

procedural          the scene engine knows what every prompt of a recipe asks, and checks by pixels; no key, no network
openai_chat         /chat/completions with pictures in and a JSON schema out: OpenAI, vLLM, SGLang, Ollama, transformers
                    serve
openai_images       /images/generations and /images/edits
                    both with `mode: batch` too: half the price, within a day
clip                similarity of pictures and texts, in this process: judges by bands, and finds pictures of this
                    machine
diffusers           a pipeline of diffusers in this process: pictures from words, or from words and a picture
openai_moderation   /moderations: plays safety
safety_classifier   classifiers of pictures and texts, in this process: plays safety
folder              pictures with captions on this machine, found by their words
replay              answers of an earlier run, from its journals
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownName
from toolkit.generation.core.keys import digest
from toolkit.generation.core.protocol import Backend
from toolkit.generation.core.spec import BATCH_OPTIONS, BackendSpec

BACKENDS: dict[str, str] = {
    "procedural": "toolkit.generation.procedural.procedural:Procedural",
    "openai_chat": "toolkit.generation.backends.openai_chat:OpenAIChat",
    "openai_images": "toolkit.generation.backends.openai_images:OpenAIImages",
    "clip": "toolkit.generation.backends.clip:Clip",
    "diffusers": "toolkit.generation.backends.diffusers_local:Diffusers",
    "openai_moderation": "toolkit.generation.backends.openai_moderation:OpenAIModeration",
    "safety_classifier": "toolkit.generation.backends.safety_classifier:SafetyClassifier",
    "folder": "toolkit.generation.backends.folder:Folder",
}


def open_backend(spec: BackendSpec, folder: Path) -> Backend:
    """
    Args:
        folder: of the shard, for backends that keep something.

    Raises:
        UnknownName: no such kind. UsageError: options it does not take. MissingExtra: a package is not installed.
    """
    if spec.kind not in BACKENDS:
        raise UnknownName("backend kind", spec.kind, BACKENDS)
    module, _, name = BACKENDS[spec.kind].partition(":")
    backend: Any = getattr(import_module(module), name)
    opened: Any = backend.from_options(
        {name: value for name, value in spec.options.items() if name not in BATCH_OPTIONS}
    )
    if spec.is_batch:
        from toolkit.generation.backends.batch import Batched

        times = {name: float(spec.options[name]) for name in ("gather_s", "poll_s") if name in spec.options}
        opened = Batched(opened, folder / "batches" / digest(spec.identity())[:12], **times)
    found: Backend = opened
    return found
