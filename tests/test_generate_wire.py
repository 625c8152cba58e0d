"""What answers of servers mean: errors, waits, usage, dialects, keys that are echoed."""

import base64
import io
import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from PIL import Image

from toolkit.generation.backends.answers import error_of, json_object, usage_of
from toolkit.generation.backends.dialect import chat_lesson, images_lesson, plain_schema
from toolkit.generation.backends.http import secrets_of
from toolkit.generation.backends.openai_chat import read_chat
from toolkit.generation.backends.openai_images import decoded, read_images
from toolkit.generation.backends.waits import asked_wait_s, duration_s, retry_after_s
from toolkit.generation.core.protocol import BadRequest, Fatal, Refused, Transient, Usage
from toolkit.generation.core.spec import BackendSpec


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "2"}, 2, 2),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25, 0.25),
        ({"retry-after": format_datetime(datetime.now(timezone.utc) + timedelta(days=1), usegmt=True)}, 43_200, 86_400),
        ({"retry-after": "-3"}, 0, 0),
    ],
)
def test_retry_after_is_read_in_all_its_spellings(headers, low, high):
    assert low <= retry_after_s(headers) <= high


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, '{"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]}', 17),
        ({}, '{"error": {"message": "Rate limit reached. Please try again in 1m17.5s."}}', 77.5),
        ({}, '{"error": {"message": "You exceeded your quota. Please retry in 41.3s."}}', 41.3),
        ({"x-ratelimit-reset-requests": "17.5s"}, "", 17.5),
        (
            {
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-requests": "12",
                "x-ratelimit-reset-tokens": "20ms",
                "x-ratelimit-remaining-tokens": "0",
            },
            "",
            0.02,
        ),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "17.5s"}, '"retryDelay": "9s"', 3),
        ({}, "slow down", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "Fri, 99 Foo 99999 99:99:99 GMT"}, "", None),
    ],
)
def test_what_a_server_asks_for_is_found_in_headers_and_bodies(headers, body, seconds):
    assert asked_wait_s(headers, body) == (None if seconds is None else pytest.approx(seconds))


def test_moments_are_read_as_durations():
    soon = datetime.now(timezone.utc) + timedelta(seconds=60)
    for text in (str(soon.timestamp()), soon.isoformat(), soon.strftime("%Y-%m-%dT%H:%M:%SZ")):
        assert 55 < duration_s(text) <= 60
    assert duration_s("tomorrow") is None


@pytest.mark.parametrize(
    ("status", "raw", "kind", "problem"),
    [
        (429, "{}", Transient, "rate_limit"),
        (429, '{"error": {"code": "insufficient_quota"}}', Fatal, "no_quota"),
        (
            429,
            '[{"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}]',
            Transient,
            "rate_limit",
        ),
        (503, "", Transient, "status_503"),
        (408, "", Transient, "status_408"),
        (400, '{"error": {"message": "no", "code": "content_policy_violation"}}', Refused, "content_policy"),
        (400, '{"error": {"message": "Unknown parameter: \'safety_settings\'"}}', BadRequest, "bad_request"),
        (400, '{"error": {"message": "no"}}', BadRequest, "bad_request"),
        (422, '{"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}', BadRequest, "bad_request"),
        (413, "", BadRequest, "too_large"),
        (401, "", Fatal, "status_401"),
        (402, '{"error": {"message": "Insufficient credits"}}', Fatal, "status_402"),
        (403, '{"error": {"message": "no access"}}', Fatal, "status_403"),
        (403, '{"error": {"code": 403, "message": "Your input was flagged"}}', Refused, "content_policy"),
        (404, "", Fatal, "status_404"),
        (302, "", Fatal, "status_302"),
    ],
)
def test_statuses_fall_into_classes(status, raw, kind, problem):
    error = error_of(status, {}, raw)
    assert (type(error), error.problem, error.raw) == (kind, problem, raw)


def test_where_a_server_has_moved_to_is_said():
    error = error_of(307, {"location": "https://elsewhere/v1"}, "")
    assert str(error) == "status_307: redirected to https://elsewhere/v1; base_url must be where it answers"


def test_what_gave_up_between_may_be_billed_and_a_refusal_is_not():
    assert [error_of(status, {}, "").may_cost for status in (504, 502, 500, 429, 400)] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("raw", "kind", "problem"),
    [
        ('{"error": {"code": 429, "message": "slow down"}}', Transient, "rate_limit"),
        ('{"error": {"code": 402, "message": "no credit"}}', Fatal, "status_402"),
        ('{"error": {"message": "flagged by moderation"}, "choices": []}', Refused, "content_policy"),
        ('{"error": {"message": "upstream"}}', Transient, "error_in_body"),
        ('[{"error": {"code": 400, "message": "bad"}}]', BadRequest, "bad_request"),
        ("[1]", Transient, "broken_body"),
        ('{"a": ', Transient, "broken_body"),
        ("[" * 100_000, Transient, "broken_body"),
    ],
)
def test_errors_inside_a_200_are_errors(raw, kind, problem):
    with pytest.raises(kind) as caught:
        json_object(raw)
    assert (caught.value.problem, caught.value.raw) == (problem, raw)


@pytest.mark.parametrize("wrong", [-5, float("inf"), float("nan"), 2**63, 10**400, "12", None, [1], True])
def test_usage_that_cannot_be_is_not_said(wrong):
    assert usage_of({"usage": {"prompt_tokens": wrong, "completion_tokens": 7}}) == Usage(output_tokens=7)
    assert usage_of({"usage": wrong}) == Usage()


def chat(message, finish="stop"):
    return {
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "a"}, "a"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "a"},
                    {"type": "text", "text": "b"},
                ]
            },
            "ab",
        ),
        ({"content": "", "reasoning_content": '{"a": 1}'}, '{"a": 1}'),
        ({"content": None, "reasoning": '{"a": 1}'}, '{"a": 1}'),
    ],
)
def test_the_text_of_a_reply_is_found(message, text):
    assert read_chat(chat(message), "").text == text


def test_a_reply_that_ends_where_its_limit_did_is_cut():
    reply = read_chat(chat({"content": None}, "length"), "")
    assert (reply.text, reply.is_cut, reply.usage.output_tokens) == ("", True, 2)


@pytest.mark.parametrize("choices", [None, [], ["a"], [{"message": "a"}], [{"message": {"content": 7}}]])
def test_a_reply_without_a_text_is_none(choices):
    with pytest.raises(Transient):
        read_chat({"choices": choices}, "")


def refusal(body, status=400):
    return error_of(status, {}, json.dumps(body))


SENT = {"max_tokens": 1, "seed": 2, "response_format": {}, "messages": [{"role": "system"}, {"role": "user"}]}


@pytest.mark.parametrize(
    ("body", "lesson"),
    [
        (
            {
                "error": {
                    "message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                    "param": "max_tokens",
                }
            },
            {"limit": "max_completion_tokens"},
        ),
        ({"error": {"message": "max_tokens is too large: 2048; at most 1024", "param": "max_tokens"}}, None),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "input": "max_tokens"}]}, {"seed": False}),
        (
            {
                "error": {
                    "message": "Invalid schema for response_format 'x': 'minLength' is not permitted.",
                    "param": "response_format",
                }
            },
            {"schema": "plain"},
        ),
        ({"error": {"message": "minItems is not supported"}}, {"schema": "plain"}),
        ({"error": {"message": "System role not supported"}}, {"system": False}),
        ({"error": {"message": "'temperature' does not support 0.7", "param": "temperature"}}, None),
        ({"error": {"message": "image too large"}}, None),
    ],
)
def test_what_a_server_does_not_know_is_learned_from_its_refusal(body, lesson):
    assert chat_lesson({}, SENT, refusal(body)) == lesson


def test_a_schema_is_given_up_step_by_step():
    error, known = refusal({"error": {"message": "response_format is not supported"}}), {}
    levels = []
    while (known := chat_lesson(known, SENT, error)) and known["schema"] != "none":
        levels.append(known["schema"])
    assert levels == ["plain", "object"]
    assert chat_lesson({"schema": "none"}, SENT, error) is None


def test_a_plain_schema_has_no_limits_and_all_else():
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}},
    }
    assert plain_schema(schema) == {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "array", "items": {"type": "string"}}},
    }


def test_images_without_response_format_are_asked_for_without():
    error = refusal({"error": {"message": "Unknown parameter: 'response_format'.", "param": "response_format"}})
    assert images_lesson({}, {"response_format": "b64_json"}, error) == {"format": False}
    assert images_lesson({}, {}, error) is None


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (20, 30), (200, 10, 10)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "spell",
    [
        lambda raw: base64.b64encode(raw).decode(),
        lambda raw: "data:image/png;base64," + base64.b64encode(raw).decode(),
        lambda raw: base64.encodebytes(raw).decode(),
        lambda raw: base64.b64encode(raw).decode().rstrip("="),
        lambda raw: base64.urlsafe_b64encode(raw).decode(),
    ],
)
@pytest.mark.parametrize("more", [b"", b"x", b"xx"])
def test_base64_is_read_in_all_its_spellings(spell, more):
    assert decoded(spell(png() + more)) == png() + more


@pytest.mark.parametrize("item", [{}, {"b64_json": None, "url": None}, {"b64_json": "%%%"}, "a"])
def test_an_answer_without_a_picture_is_none_and_may_be_billed(item):
    with pytest.raises(Transient) as caught:
        read_images({"data": [item]}, "raw")
    assert caught.value.may_cost


def test_keys_are_known_in_the_spellings_in_which_they_may_be_echoed():
    found = secrets_of("https://user:pass%2Fword@host/v1?key=query-key", 'sk-"quoted"/key')
    assert {'sk-"quoted"/key', 'sk-\\"quoted\\"/key', "sk-%22quoted%22%2Fkey", "pass/word", "query-key"} <= set(found)


def test_an_identity_has_the_address_without_its_password():
    spec = BackendSpec(
        kind="openai_chat", options={"base_url": "https://user:secret@host:8/v1?key=secret", "model": "m"}
    )
    assert spec.identity() == {"kind": "openai_chat", "base_url": "https://host:8/v1", "model": "m"}
