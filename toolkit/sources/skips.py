"""What happens to a bad row: it stops the reading, or it is counted. Never anything in silence."""

from collections import Counter, defaultdict
from typing import Literal, get_args

from toolkit.errors import SHOWN, RowError, TooManyBadRows, UsageError

OnBad = Literal["raise", "skip"]
MAX_IN_A_ROW = 100


def check_policy(name: str, policy: str) -> None:
    """
    Raises:
        UsageError: neither "raise" nor "skip".
    """
    if policy not in get_args(OnBad):
        raise UsageError(f"{name} is {policy!r}; expected 'raise' or 'skip'")


class Skips:
    """Counts bad rows per kind and keeps a few messages of each; `assumed` counts rows by what was taken for granted.

    Args:
        on_missing: for rows whose picture is not in its archive (kind "missing_image").
        on_bad_image: for rows with an invalid image (kind "bad_image").
        on_bad_row: for every other fault of a single row.
        num_examples: messages kept of each kind.
        max_in_a_row: that many bad rows without a good one between stop the reading all the same.

    Raises:
        UsageError: a policy other than "raise" or "skip", or a limit below 1.
    """

    def __init__(
        self,
        *,
        on_missing: OnBad = "raise",
        on_bad_row: OnBad = "raise",
        on_bad_image: OnBad = "raise",
        num_examples: int = SHOWN,
        max_in_a_row: int = MAX_IN_A_ROW,
    ) -> None:
        self._policies: dict[str, OnBad] = {
            "on_missing": on_missing,
            "on_bad_row": on_bad_row,
            "on_bad_image": on_bad_image,
        }
        for name, policy in self._policies.items():
            check_policy(name, policy)
        if max_in_a_row < 1:
            raise UsageError(f"max_in_a_row is {max_in_a_row!r}; expected a positive number")
        self._in_a_row, self._max_in_a_row = 0, max_in_a_row
        self._num_examples = num_examples
        self.counts: Counter[str] = Counter()
        self.assumed: Counter[str] = Counter()
        self.examples: defaultdict[str, list[str]] = defaultdict(list)

    def good(self) -> None:
        self._in_a_row = 0

    def bad(self, error: RowError, *, is_accident: bool = False) -> None:
        """Count a row that will be left out.

        Args:
            is_accident: it says nothing about the rows beside it, as where one of many folders of pictures is missing.

        Raises:
            RowError: the same, where the policy is "raise".
            TooManyBadRows: `max_in_a_row` without a good one between; then it is the data or the mapping, not a row.
        """
        option = {"missing_image": "on_missing", "bad_image": "on_bad_image"}.get(error.kind, "on_bad_row")
        if self._policies[option] == "raise":
            raise type(error)(
                f'{error}; fix it, or pass {option}="skip" to count such rows and go on', kind=error.kind
            ) from error
        self.note(error.kind, str(error))
        self._in_a_row += not is_accident
        if self._in_a_row >= self._max_in_a_row:
            raise TooManyBadRows(
                f"{self._in_a_row} bad rows in a row, the last: {error}; this is not an accident of single rows: look "
                "at what they share, or raise the limit (max_in_a_row)"
            )

    def note(self, kind: str, message: str) -> None:
        """Count something that costs no row (a refused archive member, a renamed id)."""
        self.counts[kind] += 1
        if len(self.examples[kind]) < self._num_examples:
            self.examples[kind].append(message)

    def summary(self) -> str:
        """ "3 missing_image, 1 bad_turns", or "" when nothing was counted."""
        return ", ".join(f"{count:,} {kind}" for kind, count in self.counts.most_common())
