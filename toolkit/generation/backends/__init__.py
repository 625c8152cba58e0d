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
from typing import Literal, cast

from pydantic import Field

from toolkit.errors import UsageError
from toolkit.generation.core.keys import digest
from toolkit.generation.core.options import Options, read_options
from toolkit.generation.core.protocol import Backend
from toolkit.generation.core.spec import BackendSpec
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


class CommonOptions(Options):
    """What every backend takes.

    Attributes:
        mode: "batch" = calls are gathered into batches; see `batch` for gather_s and poll_s.
        timeout_s: of a call, from when its server can have begun with it.
        max_parallel: calls under way at the same time.
        requests_per_minute: calls begun.
    """

    mode: Literal["direct", "batch"] = "direct"
    gather_s: float = Field(10.0, ge=0)
    poll_s: float = Field(15.0, gt=0)
    timeout_s: float | None = Field(None, gt=0)
    max_parallel: int | None = Field(None, ge=1)
    requests_per_minute: float | None = Field(None, gt=0)


def get_backend(spec: BackendSpec) -> type[Backend]:
    """
    Raises:
        UnknownName: no such kind. UsageError: it cannot be loaded, or is no backend.
    """
    found = BACKENDS.load(spec.target or spec.kind)
    if not (isinstance(found, type) and issubclass(found, Backend)):
        expected = f"a class derived from {Backend.__module__}.Backend"
        raise UsageError(f"backend {spec.kind!r} is {found!r}; expected {expected}")
    return found


def common_options(spec: BackendSpec) -> CommonOptions:
    """
    Raises:
        UsageError: they are wrong.
    """
    given = {name: value for name, value in spec.options.items() if name in CommonOptions.model_fields}
    return read_options(CommonOptions, given, f"backends: {spec.kind!r}")


def check_backend(spec: BackendSpec) -> type[Backend]:
    """All that can be known of a backend without opening it.

    Raises:
        UnknownName: no such kind. UsageError: options that it does not take.
    """
    kind = get_backend(spec)
    batch = [name for name in ("mode", "gather_s", "poll_s") if name in spec.options]
    common_options(spec)
    if batch and not kind.takes_batches:
        raise UsageError(f"backends: {spec.kind!r} takes no batches, and so none of: {', '.join(batch)}")
    if kind.options:
        read_options(kind.options, _own(spec), f"backends: {spec.kind!r}")
    return kind


def _own(spec: BackendSpec) -> dict[str, object]:
    return {name: value for name, value in spec.options.items() if name not in CommonOptions.model_fields}


def open_backend(spec: BackendSpec, folder: Path) -> Backend:
    """
    Args:
        folder: of the part, for backends that keep something.

    Raises:
        UnknownName: no such kind. UsageError: options it does not take. MissingExtra: a package is not installed.
    """
    opened, common = check_backend(spec).from_options(_own(spec)), common_options(spec)
    if common.mode == "direct":
        return opened
    from toolkit.generation.backends.batch import Batchable, Batched

    kept = folder / "batches" / digest(spec.identity())[:12]
    return Batched(cast(Batchable, opened), kept, gather_s=common.gather_s, poll_s=common.poll_s)
