"""What calls cost, and the cap. Money is in US dollars.

A call is paid for in advance: its highest price is reserved before it is sent, and settled by what the server says it
used. A model without a price costs "unknown", which is not nothing: under a cap it is not called.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from toolkit.errors import RunStopped, UsageError
from toolkit.generation.core.protocol import Request, Usage

BATCH_FACTOR = 0.5  # Source: platform.openai.com/docs/guides/batch
CHARS_PER_TOKEN = 2  # low on purpose: English has about four, so a reserve is high
TOKENS_PER_IMAGE = 1600  # of a picture that is sent; high on purpose
MAX_OUTPUT_TOKENS = 2048  # asked for where a backend sets no other


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per million tokens, and per picture made."""

    input_per_mtok: float = 0.0
    output_per_mtok: float = 0.0
    per_image: float = 0.0

    def times(self, factor: float) -> "Price":
        return Price(
            input_per_mtok=self.input_per_mtok * factor,
            output_per_mtok=self.output_per_mtok * factor,
            per_image=self.per_image * factor,
        )


class BudgetReached(RunStopped):
    pass


def price_table() -> dict[str, Any]:
    """The dated table that comes along."""
    text = files("toolkit.generation.calls").joinpath("prices.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def price_of(model: str, overrides: Mapping[str, Mapping[str, float]], *, is_batch: bool = False) -> Price | None:
    """Price of a model, in batches a part of it; None = unknown. An override without amounts, `{}`, says that a model
    costs nothing.

    Raises:
        UsageError: an override with keys that prices do not have.
    """
    found = overrides[model] if model in overrides else price_table()["models"].get(model)
    try:
        return Price(**found).times(BATCH_FACTOR if is_batch else 1.0) if found is not None else None
    except TypeError as error:
        raise UsageError(f"prices: {model}: {error}; expected input_per_mtok, output_per_mtok, per_image") from error


def reserve_of(price: Price | None, request: Request, *, max_output_tokens: int = MAX_OUTPUT_TOKENS) -> float | None:
    """The most that a call can cost, about; None = unknown."""
    if price is None:
        return None
    text = sum(
        map(len, (request.system, request.user, *(turn for _, turn in request.history), str(request.schema or "")))
    )
    tokens = text / CHARS_PER_TOKEN + TOKENS_PER_IMAGE * len(request.images)
    if request.kind == "chat":
        return (tokens * price.input_per_mtok + max_output_tokens * price.output_per_mtok) / 1e6
    return tokens * price.input_per_mtok / 1e6 + price.per_image


def cost_of(price: Price | None, usage: Usage) -> float | None:
    """What a call did cost; None = unknown, because the price is or the server did not say."""
    if price is None:
        return None
    if usage.input_tokens is None and (price.input_per_mtok or price.output_per_mtok):
        return None
    return (
        (usage.input_tokens or 0) * price.input_per_mtok + (usage.output_tokens or 0) * price.output_per_mtok
    ) / 1e6 + usage.images * price.per_image


class Budget:
    """The purse of one shard."""

    def __init__(self, max_usd: float | None, *, spent: float = 0.0) -> None:
        self.max_usd, self.spent, self.reserved = max_usd, spent, 0.0
        self.closed: RunStopped | None = None  # set when nothing more shall be sent

    def reserve(self, amount: float | None, model: str) -> float:
        """
        Raises:
            BudgetReached: the call could pass the cap. UsageError: there is a cap, and no price. RunStopped: it is
                closed.
        """
        if self.closed:
            raise self.closed
        if self.max_usd is not None and amount is None:
            raise UsageError(
                f"{model}: no price is known, so a cap of ${self.max_usd:.2f} means nothing; add it under prices, or "
                "remove budget.max_usd"
            )
        held = amount or 0.0
        if self.max_usd is not None and self.spent + self.reserved + held > self.max_usd + 1e-12:
            left = self.max_usd - self.spent - self.reserved
            raise BudgetReached(
                f"budget: ${left:.4f} of ${self.max_usd:.2f} are left and the next call may cost ${held:.4f}; raise "
                "budget.max_usd to go on"
            )
        self.reserved += held
        return held

    def take_back(self, amount: float) -> None:
        """What was booked for a call in doubt that is waited for again."""
        self.spent -= amount

    def settle(self, held: float, cost: float | None) -> None:
        """Give a reserve back and book what it was; an unknown cost is booked as the reserve."""
        self.reserved -= held
        self.spent += held if cost is None else cost
