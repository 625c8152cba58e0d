"""Questions about a bar chart of five days, whose bars a reader can measure.

chart_highest     on which day the bar is highest, or lowest
chart_value       how high a bar is
chart_difference  by how much one bar is higher than another
chart_above       how many bars are higher than a number
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.scene.graph import Box
from toolkit.scene.language import listed, number_word, sentence
from toolkit.scene.raster import Pixels
from toolkit.scene.steps import Step
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES
from toolkit.scene.told.chart import DAYS, MOST, amounts_with, bar_box, draw_chart

_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture of five bars, from Monday to Friday."""

    amounts: tuple[int, ...]
    style: str

    def draw(self) -> Pixels:
        return draw_chart(self.amounts, -1, self.style)

    @property
    def caption(self) -> str:
        values = [f"{day} {amount}" for day, amount in zip(DAYS, self.amounts, strict=True)]
        return f"A bar chart in {self.style} style: {listed(values)}."

    def box(self, id: str) -> Box:
        """Of the bar of a day, as fractions."""
        number = DAYS.index(id)
        return bar_box(number, self.amounts[number])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartQuestion:
    """A question, its answer, and how it comes about; the ids of steps are days.

    Attributes:
        choices: every answer the kind can have; each is as likely as the others.
    """

    kind: str
    chart: Chart
    text: str
    choices: tuple[str, ...]
    answer: str
    steps: tuple[Step, ...]


def ask_chart(stream: Stream, kind: str) -> ChartQuestion:
    return CHART_KINDS[kind](stream.child(kind), stream.child("style").pick(tuple(STYLES)))


def _amounts(stream: Stream) -> list[int]:
    return [_FEWEST + stream.below(MOST - _FEWEST + 1) for _ in DAYS]


def _seen(amounts: list[int] | tuple[int, ...], *days: int) -> tuple[Step, ...]:
    return tuple(Step(text=f"The bar of {DAYS[day]} reaches {amounts[day]}.", ids=(DAYS[day],)) for day in days)


def _highest(stream: Stream, style: str) -> ChartQuestion:
    winner, is_highest = stream.below(len(DAYS)), stream.chance(0.5)
    amounts = amounts_with(winner, is_highest, stream)
    word, bound = ("highest", "higher") if is_highest else ("lowest", "lower")
    text = stream.pick(
        (
            "On which day is the bar {0}?",
            "Which day has the {0} bar?",
            "Look at the five bars: whose is the {0}?",
            "Name the day with the {0} bar.",
        )
    ).format(word)
    verdict = f"No other bar is {bound} than that of {DAYS[winner]}."
    steps = (*_seen(amounts, *range(len(DAYS))), Step(text=verdict, ids=(DAYS[winner],)))
    chart = Chart(amounts=amounts, style=style)
    return ChartQuestion(kind="chart_highest", chart=chart, text=text, choices=DAYS, answer=DAYS[winner], steps=steps)


def _value(stream: Stream, style: str) -> ChartQuestion:
    amounts, day = _amounts(stream), stream.below(len(DAYS))
    text = stream.pick(
        (
            "How high is the bar of {0}?",
            "What is the value for {0}?",
            "Read the value of {0} off the chart.",
            "Which number does the bar of {0} reach?",
        )
    ).format(DAYS[day])
    return ChartQuestion(
        kind="chart_value",
        chart=Chart(amounts=tuple(amounts), style=style),
        text=text,
        choices=tuple(str(amount) for amount in range(_FEWEST, MOST + 1)),
        answer=str(amounts[day]),
        steps=_seen(amounts, day),
    )


def _difference(stream: Stream, style: str) -> ChartQuestion:
    amounts, gap = _amounts(stream), 1 + stream.below(5)
    one, other = stream.sample(range(len(DAYS)), 2)
    amounts[other] = _FEWEST + stream.below(MOST - _FEWEST - gap + 1)
    amounts[one] = amounts[other] + gap
    text = stream.pick(
        (
            "How much higher is the bar of {0} than that of {1}?",
            "By how much does {0} exceed {1}?",
            "What is the difference between {0} and {1}?",
            "How many more are there on {0} than on {1}?",
        )
    ).format(DAYS[one], DAYS[other])
    told = f"{sentence(number_word(amounts[one]))} minus {number_word(amounts[other])} is {number_word(gap)}."
    return ChartQuestion(
        kind="chart_difference",
        chart=Chart(amounts=tuple(amounts), style=style),
        text=text,
        choices=("1", "2", "3", "4", "5"),
        answer=str(gap),
        steps=(*_seen(amounts, one, other), Step(text=told)),
    )


def _above(stream: Stream, style: str) -> ChartQuestion:
    count, bound = stream.below(len(DAYS) + 1), 4 + stream.below(MOST - 6)
    above = set(stream.sample(range(len(DAYS)), count))
    amounts = [
        bound + 1 + stream.below(MOST - bound) if day in above else _FEWEST + stream.below(bound - _FEWEST + 1)
        for day in range(len(DAYS))
    ]
    text = stream.pick(
        (
            "On how many days is the bar higher than {0}?",
            "How many bars exceed {0}?",
            "For how many of the days does the chart show more than {0}?",
            "Count the days with more than {0}.",
        )
    ).format(bound)
    days = [DAYS[day] for day in sorted(above)]
    told = f"Higher than {bound} {'is' if count == 1 else 'are'} {listed(days)}." if days else f"None exceeds {bound}."
    return ChartQuestion(
        kind="chart_above",
        chart=Chart(amounts=tuple(amounts), style=style),
        text=text,
        choices=tuple(str(number) for number in range(len(DAYS) + 1)),
        answer=str(count),
        steps=(*_seen(amounts, *range(len(DAYS))), Step(text=told, ids=tuple(days))),
    )


CHART_KINDS: dict[str, Callable[[Stream, str], ChartQuestion]] = {
    "chart_highest": _highest,
    "chart_value": _value,
    "chart_difference": _difference,
    "chart_above": _above,
}
