"""What a spec may say, of which kind, with which default; `spec_file` reads it."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictInt,
    Tag,
    model_validator,
)

from toolkit.generation.core.options import TAG

MAX_SAMPLES = 100_000_000  # of a recipe; `plan` looks at each, 2.5 s for a million
Count = Annotated[StrictInt, Field(ge=1, le=MAX_SAMPLES)]
MAX_CONCURRENCY = 100_000  # a task of some kB for each; as many as a batch of a provider takes


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackendFile(BaseModel):
    """Who answers: a kind and its options; `generate schema --kind KIND` lists them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str


class MemberFile(BackendFile):
    """One of a mix.

    Attributes:
        weight: how many samples it gets, next to those of the others.
    """

    weight: float = Field(1.0, gt=0, allow_inf_nan=False)


class MixFile(_Model):
    """Several that take turns, sample by sample."""

    mix: list[MemberFile] = Field(min_length=2)


BackendOrMix = Annotated[
    Annotated[BackendFile, Tag(f"{TAG}BackendFile")] | Annotated[MixFile, Tag(f"{TAG}MixFile")],
    Discriminator(lambda value: f"{TAG}MixFile" if isinstance(value, dict) and "mix" in value else f"{TAG}BackendFile"),
]


class SourceFile(_Model):
    """Where the records of a recipe are.

    Attributes:
        path: .jsonl, .parquet, .csv, a folder of pictures, a packed dataset, or a dataset of the Hub (org/name).
        config, split, revision: of a dataset.
        columns: key of a record -> column of the source; by default the same.
        shape: how the rows are laid out: a key of `sources.SHAPES`, or "module:NAME".
        fixed: keys of every record, as license.
    """

    path: str = Field(min_length=1)
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    columns: dict[str, str] = {}
    shape: str = "rows"
    fixed: dict[str, Any] = {}


class RecipeFile(_Model):
    """How many rows of a recipe, from what.

    Attributes:
        n: samples tried; rejected ones count.
        accept: rows after which no further sample is begun.
        use: a recipe by another name, or of a file: "./mine/recipe.py:RECIPE".
        source: a path, or more of it.
        options: of the recipe.
    """

    n: Count | None = None
    accept: Count | None = None
    use: str | None = None
    source: Annotated[
        SourceFile | None,
        BeforeValidator(lambda value: _sourced(value), json_schema_input_type=str | SourceFile | None),
    ] = None
    options: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_counted(self) -> "RecipeFile":
        if self.n is None and self.accept is None:
            raise ValueError("n is missing: how many samples are tried; or accept: after how many rows to stop")
        if self.n is not None and self.accept is not None and self.accept > self.n:
            raise ValueError(f"accept is {self.accept}, but only n = {self.n} samples are tried")
        return self


class BudgetFile(_Model):
    """
    Attributes:
        max_usd: no call is sent that could pass it.
    """

    max_usd: float | None = Field(None, ge=0, strict=True, allow_inf_nan=False)


class DuplicatesFile(_Model):
    """Samples that `finalize` leaves out because they are near-duplicates of an earlier one of their recipe.

    Attributes:
        images: by pHash, and then by pixels.
        text: share of the 3-word runs that two instructions have in common (Jaccard, by MinHash).
    """

    images: bool = False
    text: float | None = Field(None, gt=0, le=1)


class SpecFile(_Model):
    """A spec of `unifiedvisual generate`."""

    name: Annotated[str, BeforeValidator(str), Field(min_length=1)] = "run"
    seed: Annotated[StrictInt, Field(ge=0)] = 0
    topics: str | None = None
    prompts: str | None = None
    columns: dict[str, Any] | None = None
    backends: dict[str, BackendOrMix] | None = None
    recipes: dict[
        str,
        Annotated[
            RecipeFile, BeforeValidator(lambda value: _counted(value), json_schema_input_type=Count | RecipeFile)
        ],
    ]
    budget: BudgetFile | None = None
    concurrency: StrictInt = Field(8, ge=1, le=MAX_CONCURRENCY)
    attempts: Count = 5
    stop_after: Count = 10
    prices: dict[str, dict[str, Any]] | None = None
    duplicates: DuplicatesFile | None = None


def _counted(value: Any) -> Any:
    """`name: 10` is `name: {n: 10}`."""
    return value if isinstance(value, (dict, RecipeFile)) else {"n": value}


def _sourced(value: Any) -> Any:
    """`source: PATH` is `source: {path: PATH}`."""
    return {"path": value} if isinstance(value, str) else value
