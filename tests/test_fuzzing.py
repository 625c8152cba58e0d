"""A few of the inputs of `fuzzing` to every surface; by hand it makes as many as one likes."""

import pytest

pytest.importorskip("hypothesis", reason="inputs come from hypothesis; pip install hypothesis")

from tests import fuzzing

FEW = {"manifest": 12, "state": 12, "shard": 12, "spec": 20, "mapping": 30, "imported_lines": 30}  # the slow ones
GOOD = {
    "tar": (fuzzing.tar_bytes(*fuzzing.TARS[0]), "equal"),
    "zipped": (fuzzing.zip_bytes(), "equal"),
    "picture": (fuzzing.picture_bytes("PNG"), "pixels"),
    "mapping": (fuzzing.as_json(fuzzing.MAPPING), "a mapping"),
    "spec": (fuzzing.as_json(fuzzing.SPEC), "a spec"),
    "reply_text": (fuzzing.REPLY, "a reply"),
}


@pytest.mark.parametrize("name", sorted(fuzzing.SURFACES))
@pytest.mark.filterwarnings("ignore")  # of Pillow, about what it reads
def test_hostile_inputs_end_in_a_classified_error_or_in_good_data(name):
    faults = []
    found = fuzzing.fuzz(name, FEW.get(name, 60), on_fault=lambda error, value: faults.append((repr(error), value)))
    assert faults == []
    assert found.total() >= 10


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_changed_was_good_before(name):
    value, outcome = GOOD[name]
    assert fuzzing.outcome(fuzzing.SURFACES[name].read, value) == outcome


def test_a_fault_is_told_from_an_outcome(monkeypatch):
    def read(value):
        raise KeyError(value)

    monkeypatch.setitem(fuzzing.SURFACES, "broken", fuzzing.Surface(fuzzing.SURFACES["row"].inputs, read))
    faults = []
    found = fuzzing.fuzz("broken", 3, on_fault=lambda error, value: faults.append(error))
    assert list(found) == ["FAULT KeyError"]
    assert [type(each) for each in faults] == [KeyError] * found.total()


def test_what_takes_for_ever_is_a_hang(monkeypatch):
    monkeypatch.setattr(fuzzing, "SECONDS", 0.05)

    def read(value):
        while True:
            pass

    with pytest.raises(fuzzing.Hang):
        fuzzing.outcome(read, None)
