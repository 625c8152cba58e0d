"""What the table, the guides and `convert --list` say of a format, held against what it does."""

import ast
from contextlib import suppress
from pathlib import Path

import pytest

from conversion import convert_shards, describe
from conversion.formats import FORMATS, get_format
from conversion.shard import ShardFolder
from tests.conversion_claims import FITS, NOTES, OPTIONS, READ_BY, SHAPES
from tests.conversion_plugins import options_for
from tests.conversion_rows import RowShard
from tests.test_conversion_contract import PROFILES as ALL_PROFILES
from toolkit.errors import RowError
from toolkit.registry import make_options
from toolkit.schema import COLUMNS

PROFILES = [key for key in ALL_PROFILES if key[0] in FORMATS.own]  # of an installed package's nothing is claimed here
ENTRIES = {(entry["format"], entry["profile"]): entry for entry in describe()}

EMPTY = ("", "{}", ())


@pytest.mark.parametrize("key", PROFILES, ids="-".join)
def test_a_format_holds_the_pictures_it_says_and_refuses_any_other_row(key, tmp_path):
    form = get_format(key[0])
    options = make_options(form.options, {**options_for(*key), **OPTIONS.get(key, {})})
    kept = set()
    with ShardFolder(tmp_path / "shard", 0) as shard:
        writer = form.writer(shard, options)
        for shape, row in SHAPES.items():
            with suppress(RowError):
                writer.write(row)
                kept.add(shape)
        writer.close()
    assert kept == FITS[key]
    entry = ENTRIES[key]
    in_prompts = {int(shape.split(">")[0].split()[-1]) for shape in kept}
    in_answers = {shape.split(">")[1] != "0" for shape in kept}
    assert (entry["prompt_images"] == "none") == (in_prompts == {0})
    assert (entry["answer_images"] == "none") == (in_answers == {False})


@pytest.mark.parametrize("key", PROFILES, ids="-".join)
def test_answers_whose_pictures_are_not_trained_and_columns_that_are_not_kept_are_counted(key, tmp_path):
    name, profile = key
    rows = [SHAPES[shape] for shape in sorted(FITS[key])]
    options = {**options_for(name, profile), **OPTIONS.get(key, {})}
    report = convert_shards([RowShard(*rows)], tmp_path / "out", to=name, options=options)
    answered = sum(len(row.images) - row.image_roles.count("input") for row in rows)
    untrained = 0 if ENTRIES[key]["trains_output_images"] else answered - sum(report.images_dropped.values())
    assert sum(report.images_without_loss.values()) == untrained
    assert report.columns_lost == {
        column: count
        for column in COLUMNS
        if column not in ENTRIES[key]["columns"] and (count := sum(getattr(row, column) not in EMPTY for row in rows))
    }


@pytest.mark.parametrize("key", PROFILES, ids="-".join)
def test_every_note_has_a_test(key):
    for note in ENTRIES[key]["notes"]:
        (found,) = {test for words, test in NOTES.items() if note.startswith(words)}
        assert is_a_test(found), found


def is_a_test(named):
    file, name = named.split("::")
    tree = ast.parse((Path(__file__).parent / f"test_conversion_{file}.py").read_text(encoding="utf-8"))
    return name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_profile_is_read_as_its_consumer_reads_it():
    assert list(READ_BY) == PROFILES
    assert [named for named in READ_BY.values() if not is_a_test(named)] == []


def test_no_note_is_listed_that_no_format_has():
    notes = [note for entry in ENTRIES.values() for note in entry["notes"]]
    assert not [words for words in NOTES if not any(note.startswith(words) for note in notes)]
