"""The drawings behind `plots.py`: statistics -> axes.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color), which people with any colour vision tell apart; shape,
hatching or a label says the same again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.published import PUBLISHED
from toolkit.report.stats import TaskStats
from toolkit.schema import IMAGE_ROLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Stats = Mapping[str, TaskStats]
TEXTS = ("instruction", "rationale", "answer")
SIDES = ("text", "mm")
MOST_PER_ROW = 6  # images; rows with more are drawn together
DOT_POINTS = 5000  # of the resolution plot, over all tasks


PAPER, INK, SOFT, GRID = "#ffffff", "#1c2024", "#565d64", "#dcded9"
ROLES = {"input": "#0072b2", "intermediate": "#e69f00", "output": "#009e73"}
ACCENT = ROLES["input"]
DARK = {
    PAPER: "#1a1d21",
    INK: "#e7e9ec",
    SOFT: "#a6adb5",
    GRID: "#363b42",
    ACCENT: "#56b4e9",
    ROLES["output"]: "#2fc79a",
}
HATCHES = {"input": "", "intermediate": "///", "output": "..."}


STYLE: Any = {
    "svg.hashsalt": "unifiedvisual",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.color": PAPER,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
}


def rows(figure: "Figure", stats: Stats) -> None:
    axes = _task_axes(figure.subplots(), stats)
    for place, (task, each) in enumerate(stats.items()):
        if task in PUBLISHED:
            axes.plot([each.rows, PUBLISHED[task].rows], [place, place], color=GRID, linewidth=2, zorder=1)
        axes.annotate(
            f"{each.rows:,}", (each.rows, place), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5
        )
    places = range(len(stats))
    axes.scatter([each.rows for each in stats.values()], places, color=ACCENT, s=46, zorder=3, label="here")
    published = [(PUBLISHED[task].rows, place) for place, task in enumerate(stats) if task in PUBLISHED]
    if published:
        marks: Any = {"facecolors": "none", "edgecolors": INK, "marker": "D", "s": 40, "zorder": 2}
        axes.scatter(*zip(*published, strict=True), label="published", **marks)
    axes.set_xscale("log")
    axes.set_xlabel("rows, logarithmic")
    _legend(figure, axes, 2)


def quadrants(figure: "Figure", stats: Stats) -> None:
    from matplotlib.patches import Rectangle

    counts, total = quadrant_counts(stats), max(sum(each.rows for each in stats.values()), 1)
    axes = figure.subplots()
    for down, given in enumerate(SIDES):
        for right, made in enumerate(SIDES):
            count = counts[f"{given}-{made}"]
            # Never so strong that the numbers fade.
            axes.add_patch(
                Rectangle(
                    (right, down),
                    1,
                    1,
                    facecolor=ACCENT,
                    alpha=0.45 * count / max(*counts.values(), 1),
                    edgecolor=PAPER,
                    linewidth=3,
                )
            )
            axes.text(right + 0.5, down + 0.45, f"{count:,}", ha="center", va="center", fontsize=15, fontweight="bold")
            axes.text(right + 0.5, down + 0.68, f"{count / total:.0%}", ha="center", va="center")
    names = ("text only", "with images")
    axes.set(xlim=(0, 2), ylim=(2, 0), xlabel="output", ylabel="input")
    axes.set_xticks((0.5, 1.5), names)
    axes.set_yticks((0.5, 1.5), names, rotation=90, va="center")
    axes.tick_params(length=0)


def roles(figure: "Figure", stats: Stats) -> None:
    axes = figure.subplots()
    width = 0.27
    for shift, (role, counts) in enumerate(role_counts(stats).items()):
        heights = [
            sum(rows for number, rows in counts.items() if min(number, MOST_PER_ROW) == place)
            for place in range(MOST_PER_ROW + 1)
        ]
        bars = [place + (shift - 1) * width for place in range(MOST_PER_ROW + 1)]
        axes.bar(bars, heights, width, color=ROLES[role], hatch=HATCHES[role], label=role)
    axes.set_xticks(range(MOST_PER_ROW + 1), [*map(str, range(MOST_PER_ROW)), f"{MOST_PER_ROW}+"])
    axes.set_xlabel("images of a role in a row")
    axes.set_ylabel("rows")
    axes.locator_params(axis="y", integer=True)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    _legend(figure, axes, 3)


def resolution(figure: "Figure", stats: Stats) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    points = [
        point
        for each in stats.values()
        for point in zip(each.measures["image width"].values, each.measures["image height"].values, strict=True)
    ]
    if not points:
        _nothing(left, right)
        return
    shown = points[:: max(1, -(-len(points) // DOT_POINTS))]
    left.scatter(*zip(*shown, strict=True), s=9, color=ACCENT, alpha=0.35, linewidths=0)
    least, largest = min(map(min, points)) * 0.8, max(map(max, points)) * 1.25
    left.plot((least, largest), (least, largest), color=SOFT, linewidth=0.8, linestyle="--")
    left.annotate("square", (largest / 1.15, largest / 1.15), ha="right", va="bottom", fontsize=7.5, color=SOFT)
    left.set(
        xscale="log",
        yscale="log",
        xlim=(least, largest),
        ylim=(least, largest),
        xlabel="width, pixels",
        ylabel="height, pixels",
    )
    _plain_ticks(left, least, largest)
    left.grid()
    left.set_axisbelow(True)
    right.hist(
        [min(max(width / height, 0.33), 3.0) for width, height in points],
        bins=[0.33, 0.5, 0.67, 0.8, 0.95, 1.05, 1.25, 1.5, 2, 3],
        color=ACCENT,
    )
    right.set(xscale="log", xlabel="width : height", ylabel="images")
    right.locator_params(axis="y", integer=True)
    right.set_xticks((0.5, 1, 2), ("1:2", "1:1", "2:1"))
    right.set_xticks((), minor=True)


def texts(figure: "Figure", stats: Stats) -> None:
    panels = figure.subplots(1, len(TEXTS), sharey=True, sharex=True)
    for axes, name in zip(panels, TEXTS, strict=True):
        _task_axes(axes, stats)
        for place, each in enumerate(stats.values()):
            least, low, middle, high, largest = (
                max(value, 1) for value in each.measures[f"{name} characters"].quantiles()
            )
            if largest > 1:
                axes.plot((least, largest), (place, place), color=SOFT, linewidth=1)
                axes.plot((low, high), (place, place), color=ACCENT, linewidth=6, solid_capstyle="butt")
                axes.plot(middle, place, marker="|", markersize=11, color=INK, markeredgewidth=1.6)
        axes.set_xscale("log")
        axes.set_xlim(left=0.8)
        axes.set_title(name)
    figure.supxlabel("characters, logarithmic: least to largest, middle half, median", fontsize=8, color=SOFT)


def histograms(
    figure: "Figure", counted: Mapping[str, tuple[float, float, Sequence[int]]], value: str, what: str
) -> None:
    """Name -> least value, width of a bin, count of each bin."""
    panels = figure.subplots(len(counted), 1, sharex=True, squeeze=False)
    for axes, (name, (least, width, counts)) in zip(panels[:, 0], counted.items(), strict=True):
        places = [least + width * (number + 0.5) for number in range(len(counts))]
        axes.bar(places, counts, width, color=ACCENT)
        axes.set_title(f"{name}: {sum(counts):,}")
        axes.set_ylabel(what)
    figure.supxlabel(value, fontsize=8, color=SOFT)


def formats(figure: "Figure", stats: Stats) -> None:
    counts = format_counts(stats)
    axes = figure.subplots()
    if not counts:
        _nothing(axes)
        return
    bars = axes.bar(range(len(counts)), list(counts.values()), 0.55, color=ACCENT)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=3)
    axes.set_xticks(range(len(counts)), list(counts))
    axes.set_ylabel("images")
    axes.locator_params(axis="y", integer=True)
    axes.margins(x=0.12, y=0.15)


def _task_axes(axes: "Axes", stats: Stats) -> "Axes":
    axes.set_yticks(range(len(stats)), list(stats))
    axes.set_ylim(len(stats) - 0.4, -0.7)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    return axes


def _plain_ticks(axes: "Axes", least: float, largest: float) -> None:
    ticks = [
        tick for power in range(6) for tick in (10**power, 2 * 10**power, 5 * 10**power) if least <= tick <= largest
    ]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.set_ticks((), minor=True)


def _legend(figure: "Figure", axes: "Axes", columns: int) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=columns)


def _nothing(*all_axes: "Axes") -> None:
    for axes in all_axes:
        axes.set_axis_off()
    all_axes[0].text(0.5, 0.5, "no images", ha="center", va="center", transform=all_axes[0].transAxes)


def quadrant_counts(stats: Stats) -> Counter[str]:
    return sum((each.quadrants for each in stats.values()), Counter())


def format_counts(stats: Stats) -> dict[str, int]:
    return dict(sum((each.formats for each in stats.values()), Counter()).most_common())


def role_counts(stats: Stats) -> dict[str, Counter[int]]:
    return {role: sum((each.roles_per_row[role] for each in stats.values()), Counter()) for role in IMAGE_ROLES}
