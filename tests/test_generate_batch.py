"""Batches against a strict server on loopback: order, losses, crashes, money."""

import json
import os
import re
import signal
import threading
import time
from collections import Counter

import pytest

from tests.batch_server import BatchServer
from tests.generation_runs import KEY, PRICES, http_spec
from tests.processes import Command
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.backends import batch_files
from toolkit.generation.backends.batch_files import split
from toolkit.generation.calls import sending as calls
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import journal_paths, query
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.plans import plan
from toolkit.staging.files import disk_full

RECIPES = {"image_generation_topic": 4}
STEPS = 4  # chat calls of a sample; its picture is a fifth


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.01)
    server = BatchServer()
    yield server
    server.close()


@pytest.fixture
def spec_path(server, tmp_path):
    def make(recipes=RECIPES, *, gather_s=0.25, **rest):
        ways = {
            "base_url": server.url,
            "api_key_env": "TEST_API_KEY",
            "mode": "batch",
            "gather_s": gather_s,
            "poll_s": 0.02,
        }
        backends = {
            "all": {"kind": "openai_chat", "model": "chat", **ways},
            "image": {"kind": "openai_images", "model": "draw", **ways},
        }
        return http_spec(tmp_path, server.url, recipes, backends=backends, concurrency=8, **rest)

    return make


def run(path, folder):
    spec = read_spec(path)
    try:
        engine.run(spec, folder)
    finally:
        summary = summarise(spec, folder)
    return summary


def assert_half_the_servers_bill(server, summary):
    used = {
        name: sum(getattr(use, name) for use in summary.models.values())
        for name in ("input_tokens", "output_tokens", "images")
    }
    assert used == {name: server.billed[name] for name in used}
    full = (
        used["input_tokens"] * PRICES["chat"]["input_per_mtok"]
        + used["output_tokens"] * PRICES["chat"]["output_per_mtok"]
    ) / 1e6
    assert summary.cost == pytest.approx((full + used["images"] * PRICES["draw"]["per_image"]) / 2)


def sends(server):
    """How many batches each call lies in, those that nobody asked about again included; how calls fall into batches is
    a matter of time.
    """
    lines = [line for batch in server.batches.values() for line in server.files[batch["input_file_id"]].splitlines()]
    return Counter(json.loads(line)["custom_id"] for line in lines)


def test_a_wave_of_samples_is_one_batch_a_step_at_half_the_price(server, spec_path, tmp_path):
    summary = run(spec_path(gather_s=1.0), tmp_path / "run")  # longer than a busy disk keeps one of a wave
    assert summary.recipes["image_generation_topic"].ok == 4
    assert server.complaints == []
    sizes = [server.files[batch["input_file_id"]].count(b"\n") for batch in server.batches.values()]
    assert sizes == [4] * (STEPS + 1)
    assert_half_the_servers_bill(server, summary)
    assert {use.sends - use.calls for use in summary.models.values()} == {0}


def test_rows_are_those_of_direct_calls(server, spec_path, tmp_path):
    path = spec_path()
    run(path, tmp_path / "batches")
    batched = finalize(read_spec(path), tmp_path / "batches")
    direct = path.parent / "direct.yaml"
    direct.write_text(path.read_text().replace("mode: batch", "mode: direct"))
    run(direct, tmp_path / "direct")
    assert [shard.sha256 for shard in finalize(read_spec(direct), tmp_path / "direct").shards] == [
        shard.sha256 for shard in batched.shards
    ]


@pytest.mark.parametrize("fault", ["expired", "error 500"])
def test_lines_that_are_lost_are_asked_again_in_the_next_batch(server, spec_path, tmp_path, fault):
    server.spoil = lambda number, custom_id: fault if number in (2, 6) else ""
    summary = run(spec_path(), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].ok == 4
    assert sum(use.sends - use.calls for use in summary.models.values()) == 2
    assert len(server.requests) == 4 * (STEPS + 1) + 2
    assert_half_the_servers_bill(server, summary)


@pytest.mark.parametrize("fault", ["missing", "null"])
def test_lines_of_which_nothing_is_said_are_booked_and_asked_again(server, spec_path, tmp_path, fault):
    server.spoil = lambda number, custom_id: fault if number in (2, 6) else ""
    summary = run(spec_path(), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].ok == 4
    assert summary.in_doubt == 2  # the server may have billed them
    assert len(server.requests) == 4 * (STEPS + 1) + 2


def test_duplicate_lines_count_once(server, spec_path, tmp_path):
    server.spoil = lambda number, custom_id: "duplicate"
    summary = run(spec_path(), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].ok == 4
    assert_half_the_servers_bill(server, summary)


def test_everything_expired_fails_the_samples_after_so_many_sends(server, spec_path, tmp_path):
    server.spoil = lambda number, custom_id: "expired"
    summary = run(spec_path(attempts=2), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].reasons == {"topic_brief: batch_expired": 4}
    assert sorted(sends(server).values()) == [2] * 4
    assert summary.cost == 0


def test_refusals_and_repairs_inside_batches(server, spec_path, tmp_path):
    server.faults = lambda number, step, content: (
        "wrong_schema"
        if step == "topic_brief" and len(content["messages"]) == 2
        else "refusal"
        if step == "picture_rationale"
        else ""
    )
    summary = run(spec_path(), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].reasons == {"picture_rationale: refusal": 4}
    assert sorted(sends(server).values()) == [1] * 4 * 4  # brief, its repair, guess, rationale
    assert_half_the_servers_bill(server, summary)


def test_a_batch_that_comes_too_early_is_made_again_later_and_costs_no_attempt(server, spec_path, tmp_path):
    server.failed = [("token_limit_exceeded", "Enqueued token limit reached")] * 6
    summary = run(spec_path(attempts=1), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].ok == 4
    assert server.failed == []
    assert_half_the_servers_bill(server, summary)


def test_a_batch_that_is_wrong_stops_the_run_with_the_servers_words(server, spec_path, tmp_path):
    server.failed = [("invalid_model", "The model 'chat' has no batches")]
    with pytest.raises(RunStopped, match=r"^text: chat: batch_failed: The model 'chat' has no batches"):
        run(spec_path(), tmp_path / "run")


def run_whose_batch_is_lost(server, path, run_folder):
    """A killed run, of whose second batch the server knows nothing any more; the calls in it."""
    killed_when(server, path, run_folder, batches=2)
    sent = {server.files[batch["input_file_id"]]: name for name, batch in server.batches.items()}
    [noted] = [path for path in run_folder.rglob("0002*.jsonl") if path.read_bytes() in sent]
    lost, lines = sent[noted.read_bytes()], noted.read_bytes().count(b"\n")
    noted.with_suffix(".remote.json").write_text(json.dumps({"id": lost}))  # and it is gone when the run goes on
    del server.batches[lost]
    return lines


def test_a_batch_that_is_gone_is_asked_again_in_another_and_booked(server, spec_path, tmp_path):
    path, run_folder = spec_path(), tmp_path / "run"
    lines = run_whose_batch_is_lost(server, path, run_folder)
    summary = run(path, run_folder)
    assert summary.recipes["image_generation_topic"].ok == 4
    assert summary.in_doubt == lines  # the server may have billed them
    assert run(path, run_folder).recipes["image_generation_topic"].ok == 4


def test_a_batch_that_cannot_be_put_aside_stops_the_run(server, spec_path, tmp_path, monkeypatch):
    def drop(batch):
        raise PermissionError(13, "Permission denied", str(batch.path))

    path, run_folder = spec_path(), tmp_path / "run"
    run_whose_batch_is_lost(server, path, run_folder)
    monkeypatch.setattr(batch_files.BatchFile, "drop", drop)
    with pytest.raises(RunStopped, match=r"batch_broken: \w+-\w+.*: PermissionError: .*Permission denied"):
        run(path, run_folder)


@pytest.mark.parametrize(
    "failing", ["500 POST files", "500 POST batches", "500 AFTER batches", "500 GET batches", "500 GET files"]
)
def test_a_bad_line_makes_no_second_batch(server, spec_path, tmp_path, failing):
    server.failing = [failing]
    summary = run(spec_path(), tmp_path / "run")
    assert summary.recipes["image_generation_topic"].ok == 4
    assert server.failing == []
    assert all(count == 1 for count in server.contents.values())
    assert sorted(sends(server).values()) == [1] * 4 * (STEPS + 1)
    assert_half_the_servers_bill(server, summary)


def test_a_wrong_key_stops_the_run(server, spec_path, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", "another")
    with pytest.raises(RunStopped, match="status_401"):
        run(spec_path(), tmp_path / "run")


def start(path, folder):
    return Command("generate", "run", path, "--out", folder)


def killed_when(server, path, folder, *, batches):
    """Run in a process that is killed inside the server's answer to its n-th batch: made there, and never heard of
    here.
    """
    process = start(path, folder)
    dead = threading.Event()

    def on_batch():
        if len(server.batches) == batches:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            dead.set()

    server.on_batch = on_batch
    assert dead.wait(60), process.err
    process.communicate()
    server.on_batch = lambda: None


def test_killed_between_making_a_batch_and_noting_it_makes_no_second_one(server, spec_path, tmp_path):
    path = spec_path()
    killed_when(server, path, tmp_path / "run", batches=2)
    assert len(list((tmp_path / "run").rglob("*.remote.json"))) == 1
    summary = run(path, tmp_path / "run")
    assert summary.recipes["image_generation_topic"].ok == 4
    assert all(count == 1 for count in server.contents.values())
    assert sorted(sends(server).values()) == [1] * 4 * (STEPS + 1)
    # Nothing is in doubt: what was under way is the same send, and its price is the server's.
    assert {(use.sends - use.calls, use.in_doubt) for use in summary.models.values()} == {(0, 0)}
    assert_half_the_servers_bill(server, summary)


def test_killed_while_waiting_goes_on_waiting_for_the_same_batch(server, spec_path, tmp_path):
    path, run_folder = spec_path(), tmp_path / "run"
    server.polls = 10**9
    process = start(path, run_folder)
    deadline = time.monotonic() + 60
    while not list(run_folder.rglob("*.remote.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    for batch in server.batches.values():
        batch["polls"] = 1
    server.polls = 1
    summary = run(path, run_folder)
    assert summary.recipes["image_generation_topic"].ok == 4
    assert sorted(sends(server).values()) == [1] * 4 * (STEPS + 1)
    assert_half_the_servers_bill(server, summary)
    clean = run(path, tmp_path / "clean")
    assert clean.cost == pytest.approx(summary.cost)
    shas = [
        [shard.sha256 for shard in finalize(read_spec(path), folder).shards]
        for folder in (run_folder, tmp_path / "clean")
    ]
    assert shas[0] == shas[1]


@pytest.mark.parametrize("kind", [r"\d-\w+\.jsonl", r"\.remote\.json", r"\.out\.jsonl"])
def test_a_file_of_a_batch_that_does_not_fit_stops_the_run_which_goes_on(
    server, spec_path, tmp_path, monkeypatch, kind
):
    path, write = spec_path(), batch_files.write_whole

    def full(place, content):
        if re.search(rf"{kind}$", place.name):
            raise disk_full(place, "more is")
        write(place, content)

    with monkeypatch.context() as patch:
        patch.setattr(batch_files, "write_whole", full)
        with pytest.raises(RunStopped, match=r"^/.*: the disk is full: .* are free, more is needed"):
            run(path, tmp_path / "run")
    assert run(path, tmp_path / "run").recipes["image_generation_topic"].ok == 4
    assert set(sends(server).values()) == {1}


def test_every_answer_is_kept_as_it_came(server, spec_path, tmp_path):
    run(spec_path(), tmp_path / "run")
    lines = [
        json.loads(line)
        for path in (tmp_path / "run").rglob("*.out.jsonl")
        for line in path.read_text().splitlines()
        if line
    ]
    keys = {key for path in journal_paths(tmp_path / "run") for (key,) in query(path, "SELECT key FROM calls")}
    assert {line["custom_id"] for line in lines} == keys


def test_batches_are_split_by_number_and_by_bytes():
    assert split(["a", "b", "c"], max_requests=2) == [["a", "b"], ["c"]]
    assert split(["aaa", "bb", "c"], max_bytes=7) == [["aaa", "bb"], ["c"]]
    assert split(["\u00e9\u00e9", "a"], max_bytes=6) == [["\u00e9\u00e9"], ["a"]]
    assert split([]) == []


def test_a_plan_says_half_the_price(server, spec_path):
    path = spec_path()
    halved = estimate(read_spec(path))
    path.write_text(path.read_text().replace("mode: batch", "mode: direct"))
    full = estimate(read_spec(path))
    assert [each.usd[1] for each in halved] == pytest.approx([each.usd[1] / 2 for each in full])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "openai_chat", "mode": "later"}, r"'mode' is 'later': input should be 'direct' or 'batch'"),
        ({"kind": "folder", "mode": "batch"}, "'folder' takes no batches"),
    ],
)
def test_only_servers_take_batches(tmp_path, server, options, message):
    with pytest.raises(UsageError, match=message):
        plan(read_spec(http_spec(tmp_path, server.url, RECIPES, backends={"all": options})))
