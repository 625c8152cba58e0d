"""What people and models write: mappings, specs, replies, answers, rows as plain values."""

import base64
from random import Random
from typing import Any

import yaml

from tests.fuzzing.images import image_bytes
from tests.fuzzing.mutations import changed_bytes, changed_value
from tests.fuzzing.surface import as_json, put, surface
from toolkit.evaluation.answers import Answers
from toolkit.generation.backends.answers import error_body, usage_of
from toolkit.generation.backends.openai_chat import read_chat
from toolkit.generation.backends.openai_images import read_images
from toolkit.generation.core.protocol import CallError
from toolkit.generation.core.replies import parse_reply
from toolkit.generation.core.spec_file import read_spec
from toolkit.sources.published.mapping import read_mapping

MAPPING = {
    "files": {
        "data/*.parquet": {
            "task": {"column": "kind", "values": {"edit": "image_editing", "0": "llava_cot"}},
            "split": "train",
            "shape": "columns",
            "columns": {"id": "uid", "prompt": "question", "prompt_images": ["src"], "ignore": ["url"]},
            "placeholder": ["<image>", {"pattern": "@(?P<number>[0-9]+)@"}],
            "paths": {"strip": "/home/me/", "add": ""},
        }
    },
    "archives": {"*.tar": "image_editing"},
}
SPEC = {
    "name": "fuzz",
    "backends": {"text": {"kind": "openai_chat", "model": "m", "base_url": "http://127.0.0.1:1/v1"}},
    "recipes": {"image_editing": 3, "mm_internet": {"n": 2}},
    "budget": {"max_usd": 1},
    "concurrency": 2,
    "seed": 0,
}
CHAT = {
    "id": "x",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"a": 1}'}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}},
}
IMAGES = {"data": [{"b64_json": "iVBORw0KGgo=", "revised_prompt": "x"}], "usage": {"input_tokens": 4}}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}},
    "required": ["a"],
    "additionalProperties": False,
}
REPLY = '<think>so {not json}</think> Here it is: ```json\n{"a": 1, "b": ["x", "y"]}\n``` Done.'
ANSWER = {
    "id": "x",
    "answer": [
        {"type": "text", "text": "a"},
        {"type": "image", "image": base64.b64encode(image_bytes("PNG")).decode()},
    ],
}


def changed_yaml(value: Any, dice: Random) -> bytes:
    if dice.random() < 0.5:
        return as_json(changed_value(value, dice))
    return changed_bytes(yaml.safe_dump(value).encode(), dice)


@surface(lambda dice: changed_yaml(MAPPING, dice))
def mapping(data: bytes) -> str:
    read_mapping(put("mapping.yaml", data))
    return "a mapping"


@surface(lambda dice: changed_yaml(SPEC, dice))
def spec(data: bytes) -> str:
    read_spec(put("spec.yaml", data))
    return "a spec"


@surface(lambda dice: changed_value(dice.choice((CHAT, IMAGES)), dice), of_values=True)
def model_reply(value: Any) -> str:
    raw = as_json(value).decode("utf-8", "replace")
    read_body = error_body(raw)
    body = read_body if isinstance(read_body, dict) else {}
    for read in (read_chat, read_images):
        try:
            reply = read(body, raw)
        except CallError:
            continue
        assert all(count is None or 0 <= count < 2**63 for count in numbers(reply.usage)), reply.usage
    usage = usage_of(body)
    assert all(count is None or 0 <= count < 2**63 for count in numbers(usage)), usage
    return "a reply"


def numbers(usage: Any) -> list[Any]:
    return [usage.input_tokens, usage.output_tokens, usage.input_image_tokens, usage.images]


@surface(lambda dice: changed_bytes(REPLY.encode(), dice).decode("utf-8", "replace"))
def reply_text(text: str) -> str:
    parse_reply(text, SCHEMA)
    return "a reply"


@surface(lambda dice: as_json(changed_value(ANSWER, dice)))
def answers(data: bytes) -> str:
    found = Answers(put("answers.jsonl", data + b"\n"))
    for id in found.ids():
        found.read(id)
    return "an answer"
