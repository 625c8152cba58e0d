"""Signals, in processes of their own: what is under way is not lost, what is said is enough to go on, and the bytes
stay the same.
"""

import signal
import time

import pytest

from tests.generation_kills import steps
from tests.generation_runs import KEY, http_spec
from tests.openai_server import OpenAIServer
from tests.processes import Command
from toolkit.errors import UsageError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.lock import lock

SAMPLES = 24


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer(latency_s=0.15)
    yield server
    server.close()


@pytest.fixture
def spec(server, tmp_path):
    return http_spec(tmp_path, server.url, {"image_generation_topic": SAMPLES})


def start(spec, folder, *options):
    process = Command("generate", "run", spec, "--out", folder, *options)
    while steps(folder) < 6 and process.poll() is None:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_calls_end_and_says_how_to_go_on(server, spec, tmp_path, number, code):
    process = start(spec, tmp_path / "run")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "waiting for the calls under way; once more stops at once" in err
    assert err.endswith("run the same command again to resume\n")
    stopped = summarise(read_spec(spec), tmp_path / "run")
    assert (stopped.in_doubt, stopped.recipes["image_generation_topic"].pending > 0) == (0, True)
    server.latency_s = 0.0
    engine.run(read_spec(spec), tmp_path / "run")
    assert len(server.requests) == 5 * SAMPLES  # none was sent twice


def test_the_second_signal_stops_at_once(server, spec, tmp_path):
    server.latency_s = 20.0
    process = Command("generate", "run", spec, "--out", tmp_path / "run")
    while steps(tmp_path / "run") < 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    while "interrupted" not in process.err:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode == 130
    assert summarise(read_spec(spec), tmp_path / "run").in_doubt == 4


def test_processes_of_one_run_stop_together_at_ctrl_c(server, spec, tmp_path):
    process = start(spec, tmp_path / "run", "--workers", "2")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; run the same command again to resume" in err
    stopped = summarise(read_spec(spec), tmp_path / "run")
    assert (stopped.in_doubt, stopped.recipes["image_generation_topic"].pending > 0) == (0, True)


def test_a_stopped_process_keeps_its_shard_and_goes_on(server, spec, tmp_path):
    process = start(spec, tmp_path / "run")
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(UsageError, match="another process is working on this part"):
        engine.run(read_spec(spec), tmp_path / "run")
    with pytest.raises(UsageError, match="another process is working on 000-of-001, which shares samples with it"):
        engine.run(read_spec(spec), tmp_path / "run", shard=(0, 2))
    server.latency_s = 0.0
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line for line in err.splitlines() if not line.startswith("warning: ")] == []
    assert summarise(read_spec(spec), tmp_path / "run").recipes["image_generation_topic"].ok == SAMPLES
    assert finalize(read_spec(spec), tmp_path / "run").shards[0].rows == SAMPLES


def test_shards_of_the_same_number_do_not_exclude_one_another(tmp_path):
    with lock(tmp_path / "000-of-002"), lock(tmp_path / "001-of-002"):
        assert len(list(tmp_path.glob("*/LOCK"))) == 2
