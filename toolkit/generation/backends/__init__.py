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

from pathlib import Path
from typing import cast

from toolkit.errors import UsageError
from toolkit.generation.core.keys import digest
from toolkit.generation.core.protocol import Backend
from toolkit.generation.core.spec import BATCH_OPTIONS, BackendSpec
from toolkit.registry import Registry

BACKENDS = Registry(
    "backends",
    {
        "procedural": "toolkit.generation.procedural.procedural:Procedural",
        "openai_chat": "toolkit.generation.backends.openai_chat:OpenAIChat",
        "openai_images": "toolkit.generation.backends.openai_images:OpenAIImages",
        "clip": "toolkit.generation.backends.clip:Clip",
        "diffusers": "toolkit.generation.backends.diffusers_local:Diffusers",
        "openai_moderation": "toolkit.generation.backends.openai_moderation:OpenAIModeration",
        "safety_classifier": "toolkit.generation.backends.safety_classifier:SafetyClassifier",
        "folder": "toolkit.generation.backends.folder:Folder",
    },
)


def get_backend(spec: BackendSpec) -> type[Backend]:
    """
    Raises:
        UnknownName: no such kind. UsageError: it cannot be loaded, is no backend, or takes no batches.
    """
    found = BACKENDS.load(spec.target or spec.kind)
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise UsageError(
            f"backend {spec.kind!r} is {found!r}; expected a class derived from {Backend.__module__}.Backend"
        )
    if not found.takes_batches and (given := sorted(set(BATCH_OPTIONS) & set(spec.options))):
        raise UsageError(f"backends: {spec.kind!r} takes no batches, and so none of: {', '.join(given)}")
    return found


def open_backend(spec: BackendSpec, folder: Path) -> Backend:
    """
    Args:
        folder: of the shard, for backends that keep something.

    Raises:
        UnknownName: no such kind. UsageError: options it does not take. MissingExtra: a package is not installed.
    """
    kind = get_backend(spec)
    options = {name: value for name, value in spec.options.items() if name not in BATCH_OPTIONS}
    opened = kind.from_options(options)
    if not spec.is_batch:
        return opened
    from toolkit.generation.backends.batch import Batchable, Batched

    times = {name: float(spec.options[name]) for name in ("gather_s", "poll_s") if name in spec.options}
    return Batched(cast(Batchable, opened), folder / "batches" / digest(spec.identity())[:12], **times)
