"""What a run will take, before it is paid for.

What is expected: a few samples of each recipe are made by the scene engine, and their calls counted and priced; of a
recipe that it cannot play, each prompt counts once. And the most: every call as long as it may be, cut, repaired, and
paid for as often as it is ever sent.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from toolkit.errors import ImageError, RunStopped
from toolkit.generation.calls.calls import RAISED
from toolkit.generation.calls.prices import BYTES_PER_TOKEN, TEMPLATE_TOKENS, Asked, Price, image_tokens, output_reserve
from toolkit.generation.calls.sending import PAID_TRIES
from toolkit.generation.core.prompting import Prompt
from toolkit.generation.core.records import Rejected
from toolkit.generation.core.spec import BackendSpec, RunSpec
from toolkit.generation.journal.reading import calls_in, finished, journal_paths
from toolkit.generation.recipes.recipe import SAFETY_PROMPT
from toolkit.generation.runs.engine import run
from toolkit.generation.runs.plans import Planned, check_budget, plan, player_of, price_for
from toolkit.images import image_size

PROBES = 6  # samples a recipe
CHARS_PER_TOKEN = (5.0, 3.0)  # low and high estimate of English with JSON
IMAGE_TOKENS = (250, 1600)
DRAWN_PX, DRAWN = 1536, 2  # side and number of pictures made by models that a call may send
FOUND = 7  # and of found ones
LOOKED_AT = 64  # records whose pictures are measured
REPLY_CHARS = 600  # of a recipe that cannot be tried


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """For one model in one recipe; each pair is low, high of what is expected.

    Attributes:
        usd: None = no price is known.
        most_usd: no run costs more, where the server bills as its price says.
    """

    recipe: str
    role: str
    model: str
    calls: int
    images: int
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    usd: tuple[float, float] | None
    most_usd: float | None


@dataclass(kw_only=True)
class _Counts:
    """Of the calls to one seat."""

    calls: float = 0
    chars_in: float = 0
    chars_out: float = 0
    images_in: float = 0
    images_out: float = 0

    def add(self, *counts: float) -> None:
        for name, count in zip(self.__dataclass_fields__, counts, strict=True):
            setattr(self, name, getattr(self, name) + count)


def estimate(spec: RunSpec) -> list[Estimate]:
    """Estimates per recipe and role; recipes that ask nobody have none.

    Raises:
        UsageError: the spec does not fit its sources.
    """
    planned = plan(spec)
    check_budget(spec, planned)
    return [found for each in planned for found in _of_recipe(spec, each)]


def _of_recipe(spec: RunSpec, planned: Planned) -> Iterator[Estimate]:
    counts: dict[str, _Counts] = {role: _Counts() for role in planned.roles}
    samples = _tried(spec, planned, counts) if planned.recipe.script and planned.n else _counted(spec, planned, counts)
    for role, found in sorted(counts.items()):
        names = [name for _, name in spec.players(role)]
        shares = Counter(player_of(spec, planned.recipe.name, role, index) for index in range(planned.n))
        for seat in names:
            share = planned.n if len(names) == 1 else shares[seat]
            mine = _Counts(**{name: value * share / max(samples, 1) for name, value in asdict(found).items()})
            yield _priced(spec, planned, role, seat, mine, share)


def _tried(spec: RunSpec, planned: Planned, counts: dict[str, _Counts]) -> int:
    """Count the calls of a few samples of the scene engine; returns how many."""
    samples = min(PROBES, planned.n)
    wanted = spec.recipe(planned.recipe.name)
    wanted = replace(
        wanted, n=samples, accept=None, source=None, from_nothing=not (wanted.source or spec.is_procedural)
    )
    backends = {"all": BackendSpec(kind="procedural")}
    with tempfile.TemporaryDirectory(prefix="estimate-") as folder:
        tried = replace(spec, backends=backends, mixes={}, recipes=(wanted,), max_usd=None)
        if run(tried, Path(folder))["failed"] == samples:
            failed = next(finished(Path(folder), wanted.name))
            raise RunStopped(
                f"recipes.{wanted.name}: nothing can be estimated: all of {samples} samples tried with the scene "
                f"engine failed, the first at {failed.step}: {failed.reason}: {failed.detail}"
            )
        for call in calls_in(journal_paths(Path(folder))[0]):
            asked, answered = json.loads(call.request), json.loads(call.response or "{}")
            texts = len(asked["system"]) + len(asked["user"]) + len(json.dumps(asked["schema"] or ""))
            pictures = len(asked["images"]), len(answered.get("pictures", ()))
            counts[spec.seat(call.role, call.step)].add(1, texts, len(answered.get("text", "")), *pictures)
        if "safety" in spec.backends:  # the scene engine has no say in it: one call a row, as long as the row
            rows = (sample.row for sample in finished(Path(folder), planned.recipe.name, with_rows=True))
            for columns in map(json.loads, filter(None, rows)):
                texts = sum(len(part["text"]) for message in columns["messages"] for part in message["content"])
                counts["safety"].add(1, texts, 40, len(columns["images"]), 0)
    return samples


def _counted(spec: RunSpec, planned: Planned, counts: dict[str, _Counts]) -> int:
    """Count each prompt once, for one sample."""
    for prompt in planned.prompts.values():
        is_chat = prompt.kind == "chat"
        texts = len(prompt.system) + len(prompt.user) + len(json.dumps(prompt.schema or "")) + REPLY_CHARS
        counts[spec.seat(prompt.role, prompt.step)].add(1, texts, REPLY_CHARS if is_chat else 0, 1, not is_chat)
    return 1


def _priced(spec: RunSpec, planned: Planned, role: str, seat: str, counts: _Counts, samples: int) -> Estimate:
    backend = spec.backend(seat)
    price = price_for(backend, spec.prices)
    tokens_in = [
        round(counts.chars_in / per_token + counts.images_in * per_image)
        for per_token, per_image in zip(CHARS_PER_TOKEN, IMAGE_TOKENS, strict=True)
    ]
    tokens_out = [round(counts.chars_out / per_token) for per_token in CHARS_PER_TOKEN]
    asked = Asked.by(backend.options.get("params") or {})
    drawn = counts.images_out * output_reserve(price, "generate", asked) if price else 0.0
    usd = [_usd(price, *tokens) + drawn for tokens in zip(tokens_in, tokens_out, strict=True)] if price else None
    return Estimate(
        recipe=planned.recipe.name,
        role=seat,
        model=backend.model,
        calls=round(counts.calls),
        images=round(counts.images_out),
        input_tokens=(tokens_in[0], tokens_in[1]),
        output_tokens=(tokens_out[0], tokens_out[1]),
        usd=(usd[0], usd[1]) if usd else None,
        most_usd=samples * _most(spec, planned, role, price, asked) if price else None,
    )


def _usd(price: Price, tokens_in: int, tokens_out: int) -> float:
    return (tokens_in * price.input_per_mtok + tokens_out * price.output_per_mtok) / 1e6


def _most(spec: RunSpec, planned: Planned, role: str, price: Price, asked: Asked) -> float:
    """The most that the calls of a sample to a role can cost."""
    total = 0.0
    for name, prompt in planned.prompts.items():
        if spec.seat(prompt.role, prompt.step) == role:
            calls = 1 if name == SAFETY_PROMPT else planned.recipe.calls.get(name, 1)
            total += calls * PAID_TRIES * _most_of_call(spec, planned, prompt, price, asked)
    return total


def _most_of_call(spec: RunSpec, planned: Planned, prompt: Prompt, price: Price, asked: Asked) -> float:
    raised = RAISED * asked.max_output_tokens
    longest_reply = max(RAISED * _asked(spec, each).max_output_tokens for each in planned.seats) * BYTES_PER_TOKEN
    texts = len((prompt.system + prompt.user + json.dumps(prompt.schema or "")).encode())
    texts += len(prompt.names) * max(longest_reply, planned.records.longest)
    sent = (TEMPLATE_TOKENS + texts) * price.input_per_mtok + _most_image_tokens(planned, price) * price.image_rate
    first = sent / 1e6 + output_reserve(price, prompt.kind, asked)
    if prompt.kind != "chat":
        return first
    again = sent / 1e6 + output_reserve(price, "chat", asked, raised)
    repaired = again + (raised * BYTES_PER_TOKEN + texts) * price.input_per_mtok / 1e6
    return first + again + repaired


def _asked(spec: RunSpec, seat: str) -> Asked:
    return Asked.by(spec.backend(seat).options.get("params") or {})


def _most_image_tokens(planned: Planned, price: Price) -> int:
    """Of all pictures of a record, and of those that models make or find on the way."""
    kinds = {prompt.kind for prompt in planned.prompts.values()}
    on_the_way = DRAWN * bool(kinds & {"generate", "edit"}) + FOUND * ("retrieve" in kinds)
    return _record_tokens(planned, price) + on_the_way * image_tokens(price.image_tokens, DRAWN_PX, DRAWN_PX)


def _record_tokens(planned: Planned, price: Price) -> int:
    most = 0
    for index in range(min(planned.n, LOOKED_AT) if planned.recipe.record else 0):
        try:
            images = planned.records.read(index, 0).images.values()
            sizes = [image_size(image) for image in images]
        except (Rejected, ImageError):
            continue
        most = max(most, sum(image_tokens(price.image_tokens, *size) for size in sizes))
    return most
