"""Statistics -> plots, each in a light and a dark version.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color), which people with any colour vision tell apart; shape, hatching or a label says the same again.
"""

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.atomic import atomic_file
from toolkit.errors import MissingExtra
from toolkit.report.stats import TaskStats
from toolkit.schema import IMAGE_ROLES
from toolkit.tasks import QUADRANTS, TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Stats = Mapping[str, TaskStats]
TEXTS = ("instruction", "rationale", "answer")
SIDES = ("text", "mm")
MOST_PER_ROW = 6  # pictures; rows with more are drawn together
DOT_POINTS = 5000  # of the resolution plot, over all tasks


@dataclass(frozen=True, kw_only=True)
class Theme:
    name: str
    paper: str
    ink: str
    soft: str
    grid: str
    roles: Mapping[str, str]
    accent: str


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1c2024",
    soft="#565d64",
    grid="#dcded9",
    roles={"input": "#0072b2", "intermediate": "#e69f00", "output": "#009e73"},
    accent="#0072b2",
)
DARK = Theme(
    name="dark",
    paper="#1a1d21",
    ink="#e7e9ec",
    soft="#a6adb5",
    grid="#363b42",
    roles={"input": "#56b4e9", "intermediate": "#e69f00", "output": "#2fc79a"},
    accent="#56b4e9",
)
HATCHES = {"input": "", "intermediate": "///", "output": "..."}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Attributes:
    describe: what it shows, in words, for whoever does not see it.
    height: inches, of a width of 6, for so many tasks.
    """

    title: str
    draw: Callable[["Figure", Stats, Theme], None]
    describe: Callable[[Stats], str]
    height: Callable[[int], float] = lambda tasks: 3.4


@dataclass(frozen=True, kw_only=True)
class Inline:
    """A plot as two data URIs."""

    title: str
    alt: str
    light: str
    dark: str


def inline_plots(stats: Stats) -> list[Inline]:
    """All plots, for a page.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    return [
        Inline(title=plot.title, alt=f"{plot.title}. {plot.describe(stats)}", light=_uri(draw(plot, stats, LIGHT)), dark=_uri(draw(plot, stats, DARK)))
        for plot in (PLOTS.values() if stats else ())
    ]


def write_plots(stats: Stats, folder: Path) -> list[Path]:
    """Write `<plot>-light.svg` and `<plot>-dark.svg`; the same bytes for the same statistics.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    written = []
    for name, plot in PLOTS.items():
        for theme in (LIGHT, DARK):
            written.append(folder / f"{name}-{theme.name}.svg")
            with atomic_file(written[-1]) as file:
                file.write(draw(plot, stats, theme))
    return written


def draw(plot: Plot, stats: Stats, theme: Theme) -> bytes:
    """SVG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "report") from None
    style = {
        "svg.hashsalt": "unifiedvisual",
        "font.size": 9,
        "text.color": theme.ink,
        "axes.labelcolor": theme.soft,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9,
        "xtick.color": theme.soft,
        "ytick.color": theme.soft,
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "hatch.color": theme.paper,
        "hatch.linewidth": 0.8,
        "legend.frameon": False,
        "figure.facecolor": theme.paper,
    }
    buffer = io.BytesIO()
    with rc_context(style):
        figure = Figure(figsize=(6, plot.height(len(stats))), layout="constrained")
        plot.draw(figure, stats, theme)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _rows(figure: "Figure", stats: Stats, theme: Theme) -> None:
    axes = _task_axes(figure.subplots(), stats)
    for place, (task, each) in enumerate(stats.items()):
        published = TASKS[task].published_rows
        axes.plot([each.rows, published], [place, place], color=theme.grid, linewidth=2, zorder=1)
        axes.annotate(f"{each.rows:,}", (each.rows, place), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5)
    places = range(len(stats))
    axes.scatter([each.rows for each in stats.values()], places, color=theme.accent, s=46, zorder=3, label="here")
    published_rows = [TASKS[task].published_rows for task in stats]
    axes.scatter(published_rows, places, facecolors="none", edgecolors=theme.ink, marker="D", s=40, zorder=2, label="published")
    axes.set_xscale("log")
    axes.set_xlabel("rows, logarithmic")
    _legend(figure, axes, 2)


def _quadrants(figure: "Figure", stats: Stats, theme: Theme) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    counts, total = _quadrant_counts(stats), max(sum(each.rows for each in stats.values()), 1)
    grid = [[counts[f"{given}-{made}"] for made in SIDES] for given in SIDES]
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("rows", [theme.paper, theme.accent])
    axes.imshow(grid, cmap=colours, vmin=0, vmax=2.2 * max(map(max, grid)) or 1, aspect="auto")  # never so strong that the numbers fade
    for down, line in enumerate(grid):
        for right, count in enumerate(line):
            axes.text(right, down - 0.06, f"{count:,}", ha="center", va="center", fontsize=15, fontweight="bold")
            axes.text(right, down + 0.2, f"{count / total:.0%}", ha="center", va="center", color=theme.ink)
    names = ("text only", "with pictures")
    axes.set_xticks((0, 1), names)
    axes.set_yticks((0, 1), names, rotation=90, va="center")
    axes.set_xlabel("output")
    axes.set_ylabel("input")
    axes.tick_params(length=0)


def _roles(figure: "Figure", stats: Stats, theme: Theme) -> None:
    axes = figure.subplots()
    width = 0.27
    for shift, (role, counts) in enumerate(_role_counts(stats).items()):
        heights = [sum(rows for number, rows in counts.items() if min(number, MOST_PER_ROW) == place) for place in range(MOST_PER_ROW + 1)]
        bars = [place + (shift - 1) * width for place in range(MOST_PER_ROW + 1)]
        axes.bar(bars, heights, width, color=theme.roles[role], hatch=HATCHES[role], label=role)
    axes.set_xticks(range(MOST_PER_ROW + 1), [*map(str, range(MOST_PER_ROW)), f"{MOST_PER_ROW}+"])
    axes.set_xlabel("pictures of a role in a row")
    axes.set_ylabel("rows")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    _legend(figure, axes, 3)


def _resolution(figure: "Figure", stats: Stats, theme: Theme) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    points = [point for each in stats.values() for point in zip(each.measures["image width"].values, each.measures["image height"].values, strict=True)]
    if not points:
        _nothing(left, right)
        return
    shown = points[:: max(1, -(-len(points) // DOT_POINTS))]
    left.scatter(*zip(*shown, strict=True), s=9, color=theme.accent, alpha=0.35, linewidths=0)
    least, largest = min(map(min, points)) * 0.8, max(map(max, points)) * 1.25
    left.plot((least, largest), (least, largest), color=theme.soft, linewidth=0.8, linestyle="--")
    left.annotate("square", (largest / 1.15, largest / 1.15), ha="right", va="bottom", fontsize=7.5, color=theme.soft)
    left.set(xscale="log", yscale="log", xlim=(least, largest), ylim=(least, largest), xlabel="width, pixels", ylabel="height, pixels")
    _plain_ticks(left, least, largest)
    left.grid()
    left.set_axisbelow(True)
    right.hist([min(max(width / height, 0.33), 3.0) for width, height in points], bins=[0.33, 0.5, 0.67, 0.8, 0.95, 1.05, 1.25, 1.5, 2, 3], color=theme.accent)
    right.set(xscale="log", xlabel="width : height", ylabel="pictures")
    right.set_xticks((0.5, 1, 2), ("1:2", "1:1", "2:1"))
    right.set_xticks((), minor=True)


def _texts(figure: "Figure", stats: Stats, theme: Theme) -> None:
    panels = figure.subplots(1, len(TEXTS), sharey=True)
    for axes, name in zip(panels, TEXTS, strict=True):
        _task_axes(axes, stats)
        for place, each in enumerate(stats.values()):
            least, low, middle, high, largest = (max(value, 1) for value in each.measures[f"{name} characters"].quantiles())
            if largest > 1:
                axes.plot((least, largest), (place, place), color=theme.soft, linewidth=1)
                axes.plot((low, high), (place, place), color=theme.accent, linewidth=6, solid_capstyle="butt")
                axes.plot(middle, place, marker="|", markersize=11, color=theme.ink, markeredgewidth=1.6)
        axes.set_xscale("log")
        axes.set_xlim(left=0.8)
        axes.set_title(name)
    figure.supxlabel("characters, logarithmic: least to largest, middle half, median", fontsize=8, color=theme.soft)


def _formats(figure: "Figure", stats: Stats, theme: Theme) -> None:
    counts = _format_counts(stats)
    axes = figure.subplots()
    if not counts:
        _nothing(axes)
        return
    bars = axes.bar(range(len(counts)), list(counts.values()), 0.55, color=theme.accent)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=3)
    axes.set_xticks(range(len(counts)), list(counts))
    axes.set_ylabel("pictures")
    axes.margins(x=0.12, y=0.15)


def _task_axes(axes: "Axes", stats: Stats) -> "Axes":
    axes.set_yticks(range(len(stats)), list(stats))
    axes.set_ylim(len(stats) - 0.4, -0.7)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    return axes


def _plain_ticks(axes: "Axes", least: float, largest: float) -> None:
    ticks = [tick for power in range(6) for tick in (10**power, 2 * 10**power, 5 * 10**power) if least <= tick <= largest]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.set_ticks((), minor=True)


def _legend(figure: "Figure", axes: "Axes", columns: int) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=columns)


def _nothing(*all_axes: "Axes") -> None:
    for axes in all_axes:
        axes.set_axis_off()
    all_axes[0].text(0.5, 0.5, "no pictures", ha="center", va="center", transform=all_axes[0].transAxes)


def _quadrant_counts(stats: Stats) -> Counter[str]:
    return sum((each.quadrants for each in stats.values()), Counter())


def _format_counts(stats: Stats) -> dict[str, int]:
    return dict(sum((each.formats for each in stats.values()), Counter()).most_common())


def _role_counts(stats: Stats) -> dict[str, Counter[int]]:
    return {role: sum((each.roles_per_row[role] for each in stats.values()), Counter()) for role in IMAGE_ROLES}


def _listed(pairs: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in pairs.items()) or "none"


def _medians(stats: Stats, name: str) -> str:
    return ", ".join(f"{task} {each.measures[name].quantiles()[2]:,.0f}" for task, each in stats.items() if each.measures[name].count)


def _describe_sizes(stats: Stats) -> str:
    return f"Median width: {_medians(stats, 'image width') or 'no pictures'}; median height: {_medians(stats, 'image height') or 'no pictures'}"


PLOTS: dict[str, Plot] = {
    "rows": Plot(
        title="Rows of each task, beside the published counts",
        draw=_rows,
        describe=lambda stats: "; ".join(f"{task} {each.rows:,} of {TASKS[task].published_rows:,}" for task, each in stats.items()),
        height=lambda tasks: 1.2 + 0.32 * tasks,
    ),
    "quadrants": Plot(
        title="Input and output modality",
        draw=_quadrants,
        describe=lambda stats: _listed({name: _quadrant_counts(stats)[name] for name in QUADRANTS}),
    ),
    "roles": Plot(
        title="Pictures in a row, by role",
        draw=_roles,
        describe=lambda stats: "; ".join(
            f"{role}: " + ", ".join(f"{number} in {rows:,} rows" for number, rows in sorted(counts.items())) for role, counts in _role_counts(stats).items()
        ),
    ),
    "resolution": Plot(title="Size and proportions of the pictures", draw=_resolution, describe=_describe_sizes),
    "texts": Plot(
        title="Lengths of instruction, rationale and answer",
        draw=_texts,
        describe=lambda stats: "; ".join(f"median {name}: {_medians(stats, f'{name} characters')}" for name in TEXTS),
        height=lambda tasks: 1.2 + 0.28 * tasks,
    ),
    "formats": Plot(title="Picture formats", draw=_formats, describe=lambda stats: _listed(_format_counts(stats))),
}


def _uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
