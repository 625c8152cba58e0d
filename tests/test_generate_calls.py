"""What becomes of a call: sent again or not, paid or not, whose fault; with a backend that answers as it is told."""

import asyncio
import io
import json

import pytest
from PIL import Image

from tests.generation_runs import picture
from toolkit.errors import RunStopped
from toolkit.generation.calls import sending
from toolkit.generation.calls.budget import Budget
from toolkit.generation.calls.calls import CallSite
from toolkit.generation.calls.limits import Lane
from toolkit.generation.calls.prices import Asked, Price
from toolkit.generation.calls.seats import CallFailed, Seat
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.protocol import (
    Adapted,
    Backend,
    BadRequest,
    Fatal,
    Origin,
    Refused,
    Reply,
    Request,
    Transient,
    Usage,
)
from toolkit.generation.journal import Journal
from toolkit.generation.journal.reading import calls_of, learned, query, spent

SCHEMA = {
    "type": "object",
    "required": ["a"],
    "additionalProperties": False,
    "properties": {"a": {"type": "string", "minLength": 1}},
}
GOOD = Reply(raw="{}", text='{"a": "x"}', usage=Usage(input_tokens=10, output_tokens=10))
PRICE = Price(input_per_mtok=1000.0, output_per_mtok=1000.0)  # a dollar a thousand tokens


class Scripted(Backend):
    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []

    async def send(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(self)
        if answer == "hang":
            await asyncio.sleep(3600)
        if isinstance(answer, Exception):
            raise answer
        return answer


def asked(number=0, **rest):
    origin = Origin(recipe="r", seed=0, index=number)
    given = {"kind": "chat", "step": "s", "user": f"question {number}", "schema": SCHEMA, "seed": number, **rest}
    return Request(origin=origin, **given)


class Site:
    """A call site over one backend, and what it journaled."""

    def __init__(self, folder, backend, *, max_usd=None, attempts=3, alike=3, timeout_s=None, limit=100):
        self.folder, self.path = folder, folder / "journal.sqlite3"
        self.budget = Budget(max_usd)
        self.journal = Journal(self.path)
        self.calls = CallSite(self.journal, Blobs(folder / "blobs"), self.budget, attempts=attempts, alike=alike)
        self.seat = Seat(
            role="text",
            identity={"kind": "scripted"},
            model="m",
            backend=backend,
            price=PRICE,
            lane=Lane(name="m", timeout_s=timeout_s),
            asked=Asked(max_output_tokens=limit),
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.journal.close()

    async def call(self, number=0, **rest):
        return await self.calls.call(self.seat, asked(number, **rest), sample=str(number))

    async def failure(self, number=0, **rest):
        with pytest.raises(CallFailed) as caught:
            await self.call(number, **rest)
        return caught.value.state, caught.value.reason

    def sends(self):
        return list(query(self.path, "SELECT state, coalesce(cost, -1) FROM attempts ORDER BY number"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.001)


def run(folder, backend, main, **rest):
    async def inner():
        async with Site(folder, backend, **rest) as site:
            return await main(site)

    return asyncio.run(inner())


def test_an_answer_is_kept_and_never_asked_again(tmp_path):
    backend = Scripted(GOOD)

    async def main(site):
        return [(await site.call()).value for _ in range(2)]

    assert run(tmp_path, backend, main) == [{"a": "x"}] * 2
    assert run(tmp_path, backend, main) == [{"a": "x"}] * 2  # another process
    assert len(backend.requests) == 1
    assert spent(tmp_path / "journal.sqlite3") == pytest.approx(0.02)


def test_a_reply_that_is_cut_is_asked_for_once_more_with_twice_the_room(tmp_path):
    cut = Reply(raw="", text='{"a": "and so on and', is_cut=True, usage=Usage(input_tokens=1, output_tokens=100))
    backend = Scripted(cut, GOOD)

    async def main(site):
        return (await site.call()).value

    assert run(tmp_path, backend, main) == {"a": "x"}
    assert [request.max_output_tokens for request in backend.requests] == [None, 200]


def test_a_reply_that_is_always_cut_says_so_after_two_sends(tmp_path):
    backend = Scripted(Reply(raw="", text="", is_cut=True, usage=Usage(input_tokens=1, output_tokens=100)))

    async def main(site):
        with pytest.raises(CallFailed, match="cut off after 200 tokens; raise max_tokens"):
            await site.call()
        return await site.failure()

    assert run(tmp_path, backend, main) == ("rejected", "cut_off")
    assert len(backend.requests) == 2


def test_a_repair_has_the_schema_and_half_a_letter_is_made_whole(tmp_path):
    half = Reply(raw="", text='{"a": "half \\ud83d"}', usage=GOOD.usage)
    backend = Scripted(Reply(raw="", text="no", usage=GOOD.usage), half)

    async def main(site):
        return (await site.call()).value

    assert run(tmp_path, backend, main) == {"a": "half \ufffd"}
    ((_, said), (_, repair)) = backend.requests[1].history
    assert said == "no"
    assert json.dumps(SCHEMA) in repair


def test_what_is_not_accepted_of_the_first_samples_stops_the_run_and_charges_none(tmp_path):
    backend = Scripted(BadRequest("bad_request", detail="temperature must be 1", status=400))

    async def main(site):
        states = [await site.failure(number) for number in (0, 1)]
        with pytest.raises(
            RunStopped, match="no call of 's' was accepted, the last with bad_request: temperature must"
        ):
            await site.call(2)
        return states

    assert run(tmp_path, backend, main) == [("unproven", "bad_request")] * 2
    backend.answers = [GOOD]  # the spec is corrected
    assert run(tmp_path, backend, lambda site: site.call(0)).value == {"a": "x"}


def test_what_is_not_accepted_after_others_were_is_the_samples_fault(tmp_path):
    backend = Scripted(GOOD, BadRequest("too_large", status=413))

    async def main(site):
        await site.call(0)
        return [await site.failure(1), await site.failure(1)]

    assert run(tmp_path, backend, main) == [("rejected", "too_large")] * 2
    assert len(backend.requests) == 2


def test_another_sample_that_is_accepted_settles_one_that_was_not(tmp_path):
    backend = Scripted(BadRequest("bad_request", status=400), GOOD)

    async def main(site):
        with pytest.raises(CallFailed) as caught:
            await site.call(0)
        before = await site.calls.settle(caught.value)
        await site.call(1)
        return caught.value.state, before, await site.calls.settle(caught.value), await site.failure(0)

    assert run(tmp_path, backend, main) == ("unproven", False, True, ("rejected", "bad_request"))


def test_what_a_server_does_not_know_is_remembered(tmp_path):
    def adapt(backend):
        backend.learned = {"seed": False}
        return Adapted("bad_request", detail="seed", status=422)

    backend = Scripted(adapt, GOOD)
    run(tmp_path, backend, lambda site: site.call(), attempts=1)
    assert list(learned(tmp_path / "journal.sqlite3").values()) == [{"seed": False}]
    assert [send["state"] for call in calls_of(tmp_path / "journal.sqlite3", "0") for send in call["sends"]] == [
        "bad",
        "ok",
    ]


def test_what_may_have_cost_something_is_sent_again_less_often(tmp_path):
    for name, error, sends in (
        ("free", Transient("status_500", status=500), 5),
        ("paid", Transient("empty_text", status=200, usage=Usage(input_tokens=1, output_tokens=1)), 2),
        ("unheard", Transient("connection", may_cost=True), 3),
    ):
        backend = Scripted(error)

        async def main(site):
            return await site.failure(), site.sends()

        (state, _), journaled = run(tmp_path / name, backend, main, attempts=5)
        assert (state, len(backend.requests), len(journaled)) == ("failed", sends, sends)


def test_a_limit_of_requests_is_waited_out_however_often(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "LONGEST_PAUSE_S", 0.01)
    limits = [Transient("rate_limit", status=429, retry_after_s=0.01)] * 30
    backend = Scripted(*limits, GOOD)
    assert run(tmp_path, backend, lambda site: site.call(), attempts=2).value == {"a": "x"}


def test_a_server_that_says_nothing_but_slow_down_for_hours_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "RATE_PATIENCE_S", 0.05)
    backend = Scripted(Transient("rate_limit", status=429, retry_after_s=0.02))
    with pytest.raises(RunStopped, match=r"no answer for .* hours but rate_limit"):
        run(tmp_path, backend, lambda site: site.call())


def test_a_timeout_is_booked_at_its_reserve_and_the_second_try_has_more_time(tmp_path):
    backend = Scripted("hang")

    async def main(site):
        return await site.failure(), site.sends()

    (state, reason), sends = run(tmp_path, backend, main, timeout_s=0.05)
    assert (state, reason) == ("failed", "timeout")
    assert [state for state, _ in sends] == ["in_doubt"] * 3
    assert all(cost > 0.1 for _, cost in sends)  # 100 tokens out at least
    assert spent(tmp_path / "journal.sqlite3") == pytest.approx(sum(cost for _, cost in sends))


@pytest.mark.parametrize("status", [401, 402])
def test_no_key_and_no_credit_stop_the_run_at_once(tmp_path, status):
    backend = Scripted(Fatal(f"status_{status}", status=status))
    with pytest.raises(RunStopped, match=f"status_{status}; correct the spec or the key"):
        run(tmp_path, backend, lambda site: site.call())
    assert len(backend.requests) == 1


def drawn(content):
    return Reply(raw="", pictures=(content,), usage=Usage(input_tokens=0, output_tokens=0, images=1))


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "failure", "sends"),
    [
        (png((0, 0, 0)), ("rejected", "black_picture"), 1),
        (picture(1)[:-300], ("failed", "broken_picture"), 2),
        (b"<html>", ("failed", "broken_picture"), 2),
    ],
)
def test_a_picture_that_shows_nothing_is_no_answer(tmp_path, content, failure, sends):
    backend = Scripted(drawn(content))

    async def main(site):
        return await site.failure(kind="generate", schema=None)

    assert run(tmp_path, backend, main) == failure
    assert len(backend.requests) == sends


def test_a_refusal_is_final_and_the_cap_is_never_passed(tmp_path):
    backend = Scripted(Refused("refusal", status=200, usage=Usage(input_tokens=5, output_tokens=5)), GOOD)

    async def main(site):
        states = [await site.failure(0), await site.failure(0)]
        with pytest.raises(RunStopped, match="raise max_usd"):
            await asyncio.gather(*(site.call(number) for number in range(1, 100)))
        return states, site.budget.spent

    states, dollars = run(tmp_path, backend, main, max_usd=1.0)
    assert states == [("rejected", "refusal")] * 2
    assert 0 < dollars <= 1.0
