"""Packing a run again and again: what was packed is replaced as a whole, and nothing is left behind."""

import pytest

from tests.generation_runs import write_spec
from tests.test_pack import content
from toolkit.errors import UsageError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.runs import engine
from toolkit.generation.runs import finalize as module
from toolkit.generation.runs.finalize import finalize
from toolkit.staging.jobs import Job
from toolkit.staging.locks import hold


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    small, large = (
        read_spec(write_spec(folder, {"name": "f", "recipes": {"image_editing": count}})) for count in (2, 3)
    )
    engine.run(large, folder / "run")
    return small, large, folder / "run"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_more_rows_replace_fewer_and_nothing_is_left(run):
    small, large, folder = run
    finalize(small, folder)
    assert finalize(large, folder).total("rows") == 3
    assert names(folder) == ["blobs", "duplicates.json", "packed", "packed.json", "shards", "spec.lock.json"]


@pytest.mark.parametrize("step", [(Job, "run"), (module, "sync_folder"), (Job, "close")], ids=lambda step: step[1])
def test_stopped_at_any_step_it_ends_in_the_same_bytes(run, step, monkeypatch):
    small, large, folder = run
    finalize(large, folder)
    whole = content(folder / "packed")
    finalize(small, folder)
    real = getattr(*step)

    def stop(*arguments, **options):
        real(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*step, stop)
        with pytest.raises(KeyboardInterrupt):
            finalize(large, folder)
    finalize(large, folder)
    assert content(folder / "packed") == whole
    assert names(folder) == ["blobs", "duplicates.json", "packed", "packed.json", "shards", "spec.lock.json"]


def test_a_second_process_says_so(run):
    _, large, folder = run
    with (
        hold(folder / ".finalize.lock", busy=""),
        pytest.raises(UsageError, match="another process is packing this run; wait for it"),
    ):
        finalize(large, folder)
