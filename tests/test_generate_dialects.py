"""Servers that differ, over HTTP: what they do not know is left out, what they say otherwise is understood, and what is
wrong with a spec stops the run before it is charged to samples.
"""

import base64
import json
import logging

import pytest

from tests.generation_runs import KEY, http_spec, picture
from tests.openai_server import OpenAIServer, _multipart_parts
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.calls import sending
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import journal_paths, query
from toolkit.generation.reports.report import report
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize

TOPIC = "image_generation_topic"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.01)
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def go(server, tmp_path):
    """Run a spec over the server; gives the funnel of its only recipe."""

    def call(n=3, recipe=TOPIC, **rest):
        spec = read_spec(http_spec(tmp_path, server.url, {recipe: n}, **rest))
        engine.run(spec, tmp_path / "run")
        return summarise(spec, tmp_path / "run").recipes[recipe]

    call.folder = tmp_path / "run"
    return call


def refuse(status, **error):
    return status, {"error": error}


def chat(body):
    return json.loads(body) if body.startswith(b"{") and b'"messages"' in body else {}


def test_a_limit_by_another_name_a_missing_seed_and_a_plain_schema_are_learned_once(server, go):
    refused, taken = [], server.dialect

    def dialect(path, body):
        content = chat(body)
        text = json.dumps(content.get("response_format", ""))
        if "max_tokens" in content:
            refused.append("limit")
            return refuse(400, message="Unsupported parameter: 'max_tokens'.", param="max_tokens")
        if "seed" in content:
            refused.append("seed")
            return 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "no"}]}
        if "minLength" in text:
            refused.append("schema")
            return refuse(400, message="Invalid schema: 'minLength' is not permitted.", param="response_format")
        if content:  # what is left is what the strict server knows, under other names
            usual = {**content, "seed": 1, "max_tokens": content["max_completion_tokens"]}
            del usual["max_completion_tokens"]
            taken_answer = _usual(usual)
            return 200, taken_answer
        return taken(path, body)

    def _usual(content):
        from tests.openai_server import _Asked, _fill

        schema = content["response_format"]["json_schema"]["schema"]
        text = json.dumps(_fill(schema, _Asked(content, set())))
        return {"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    server.dialect = dialect
    assert go(4, concurrency=1).ok == 4
    assert refused == ["limit", "seed", "schema"]
    go(6, concurrency=1)  # another process knows it from the journal
    assert len(refused) == 3


def test_a_server_without_schemas_has_them_in_the_prompt(server, go):
    prompts = []

    def dialect(path, body):
        content = chat(body)
        if "response_format" in content:
            return refuse(400, message="response_format is not supported by this model", param="response_format")
        if content:
            prompts.append(content["messages"][0]["content"])
            schema = json.loads(prompts[-1].partition("and nothing else: ")[2])
            values = dict.fromkeys(schema["properties"], "A sentence that is long enough.")
            values |= {"named": ["lion"], "things": ["lions"], "matches": True}
            values = {name: value for name, value in values.items() if name in schema["properties"]}
            text = f"<think>{{hm}}</think>Here it is:\n```json\n{json.dumps(values)}\n```"
            return 200, {"choices": [{"message": {"content": [{"type": "text", "text": text}]}}]}
        return None

    server.dialect = dialect
    assert go(2).ok == 2
    assert all("fits this schema" in prompt for prompt in prompts)


def test_a_wrong_parameter_stops_the_run_charges_nobody_and_the_folder_goes_on(server, go):
    server.dialect = lambda path, body: (
        refuse(400, message="'temperature' does not support 0.7 with this model.", param="temperature")
        if chat(body).get("temperature")
        else None
    )
    chat_backend = {"kind": "openai_chat", "model": "chat", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
    image = {**chat_backend, "kind": "openai_images", "model": "draw"}
    wrong = {"all": {**chat_backend, "params": {"temperature": 0.7}}, "image": image}
    with pytest.raises(RunStopped, match=r"'temperature' does not support 0\.7 with this model"):
        go(40, backends=wrong)
    assert not list(query(journal_paths(go.folder)[0], "SELECT id FROM samples"))
    assert go(5, backends={"all": chat_backend, "image": image}).ok == 5
    with pytest.raises(UsageError, match="another spec"):  # now there are rows, and a parameter may change them
        go(5, backends={"all": {**chat_backend, "params": {"temperature": 0.1}}, "image": image})


def test_a_step_that_is_never_accepted_stops_a_short_run_too(server, go):
    server.dialect = lambda path, body: refuse(400, message="no pictures") if b"image_url" in body else None
    with pytest.raises(
        RunStopped, match="no call of 'picture_matches' was accepted, the last with bad_request: no pict"
    ):
        go(2)
    server.dialect = lambda path, body: None
    assert go(2).ok == 2
    assert len(server.requests) == 2 * 5  # what was answered before is not asked again


def test_one_sample_that_is_not_accepted_is_rejected(server, go):
    seen = []

    def dialect(path, body):
        seen.append(path)
        return refuse(400, message="too many tokens") if len(seen) == 1 else None

    server.dialect = dialect
    funnel = go(4, concurrency=1)
    assert (funnel.ok, funnel.reasons) == (3, {"topic_brief: bad_request": 1})


def test_moderation_and_credit_are_told_apart(server, go):
    server.dialect = lambda path, body: (
        refuse(403, code=403, message="Your input was flagged") if path.startswith("images") else None
    )
    assert go(2).reasons == {"draw_picture: content_policy": 2}
    server.dialect = lambda path, body: refuse(402, message="Insufficient credits")
    with pytest.raises(RunStopped, match="status_402: Insufficient credits"):
        go(9)


def images(server, item):
    server.dialect = lambda path, body: (200, {"data": [item]}) if path == "images/generations" else None


def test_pictures_are_fetched_where_only_their_address_comes(server, go):
    server.downloads["/pictures/1.png"] = picture(1)
    images(server, {"url": server.url.replace("/v1", "/pictures/1.png"), "b64_json": None})
    assert go(1).ok == 1
    assert server.fetched == [("/pictures/1.png", f"Bearer {KEY}")]  # its own server


def test_a_key_is_not_sent_to_the_server_of_a_picture(server, go):
    other = OpenAIServer()
    other.downloads["/1.png"] = picture(1)
    images(server, {"url": other.url.replace("/v1", "/1.png")})
    assert go(1).ok == 1
    other.close()
    assert other.fetched == [("/1.png", "")]


def test_a_picture_that_cannot_be_had_stops_the_run_before_many_are_paid(server, go):
    images(server, {"url": server.url.replace("/v1", "/gone.png")})
    with pytest.raises(RunStopped, match=r"no_image: .*gone.png answers 404; set params"):
        go(40, concurrency=4)
    assert summarise(read_spec(go.folder.parent / "spec.yaml"), go.folder).models["draw"].images <= 4


def test_a_picture_as_a_data_uri_and_one_that_is_cut(server, go):
    images(server, {"b64_json": "data:image/png;base64," + base64.encodebytes(picture(2)).decode().rstrip("=\n")})
    assert go(1).ok == 1
    images(server, {"b64_json": base64.b64encode(picture(2)[:200]).decode()})
    with pytest.raises(RunStopped, match="broken_picture"):
        go(4, stop_after=2, concurrency=1)


def test_the_fields_of_an_edit_are_json_in_a_form_and_null_is_left_out(server, go):
    seen = []

    def dialect(path, body):
        if path == "images/edits":
            boundary = body.split(b"\r\n")[0][2:].decode()
            parts = _multipart_parts(body, f"multipart/form-data; boundary={boundary}")
            seen.append({name: value for name, value in parts.items() if name != "image"})
            return 200, {"data": [{"b64_json": base64.b64encode(picture(9)).decode()}]}
        return None

    server.dialect = dialect
    params = {"quality": "high", "stream": False, "user": None, "output_compression": 90, "tags": ["a"]}
    own = {"base_url": server.url, "api_key_env": "TEST_API_KEY"}
    backends = {
        "all": {"kind": "openai_chat", "model": "chat", **own},
        "image": {"kind": "openai_images", "model": "draw", **own, "params": params},
    }
    assert go(1, "image_editing", backends=backends).ok == 1
    assert {name: seen[0].get(name) for name in params} == {
        "quality": b"high",
        "stream": b"false",
        "user": None,
        "output_compression": b"90",
        "tags": b'["a"]',
    }


def test_a_key_that_a_server_echoes_is_in_no_file_and_no_message(server, go, monkeypatch, capsys, caplog):
    """In errors, in bodies that are no UTF-8, in answers, and in addresses with a password."""
    secret, password = 'sk-"very/secret', "pass-of-the-proxy"
    monkeypatch.setenv("TEST_API_KEY", secret)
    url = server.url.replace("http://", f"http://user:{password}@")
    answers = [
        (500, {"error": {"message": f"key {secret} of {url}"}}),
        (200, {"error": {"message": f"Bearer {secret}"}}),
        (200, {"choices": [{"message": {"content": f"not JSON but {secret}"}}], "usage": {"prompt_tokens": 1}}),
        (401, {"error": {"message": f"no such key {secret} at {url}"}}),
    ]
    server.dialect = lambda path, body: answers.pop(0) if len(answers) > 1 else answers[0]
    server_options = {"base_url": url, "api_key_env": "TEST_API_KEY"}
    backends = {
        "all": {"kind": "openai_chat", "model": "chat", **server_options},
        "image": {"kind": "openai_images", "model": "draw", **server_options},
    }
    with caplog.at_level(logging.DEBUG), pytest.raises(RunStopped) as stopped:
        go(2, backends=backends, concurrency=1)
    spec = read_spec(go.folder.parent / "spec.yaml")
    spellings = [secret, json.dumps(secret)[1:-1], password]
    shown = str(stopped.value) + caplog.text + "".join(capsys.readouterr()) + report(spec, go.folder)
    for path in (path for path in go.folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [text for text in spellings if text.encode() in content], path
    assert "[redacted]" in str(stopped.value)
    assert not [text for text in spellings if text in shown]


def test_a_body_that_is_no_text_is_kept_as_it_is(server, go, monkeypatch):
    from tests import openai_server

    monkeypatch.setattr(
        openai_server._Handler,
        "_answer",
        lambda self, status, value, **_: (
            self.send_response(status),
            self.send_header("Content-Length", "4"),
            self.end_headers(),
            self.wfile.write(b"\xff\xfe\x00{"),
        ),
    )
    with pytest.raises(RunStopped, match="broken_body"):
        go(2, stop_after=1, concurrency=1)
    raws = {raw for (raw,) in query(journal_paths(go.folder)[0], "SELECT raw FROM attempts")}
    assert raws == {b"\xff\xfe\x00{"}


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": -(9**9)}, {"prompt_tokens": float("inf")}, {"prompt_tokens": 2**80}]
)
def test_usage_that_cannot_be_is_booked_at_its_reserve(server, go, usage):
    def dialect(path, body):
        if path != "chat/completions":
            return None
        return 200, {"choices": [{"message": {"refusal": "no"}}], "usage": {"completion_tokens": 1, **usage}}

    server.dialect = dialect
    assert go(1).reasons == {"topic_brief: refusal": 1}
    ((cost, reserved),) = query(journal_paths(go.folder)[0], "SELECT cost, reserved FROM attempts")
    assert cost == reserved > 0


def test_rows_are_made_where_answers_hold_half_letters(server, go):
    def dialect(path, body):
        content = chat(body)
        if not content or content["response_format"]["json_schema"]["name"] != "picture_rationale":
            return None
        text = '{"rationale": "half \\ud83d of a smile, which is enough", "answer": "and \\udc00"}'
        return 200, {"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    server.dialect = dialect
    assert go(2).ok == 2
    spec = read_spec(go.folder.parent / "spec.yaml")
    assert sum(shard.rows for shard in finalize(spec, go.folder).shards) == 2
