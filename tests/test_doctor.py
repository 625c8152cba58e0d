"""What `doctor` finds on this machine, and on machines that lack something."""

import json
from importlib import metadata
from types import SimpleNamespace

import pytest

from toolkit import doctor
from toolkit.cli.app import main


def check(name, *, hub=False):
    return next(each for each in doctor.examine(hub=hub) if each.name == name)


def test_doctor_prints_a_line_for_everything_and_ends_well_where_the_core_works(capsys, hub):
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    out = capsys.readouterr().out
    assert not ended.value.code
    for name in ("python", "pyarrow", "extra train", "image decoders", "cache", "shared memory", "hub"):
        assert f" {name} " in out
    assert "answers, no token" in out


def test_doctor_as_json_holds_what_is_missing_and_what_that_costs(capsys, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(doctor, "version", lambda name: missing(name) if name == "ray" else version(name))
    with pytest.raises(SystemExit):
        main(["doctor", "--no-hub", "--json"])
    ray = next(each for each in json.loads(capsys.readouterr().out) if each["name"] == "extra ray")
    assert (ray["state"], ray["found"]) == ("note", "without ray")
    assert "no `--executor ray`" in ray["costs"]
    assert "[ray]" in ray["costs"]


def missing(name):
    raise metadata.PackageNotFoundError(name)


def test_every_extra_for_users_is_told_with_its_packages():
    extras = set(metadata.metadata("unifiedvisual").get_all("Provides-Extra")) - {"dev", "docs"}
    assert set(doctor.EXTRAS) == extras
    assert doctor.packages_of("report") == ["duckdb", "jinja2", "matplotlib", "starlette", "uvicorn"]


def test_a_core_package_that_is_missing_is_wrong_and_exits_1(capsys, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(doctor, "version", lambda name: missing(name) if name == "pyarrow" else version(name))
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--no-hub"])
    assert ended.value.code == 1
    assert "does not work: pyarrow" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_wrong(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(doctor, "_cache", lambda: file / "cache")
    assert check("cache").state == "wrong"
    monkeypatch.setattr(doctor, "_cache", lambda: tmp_path / "not yet" / "there")
    assert check("cache").state == "ok"


def test_little_shared_memory_names_what_may_die_and_the_way_out(monkeypatch):
    usage = SimpleNamespace(total=64_000_000, free=63_000_000)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    found = doctor._shared_memory()
    assert (found.state, found.found) == ("note", "63.0 MB of 64.0 MB free")
    assert "--shm-size" in found.costs


def test_a_pillow_without_avif_costs_rows_with_avif(monkeypatch):
    from PIL import features

    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    found = check("image decoders")
    assert (found.state, "AVIF" in found.found, "AVIF" in found.costs) == ("note", False, True)


def test_a_hub_out_of_reach_is_a_note(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    found = check("hub", hub=True)
    assert found.state == "note"
    assert "127.0.0.1:9" in found.found
