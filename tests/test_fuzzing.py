"""A few of the inputs of `fuzzing` to every surface; by hand it makes as many as one likes."""

import json
import os
import signal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import fuzzing
from tests.fuzzing import runs
from tests.fuzzing.surface import SURFACES, Surface, as_json

SLOW = {"manifest", "shard", "shard_fitting", "shard_verified", "parquet_rows", "hub_answers"}
GOOD = {
    "tar": (fuzzing.archives.tar_bytes(*fuzzing.archives.TARS[0]), "equal"),
    "zipped": (fuzzing.archives.zip_bytes(), "equal"),
    "images": (fuzzing.images.image_bytes("PNG"), "pixels"),
    "decode_modes": (("scaled", fuzzing.images.image_bytes("JPEG")), "pixels"),
    "mapping": (as_json(fuzzing.texts.MAPPING), "a mapping"),
    "spec": (as_json(fuzzing.texts.SPEC), "a spec"),
    "reply_text": (fuzzing.texts.REPLY, "a reply"),
}
VALUES = sorted(name for name, each in SURFACES.items() if each.of_values)


def outcome(name, value):
    return runs.outcome(SURFACES[name].read, value)[0]


@pytest.mark.parametrize("name", sorted(SURFACES))
@pytest.mark.filterwarnings("ignore")  # of Pillow, about what it reads
def test_hostile_inputs_end_in_a_classified_error_or_in_good_data(name):
    found = runs.batch(name, range(8 if name in SLOW else 20), lambda number, found: None)
    assert found["faults"] == []


@pytest.mark.parametrize("name", VALUES)
def test_hostile_structures_that_hypothesis_makes_do_too(name):
    @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=False))
    def each(dice):
        outcome(name, SURFACES[name].make(dice))

    each()


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_changed_was_good_before(name):
    value, wanted = GOOD[name]
    assert outcome(name, value) == wanted


@pytest.mark.parametrize("name", [name for name in SURFACES if name.startswith(("files of", "records of"))])
def test_every_dialect_is_read_to_rows_where_nothing_is_changed(name):
    dialect = name.partition(" of ")[2]
    for set_, published in fuzzing.dialects.sets_of(dialect).items():
        path, content = next(iter(published.files.items()))
        assert outcome(name, fuzzing.dialects.Change(set_, path, content, True)) == "rows"


def test_an_input_is_the_same_each_time_and_another_for_each_number():
    assert runs.input_of("tar", 5) == runs.input_of("tar", 5) != runs.input_of("tar", 6)


@pytest.fixture
def broken(monkeypatch):
    """A surface that breaks on one of five, and ends the process at 13."""

    def read(value):
        if value == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        if value % 5 == 0:
            raise KeyError(value)
        return "fine"

    numbers = iter(range(100))
    monkeypatch.setitem(SURFACES, "broken", Surface(lambda dice: next(numbers), read))


def test_a_fault_is_told_from_an_outcome_and_counted(broken, tmp_path):
    told = []
    runs.fuzz("broken", 10, runs.Ledger(tmp_path / "counts.json"), tell=told.append)
    kept = json.loads((tmp_path / "counts.json").read_text())["broken"]
    assert (kept["next"], kept["outcomes"]) == (10, {"fine": 8, "FAULT KeyError": 2})
    assert [fault["number"] for fault in kept["faults"]] == [0, 5]
    assert len(told) == 1  # alike


def test_a_process_that_dies_is_a_fault_and_the_rest_is_done(broken, tmp_path):
    ledger = runs.Ledger(tmp_path / "counts.json")
    runs.fuzz("broken", 20, ledger, tell=lambda text: None)
    assert ledger.of("broken")["next"] == 20
    assert ledger.of("broken")["outcomes"]["FAULT ended by -9"] == 1
    assert 13 in [fault["number"] for fault in ledger.of("broken")["faults"]]


def test_what_takes_for_ever_is_a_hang(monkeypatch):
    monkeypatch.setattr(runs, "SECONDS", 0.05)

    def read(value):
        while True:
            pass

    with pytest.raises(runs.Hang):
        runs.outcome(read, None)


def test_what_takes_much_memory_is_a_fault(monkeypatch):
    monkeypatch.setattr(runs, "FREE_BYTES", 20_000_000)
    with pytest.raises(runs.TooMuchMemory):
        runs.outcome(lambda value: str(len(bytearray(200 << 20))), b"a")


def test_dice_change_values_and_leave_the_base_alone():
    base = {"a": [1, {"b": "c"}], "d": None}
    before = json.dumps(base)
    changed = [fuzzing.mutations.changed_value(base, Random(number)) for number in range(50)]
    assert json.dumps(base) == before
    assert sum(each != base for each in changed) > 40
