"""Statistics -> plots as SVG, each on light and on dark paper."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import MissingExtra
from toolkit.published import PUBLISHED
from toolkit.report import figures
from toolkit.report.figures import DARK, STYLE, TEXTS, Stats, format_counts, quadrant_counts, role_counts
from toolkit.report.stats import TaskStats
from toolkit.staging.files import whole_file
from toolkit.tasks import QUADRANTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 5.4  # inches


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot.

    Attributes:
        describe: what it shows, in words, for readers who cannot see it.
        height: inches, of a width of WIDTH, for so many tasks.
    """

    title: str
    draw: Callable[["Figure", Stats], None]
    describe: Callable[[Stats], str]
    height: Callable[[int], float] = lambda tasks: 3.4


@dataclass(frozen=True, kw_only=True)
class Inline:
    """A plot as two data URIs."""

    title: str
    alt: str
    light: str
    dark: str


def inline_plots(stats: Stats, *, totals: Mapping[str, int]) -> list[Inline]:
    """All plots, for a page.

    Args:
        stats: of the rows that are shown.
        totals: task -> rows there are, for the plot that tells of them; without it where they are not known.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    chosen = dict.fromkeys(PLOTS, stats) if stats else {}
    if chosen:
        chosen["rows"] = {task: TaskStats(rows=rows) for task, rows in totals.items()}
    return [_inline(PLOTS[name], of) for name, of in chosen.items() if of]


def _inline(plot: Plot, stats: Stats) -> Inline:
    light = draw(plot, stats)
    return Inline(
        title=plot.title, alt=f"{plot.title}. {plot.describe(stats)}", light=_uri(light), dark=_uri(darkened(light))
    )


def write_plots(stats: Stats, folder: Path) -> list[Path]:
    """Write `<plot>-light.svg` and `<plot>-dark.svg`; the same bytes for the same statistics.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    written = []
    for name, plot in PLOTS.items():
        light = draw(plot, stats)
        for theme, svg in (("light", light), ("dark", darkened(light))):
            written.append(folder / f"{name}-{theme}.svg")
            with whole_file(written[-1]) as file:
                file.write(svg)
    return written


def check_installed() -> None:
    """For callers who want to know before a long pass.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "report")


def draw(plot: Plot, stats: Stats) -> bytes:
    """SVG on light paper.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    check_installed()
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, plot.height(len(stats))), layout="constrained")
        plot.draw(figure, stats)
        # savefig() draws twice, the first time for a layout that is found again.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def draw_histograms(histograms: Mapping[str, tuple[float, float, Sequence[int]]], value: str, what: str) -> bytes:
    """SVG on light paper: a panel for each name.

    Args:
        histograms: name -> least value, width of a bin, count of each bin.
        value, what: labels of the axes.

    Raises:
        MissingExtra: matplotlib is not installed.
    """

    def onto(figure: "Figure", stats: Stats) -> None:
        figures.histograms(figure, histograms, value, what)

    plot = Plot(title="", draw=onto, describe=lambda stats: "", height=lambda tasks: 1.0 + 1.5 * len(histograms))
    return draw(plot, {})


def darkened(svg: bytes) -> bytes:
    """The same plot on dark paper: every colour has its counterpart, so nothing is drawn again."""
    return re.sub(rb"#[0-9a-f]{6}\b", lambda found: DARK.get(found[0].decode(), found[0].decode()).encode(), svg)


def _listed(pairs: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in pairs.items()) or "none"


def _medians(stats: Stats, name: str) -> str:
    return ", ".join(
        f"{task} {each.measures[name].quantiles()[2]:,.0f}" for task, each in stats.items() if each.measures[name].count
    )


def _describe_sizes(stats: Stats) -> str:
    return (
        f"Median width: {_medians(stats, 'image width') or 'no pictures'}; median height: "
        f"{_medians(stats, 'image height') or 'no pictures'}"
    )


PLOTS: dict[str, Plot] = {
    "rows": Plot(
        title="Rows of each task, beside the published counts",
        draw=figures.rows,
        describe=lambda stats: "; ".join(
            f"{task} {each.rows:,}" + (f" of {PUBLISHED[task].rows:,}" if task in PUBLISHED else "")
            for task, each in stats.items()
        ),
        height=lambda tasks: 1.2 + 0.32 * tasks,
    ),
    "quadrants": Plot(
        title="Input and output modality",
        draw=figures.quadrants,
        describe=lambda stats: _listed({name: quadrant_counts(stats)[name] for name in QUADRANTS}),
    ),
    "roles": Plot(
        title="Images in a row, by role",
        draw=figures.roles,
        describe=lambda stats: "; ".join(
            f"{role}: " + ", ".join(f"{number} in {rows:,} rows" for number, rows in sorted(counts.items()))
            for role, counts in role_counts(stats).items()
        ),
    ),
    "resolution": Plot(title="Size and proportions of the images", draw=figures.resolution, describe=_describe_sizes),
    "texts": Plot(
        title="Lengths of instruction, rationale and answer",
        draw=figures.texts,
        describe=lambda stats: "; ".join(f"median {name}: {_medians(stats, f'{name} characters')}" for name in TEXTS),
        height=lambda tasks: 1.2 + 0.28 * tasks,
    ),
    "formats": Plot(title="Image formats", draw=figures.formats, describe=lambda stats: _listed(format_counts(stats))),
}


def _uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
