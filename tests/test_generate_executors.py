"""Shards of a run elsewhere: processes, Ray, a Slurm array. What they make together is what one run makes."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from tests.fake_slurm import run_script
from tests.generation_runs import write_spec
from toolkit.cli.app import main
from toolkit.errors import RunStopped, UnknownName, UsageError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.lock import lock
from toolkit.generation.runs.shards import run_shards

RECIPES = {"image_editing": 2, "mm_internet": 4, "mm_reasoning_t": 2}
LOCAL_CLUSTER = {"num_cpus": 2, "object_store_memory": 80_000_000, "_node_ip_address": "127.0.0.1"}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A spec, and the shards of a run of it in one process."""
    folder = tmp_path_factory.mktemp("clean")
    spec = read_spec(write_spec(folder, {"name": "spread", "recipes": RECIPES}))
    engine.run(spec, folder / "run")
    return folder / "spec.yaml", shas(spec, folder / "run")


def shas(spec, run):
    return [(shard.path, shard.sha256) for shard in finalize(spec, run).shards]


def test_processes_make_what_one_run_makes_and_tell_of_every_sample(clean, tmp_path):
    spec, told = read_spec(clean[0]), []
    counts = run_shards(spec, tmp_path, num_shards=2, on_sample=lambda progress: told.append(progress.state))
    assert counts == {"ok": 7, "rejected": 1}
    assert sorted(told) == ["ok"] * 7 + ["rejected"]
    assert shas(spec, tmp_path) == clean[1]
    assert not run_shards(spec, tmp_path, num_shards=3)


def test_a_shard_that_stops_is_named_and_the_others_go_on(clean, tmp_path):
    spec = read_spec(clean[0])
    with (
        lock(tmp_path / "shards/001-of-002"),
        pytest.raises(RunStopped, match=r"1 of 2 parts stopped, part 1/2: .*another process is working on this part"),
    ):
        run_shards(spec, tmp_path, num_shards=2)
    assert run_shards(spec, tmp_path, num_shards=2).total() > 0
    assert shas(spec, tmp_path) == clean[1]


def test_of_two_that_make_a_run_one_goes_on(clean, tmp_path):
    spec = read_spec(clean[0])
    others = []

    def while_it_runs(progress):
        if not others:
            with pytest.raises(UsageError, match="another process is making this run; wait for it"):
                run_shards(spec, tmp_path, num_shards=3)
            others.append(progress)

    assert run_shards(spec, tmp_path, num_shards=2, on_sample=while_it_runs).total() == 8
    assert others
    assert not run_shards(spec, tmp_path, num_shards=2)


def test_an_unknown_executor_lists_the_known(clean, tmp_path):
    with pytest.raises(UnknownName, match="unknown executor 'spark'; known: local, ray"):
        run_shards(read_spec(clean[0]), tmp_path, num_shards=2, executor="spark")


@pytest.mark.timeout(300)  # a cluster takes a while to start
def test_ray_makes_what_one_run_makes_also_when_a_worker_dies(clean, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes a token to the home folder
    # In a process of its own: Ray's threads and signal handlers outlive its shutdown, and processes forked beside them
    # hang.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        counts = pool.submit(_run_on_ray, clean[0], tmp_path).result()
    assert counts == {"ok": 7, "rejected": 1}
    assert (tmp_path / "died").exists()
    assert shas(read_spec(clean[0]), tmp_path) == clean[1]


def _run_on_ray(path, folder):
    """Where no cluster is there the executor starts one, and leaves nothing of it behind."""
    import ray

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ray, "init", partial(ray.init, **LOCAL_CLUSTER))
        patched.setattr("toolkit.generation.runs.shards.run_shard", _die_once_at_one)
        counts = run_shards(read_spec(path), folder, num_shards=2, executor="ray")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return counts


def _die_once_at_one(spec, folder, num_shards, fork, replay, number, tell):
    from toolkit.generation.runs.shards import run_shard

    if number == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(9)
    run_shard(spec, folder, num_shards, fork, replay, number, tell)


def test_the_slurm_script_runs_an_array_and_then_finalizes(clean, tmp_path, capsys):
    path, wanted = clean
    with pytest.raises(SystemExit):
        main(["generate", "run", str(path), "--executor=slurm", "--workers", "3", "--out", str(tmp_path / "a run")])
    log = run_script(capsys.readouterr().out, tmp_path)
    assert sorted(each.name for each in (tmp_path / "a run/shards").iterdir()) == [
        "000-of-003",
        "001-of-003",
        "002-of-003",
    ]
    assert "--dependency=afterok:7 --kill-on-invalid-dep=yes" in log
    assert (tmp_path / "a run/report.md").exists()
    assert shas(read_spec(path), tmp_path / "a run") == wanted


def test_one_shard_and_all_shards_cannot_both_be_asked_for(clean, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["generate", "run", str(clean[0]), "--part", "0/2", "--workers", "2"])
    assert ended.value.code == 2
    assert "give one of the two" in capsys.readouterr().err
