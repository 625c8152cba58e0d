"""LLaVA, judged by the rules of its own readers.

The rules are re-told here from haotian-liu/LLaVA@c121f04 llava/train/train.py and LLaVA-VL/LLaVA-NeXT@df17966
llava/train/train.py.
"""

import json
import re
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
    SPECIAL,
    TEXT,
    TURNS,
    UNDERSTAND,
    UNICODE,
    UNKNOWN_FORMAT,
    WEB,
    RowShard,
    color_of,
    make,
)
from toolkit.errors import RowError, SourceError

LATE = make("lc-00000009", "llava_cot", ("user", "What is|*|this?"), ("assistant", "Red."), pictures="red", roles="i")


def run(out, *rows, on_unfit="error", **options):
    report = convert_shards([RowShard(*rows)], out, to="llava", options=options, on_unfit=on_unfit)
    return [
        json.loads(line) for path in sorted(out.glob("llava-*.jsonl")) for line in path.read_text().splitlines()
    ] or json.loads((out / "llava.json").read_text()), report


def llava_15_sees(value: str) -> str:
    """L308: every tag of a turn is taken out and one is put in front, the rest stripped."""
    return ("<image>\n" + value.replace("<image>", "").strip()).strip() if "<image>" in value else value


def llava_next_sees(value: str) -> str:
    """L381: only a turn of exactly one tag that is not in front is changed; then a phrase is deleted."""
    if value.count("<image>") == 1 and not value.startswith("<image>"):
        value = llava_15_sees(value)
    return value.replace("QA_GT_caption_based_noisy", "")


def check_llava_rules(record, folder: Path, profile: str) -> None:
    turns = [turn["from"] for turn in record["conversations"]]
    assert turns == ["human", "gpt"] * (len(turns) // 2)  # a leading gpt turn is cut off, then turns must alternate
    tags = sum(turn["value"].count("<image>") for turn in record["conversations"])
    if "image" not in record:
        assert tags == 0  # a tag without a picture would take the next row's
        return
    images = [record["image"]] if profile == "v15" else record["image"]
    assert images  # null and [] crash 1.5, and shift every later picture in NeXT
    assert all(isinstance(image, str) for image in images)
    assert tags == len(images)
    for image in images:
        assert color_of((folder / image).read_bytes())


@pytest.mark.parametrize("profile", ["v15", "next"])
def test_llava_rows_keep_the_rules_of_their_reader(profile, tmp_path):
    rows = (UNDERSTAND, TEXT, GENERATE, EDIT, WEB, REASON, EIGHT, REUSED, LITERAL, TURNS, UNICODE, EMPTY)
    records, report = run(tmp_path, *rows, profile=profile, output_images="context", on_unfit="drop")
    for record in records:
        check_llava_rules(record, tmp_path, profile)
    assert len(records) == report.rows_out == (7 if profile == "v15" else 12)
    assert report.rows_dropped == ({"several_images": 5} if profile == "v15" else {})


def test_llava_15_leaves_the_image_key_out_of_text_rows(tmp_path):
    records, _ = run(tmp_path, UNDERSTAND, TEXT)
    assert records == [
        {
            "id": "lc-00000001",
            "task": "llava_cot",
            "image": "images/00000/lc-00000001-0.jpg",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is this?"},
                {"from": "gpt", "value": "A red square."},
            ],
        },
        {
            "id": "cc-00000001",
            "task": "cot_collection",
            "conversations": [{"from": "human", "value": "Two and two?"}, {"from": "gpt", "value": "Four."}],
        },
    ]


def test_llava_15_refuses_several_images_and_names_the_other_profile(tmp_path):
    with pytest.raises(RowError, match=r"has 3 pictures; LLaVA 1\.5 reads one; use profile='next'"):
        run(tmp_path, REUSED, output_images="context")


@pytest.mark.parametrize("row", [GENERATE, EDIT, WEB, REASON])
def test_llava_refuses_answer_images_by_default(row, tmp_path):
    with pytest.raises(RowError, match="pass output_images='context' or output_images='drop'") as caught:
        run(tmp_path, row, profile="next")
    assert caught.value.kind == "output_image"


def test_llava_drops_rows_with_answer_images_when_told_and_counts_them(tmp_path):
    records, report = run(tmp_path, EDIT, UNDERSTAND, WEB, profile="next", output_images="drop")
    assert [record["id"] for record in records] == ["lc-00000001"]
    assert report.rows_dropped == {"output_image": 2}
    assert report.examples["rows_dropped.output_image"] == ("ie-00000042", "mi-00000001")


def test_llava_counts_answer_images_as_without_loss(tmp_path):
    _, report = run(tmp_path, EDIT, WEB, profile="next", output_images="context")
    assert report.images_without_loss == {"context": 5}


ONE_IMAGE, MANY_IMAGES = (UNDERSTAND, GENERATE, REASON, LATE), (TURNS, EDIT, EIGHT)


@pytest.mark.parametrize(
    ("profile", "sees", "row"),
    [("v15", llava_15_sees, row) for row in ONE_IMAGE]
    + [("next", llava_next_sees, row) for row in ONE_IMAGE + MANY_IMAGES],
)
def test_llava_counts_the_images_its_reader_moves(row, profile, sees, tmp_path):
    records, report = run(tmp_path, row, profile=profile, output_images="context")
    values = [turn["value"] for turn in records[0]["conversations"]]
    moved = sum(sees(value) != value for value in values)
    assert sum(report.images_moved.values()) == moved


def test_llava_next_keeps_interleaving_of_two_tags_but_not_of_one(tmp_path):
    records, report = run(tmp_path, EDIT, LATE, profile="next", output_images="context")
    values = {record["id"]: record["conversations"] for record in records}
    answer = values["ie-00000042"][1]["value"]
    assert answer == "First the sky.\n<image>\nThen the stars.\n<image>" == llava_next_sees(answer)
    assert llava_next_sees(values["lc-00000009"][0]["value"]) == "<image>\nWhat is\n\nthis?"
    assert report.images_moved == {"to_front_of_turn": 1}


def test_llava_escapes_a_literal_tag_in_text_and_counts_it(tmp_path):
    records, report = run(tmp_path, LITERAL)
    values = [turn["value"] for turn in records[0]["conversations"]]
    assert values == ["<image>\nWhat does <\\image> or <\\\\image> or <video> mean?", "A tag: <\\image>."]
    assert report.flattened == {"literal_tag": 1}


def test_llava_puts_a_system_message_in_front_of_the_first_turn_and_counts_it(tmp_path):
    records, report = run(tmp_path, TURNS, profile="next")
    assert records[0]["conversations"][0] == {"from": "human", "value": "Be brief.\n<image>\nColour?"}
    assert report.flattened == {"system_message": 1}


def test_llava_next_mixture_names_a_file_per_task_as_its_reader_wants(tmp_path):
    run(tmp_path, UNDERSTAND, TEXT, LITERAL, profile="next", root="/data/uv")
    mixture = yaml.safe_load((tmp_path / "mixture.yaml").read_text())
    assert mixture == {
        "datasets": [
            {"json_path": "/data/uv/llava-cot_collection.jsonl", "sampling_strategy": "all"},
            {"json_path": "/data/uv/llava-llava_cot.jsonl", "sampling_strategy": "all"},
        ]
    }


def test_llava_next_reads_json_lines_through_its_mixture_only(tmp_path):
    run(tmp_path, UNDERSTAND, LITERAL, profile="next")
    path = tmp_path / "llava-llava_cot.jsonl"
    with pytest.raises(ValueError, match="Extra data"):  # what LazySupervisedDataset does with any other data_path
        json.loads(path.read_text())
    for entry in yaml.safe_load((tmp_path / "mixture.yaml").read_text())["datasets"]:
        assert entry["json_path"].endswith((".json", ".jsonl"))
        assert [json.loads(line)["id"] for line in (tmp_path / entry["json_path"]).read_text().splitlines()] == [
            UNDERSTAND.id,
            LITERAL.id,
        ]


def test_llava_warns_of_the_phrase_that_next_deletes(tmp_path):
    row = make("lc-00000010", "llava_cot", ("user", "Say QA_GT_caption_based_noisy."), ("assistant", "No."))
    _, report = run(tmp_path, row, profile="next")
    assert report.warned == {"text_deleted_by_reader": 1}


def llava_15_supervised(record):
    """preprocess_v1 with vicuna's template, a token for each character: how many of them carry loss."""
    conversation = "system "
    for turn in record["conversations"]:
        role = {"human": "USER", "gpt": "ASSISTANT"}[turn["from"]]
        text = llava_15_sees(turn["value"])
        conversation += f"{role}: {text}{' ' if role == 'USER' else '</s>'}" if text else f"{role}:"
    labels = [True] * len(conversation)
    current = 0
    for round_ in conversation.split("</s>"):
        parts = round_.split(" ASSISTANT: ")
        if not round_ or len(parts) != 2:
            break
        labels[current : current + len(parts[0]) + len(" ASSISTANT: ")] = [False] * len(parts[0] + " ASSISTANT: ")
        current += len(round_) + len("</s>")
    return 0 if current != len(conversation) else sum(labels)


TRAPS = {
    "</s>": make("lc-31", "llava_cot", ("user", "What is </s>?"), ("assistant", "An end.")),
    "ASSISTANT": make("lc-32", "llava_cot", ("user", "Is it USER: or ASSISTANT: here?"), ("assistant", "Both.")),
    "starts with": make("lc-33", "llava_cot", ("user", "ASSISTANT: is what?"), ("assistant", "A role.")),
    "in the answer": make("lc-34", "llava_cot", ("user", "Who?"), ("assistant", "The ASSISTANT: me.")),
    "empty answer": make("lc-35", "llava_cot", ("user", "Who?"), ("assistant", "")),
    "empty prompt": make("lc-36", "llava_cot", ("user", ""), ("assistant", "Me.")),
}


def test_llava_15_warns_of_rows_whose_loss_its_reader_drops(tmp_path):
    rows = (UNDERSTAND, TEXT, LITERAL, UNICODE, *TRAPS.values())
    records, report = run(tmp_path, *rows)
    lost = [record["id"] for record in records if not llava_15_supervised(record)]
    assert lost == [row.id for row in TRAPS.values()]
    assert report.warned == {"loss_dropped_by_reader": len(TRAPS)}


def test_llava_next_warns_of_special_tokens_in_text(tmp_path):
    records, report = run(tmp_path, SPECIAL, TEXT, profile="next")
    assert records[0]["conversations"][0]["value"] == "What are <|image_pad|> and <|im_end|>?"
    assert report.warned == {"special_token": 1}


def llava_next_item(records, number, folder):
    """LazySupervisedDataset.__getitem__: three tries, then the next row."""
    for record in (records[number], records[min(number + 1, len(records) - 1)]):
        try:
            for image in record.get("image", []):
                color_of((folder / image).read_bytes())
        except OSError:
            continue
        return record["id"]
    return None


def test_llava_next_warns_of_rows_that_its_reader_replaces(tmp_path):
    records, report = run(tmp_path, UNKNOWN_FORMAT, TURNS, profile="next")
    assert llava_next_item(records, 0, tmp_path) == TURNS.id
    assert report.warned == {"replaced_by_reader": 1}
    assert report.examples["warned.replaced_by_reader"] == (UNKNOWN_FORMAT.id,)


def test_llava_files_are_ascii_for_trainers_that_open_them_in_any_encoding(tmp_path):
    records, _ = run(tmp_path, UNICODE)
    (tmp_path / "llava.json").read_bytes().decode("ascii")
    assert records[0]["conversations"][1]["value"] == "\u062a\u0645"


@pytest.mark.parametrize("profile", ["v15", "next"])
def test_llava_comes_back_with_its_text_its_places_and_its_picture_bytes(profile, tmp_path):
    rows = (UNDERSTAND, TEXT, LITERAL, UNICODE, GENERATE) + ((WEB, EDIT, EIGHT) if profile == "next" else ())
    run(tmp_path, *rows, profile=profile, output_images="context")
    back = {row.id: row for shard in import_rows("llava", tmp_path) for row in shard()}
    for row in rows:
        again = back[row.id]
        assert [(m.role, merged(m)) for m in again.messages] == [(m.role, merged(m)) for m in row.messages]
        assert [image.bytes for image in again.images] == [image.bytes for image in row.images]
        assert (again.task, again.quadrant, again.image_roles) == (row.task, row.quadrant, row.image_roles)


def merged(message):
    """Neighbouring texts joined, as a format of strings must."""
    return "\n".join("*" if part.type == "image" else part.text for part in message.content)


def foreign(folder, records, name="theirs.json"):
    path = folder / name
    path.write_text(json.dumps(records))
    return path


TURN_PAIR = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]


def test_llava_import_reads_files_of_others(tmp_path):
    (tmp_path / "part-01").mkdir()
    (tmp_path / "part-01" / "a.b.jpg").write_bytes(UNDERSTAND.images[0].bytes)
    records = [
        {"id": "COCO/train.v1 7", "image": "part-01/a.b.jpg", "conversations": TURN_PAIR},
        {"conversations": [TURN_PAIR[0] | {"value": "Hm?"}, TURN_PAIR[1]]},
    ]
    rows = list(import_rows("llava", foreign(tmp_path, records), options={"task": "llava_cot"})[0]())
    assert rows[0].id.startswith("coco-train-v1-7-")
    assert json.loads(rows[0].provenance) == {
        "imported_from": "llava",
        "record": "theirs-00000000",
        "id": "COCO/train.v1 7",
    }
    assert rows[0].images[0].bytes == UNDERSTAND.images[0].bytes
    assert rows[1].id == "theirs-00000001"


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("missing_image", {"image": "none.jpg", "conversations": TURN_PAIR}),
        ("image_outside", {"image": "../../etc/passwd", "conversations": TURN_PAIR}),
        ("image_outside", {"image": "/etc/passwd", "conversations": TURN_PAIR}),
        ("remote_image", {"image": "http://example.com/a.jpg", "conversations": TURN_PAIR}),
        ("count_mismatch", {"conversations": TURN_PAIR}),
        ("unknown_role", {"conversations": [{"from": "robot", "value": "x"}]}),
        ("bad_turns", {"conversations": TURN_PAIR[1:]}),
        ("bad_record", {"messages": []}),
        ("bad_record", [1]),
        ("no_task", {"task": "painting", "conversations": [TURN_PAIR[0] | {"value": "x"}, TURN_PAIR[1]]}),
    ],
)
def test_llava_import_counts_bad_records_by_name(kind, record, tmp_path):
    shard = import_rows("llava", foreign(tmp_path, [record]), options={"task": "llava_cot"})[0]
    with pytest.raises(RowError, match=r"theirs.json, record 0") as caught:
        list(shard())
    assert caught.value.kind == kind
    problems = []
    shard = import_rows(
        "llava",
        foreign(tmp_path, [record, *[{"conversations": [TURN_PAIR[0] | {"value": "x"}, TURN_PAIR[1]]}] * 2]),
        options={"task": "llava_cot"},
        on_bad=problems.append,
    )[0]
    assert len(list(shard())) == 2
    assert [problem.kind for problem in problems] == [kind]


def test_llava_import_reads_a_long_list_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.sources.dialects.json_records.CHUNK", 7)
    records = [
        {"id": f"row-{number}", "conversations": [TURN_PAIR[0] | {"value": '],[{\\"' * 9}, TURN_PAIR[1]]}
        for number in range(20)
    ]
    rows = list(import_rows("llava", foreign(tmp_path, records), options={"task": "llava_cot"})[0]())
    assert [row.id for row in rows] == [f"row-{number}" for number in range(20)]
    assert {row.messages[0].content[0].text for row in rows} == {'],[{\\"' * 9}


@pytest.mark.parametrize("text", ['[{"a": 1}, {"b"', '[{"a": 1}', "[", '{"a": 1}\n{"b"'])
def test_llava_import_says_where_a_file_is_cut_off(text, tmp_path):
    (tmp_path / "cut.json").write_text(text)
    problems = []
    assert list(import_rows("llava", tmp_path / "cut.json", on_bad=problems.append)[0]()) == []
    assert problems[-1].kind == "bad_json"
    assert re.search(r"cut.json, record \d: not JSON", str(problems[-1]))


def test_llava_import_needs_a_file(tmp_path):
    with pytest.raises(SourceError, match=r"no folder with \*.json or \*.jsonl"):
        import_rows("llava", tmp_path)
