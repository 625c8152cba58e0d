"""Messages, read by TRL, ms-swift, LLaMA-Factory, lmms-engine's rules and plain json. What is not installed is skipped
and named.
"""

import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conversion import convert_shards, import_rows
from tests.conversion_rows import (
    EDIT,
    EIGHT,
    EMPTY,
    GENERATE,
    LITERAL,
    REASON,
    REUSED,
    ROWS,
    SPECIAL,
    TEXT,
    TURNS,
    TWO_DRAWINGS,
    UNDERSTAND,
    UNICODE,
    WEB,
    RowShard,
    color_of,
    make,
    picture,
)
from toolkit.errors import RowError

FOREIGN_TAGS = make(
    "lc-00000020",
    "llava_cot",
    ("user", "*|Is <video> or <audio> or <bbox> or <ref-object> or <image> here?"),
    ("assistant", "No."),
    pictures="red",
    roles="i",
)
PICTURED = (UNDERSTAND, TEXT, GENERATE, EDIT, WEB, EIGHT, REUSED, LITERAL, TURNS, UNICODE, FOREIGN_TAGS)


def run(out, *rows, profile="openai", **options):
    report = convert_shards([RowShard(*rows)], out, to="messages", options={"profile": profile, **options})
    path = out / "messages.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [], report


def lines(row):
    """Per message its role, and texts and colours in order."""
    images = iter(row.images)
    return [
        (m.role, [part.text if part.type == "text" else color_of(next(images).bytes) for part in m.content])
        for m in row.messages
    ]


def run_script(text, *arguments, folder, **environment):
    (folder / "consumer.py").write_text(text)
    command = [sys.executable, "-W", "ignore", str(folder / "consumer.py"), *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "HOME": str(folder), **environment},
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


# -- openai


def test_openai_blocks_name_picture_files_in_their_place(tmp_path):
    (record,), _ = run(tmp_path, EDIT)
    assert record["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "images/00000/ie-00000042-0.png"}},
                {"type": "text", "text": "Make it night."},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "First the sky."},
                {"type": "image_url", "image_url": {"url": "images/00000/ie-00000042-1.png"}},
                {"type": "text", "text": "Then the stars."},
                {"type": "image_url", "image_url": {"url": "images/00000/ie-00000042-2.png"}},
            ],
        },
    ]
    assert [(tmp_path / f"images/00000/ie-00000042-{n}.png").read_bytes() for n in range(3)] == [
        image.bytes for image in EDIT.images
    ]


def test_openai_text_is_untouched(tmp_path):
    records, report = run(tmp_path, LITERAL, EMPTY)
    assert records[0]["messages"][0]["content"][1]["text"] == "What does <image> or <\\image> or <video> mean?"
    assert [block["text"] for block in records[1]["messages"][1]["content"]] == ["", "", ""]
    assert not report.flattened


# -- the string readers: LLaMA-Factory and ms-swift


ESCAPED = {  # what the reader takes for its own; any other tag is text to it
    "ms-swift": ("video", "audio", "bbox", "ref-object", "cot-process", "start-image"),
    "llama-factory": ("video", "audio"),
}


@pytest.mark.parametrize("profile", ["ms-swift", "llama-factory"])
def test_special_tokens_in_text_are_warned_of(profile, tmp_path):
    records, report = run(tmp_path, SPECIAL, TEXT, profile=profile)
    assert records[0]["messages"][0]["content"] == "What are <|image_pad|> and <|im_end|>?"
    assert report.warned == {"special_token": 1}


@pytest.mark.parametrize("profile", ["ms-swift", "llama-factory"])
def test_string_variants_have_one_tag_per_picture_and_no_other_placeholder(profile, tmp_path):
    records, report = run(tmp_path, *ROWS, FOREIGN_TAGS, profile=profile)
    for record in records:
        text = "".join(message["content"] for message in record["messages"])
        assert text.count("<image>") == len(record["images"])
        assert not any(f"<{tag}>" in text for tag in ESCAPED[profile])
    assert ("<bbox>" in records[-1]["messages"][0]["content"]) == (profile == "llama-factory")
    assert report.flattened == {"literal_tag": 2, "neighbouring_texts": 1}
    assert report.images_without_loss == {
        "context": sum(len(row.images) - row.image_roles.count("input") for row in ROWS)
    }


@pytest.mark.parametrize("profile", ["ms-swift", "llama-factory"])
def test_string_variants_come_back_as_far_as_they_go(profile, tmp_path):
    run(tmp_path, *PICTURED, profile=profile)
    back = {
        row.id: row
        for shard in import_rows("messages", tmp_path, options={"task": "mm_reasoning_mm"})
        for row in shard()
    }
    assert {key: lines(row) for key, row in back.items()} == {row.id: lines(row) for row in PICTURED}


SWIFT = """
import json, sys
from datasets import load_dataset
from swift.dataset.preprocessor.core import AutoPreprocessor
from swift.template.base import Template
from swift.template.utils import split_str_parts_by

rows = AutoPreprocessor()(load_dataset("json", data_files=sys.argv[1], split="train"), strict=True)
found = []
for row in rows:
    images, messages = [image["path"] for image in row["images"]], []
    before = [message["content"] for message in row["messages"]]
    class Inputs:  # what _add_default_tags looks at
        system, videos, audios = None, [], []
    Inputs.messages, Inputs.images = row["messages"], images
    Template._add_default_tags(Inputs)
    assert before == [message["content"] for message in row["messages"]], "ms-swift added tags"
    number = 0
    for message in row["messages"]:
        parts, contexts = [], Template._split_special_tokens([message["content"]], [1.0])[0]
        for context in contexts:
            if context in Template.special_tokens:
                parts.append(images[number] if context == "<image>" else "placeholder " + context)
                number += 1
            else:
                parts.append(context)
        messages.append([message["role"], parts])
    found.append(messages)
print(json.dumps(found))
"""


@pytest.mark.skipif(
    importlib.util.find_spec("swift") is None,
    reason="ms-swift is not installed: pip install --no-deps ms-swift, and modelscope, json_repair",
)
@pytest.mark.timeout(300)
def test_ms_swift_reads_every_picture_in_its_place(tmp_path):
    run(tmp_path / "out", *PICTURED, profile="ms-swift", root=str(tmp_path / "out"))
    found = run_script(
        SWIFT, tmp_path / "out" / "messages.jsonl", folder=tmp_path, MODELSCOPE_CACHE=str(tmp_path / "cache")
    )
    assert [as_colors(messages) for messages in found] == [as_strings(row) for row in PICTURED]


def as_colors(messages):
    return [
        (role, [color_of(Path(part).read_bytes()) if part.startswith("/") else part for part in parts])
        for role, parts in messages
    ]


def as_strings(row):
    """The row as a reader of strings must see it: line breaks where parts meet, literal tags escaped."""
    seen = []
    for role, parts in lines(row):
        pieces = []
        message = row.messages[len(seen)]
        for number, (part, text) in enumerate(zip(message.content, parts, strict=True)):
            before = "\n" if number else ""
            if part.type == "image":
                # a line break belongs to the text it touches
                pieces[-1:] = (
                    [pieces[-1] + "\n"]
                    if pieces and message.content[number - 1].type == "text"
                    else [*pieces[-1:], *(["\n"] if number else [])]
                )
                pieces.append(text)
            else:
                for tag in ("image", "video", "audio", "bbox", "ref-object"):
                    text = text.replace(f"<\\{tag}>", f"<\\\\{tag}>").replace(f"<{tag}>", f"<\\{tag}>")
                pieces.append(before + text)
        seen.append((role, pieces))
    return seen


LLAMA_FACTORY = """
import importlib.machinery, json, sys, types
class Stub(types.ModuleType):  # its data code imports what reads films and sounds, which are not read here
    __path__, __file__ = [], "stub"
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
import transformers.image_utils, peft, trl  # these look for the same packages, and must not find stubs
for name in ("torchaudio", "torchvision", "av", "librosa"):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = Stub(name)
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
from datasets import load_dataset
from llamafactory.data.converter import SharegptDatasetConverter
from llamafactory.data.mm_plugin import BasePlugin, MMPluginMixin
from llamafactory.data.parser import get_dataset_list

folder = sys.argv[1]
(attributes,) = get_dataset_list(["unifiedvisual"], folder)
class Arguments:
    media_dir = folder
convert = SharegptDatasetConverter(dataset_attr=attributes, data_args=Arguments)
found = []
for row in load_dataset("json", data_files=folder + "/" + attributes.dataset_name, split="train"):
    new = convert(row)
    messages = new["_prompt"] + new["_response"]
    images = new["_images"] or []
    MMPluginMixin._validate_messages(None, messages, images, [], [])
    found.append({"system": new["_system"], "messages": messages, "images": images})
print(json.dumps(found))
"""


@pytest.mark.skipif(
    importlib.util.find_spec("llamafactory") is None,
    reason="LLaMA-Factory is not installed: pip install --no-deps llamafactory, and peft, trl",
)
@pytest.mark.timeout(300)
def test_llama_factory_converts_and_accepts_every_row(tmp_path):
    records, _ = run(tmp_path / "out", *PICTURED, profile="llama-factory")
    found = run_script(LLAMA_FACTORY, tmp_path / "out", folder=tmp_path)
    assert len(found) == len(PICTURED)
    for row, record, seen in zip(PICTURED, records, found, strict=True):
        contents = [message["content"] for message in record["messages"]]
        assert ([seen["system"]] if seen["system"] else []) + [
            message["content"] for message in seen["messages"]
        ] == contents
        assert [color_of(Path(image).read_bytes()) for image in seen["images"]] == [
            color_of(image.bytes) for image in row.images
        ]


def test_llama_factory_dataset_info_names_the_columns(tmp_path):
    run(tmp_path, TEXT, profile="llama-factory")
    info = json.loads((tmp_path / "dataset_info.json").read_text())["unifiedvisual"]
    assert (info["file_name"], info["formatting"]) == ("messages.jsonl", "sharegpt")
    assert info["columns"] == {"messages": "messages", "images": "images"}


# -- lmms-engine 0.1.4: datasets/naive/vision_dataset.py#L59, utils/data_utils.py#L107,
# processor/bagel_processor.py#L117


def lmms_engine_sees(path, folder):
    """Lines through Dataset.from_list, which fills missing keys with null; pictures by image_url, the rest by their
    text.
    """
    import datasets

    for record in datasets.Dataset.from_list([json.loads(line) for line in path.read_text().splitlines()]):
        yield [
            (
                message["role"],
                [
                    color_of((folder / block["image_url"]["url"]).read_bytes())
                    if block["type"] == "image_url"
                    else block["text"]
                    for block in message["content"]
                ],
            )
            for message in record["messages"]
        ]


def test_lmms_engine_sees_every_picture_in_its_place_answers_included(tmp_path):
    _, report = run(tmp_path, *PICTURED, profile="lmms-engine", root="/data/uv")
    mixture = yaml.safe_load((tmp_path / "lmms-engine.yaml").read_text())
    assert mixture == {
        "datasets": [{"path": "/data/uv/messages.jsonl", "data_folder": "/data/uv", "data_type": "jsonl"}]
    }
    assert list(lmms_engine_sees(tmp_path / "messages.jsonl", tmp_path)) == [lines(row) for row in PICTURED]
    assert not report.images_without_loss  # a picture in an answer is a target of its BAGEL trainer


def lmms_engine_bagel_attention(record):
    """BagelDataProcessor.process: (kind, mode) of each piece. A picture of an answer is a "noise" piece, which no later
    piece attends to (prepare_attention_mask_per_sample); pictures of prompts come as context.
    """
    for message in record["messages"]:
        for block in message["content"]:
            if block["type"] == "text":
                yield "text", "causal"
            else:
                yield "image", "noise" if message["role"] == "assistant" else "full"


def test_lmms_engine_rows_whose_pictures_later_tokens_cannot_see_are_warned_of(tmp_path):
    rows = (EDIT, GENERATE, WEB, UNDERSTAND, REASON, TWO_DRAWINGS)
    records, report = run(tmp_path, *rows, profile="lmms-engine")
    pieces = [list(lmms_engine_bagel_attention(record)) for record in records]
    hidden = [any(mode == "noise" for _, mode in each[:-1]) for each in pieces]
    assert hidden == [True, False, True, False, True, True]
    assert report.warned == {"hidden_from_later": 4}


# -- the way back, from files of others


def foreign(folder, *records):
    path = folder / "theirs.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def chat(*content):
    return {"messages": [{"role": "user", "content": list(content)}, {"role": "assistant", "content": "Yes."}]}


def url(text):
    return {"type": "image_url", "image_url": {"url": text}}


def test_import_reads_openai_files_of_others_with_data_urls_and_files(tmp_path):
    red, blue = picture("red", "jpg").bytes, picture("blue").bytes
    (tmp_path / "blue.png").write_bytes(blue)
    path = foreign(
        tmp_path,
        chat(
            {"type": "text", "text": "Same?"},
            url("data:image/jpeg;base64," + base64.b64encode(red).decode()),
            url("blue.png"),
        ),
    )
    (row,) = import_rows("messages", path, options={"task": "llava_cot"})[0]()
    assert lines(row) == [("user", ["Same?", "red", "blue"]), ("assistant", ["Yes."])]
    assert row.image_roles == ("input", "input")


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("remote_image", chat(url("https://example.com/a.png"))),
        ("image_outside", chat(url("../secret.png"))),
        ("missing_image", chat(url("none.png"))),
        ("bad_image_url", chat(url("data:image/png;base64,???"))),
        ("bad_part", chat({"type": "input_audio", "input_audio": {}})),
        ("bad_record", {"prompt": "x"}),
        ("bad_turns", {"messages": [{"role": "tool", "content": "x"}]}),
        ("no_task", {"task": "painting", **chat({"type": "text", "text": "x"})}),
    ],
)
def test_import_counts_bad_records_by_name(kind, record, tmp_path):
    with pytest.raises(RowError, match=r"theirs.jsonl, record 0") as caught:
        list(import_rows("messages", foreign(tmp_path, record), options={"task": "llava_cot"})[0]())
    assert caught.value.kind == kind
