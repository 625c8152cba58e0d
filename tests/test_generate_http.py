"""The recipes over HTTP, against a strict server on loopback: protocol, faults, money."""

import json
import os
import sqlite3
import time
from collections import Counter

import pytest

from tests.generation_runs import GENERATING, KEY, PRICES, http_spec
from tests.openai_server import OpenAIServer
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.calls import sending as calls
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.retry import put_back
from toolkit.sources.packed import PackedSource, find_shards
from toolkit.sources.repository import LocalFolder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.01)
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def go(server, tmp_path):
    """Run a spec over the server; gives its summary."""

    def call(recipes, **rest):
        path = http_spec(tmp_path, server.url, recipes, **rest)
        spec = read_spec(path)
        try:
            engine.run(spec, tmp_path / "run")
        finally:
            call.summary = summarise(spec, tmp_path / "run")
        return call.summary

    call.folder = tmp_path / "run"
    call.spec = lambda: read_spec(tmp_path / "spec.yaml")
    return call


def sql(folder, statement):
    found = []
    for path in sorted((folder / "shards").glob("*/journal.sqlite3")):
        db = sqlite3.connect(path)
        found += db.execute(statement).fetchall()
        db.close()
    return found


def assert_ledger_equals(server, summary):
    """Requests, tokens, pictures and dollars, as the server counted them."""
    used = {
        name: sum(getattr(use, name) for model, use in summary.models.items() if model != "folder")
        for name in ("sends", "input_tokens", "output_tokens")
    }
    assert used["sends"] == len(server.requests)
    assert (used["input_tokens"], used["output_tokens"]) == (
        server.billed["input_tokens"],
        server.billed["output_tokens"],
    )
    chat, draw = PRICES["chat"], PRICES["draw"]
    dollars = (
        server.billed["input_tokens"] * chat["input_per_mtok"]
        + server.billed["output_tokens"] * chat["output_per_mtok"]
    ) / 1e6
    in_doubt = sum(use.in_doubt_usd for use in summary.models.values())
    assert summary.cost - in_doubt == pytest.approx(dollars + server.billed["images"] * draw["per_image"])


def test_every_recipe_works_over_http_and_the_ledger_is_the_servers(server, go):
    summary = go(dict.fromkeys(GENERATING, 3))
    assert {name: (f.ok, f.rejected, f.failed) for name, f in summary.recipes.items()} == dict.fromkeys(
        GENERATING, (3, 0, 0)
    )
    assert server.complaints == []
    assert_ledger_equals(server, summary)
    assert all(count == 1 for count in server.contents.values())


def test_rows_over_http_say_where_they_come_from(server, go):
    go({"image_generation_category": 2, "mm_internet": 2})
    finalize(go.spec(), go.folder)
    folder = LocalFolder(go.folder / "packed")
    source = PackedSource(repository=folder, paths=find_shards(folder.list_files()))
    rows = [row for task in source.tasks for row in source.read(task)]
    assert {row.origin for row in rows} == {"generated"}
    assert {row.license for row in rows if row.task == "image_generation"} == {"CC0-1.0"}
    provenance = json.loads(rows[0].provenance)
    assert [call["step"] for call in provenance["calls"]] == ["category_brief@1", "hint_guess@1", "picture_rationale@1"]
    assert {call["model"] for call in provenance["calls"]} == {"chat"}


def test_429_waits_as_long_as_the_server_says(server, go):
    server.faults = lambda number, step, content: "429 1" if number == 1 else ""
    summary = go({"image_generation_topic": 1})
    assert summary.recipes["image_generation_topic"].ok == 1
    (_, first), (_, second), *_ = server.requests
    assert 0.95 < second - first < 3
    assert_ledger_equals(server, summary)


@pytest.mark.parametrize("fault", ["500", "429", "reset", "empty_choices", "hang"])
def test_transient_faults_are_tried_again_and_counted(server, go, fault):
    struck = []

    def first_of_two(number, step, content):
        """Not the first two requests: the second may be the first one's again, and be given up."""
        if len(struck) == 2 or (asked := json.dumps(content, default=str)) in struck:
            return ""
        struck.append(asked)
        return fault

    server.faults = first_of_two
    backends = {"timeout_s": 0.5} if fault == "hang" else {}
    path_options = {"concurrency": 2}
    if backends:
        url = {"base_url": server.url, "api_key_env": "TEST_API_KEY", "timeout_s": 0.5}
        path_options["backends"] = {
            "all": {"kind": "openai_chat", "model": "chat", **url},
            "image": {"kind": "openai_images", "model": "draw", **url},
        }
    summary = go({"image_generation_topic": 4}, **path_options)
    assert summary.recipes["image_generation_topic"].ok == 4
    assert len(server.requests) == 4 * 5 + 2
    assert_ledger_equals(server, summary)
    assert summary.in_doubt == (2 if fault in ("reset", "hang") else 0)  # the server may have done the work


def test_a_storm_of_500_stops_the_run_and_a_later_run_goes_on(server, go):
    server.faults = lambda number, step, content: "500" if number > 6 else ""
    with pytest.raises(RunStopped, match="samples failed one after another, the last with status_500"):
        go({"image_generation_topic": 12}, attempts=2, stop_after=3, concurrency=1)
    funnel = go.summary.recipes["image_generation_topic"]
    assert (funnel.ok, funnel.failed, funnel.pending) == (1, 3, 8)
    assert_ledger_equals(server, go.summary)
    server.faults = lambda number, step, content: ""
    assert put_back(go.folder) == 3
    summary = go({"image_generation_topic": 12}, attempts=2, stop_after=3, concurrency=1)
    assert summary.recipes["image_generation_topic"].ok == 12
    assert_ledger_equals(server, summary)


def test_a_truncated_body_is_kept_booked_at_its_reserve_and_sent_again(server, go):
    server.faults = lambda number, step, content: "truncated" if number == 1 else ""
    summary = go({"image_generation_topic": 1})
    assert summary.recipes["image_generation_topic"].ok == 1
    ((raw, cost, reserved),) = sql(go.folder, "SELECT raw, cost, reserved FROM attempts WHERE state = 'bad'")
    assert raw.startswith('{"id": "chatcmpl-1"')
    assert cost == reserved > 0


def test_a_wrong_schema_once_is_repaired_in_one_turn(server, go):
    server.faults = lambda number, step, content: (
        "wrong_schema" if step == "picture_rationale" and len(content["messages"]) == 2 else ""
    )
    summary = go({"image_generation_topic": 3})
    assert summary.recipes["image_generation_topic"].ok == 3
    assert Counter(step for step, _ in server.requests)["picture_rationale"] == 6
    assert_ledger_equals(server, summary)


def test_a_wrong_schema_always_rejects_and_keeps_what_was_paid(server, go):
    server.faults = lambda number, step, content: "wrong_schema" if step == "picture_rationale" else ""
    summary = go({"image_generation_topic": 3})
    assert summary.recipes["image_generation_topic"].reasons == {"picture_rationale: wrong_schema": 3}
    assert sum('{\\"nope\\": 1}' in raw for (raw,) in sql(go.folder, "SELECT raw FROM attempts")) == 6
    assert_ledger_equals(server, summary)
    before = len(server.requests)
    go({"image_generation_topic": 3})
    assert len(server.requests) == before


@pytest.mark.parametrize("fault", ["refusal", "content_policy"])
def test_refusals_reject_and_are_never_sent_again(server, go, fault):
    server.faults = lambda number, step, content: fault if step == "topic_brief" else ""
    summary = go({"image_generation_topic": 3})
    assert summary.recipes["image_generation_topic"].reasons == {f"topic_brief: {fault}": 3}
    assert len(server.requests) == 3
    assert_ledger_equals(server, summary)


def test_a_wrong_key_or_model_stops_at_once(server, go, monkeypatch):
    server.faults = lambda number, step, content: "no_model"
    with pytest.raises(RunStopped, match="status_404: The model does not exist"):
        go({"image_generation_topic": 50})
    assert len(server.requests) <= 4
    monkeypatch.setenv("TEST_API_KEY", "another")
    with pytest.raises(RunStopped, match="status_401"):
        go({"image_generation_topic": 50})
    monkeypatch.delenv("TEST_API_KEY")
    with pytest.raises(UsageError, match="TEST_API_KEY is not set"):
        go({"image_generation_topic": 50})


def test_the_cap_is_never_passed_and_raising_it_goes_on(server, go):
    with pytest.raises(RunStopped, match="raise max_usd to go on"):
        go({"image_generation_topic": 20}, budget={"max_usd": 0.30})
    assert 0 < go.summary.cost <= 0.30
    assert_ledger_equals(server, go.summary)
    summary = go({"image_generation_topic": 20}, budget={"max_usd": 3.0})
    assert summary.recipes["image_generation_topic"].ok == 20
    assert all(count == 1 for count in server.contents.values())
    assert_ledger_equals(server, summary)


def test_a_cap_holds_over_shards_of_another_number(server, tmp_path):
    spec = read_spec(http_spec(tmp_path, server.url, {"image_generation_topic": 20}, budget={"max_usd": 0.30}))
    for shard in ((0, 1), (0, 2), (1, 2)):
        with pytest.raises(RunStopped, match="raise max_usd to go on"):
            engine.run(spec, tmp_path / "run", shard=shard)
    assert 0.15 < summarise(spec, tmp_path / "run").cost <= 0.30


def test_a_cap_without_a_price_is_refused_before_anything_is_sent(server, go):
    with pytest.raises(UsageError, match="no price is known"):
        go({"image_generation_topic": 1}, budget={"max_usd": 1.0}, prices={})
    assert server.requests == []


def test_unknown_prices_are_unknown_not_nothing(server, go):
    summary = go({"image_generation_topic": 1}, prices={})
    assert (summary.models["chat"].unknown, summary.models["chat"].cost) == (4, 0)


def test_raising_n_pays_for_the_new_rows_only(server, go):
    go({"image_editing": 2})
    first = len(server.requests)
    summary = go({"image_editing": 5})
    assert summary.recipes["image_editing"].ok == 5
    assert len(server.requests) * 2 == first * 5
    assert all(count == 1 for count in server.contents.values())


def test_twenty_at_once_do_not_overrun_the_server(server, go):
    server.latency_s = 0.05
    started = time.monotonic()
    summary = go({"image_generation_topic": 40}, concurrency=20)
    assert summary.recipes["image_generation_topic"].ok == 40
    assert time.monotonic() - started < 20


def test_a_full_journal_replay_makes_the_same_rows_without_network(server, go, tmp_path):
    go(dict.fromkeys(GENERATING, 2))
    before, sent = finalize(go.spec(), go.folder), len(server.requests)
    server.close()
    engine.run(go.spec(), tmp_path / "again", replay=go.folder)
    again = finalize(go.spec(), tmp_path / "again")
    assert [shard.sha256 for shard in again.shards] == [shard.sha256 for shard in before.shards]
    assert len(server.requests) == sent
    assert os.environ["TEST_API_KEY"] == KEY


def test_a_call_that_was_under_way_is_shown_as_in_doubt_with_its_reserve(server, go):
    go({"image_generation_topic": 1})
    for path in (go.folder / "shards").glob("*/journal.sqlite3"):
        db = sqlite3.connect(path)
        db.execute("UPDATE attempts SET state = 'sent', cost = NULL WHERE number = 1")  # as a killed process leaves it
        db.execute(
            "UPDATE calls SET state = 'intent', response = NULL WHERE key = (SELECT key FROM attempts WHERE number = 1)"
        )
        db.execute("DELETE FROM samples")
        db.commit()
        db.close()
    use = summarise(go.spec(), go.folder).models["chat"]
    assert use.in_doubt == 1
    assert use.in_doubt_usd > 0
    summary = go({"image_generation_topic": 1})
    assert (summary.recipes["image_generation_topic"].ok, summary.models["chat"].in_doubt, len(server.requests)) == (
        1,
        1,
        6,
    )
