"""What a run will take, before it is paid for: a few samples of each recipe are made by the scene engine, and their
calls counted and priced.
"""

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.generation.calls.budget import TOKENS_PER_IMAGE, Price
from toolkit.generation.core.spec import BackendSpec, RunSpec
from toolkit.generation.journal.reading import calls_in, finished, journal_paths
from toolkit.generation.runs.engine import run
from toolkit.generation.runs.plans import plan, price_for

PROBES = 6  # samples a recipe
CHARS_PER_TOKEN = (5.0, 3.0)  # low and high estimate of English with JSON
IMAGE_TOKENS = (250, TOKENS_PER_IMAGE)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """For one model in one recipe; each pair is low, high.

    Attributes:
        usd: None = no price is known.
    """

    recipe: str
    role: str
    model: str
    calls: int
    images: int
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    usd: tuple[float, float] | None


def estimate(spec: RunSpec) -> list[Estimate]:
    """Estimates per recipe and role; recipes that ask nobody have none.

    Raises:
        UsageError: the spec does not fit its sources.
    """
    found = []
    for planned in plan(spec):
        if planned.recipe.prompts:
            found += _of_recipe(spec, planned.recipe.name, planned.n)
    return found


def _of_recipe(spec: RunSpec, name: str, n: int) -> list[Estimate]:
    probes = min(PROBES, n)
    wanted = replace(spec.recipe(name), n=probes, source="")
    probe = replace(spec, backends={"all": BackendSpec(kind="procedural")}, recipes=(wanted,), max_usd=None)
    totals: dict[str, list[int]] = defaultdict(
        lambda: [0, 0, 0, 0, 0]
    )  # calls, characters in, characters out, pictures in, pictures out
    with tempfile.TemporaryDirectory(prefix="estimate-") as folder:
        run(probe, Path(folder))
        for call in calls_in(journal_paths(Path(folder))[0]):
            asked, answered = json.loads(call.request), json.loads(call.response or "{}")
            texts = len(asked["system"]) + len(asked["user"]) + len(json.dumps(asked["schema"] or ""))
            counts = (1, texts, len(answered["text"]), len(asked["images"]), len(answered["pictures"]))
            seat = spec.seat(call.role, call.step)
            totals[seat] = [one + other for one, other in zip(totals[seat], counts, strict=True)]
        if "safety" in spec.backends:  # the scene engine has no say in it: one call a row, as long as the row
            for columns in (
                json.loads(sample.row) for sample in finished(Path(folder), name, with_rows=True) if sample.row
            ):
                texts = sum(len(part["text"]) for message in columns["messages"] for part in message["content"])
                totals["safety"] = [
                    one + other
                    for one, other in zip(totals["safety"], (1, texts, 40, len(columns["images"]), 0), strict=True)
                ]
    return [
        _priced(spec, name, role, [value * n / probes for value in counts]) for role, counts in sorted(totals.items())
    ]


def _priced(spec: RunSpec, recipe: str, role: str, counts: list[float]) -> Estimate:
    calls, chars_in, chars_out, images_in, images_out = counts
    backend = spec.backend(role)
    price = price_for(spec, backend)
    tokens_in = [
        round(chars_in / per_token + images_in * per_image)
        for per_token, per_image in zip(CHARS_PER_TOKEN, IMAGE_TOKENS, strict=True)
    ]
    tokens_out = [round(chars_out / per_token) for per_token in CHARS_PER_TOKEN]
    usd = [_usd(price, *tokens, images_out) for tokens in zip(tokens_in, tokens_out, strict=True)] if price else None
    return Estimate(
        recipe=recipe,
        role=role,
        model=backend.model,
        calls=round(calls),
        images=round(images_out),
        input_tokens=(tokens_in[0], tokens_in[1]),
        output_tokens=(tokens_out[0], tokens_out[1]),
        usd=(usd[0], usd[1]) if usd else None,
    )


def _usd(price: Price, tokens_in: int, tokens_out: int, images: float) -> float:
    return (tokens_in * price.input_per_mtok + tokens_out * price.output_per_mtok) / 1e6 + images * price.per_image
