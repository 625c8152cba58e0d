"""Messages, read by TRL, ms-swift, LLaMA-Factory, lmms-engine's rules and plain json. What is not installed is skipped
and named.
"""

import base64
import json

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
    assert report.flattened == {"empty_text": 1, "literal_tag": 2, "neighbouring_texts": 1}
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


def test_paths_of_ms_swift_begin_with_root(tmp_path):
    (record,), _ = run(tmp_path / "with", UNDERSTAND, profile="ms-swift", root="/data/uv")
    assert record["images"] == ["/data/uv/images/00000/lc-00000001-0.jpg"]
    (record,), _ = run(tmp_path / "without", UNDERSTAND, profile="ms-swift")
    assert record["images"] == ["images/00000/lc-00000001-0.jpg"]


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


# -- import, from files of others


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
