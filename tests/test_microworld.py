"""The micro-world: pictures are read back from pixels, sides show only what they may, a short training learns."""

import json
from itertools import product

import pytest

pytest.importorskip("torch", reason="the micro-world trains a model; pip install -e '.[train]'")

from toolkit.cli.app import main
from toolkit.errors import UsageError
from toolkit.evaluation.microworld.items import TASKS, training_item
from toolkit.evaluation.microworld.measures import MEASURES, is_right, items
from toolkit.evaluation.microworld.mixtures import read_mixture
from toolkit.evaluation.microworld.model import make_model, row_mean_losses
from toolkit.evaluation.microworld.regimes import CONTROLS, REGIMES, rows
from toolkit.evaluation.microworld.split import NOUNS, Split
from toolkit.evaluation.microworld.study import study, table
from toolkit.evaluation.microworld.training import Settings
from toolkit.evaluation.microworld.world import COLOURS, EMPTY, SHAPES, Thing, codes_of, encode, paint, read
from toolkit.packing.rows import pack_rows
from toolkit.rules import check_row


def test_every_thing_in_every_cell_is_read_back_from_pixels():
    for number, (colour, shape) in enumerate(product(COLOURS, SHAPES)):
        cells = list(EMPTY)
        cells[number % 4], cells[(number + 1) % 4] = Thing(colour, shape), Thing("blue", "bolt")
        picture = paint(codes_of(tuple(cells)))
        assert read(picture) == cells
        assert encode(picture) == codes_of(tuple(cells))


def test_cells_of_two_colours_or_no_shape_are_nothing_known():
    codes = codes_of((Thing("red", "square"), None, None, None))
    other = codes_of((Thing("blue", "square"), None, None, None))
    assert read(paint([codes[0], other[1], *codes[2:]]))[0] == ("?", "?")
    assert read(paint([codes[0], *[0] * 15]))[0] == ("?", "?")


@pytest.mark.parametrize("seed", range(3))
def test_each_side_shows_only_its_own(seed):
    split = Split.of(seed)
    assert not split.shapes["U"] & split.shapes["D"]
    for side, other in (("U", "D"), ("D", "U")):
        banned = {nouns[1 if other == "U" else 2] for nouns in NOUNS.values()}
        for number in range(400):
            item = training_item(split, side, seed, number)
            for piece in (*item.prompt, *item.thought, item.answer):
                if isinstance(piece, str):
                    assert not banned & set(piece.split())
                    continue
                shown = {thing for thing in piece if thing}
                assert not shown & (split.pairs[other] | split.never)
                assert not {thing.shape for thing in shown} & split.shapes[other]


def test_what_only_the_other_side_showed_is_what_the_cross_measures_ask():
    split = Split.of(1)
    for item in items(split, "one-sided shapes drawn", 1, at_end=True):
        assert {thing.shape for thing in item.answer if thing} & split.shapes["U"]
    for item in items(split, "U cross", 1, at_end=True)[1::2]:
        assert item.prompt[-1].split()[-1] in {nouns[2] for nouns in NOUNS.values()}
    train = {training_item(split, "U", 1, number).prompt[-1] for number in range(2000)}
    assert not train & {item.prompt[-1] for item in items(split, "U cross", 1, at_end=True)[1::2]}


@pytest.mark.parametrize("regime", [*REGIMES, *CONTROLS])
def test_rows_of_a_regime_keep_the_rules(regime):
    found = list(rows(regime, 0, 40))
    for row in found:
        check_row(row)
    assert len({row.id for row in found}) == len(found)
    drawn = sum("output" in row.image_roles for row in found)
    assert (drawn == 0) is (regime == "text only")


def test_answers_are_right_by_their_last_words_or_the_cells_of_their_last_picture():
    item = training_item(Split.of(0), "U", 0, 2)
    assert item.task == "place"
    assert is_right(item, f"i look . {item.answer}", ())
    assert not is_right(item, f"{item.answer} or not", ())
    drawing = training_item(Split.of(0), "D", 0, 0)
    assert is_right(drawing, "", [paint(codes_of(drawing.answer))])
    assert not is_right(drawing, "", [paint(codes_of(EMPTY))])
    assert not is_right(drawing, "", ())


def test_a_row_mean_loss_weighs_a_long_row_as_a_short_one():
    made = make_model(0)
    found = sorted((row.to_dict() for row in rows("coupled", 0, 40)), key=lambda row: len(row["images"]))
    one, other = made.collator([found[0]]), made.collator([found[-1]])
    both = made.collator([found[0], found[-1]])
    apart = [float(row_mean_losses(made.model, batch).mean.detach()) for batch in (one, other)]
    assert float(row_mean_losses(made.model, both).mean.detach()) == pytest.approx(sum(apart) / 2, rel=1e-4)


def test_mixtures_are_read_and_rows_of_a_packed_dataset_are_counted(tmp_path):
    path = tmp_path / "mixture.yaml"
    path.write_text("understanding: 1\ndrawing with thoughts: 3\n")
    assert read_mixture(path) == {"understanding": 1.0, "drawing with thoughts": 3.0}
    for bad, why in (
        ("drawings: 1", "no kind of row; known: understanding,"),
        ("drawing: -1", "above 0"),
        ("[]", "list"),
    ):
        path.write_text(bad)
        with pytest.raises(UsageError, match=why):
            read_mixture(path)
    pack_rows(rows("", 0, 40, mixture={"drawing": 1, "understanding": 3}), tmp_path / "packed")
    assert read_mixture(tmp_path / "packed") == {"understanding": 30.0, "drawing": 10.0}
    with pytest.raises(UsageError, match=r"no MANIFEST\.json"):
        read_mixture(tmp_path)


@pytest.fixture
def few(monkeypatch):
    """Each measure asks a few things."""
    for name, (make, _, along, chance) in MEASURES.items():
        monkeypatch.setitem(MEASURES, name, (make, 2, min(along, 1), chance))


def test_a_short_training_lowers_the_loss_gives_the_same_figures_twice_and_is_kept(tmp_path, few):
    settings = {"coupled": Settings(tokens=8_000, every=4_000, items=100)}
    done = []
    runs = [
        study(tmp_path / name, ["coupled"], [0], settings, on_done=lambda *each: done.append(each[:2]))[0]
        for name in ("one", "two", "one")
    ]
    assert done == [("coupled", 0)] * 2
    assert runs[0].looks == runs[1].looks == runs[2].looks
    losses = [look.loss for look in runs[0].looks]
    assert losses[-1] < losses[0]
    assert runs[0].looks[-1].scores.keys() == MEASURES.keys()
    assert "| steps |" in table(runs[:1])


def test_two_mixtures_are_compared_from_the_command_line(tmp_path, capsys, few):
    (tmp_path / "a.yaml").write_text("understanding: 1\n")
    (tmp_path / "b.yaml").write_text("drawing: 1\n")
    arguments = [
        "evaluate",
        "compare",
        tmp_path / "a.yaml",
        tmp_path / "b.yaml",
        "--out",
        tmp_path / "out",
        "--seeds",
        1,
    ]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--tokens", "10000", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert ended.value.code in (None, 0)
    assert found["mixtures"] == {"a": {"understanding": 1.0}, "b": {"drawing": 1.0}}
    assert found["tests"].keys() == MEASURES.keys()
    assert (tmp_path / "out/compare.png").exists()


def test_there_is_a_measure_for_every_side():
    assert {task for tasks in TASKS.values() for task in tasks} >= {"count", "correct", "riddle"}
