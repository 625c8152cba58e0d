"""kill -9 at random points: the same bytes in the end, no call lost, and at most one paid twice per worker and kill."""

import pytest

from tests.generation_kills import run_with_kills, steps
from tests.generation_runs import GENERATING, IMPORTS, KEY, http_spec, write_spec
from tests.openai_server import OpenAIServer
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.runs import engine
from toolkit.generation.runs.audit import problems
from toolkit.generation.runs.finalize import finalize

CONCURRENCY = 4


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer(latency_s=0.01)
    yield server
    server.close()


def check(path, folder, survived, clean):
    spec = read_spec(path)
    manifest = finalize(spec, folder)
    assert [shard.sha256 for shard in manifest.shards] == [shard.sha256 for shard in clean.shards]
    assert survived.kills > 0
    assert survived.sends - survived.calls == survived.in_doubt <= CONCURRENCY * survived.kills
    assert list(problems(spec, folder)) == []
    assert not list(folder.rglob("*.part"))


def test_killed_runs_over_http_end_in_the_same_bytes(server, tmp_path):
    path = http_spec(
        tmp_path, server.url, {**dict.fromkeys(GENERATING, 3), **dict.fromkeys(IMPORTS, 12)}, concurrency=CONCURRENCY
    )
    spec = read_spec(path)
    engine.run(spec, tmp_path / "clean")
    clean, asked = finalize(spec, tmp_path / "clean"), len(server.requests)
    server.reset()
    survived = run_with_kills(path, tmp_path / "killed", kills=3, total=steps(tmp_path / "clean"))
    check(path, tmp_path / "killed", survived, clean)
    assert len(server.requests) <= asked + CONCURRENCY * survived.kills
    assert max(server.contents.values()) <= 1 + survived.kills


def test_killed_procedural_runs_end_in_the_same_bytes(tmp_path):
    recipes = {"image_correction": 3, "mm_internet": 3, "mm_reasoning_t": 3}
    path = write_spec(tmp_path, {"name": "kill", "recipes": recipes, "concurrency": CONCURRENCY})
    spec = read_spec(path)
    engine.run(spec, tmp_path / "clean")
    clean = finalize(spec, tmp_path / "clean")
    survived = run_with_kills(path, tmp_path / "killed", kills=2, total=steps(tmp_path / "clean"))
    check(path, tmp_path / "killed", survived, clean)
