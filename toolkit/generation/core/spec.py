"""What to make, checked once; `spec_file` reads it from YAML.

Whatever changes the rows of a recipe is in its `recipe_key`; `n`, the budget, the concurrency and what is left out at
the end are not, so raising n keeps every row that is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import UsageError
from toolkit.generation.core.columns import Column, weighted
from toolkit.generation.core.keys import digest
from toolkit.generation.core.texts import public_url
from toolkit.scene.difficulty import USUAL
from toolkit.scene.names import ENGINE
from toolkit.scene.streams import Stream

ROLES = ("text", "vision", "judge", "image", "retrieve", "safety")  # safety is played only if the spec says by whom
FALLBACK = {"judge": "vision", "vision": "text", "text": "all", "image": "all", "retrieve": "all"}
PROCEDURAL = "procedural"  # kind of the scene engine
# Options of a backend that do not change what it answers.
PRIVATE = (
    *("api_key_env", "mode", "gather_s", "poll_s", "timeout_s", "max_parallel", "requests_per_minute"),
    "max_tokens_name",
)


@dataclass(frozen=True, kw_only=True)
class BackendSpec:
    """Who answers a role.

    Attributes:
        kind: a name of `backends.BACKENDS`, known or of the form "module:NAME".
        options: of that kind: base_url, model, params, ...
        target: the kind, with the path of a file made one from here.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""

    def identity(self) -> dict[str, Any]:
        """All of it that can change an answer; addresses without what is secret in them."""
        options = {name: value for name, value in self.options.items() if name not in PRIVATE}
        if isinstance(url := options.get("base_url"), str):
            options["base_url"] = public_url(url)
        return {"kind": self.kind, **options, **({"engine": ENGINE} if self.kind == PROCEDURAL else {})}

    @property
    def is_batch(self) -> bool:
        return self.options.get("mode") == "batch"

    @property
    def model(self) -> str:
        return str(self.options.get("model", self.kind))


@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """Where the records of a recipe are.

    Attributes:
        path: of a file or a folder; of a dataset of the Hub, its name.
        columns: key of a record -> column of the source.
        shape: how its rows are laid out.
        fixed: keys of every record.
    """

    path: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    shape: str = "rows"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    is_remote: bool = False

    @property
    def is_plain(self) -> bool:
        """Its lines are the records themselves."""
        return self.path.endswith(".jsonl") and not self.columns and not self.fixed and self.shape == "rows"


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Which near-duplicates of an earlier sample of the recipe `finalize` leaves out.

    Attributes:
        images: those whose pictures show the same.
        text: those whose instructions have at least this share of runs of 3 words in common; None = none.
    """

    images: bool = False
    text: float | None = None


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """How many rows of a recipe, from what.

    Attributes:
        name: of the recipe in this run.
        use: of `recipes.RECIPES`, known or of the form "module:NAME", with the path of a file made one from here.
        n: samples tried; rejected ones count.
        accept: rows after which no further sample is begun; None = all n are tried.
        source: of records, for recipes that start from one; None = the scene engine.
        options: of the recipe.
        from_nothing: where the scene engine plays, it draws no records for a recipe that can do without.
    """

    name: str
    use: str
    n: int
    accept: int | None = None
    source: SourceSpec | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    from_nothing: bool = False


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """A whole run.

    Attributes:
        max_usd: no call is sent that could pass it; None = no cap. Of N shards, each has an N-th of it.
        concurrency: samples under way at the same time, each with at most one call in flight.
        attempts: sends of a call before its sample fails.
        stop_after: samples that fail one after another before the run stops.
        prices: model -> price, over those of the price table.
        mixes: role, or step of one -> weights and names of the backends that take turns in it.
        topics: file of them; "" = those that come along.
        prompts: folder of prompts that take the place of a recipe's own; "" = none does.
        columns: drawn for each sample.
    """

    name: str
    seed: int = 0
    backends: Mapping[str, BackendSpec]
    recipes: tuple[RecipeSpec, ...]
    max_usd: float | None = None
    concurrency: int = 8
    attempts: int = 5
    stop_after: int = 10
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    duplicates: Duplicates = Duplicates()
    mixes: Mapping[str, tuple[tuple[float, str], ...]] = field(default_factory=dict)
    topics: str = ""
    prompts: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)

    def seat(self, role: str, step: str) -> str:
        """Under which name of `backends` or `mixes` a step is played: its own, or that of its role."""
        own = f"{role}.{step}"
        return own if own in self.backends or own in self.mixes else role

    def players(self, seat: str) -> tuple[tuple[float, str], ...]:
        """Weights and names of those who take turns in a seat, or in the one it falls back to; mostly one.

        Raises:
            UsageError: nobody.
        """
        found = seat
        while found not in self.backends and found not in self.mixes:
            if found not in FALLBACK:
                raise UsageError(f"backends: nobody answers {seat!r}; add {seat!r} or 'all' to the spec")
            found = FALLBACK[found]
        return self.mixes.get(found, ((1.0, seat),))

    def backend(self, name: str) -> BackendSpec:
        """
        Args:
            name: of a player: of `backends`, or of a role that falls back to one of them.
        """
        while name not in self.backends:
            if name not in FALLBACK:
                raise UsageError(f"backends: nobody answers {name!r}; add {name!r} or 'all' to the spec")
            name = FALLBACK[name]
        return self.backends[name]

    def player(self, seat: str, stream: Stream) -> str:
        """Who of a seat answers a sample with this stream."""
        players = self.players(seat)
        if len(players) == 1:
            return players[0][1]
        return weighted([(name, weight) for weight, name in players], stream)

    def recipe(self, name: str) -> RecipeSpec:
        return next(recipe for recipe in self.recipes if recipe.name == name)

    @property
    def is_procedural(self) -> bool:
        return any(backend.kind == PROCEDURAL for backend in self.backends.values())

    @property
    def difficulty(self) -> str:
        """Of what the scene engine draws, if it plays."""
        engines = (each.options for each in self.backends.values() if each.kind == PROCEDURAL)
        return next((str(each["difficulty"]) for each in engines if "difficulty" in each), USUAL)


def recipe_key(
    spec: RunSpec,
    recipe: RecipeSpec,
    *,
    version: int,
    prompts: Mapping[str, str],
    roles: Iterable[str],
    topics: str = "",
    columns: Iterable[str] = (),
) -> str:
    """Hash of all that shapes the rows of a recipe, but not of how many.

    Args:
        prompts: name -> sha256 of the prompt files it uses.
        roles: that it calls, as `RunSpec.seat` names them.
        topics: hash of those it starts from.
        columns: that its prompts name.
    """
    backends = {role: _identity(spec, role) for role in sorted(roles)}
    rest = [{"topics": topics}] if topics else []
    drawn = {name: spec.columns[name].model_dump(mode="json") for name in sorted(columns)}
    return digest(
        [
            *(recipe.name, version, spec.seed, dict(recipe.options), bool(recipe.source)),
            *(dict(sorted(prompts.items())), backends, *rest, *([{"columns": drawn}] if drawn else [])),
        ]
    )


def _identity(spec: RunSpec, role: str) -> Any:
    players = spec.players(role)
    if len(players) == 1:
        return spec.backend(players[0][1]).identity()
    return [[weight, spec.backend(name).identity()] for weight, name in players]


def sample_id(recipe_key: str, index: int, record_sha256: str) -> str:
    """Identity of one sample; that of a sample with a record changes with the record, and with no other."""
    return digest([recipe_key, index, record_sha256])[:32]
