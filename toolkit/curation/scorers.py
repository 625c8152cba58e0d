"""Who says how well pictures fit a text.

scene    the verifier of the scene engine reads picture and caption, and compares them exactly; procedural rows alone
clip     cosines of CLIP, SigLIP or their kin, in this process
others   any backend of `generate` that answers a chat about pictures: 0 to 1, by a question of our own; with an option
         `price` more than the backend has, see `Judge`

Another is declared in the entry-point group `unifiedvisual.scorers`: called with its options, it gives a Scorer.
"""

import asyncio
import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from toolkit.curation.fits import Fit
from toolkit.errors import ImageError, UnknownName, UsageError
from toolkit.generation.backends import BACKENDS, check_backend, common_options, get_backend, open_backend
from toolkit.generation.backends.embedder import Embedder, TransformersEmbedder
from toolkit.generation.backends.local import LocalOptions, require
from toolkit.generation.calls.budget import Budget, BudgetReached
from toolkit.generation.calls.calls import CallSite
from toolkit.generation.calls.limits import Lane
from toolkit.generation.calls.prices import Asked, Price
from toolkit.generation.calls.seats import CallFailed, Seat
from toolkit.generation.calls.sending import CALL_TIMEOUT_S
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import Origin, Request
from toolkit.generation.core.spec import BackendSpec
from toolkit.generation.journal import Journal
from toolkit.generation.journal.reading import spent
from toolkit.generation.procedural.judges import pixels
from toolkit.generation.runs.plans import price_for
from toolkit.registry import Registry
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import ReadScene, read_caption

SCORERS = Registry("scorers", {"scene": "toolkit.curation.scorers:Scene", "clip": "toolkit.curation.scorers:Clip"})
BATCH, CONCURRENCY, ATTEMPTS = 64, 8, 3


class Score(NamedTuple):
    """`value` None: not scored, and `detail` begins with the reason in one word or two and a colon."""

    value: float | None
    detail: str = ""


class Scorer(Protocol):
    """Made with its options, checked; opens what it needs when it first scores, and travels to workers before that.

    Attributes:
        identity: all that its scores depend on, JSON.
    """

    identity: dict[str, Any]

    def score(self, fits: Sequence[Fit], folder: Path) -> Iterator[Score]:
        """
        Args:
            folder: for what must outlive the process.
        """


def open_scorer(name: str, options: Mapping[str, Any]) -> Scorer:
    """
    Raises:
        UnknownName: neither a scorer nor a backend. UsageError: options it does not take.
    """
    if name in SCORERS:
        made: Scorer = SCORERS.load(name)(dict(options))
        return made
    if name not in BACKENDS and ":" not in name:
        raise UnknownName("scorer", name, {*SCORERS, *BACKENDS})
    return Judge(name, dict(options))


class Scene:
    """Shares of the things, ground and style that picture and caption have in common; 1.0 = the same."""

    def __init__(self, options: dict[str, Any]) -> None:
        if options:
            raise UsageError(f"scene takes no options, found {', '.join(sorted(options))}")
        self.identity: dict[str, Any] = {"scorer": "scene", "version": 1}

    def score(self, fits: Sequence[Fit], folder: Path) -> Iterator[Score]:
        for fit in fits:
            if fit.origin != "procedural":
                yield Score(None, "not a scene: the row is not procedural")
                continue
            texts = [fit.text] if fit.kind != "edit" else fit.captions
            try:
                told = [read_caption(text) for text in texts]
            except ValueError:
                yield Score(None, "no scene caption: the text does not tell a whole scene")
                continue
            yield self._compared(fit, told)

    def _compared(self, fit: Fit, told: Sequence[ReadScene]) -> Score:
        try:
            shown = [read_picture(pixels(image)) for image in fit.images]
        except ImageError as error:
            return Score(None, f"bad image: {error}")
        if fit.kind == "edit" and told[0] == told[1]:
            return Score(0.0, "nothing was to change")
        found = [_overlap(one, other) for one, other in zip(told, shown, strict=True)]
        return min(found, key=lambda each: each.value or 0.0)


def _overlap(told: ReadScene, shown: ReadScene) -> Score:
    wanted, found = (Counter([*map(str, each.things), each.background, each.style]) for each in (told, shown))
    common, union = (wanted & found).total(), (wanted | found).total()
    missing = ", ".join([*(wanted - found)][:2])
    return Score(common / union, f"missing: {missing}" if missing else "")


class Clip:
    """Cosine of a picture and a text. Of an edit: how much nearer the result is to the instruction than what it was
    made from, as a difference of cosines; `detail` has the cosine of the two pictures.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        given = read_options(LocalOptions, options, "clip")
        require("transformers")
        self._options = given.model_dump()
        self.identity: dict[str, Any] = {"scorer": "clip", **self._options}

    @cached_property
    def _embedder(self) -> Embedder:
        return TransformersEmbedder(self._options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_embedder"}

    def score(self, fits: Sequence[Fit], folder: Path) -> Iterator[Score]:
        for start in range(0, len(fits), BATCH):
            yield from self._some(fits[start : start + BATCH])

    def _some(self, fits: Sequence[Fit]) -> Iterator[Score]:
        images, bad = self._images({image for fit in fits for image in fit.images})
        texts = list(dict.fromkeys(fit.text for fit in fits))
        words = dict(zip(texts, self._embedder.texts(texts), strict=True))
        for fit in fits:
            if problem := next((bad[image] for image in fit.images if image in bad), ""):
                yield Score(None, f"bad image: {problem}")
                continue
            cosines = [float(images[image] @ words[fit.text]) for image in fit.images]
            if fit.kind == "edit":
                pair = float(images[fit.images[0]] @ images[fit.images[1]])
                yield Score(cosines[1] - cosines[0], f"pictures: {pair:.4f}")
            else:
                yield Score(cosines[0])

    def _images(self, encoded: set[bytes]) -> tuple[dict[bytes, Any], dict[bytes, str]]:
        """Vectors of those that can be decoded, and what is wrong with the others."""
        listed, bad = sorted(encoded), dict[bytes, str]()
        try:
            return dict(zip(listed, self._embedder.images(listed), strict=True)), bad
        except ImageError:
            vectors = {}
            for image in listed:
                try:
                    vectors[image] = self._embedder.images([image])[0]
                except ImageError as error:
                    bad[image] = str(error)
            return vectors, bad


SYSTEM = "You judge how well pictures fit a text. You are strict about objects, their number, colours and places."
ASKED = {
    "caption": "The text is said to describe the picture: {text}",
    "text": "The text stands beside the picture in a document: {text}",
    "edit": "The second picture was made from the first by this instruction: {text}",
}
REPLY = (
    "1. problem: the most serious misfit; an empty string if there is none.\n"
    "2. score: 0 (they have nothing to do with one another) to 100 (a perfect fit; of an edit: done as told, and "
    "nothing else changed)."
)
SCHEMA = {
    "type": "object",
    "properties": {"problem": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["problem", "score"],
    "additionalProperties": False,
}


class Judge:
    """A model that is asked, through a backend of `generate`. Answers are journaled in the folder of the unit, so that
    no call is paid for twice.

    Args:
        options: of the backend; and `price`, of its model in US dollars, for a cap where the table of prices has none:
            `{input_per_mtok: 0.4, output_per_mtok: 1.6}`, `{}` for a model that costs nothing.
    """

    def __init__(self, kind: str, options: dict[str, Any]) -> None:
        self._spec = BackendSpec(kind=kind, options={name: each for name, each in options.items() if name != "price"})
        check_backend(self._spec)
        if not isinstance(stated := options.get("price", {}), dict):
            raise UsageError(f"price is {stated!r}; expected amounts, as {{input_per_mtok: 0.4, output_per_mtok: 1.6}}")
        self._price: Price | None = price_for(self._spec, {self._spec.model: stated} if "price" in options else {})
        self._max_usd: float | None = None
        self.identity: dict[str, Any] = {"scorer": self._spec.identity(), "question": [SYSTEM, ASKED, REPLY]}

    def check_free(self) -> None:
        """
        Raises:
            UsageError: the model is known to cost money.
        """
        if self._price and any((self._price.input_per_mtok, self._price.output_per_mtok, self._price.image_rate)):
            told = "costs money for every picture; say how much it may spend with max_usd, in US dollars"
            raise UsageError(f"{self._spec.model} {told}")

    def capped(self, max_usd: float) -> "Judge":
        """The same, that spends no more than so much in a folder.

        Raises:
            UsageError: no price is known, or no limit of what the model may write.
        """
        if self._price is None:
            raise UsageError(
                f"{self._spec.model}: no price is known, so a cap means nothing; give the option price, in US dollars, "
                'as price="{input_per_mtok: 0.4, output_per_mtok: 1.6}", or {} where it costs nothing'
            )
        if self._price.output_per_mtok and not Asked.by(self._spec.options.get("params") or {}).is_limited:
            raise UsageError("params send no limit of output, so a cap means nothing; set max_tokens")
        other = copy.copy(self)
        other._max_usd = max_usd
        return other

    def score(self, fits: Sequence[Fit], folder: Path) -> Iterator[Score]:
        yield from asyncio.run(self._all(fits, folder))

    async def _all(self, fits: Sequence[Fit], folder: Path) -> list[Score]:
        journal, blobs = Journal(path := folder / "journal.sqlite3"), Blobs(folder / "blobs")
        calls = CallSite(journal, blobs, Budget(self._max_usd, spent=spent(path)), attempts=ATTEMPTS)
        backend = open_backend(self._spec, folder)
        seat = self._seat(backend)
        turns = asyncio.Semaphore(common_options(self._spec).max_parallel or CONCURRENCY)

        async def one(number: int, fit: Fit) -> Score:
            async with turns:
                return await _ask(calls, seat, fit, number)

        tasks = [asyncio.create_task(one(number, fit)) for number, fit in enumerate(fits)]
        try:
            return list(await asyncio.gather(*tasks))
        except BudgetReached:
            await asyncio.wait(tasks)  # what is under way is paid for
            raise
        finally:
            for task in tasks:
                task.cancel()
            await backend.close()
            journal.close()

    def _seat(self, backend: Any) -> Seat:
        common = common_options(self._spec)
        lane = Lane(
            name=self._spec.model,
            most=common.max_parallel or CONCURRENCY,
            per_minute=common.requests_per_minute,
            adapts=not get_backend(self._spec).is_local,
            timeout_s=common.timeout_s or CALL_TIMEOUT_S,
        )
        return Seat(
            role="judge",
            identity=self._spec.identity(),
            model=self._spec.model,
            backend=backend,
            price=self._price,
            lane=lane,
            asked=Asked.by(self._spec.options.get("params") or {}),
        )


async def _ask(calls: CallSite, seat: Seat, fit: Fit, number: int) -> Score:
    request = Request(
        kind="chat",
        step=f"align_{fit.kind}",
        system=SYSTEM,
        user=f"{ASKED[fit.kind].format(text=fit.text)}\n{REPLY}",
        images=fit.images,
        schema=SCHEMA,
        seed=0,
        origin=Origin(recipe="align", seed=0, index=number, values={"caption": fit.text}),
    )
    try:
        answer = await calls.call(seat, request, sample=f"{fit.id} {fit.kind} {fit.image}")
    except CallFailed as failed:
        return Score(None, f"{failed.reason}: {failed.detail}")
    return Score(float(np.clip(answer.value["score"], 0, 100)) / 100, str(answer.value["problem"]))
