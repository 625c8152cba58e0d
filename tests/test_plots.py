"""Plots say the numbers that are in the rows; sheets show the pictures that are in the rows."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from PIL import Image

from tests.packed_folder import write_packed
from tests.planted import colour, picture, planted_row, text_row
from toolkit.cli.app import main
from toolkit.report import figures
from toolkit.report.contact_sheet import MARGIN, MOST_PICTURES, THUMBNAIL, contact_sheet, keep_first, write_sheets
from toolkit.report.figures import DARK
from toolkit.report.plots import PLOTS, darkened, draw, inline_plots, write_plots
from toolkit.report.stats import collect
from toolkit.schema import EncodedImage
from toolkit.tasks import TASKS

ROWS = [planted_row(0), planted_row(1), *(text_row(number, "x" * 10 * (number + 1)) for number in range(3))]


@pytest.fixture(scope="module")
def stats():
    return collect(ROWS)


def drawn(name, stats):
    """The figure, so that a test can read its axes."""
    from matplotlib.figure import Figure

    figure = Figure()
    PLOTS[name].draw(figure, stats)
    return figure


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_rows_stand_beside_the_published_counts(stats):
    (axes,) = drawn("rows", stats).axes
    here, published = (collection.get_offsets().tolist() for collection in axes.collections)
    assert here == [[2, 0], [3, 1]]
    assert published == [[17_761, 0], [60_000, 1]]
    assert PLOTS["rows"].describe(stats) == "mm_reasoning_mm 2 of 17,761; cot_collection 3 of 60,000"


def test_the_quadrant_matrix_counts_every_row_once(stats):
    assert texts(drawn("quadrants", stats).axes[0]) == ["3", "60%", "0", "0%", "0", "0%", "2", "40%"]
    assert PLOTS["quadrants"].describe(stats) == "mm-mm 2, mm-text 0, text-mm 0, text-text 3"


def test_pictures_of_a_row_are_counted_by_role(stats):
    heights = {
        bars.get_label(): [bar.get_height() for bar in bars][:3] for bars in drawn("roles", stats).axes[0].containers
    }
    assert heights == {"input": [3, 0, 2], "intermediate": [3, 2, 0], "output": [3, 2, 0]}


def test_rows_with_many_pictures_are_drawn_together(stats):
    many = planted_row(0, images=(picture("red"),) * 9, image_roles=("input",) * 9)
    (bars, *_) = drawn("roles", collect([many])).axes[0].containers
    assert [bar.get_height() for bar in bars] == [0, 0, 0, 0, 0, 0, 1]


def test_width_and_height_stay_together_in_the_resolution_plot():
    sizes = [(64, 48), (30, 200), (500, 20)]
    images = tuple(picture("red", size=size) for size in sizes)
    axes = drawn(
        "resolution",
        collect([planted_row(0, images=images), planted_row(1, images=(EncodedImage(b"<html>", ""), *images))]),
    ).axes
    assert axes[0].collections[0].get_offsets().tolist() == [list(size) for size in sizes * 2]
    assert sum(bar.get_height() for bar in axes[1].patches) == 6


def test_text_lengths_are_in_words_too(stats):
    assert "median rationale: mm_reasoning_mm 26" in PLOTS["texts"].describe(stats)


def test_formats_are_counted_from_the_bytes():
    images = (picture("red"), picture("red", "JPEG"), picture("red", "JPEG"), EncodedImage(b"<html>", "x.png"))
    counted = collect([planted_row(0, images=images)])
    assert [bar.get_height() for bar in drawn("formats", counted).axes[0].patches] == [2, 1, 1]
    assert PLOTS["formats"].describe(counted) == "jpg 2, png 1, unknown 1"


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_well_formed_and_the_same_every_time(stats, name):
    svg = draw(PLOTS[name], stats)
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert draw(PLOTS[name], stats) == svg


@pytest.mark.parametrize("name", PLOTS)
def test_on_dark_paper_no_colour_of_the_light_one_is_left(stats, name):
    light = draw(PLOTS[name], stats).decode()
    dark = darkened(light.encode()).decode()
    assert set(re.findall(r"#[0-9a-f]{6}\b", light)) <= set(DARK) | {figures.ROLES["intermediate"]}
    assert not set(re.findall(r"#[0-9a-f]{6}\b", dark)) & set(DARK)
    assert len(light) == len(dark)


@pytest.mark.parametrize("name", PLOTS)
def test_a_source_without_pictures_is_drawn_as_well(name):
    assert b"</svg>" in draw(PLOTS[name], collect([text_row(0, "")]))


def test_the_plots_of_a_page_tell_of_its_rows_and_of_all_there_are(stats):
    plots = {plot.title: plot.alt for plot in inline_plots(stats, totals={"cot_collection": 1234})}
    assert len(plots) == len(PLOTS)
    assert plots["Rows of each task, beside the published counts"].endswith("cot_collection 1,234 of 60,000")
    assert plots["Input and output modality"].endswith("text-text 3")
    assert len(inline_plots(stats, totals={})) == len(PLOTS) - 1
    assert inline_plots({}, totals={}) == []


def centre(sheet, left, top):
    return sheet.getpixel((left + 20, top + 20))


def test_a_sheet_shows_pictures_in_reading_order():
    sheet = contact_sheet(TASKS["mm_reasoning_mm"], [planted_row(3)])
    line = next(y for y in range(sheet.height) if near(sheet.getpixel((MARGIN + 20, y)), colour(3, 0)))
    found = [sheet.getpixel((MARGIN + 20 + 152 * place, line + 10)) for place in range(4)]
    assert all(near(found[place], colour(3, place)) for place in range(4))


def near(found, expected):
    return all(abs(a - b) <= 4 for a, b in zip(found, expected, strict=True))


def test_a_sheet_takes_what_cannot_be_decoded_and_any_text():
    row = planted_row(0, instruction="\ud800<script>\u202e" + "x" * 20_000, answer="")
    broken = replace(row, images=(EncodedImage(b"<svg/>", "x.svg"), *row.images[1:]))
    assert (
        contact_sheet(TASKS["mm_reasoning_mm"], [broken]).height
        > contact_sheet(TASKS["mm_reasoning_mm"], [row]).height
        > THUMBNAIL[1]
    )
    assert contact_sheet(TASKS["cot_collection"], [text_row(0, "hello")]).width == 1200


def test_a_sheet_leaves_out_pictures_that_have_no_room():
    many = planted_row(0, images=(picture("red", size=(900, 900)),) * 30, image_roles=())
    few = replace(many, images=many.images[:MOST_PICTURES])
    assert contact_sheet(TASKS["mm_reasoning_mm"], [many]).size == contact_sheet(TASKS["mm_reasoning_mm"], [few]).size


def test_the_first_rows_of_each_task_are_kept_and_all_go_through():
    kept = {}
    rows = [*(text_row(number, "x") for number in range(9)), planted_row(0)]
    assert list(keep_first(rows, kept)) == rows
    assert {task: [row.id for row in listed] for task, listed in kept.items()} == {
        "cot_collection": ["cc-0", "cc-1", "cc-2", "cc-3"],
        "mm_reasoning_mm": ["mrm-0"],
    }


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


def test_stats_draws_counts_and_the_card_shows_what_was_drawn(run, tmp_path):
    write_packed(tmp_path / "packed", {"mm_reasoning_mm": ROWS[:2], "cot_collection": ROWS[2:]})
    plain = run("card", tmp_path / "packed")[1]
    assert "plots/" not in plain
    code, out, _ = run("stats", tmp_path / "packed", "--plots", tmp_path / "packed/plots", "--json")
    told = json.loads(out)
    names = {f"{name}-{theme}.svg" for name in PLOTS for theme in ("light", "dark")} | {
        "sheet-mm_reasoning_mm.jpg",
        "sheet-cot_collection.jpg",
    }
    assert (code, {path.name for path in (tmp_path / "packed/plots").iterdir()}) == (0, names)
    assert told["tasks"]["mm_reasoning_mm"]["roles_per_row"] == {
        "input": {"2": 2},
        "intermediate": {"1": 2},
        "output": {"1": 2},
    }
    with Image.open(tmp_path / "packed/plots/sheet-mm_reasoning_mm.jpg") as sheet:
        assert sheet.format == "JPEG"
    shown = run("card", tmp_path / "packed")[1]
    found = re.findall(r"!\[(.+)\]\((plots/.+)\)", shown)
    assert len(found) == len(PLOTS) + 2
    assert ("rows", "plots/rows-light.svg") in found
    assert re.sub(r"\n\n### At a glance(\n\n!.+)+", "", shown) == plain


def test_plots_are_pushed_with_a_card_written_before_they_were_there(run, hub, tmp_path):
    write_packed(tmp_path / "packed", {"cot_collection": ROWS[2:]})
    assert run("push", tmp_path / "packed", "org/uv", "--token", hub.token)[0] == 0
    write_sheets({"cot_collection": ROWS[2:]}, tmp_path / "packed/plots")
    assert run("push", tmp_path / "packed", "org/uv", "--token", hub.token)[0] == 0
    files = hub.repositories["org/uv"].at("main").files
    assert "plots/sheet-cot_collection.jpg" in files
    assert "![sheet-cot_collection](plots/sheet-cot_collection.jpg)" in (tmp_path / "packed/README.md").read_text()


def test_plots_need_their_extra_before_anything_is_read(run, tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.report.plots.find_spec", lambda name: None)
    code, _, err = run("stats", tmp_path / "not-there", "--plots", tmp_path / "plots")
    assert code == 2
    assert "matplotlib is not installed; run in the clone: pip install -c constraints.txt -e '.[report]'" in err


def test_written_plots_have_the_names_the_card_knows(stats, tmp_path):
    assert sorted(path.name for path in write_plots(stats, tmp_path))[:2] == ["formats-dark.svg", "formats-light.svg"]
