"""Benchmarks run, on as little as they can, and print their figures; what these are is not looked at here."""

import importlib
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# Arguments, {} being a folder; and what a whole run prints.
RUNS = {
    "compression": ("--rows 1 --repeats 1", "zstd 9"),
    "checksums": ("--rows 4 --repeats 1", "decoded, 256 pixels"),
    "convert": ("--rows 8 --repeats 1 --folder {}/data", "peak memory of 8 rows"),
    "kills": ("--kills 1 --rows 2 --workers 1 --commands import", "same"),
    "encode": ("--rows 2 --repeats 1 --folder {}", "of the encoder"),
    "generate_diversity": ("--samples 12 --drawings 12", "of 12 different drawings"),
    "generate_kill": ("--kills 1 --samples 4 --recipes image_generation_topic", "same"),
    "lying": ("--lies written --every 8 --readers stats", "2 datasets, 2 readers, 0 faults"),
    "memory": ("--models Janus-Pro-1B", "| Janus-Pro-1B | 1.9 | 37 | 10 | 10 |"),
    "survey": ("--rows 2000 --folder {}/data", "second open"),
    "verifier": ("--scenes 1", "shadow"),
}
RUN_IN_PIECES = {"generate_scale", "resume", "stream", "stream_data", "stream_peers", "tokens", "writers"}
TOO_LONG = {
    "browse",
    "curate",
    "decode_memory",
    "full_disk",
    "generate_http",
    "pack",
    "scene_answers",
    "scene_truth",
    "stream_upstream",
    "together",
}  # 13 s to minutes, however little they are given

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def benchmark(monkeypatch):
    pytest.importorskip("torch", reason="the benchmarks of streaming need torch; pip install -e '.[dev]'")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_each_benchmark_is_run_or_said_to_take_too_long():
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == set(RUNS) | RUN_IN_PIECES | TOO_LONG


@pytest.mark.parametrize("name", RUNS)
def test_a_benchmark_prints_its_figures(name, tmp_path, monkeypatch, capsys):
    arguments, printed = RUNS[name]
    path = str(BENCHMARKS / f"{name}.py")
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS.parent))
    monkeypatch.setattr(sys, "argv", [path, *arguments.replace("{}", str(tmp_path)).split()])
    code = None
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    assert not code
    assert printed in capsys.readouterr().out


def test_the_docs_have_the_memory_that_is_computed():
    assert RUNS["memory"][1] in (BENCHMARKS.parent / "docs/training.md").read_text(encoding="utf-8")


def test_memory_that_is_computed_is_a_near_bound_of_what_an_update_takes(benchmark):
    memory = benchmark("memory")
    made = memory.small_chameleon()
    computed = memory.memory(made, gpus=1, with_adapters=False, tokens=512)
    assert computed / 1.2 < memory.measured(made, tokens=512) < computed


@pytest.fixture(scope="module")
def streams(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.mark.parametrize("way", ["limit", "DataLoader", "ours"])
def test_each_way_of_streaming_gives_every_picture(benchmark, streams, way):
    stream = benchmark("stream")
    stream.write_all(streams, 12, [])
    found = stream.run_cell(streams, way, "fused")
    assert found["cpu_ms"] > 0
    assert found.get("images", 0) == (0 if way == "limit" else sum(map(len, stream.encoded_rows(streams / "packed"))))


@pytest.mark.parametrize("options", [[], ["--max-tokens", "3000", "--packing"]])
def test_resume_compares_what_is_left(benchmark, tmp_path, monkeypatch, capsys, options):
    resume = benchmark("resume")
    monkeypatch.setattr(resume, "WORKERS", (0, 1))
    monkeypatch.setattr(resume, "RANKS", (2,))
    monkeypatch.setattr(sys, "argv", ["resume.py", "--folder", str(tmp_path), "--rows", "1500", *options])
    with pytest.raises(SystemExit) as ended:
        resume.main()
    assert not ended.value.code
    assert capsys.readouterr().out.count(" yes ") == 4


def test_a_run_at_scale_is_replayed_from_a_journal_that_holds_the_answers(benchmark, tmp_path):
    scale = benchmark("generate_scale")
    scale.prepare(tmp_path, 3)
    for step in ("fill", "replay", "status", "finalize"):
        scale.work(step, tmp_path)
    assert scale.samples_in(tmp_path / "again") == 3
    assert len(list((tmp_path / "again/packed/data").rglob("*.parquet"))) == 1


def test_tokens_prints_padding_and_speed_of_each_way(benchmark, tmp_path, monkeypatch, capsys):
    tokens = benchmark("tokens")
    monkeypatch.setattr(tokens, "TASKS", ("image_editing", "cot_collection"))
    monkeypatch.setattr(
        sys, "argv", ["tokens.py", "--folder", str(tmp_path), "--rows", "3", "--steps", "1", "--max-tokens", "4096"]
    )
    tokens.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[-3:]]
    assert [line[-5] for line in lines] == ["rows", "max_tokens", "packing"]
    assert lines[2][-3] == "0.0%"
