"""The cap. A call is paid for in advance: the most it can cost is reserved before it is sent, and settled by what the
server says it used. A model without a price costs "unknown", which is not nothing: under a cap it is not called.
"""

import logging
from collections import defaultdict

from toolkit.errors import RunStopped, UsageError

_LOG = logging.getLogger(__name__)


class BudgetReached(RunStopped):
    pass


class Budget:
    """The purse of one part of a run."""

    def __init__(self, max_usd: float | None, *, spent: float = 0.0) -> None:
        self.max_usd, self.spent, self.reserved = max_usd, spent, 0.0
        self.closed: RunStopped | None = None  # set when nothing more shall be sent
        self._surcharge: dict[str, float] = defaultdict(
            lambda: 1.0
        )  # model -> how far a call was billed above its most

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
        held = (amount or 0.0) * self._surcharge[model]
        if self.max_usd is not None and self.spent + self.reserved + held > self.max_usd + 1e-12:
            left = self.max_usd - self.spent - self.reserved
            raise BudgetReached(
                f"budget: ${left:.4f} of ${self.max_usd:.2f} are left and the next call may cost ${held:.4f}; raise "
                "max_usd to go on"
            )
        self.reserved += held
        return held

    def reserve_again(self, booked: float, amount: float | None, model: str) -> float:
        """The same for a call in doubt that is waited for again; what was booked for it is taken back."""
        self.spent -= booked
        try:
            return self.reserve(amount, model)
        except BaseException:
            self.spent += booked
            raise

    def settle(self, held: float, cost: float | None, model: str) -> None:
        """Give a reserve back and book what it was; an unknown cost is booked as the reserve."""
        self.reserved -= held
        self.spent += held if cost is None else cost
        if cost is not None and held > 0 and cost > held * (1 + 1e-9):
            self._surcharge[model] *= cost / held
            _LOG.warning(
                "%s: a call was billed $%.4f, more than its price allows ($%.4f); from now on so much is reserved",
                *(model, cost, held),
            )
