"""Formats of generation trainers: Emu3, Emu3.5, BAGEL, Anole, diffusers. Their readers' rules are re-told from the
sources named at each.
"""

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conversion import convert_shards
from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    LITERAL,
    TEXT,
    TURNS,
    UNDERSTAND,
    UNKNOWN_FORMAT,
    WEB,
    RowShard,
    color_of,
    make,
    picture,
)
from toolkit.errors import RowError, UsageError
from toolkit.schema import EncodedImage

TWO_EDITS = make(
    "ie-00000002",
    "image_editing",
    ("user", "*|Blue, please."),
    ("assistant", "Done.|*"),
    ("user", "And now black."),
    ("assistant", "*"),
    pictures="red blue black",
    roles="ioo",
)


def run(to, out, *rows, on_unfit="error", **options):
    return convert_shards([RowShard(*rows)], out, to=to, options=options, on_unfit=on_unfit)


def refusal(to, out, row, **options):
    with pytest.raises(RowError) as caught:
        run(to, out, row, **options)
    return caught.value.kind


# -- Emu3: baaivision/Emu3@f6ea9aa emu3/train/prepare_data.py#L51, emu3/train/datasets.py#L15


def test_emu3_raw_is_the_list_prepare_data_reads_one_entry_per_output_image(tmp_path, monkeypatch):
    report = run("emu3", tmp_path, GENERATE, WEB)
    entries = json.loads((tmp_path / "emu3.json").read_text())
    assert [(entry["name"], entry["text"]) for entry in entries] == [
        ("ig-00000001-0", "Something warm."),
        ("mi-00000001-0", "How is bread made?"),
        ("mi-00000001-1", "How is bread made?"),
        ("mi-00000001-2", "How is bread made?"),
    ]
    monkeypatch.chdir(tmp_path)  # prepare_data opens the path as it stands
    assert [color_of(Path(entry["image"]).read_bytes()) for entry in entries] == ["orange", "red", "green", "blue"]
    assert len({entry["name"] for entry in entries}) == 4  # each becomes {name}.pth
    assert report.flattened == {"outputs_told_apart": 1}
    assert report.records_out == 4


def test_emu3_refuses_prompt_images_unless_told_to_drop_them_and_counts_them(tmp_path):
    assert refusal("emu3", tmp_path / "no", EDIT) == "input_image"
    report = run("emu3", tmp_path / "yes", EDIT, input_images="drop")
    assert report.images_dropped == {"input_image": 1, "intermediate_image": 1}
    assert [entry["name"] for entry in json.loads((tmp_path / "yes" / "emu3.json").read_text())] == ["ie-00000042-2"]


def test_emu3_takes_captions_when_told(tmp_path):
    run("emu3", tmp_path / "one", GENERATE, text="caption")
    assert json.loads((tmp_path / "one" / "emu3.json").read_text())[0]["text"] == "a fire"
    assert refusal("emu3", tmp_path / "two", WEB, text="caption") == "no_text"


def test_emu3_refuses_text_that_its_tokenizer_reads_as_special_tokens(tmp_path):
    assert refusal("emu3", tmp_path, replace(GENERATE, instruction="Draw <|image start|>.")) == "special_token"


def emu3_sequence(entry, bov="<|visual token {:06d}|>"):
    """format_image_prompt of datasets.py: height*width, then rows of visual tokens."""
    height, width = entry["images"].shape
    rows = ["".join(bov.format(code) for code in codes) for codes in entry["images"]]
    return (
        f"{entry['texts']}<|image start|>{height}*{width}<|image token|>"
        + "<|extra_200|>".join(rows)
        + "<|extra_200|><|extra_201|><|image end|>"
    )


def test_emu3_tokens_load_with_weights_only_and_format_as_its_dataset_does(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="the tokenised form of Emu3 is a torch file")
    (tmp_path / "uv_emu3_codes.py").write_text(
        "import numpy\ndef make():\n    return lambda image: numpy.array([[1, 32767], [0, 5]])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    report = run(
        "emu3", tmp_path / "out", GENERATE, profile="tokens", encoder="uv_emu3_codes:make", root=str(tmp_path / "out")
    )
    listing = json.loads((tmp_path / "out" / "list" / "train.json").read_text())
    assert listing == {"prefix": str(tmp_path / "out" / "feature"), "path_list": ["00000/ig-00000001-0.pth"]}
    entry = torch.load(Path(listing["prefix"]) / listing["path_list"][0], weights_only=True)
    assert (entry["name"], entry["texts"]) == ("ig-00000001-0", "Something warm.")
    assert emu3_sequence(entry) == (
        "Something warm.<|image start|>2*2<|image token|><|visual token 000001|><|visual token 032767|><|extra_200|>"
        "<|visual token 000000|><|visual token 000005|><|extra_200|><|extra_201|><|image end|>"
    )
    assert (report.images_in, report.images_out, report.records_out) == (1, 1, 1)


@pytest.mark.parametrize("codes", ["[[32768]]", "[[-1]]", "[1, 2]", "[[0.5]]", "[]"])
def test_emu3_refuses_codes_that_are_none(codes, tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text(f"def make():\n    return lambda image: {codes}\n")
    with pytest.raises(UsageError, match=r"expected integers \(h, w\) from 0 to 32767"):
        run("emu3", tmp_path / "out", GENERATE, profile="tokens", encoder=f"{tmp_path / 'bad.py'}:make")


@pytest.mark.parametrize(
    "options",
    [{"profile": "tokens"}, {"encoder": "json:loads"}, {"profile": "tokens", "encoder": "no_such_module:make"}],
)
def test_emu3_tokens_need_an_encoder_that_can_be_loaded(options, tmp_path):
    with pytest.raises(UsageError, match=r"module:factory|image encoder 'no_such_module:make' cannot be loaded"):
        run("emu3", tmp_path / "out", GENERATE, **options)


# -- Emu3.5: baaivision/Emu3.5@8fcf1da src/proto/emu_pb.py, src/utils/vis_proto.py#L31


@pytest.fixture(scope="module")
def story_class():
    """The Story message, built by the protobuf package from the field numbers of emu_pb.py."""
    pytest.importorskip("google.protobuf", reason="an independent protobuf decoder: pip install protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    text, integer, raw, nested, enum = 9, 5, 12, 11, 5
    shapes = {
        "Image": [
            ("width", 1, integer, 1),
            ("height", 2, integer, 1),
            ("format", 3, enum, 1),
            ("image_data", 4, raw, 1),
        ],
        "ImageMeta": [("caption", 3, text, 1), ("chain_of_thought", 7, text, 1), ("image", 11, nested, 1, "Image")],
        "Segment": [("asr", 2, text, 1), ("images", 101, nested, 3, "ImageMeta")],
        "Clip": [("clip_id", 1, text, 1), ("segments", 101, nested, 3, "Segment")],
        "Story": [
            ("story_id", 1, text, 1),
            ("clips", 2, nested, 3, "Clip"),
            ("summary", 11, text, 1),
            ("question", 12, text, 1),
            ("reference_images", 17, nested, 3, "ImageMeta"),
        ],
    }
    file = descriptor_pb2.FileDescriptorProto(name="story.proto", package="t", syntax="proto3")
    for name, members in shapes.items():
        message = file.message_type.add(name=name)
        for member, number, kind, label, *of in members:
            message.field.add(
                name=member, number=number, type=kind, label=label, **({"type_name": f".t.{of[0]}"} if of else {})
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Story"))


def read_story(story_class, folder, row):
    story = story_class()
    story.ParseFromString((folder / "stories" / "00000" / f"{row.id}.pb").read_bytes())
    return story


def test_emu35_story_reads_in_protobuf_with_text_and_images_in_order(story_class, tmp_path):
    report = run("emu35", tmp_path, EDIT)
    story = read_story(story_class, tmp_path, EDIT)
    assert (story.story_id, story.question) == ("ie-00000042", "Make it night.")
    assert [color_of(meta.image.image_data) for meta in story.reference_images] == ["blue"]
    found = [
        (clip.clip_id, s.asr, [(color_of(m.image.image_data), m.caption) for m in s.images])
        for clip in story.clips
        for s in clip.segments
    ]
    assert found == [
        ("clip_0000", "First the sky.", [("green", "sky")]),
        ("clip_0001", "Then the stars.", [("black", "night")]),
    ]
    image = story.clips[0].segments[0].images[0].image
    assert (image.width, image.height, image.format) == (8, 8, 2)
    assert report.images_moved == {"out_of_the_question": 1}
    assert report.images_without_loss == {"no_trainer": 2}


def test_emu35_image_before_any_text_makes_a_clip_of_empty_text(story_class, tmp_path):
    run("emu35", tmp_path, WEB, EIGHT)
    found = [
        (s.asr, [color_of(m.image.image_data) for m in s.images])
        for clip in read_story(story_class, tmp_path, WEB).clips
        for s in clip.segments
    ]
    assert found == [("", ["red"]), ("Mix.", ["green"]), ("Bake.", ["blue"])]
    found = [
        (s.asr, [color_of(m.image.image_data) for m in s.images])
        for clip in read_story(story_class, tmp_path, EIGHT).clips
        for s in clip.segments
    ]
    assert found == [("", ["cyan"]), ("c", ["magenta", "white", "black"])]


def test_emu35_refuses_several_turns_and_pictures_it_cannot_measure(tmp_path):
    assert refusal("emu35", tmp_path / "one", TURNS) == "several_turns"
    assert refusal("emu35", tmp_path / "two", UNKNOWN_FORMAT) == "picture_format"


# -- BAGEL: ByteDance-Seed/Bagel@056b5fd data/t2i_dataset.py#L69, data/interleave_datasets/edit_dataset.py#L20,
# data/vlm_dataset.py#L67


def test_bagel_t2i_has_bytes_and_captions_as_a_json_object_in_a_string(tmp_path):
    run("bagel", tmp_path, GENERATE, WEB)
    rows = pq.read_table(tmp_path / "t2i-00000.parquet").to_pylist()
    assert [(color_of(row["image"]), json.loads(row["captions"])) for row in rows] == [
        ("orange", {"instruction": "Something warm."}),
        *((color, {"instruction": "How is bread made?"}) for color in ("red", "green", "blue")),
    ]
    assert all(
        isinstance(row["captions"], str) and json.loads(row["captions"]) for row in rows
    )  # an empty object trains on " "


def test_bagel_t2i_refuses_pictures_its_reader_skips_for_size(tmp_path):
    file = io.BytesIO()
    Image.new("1", (20_000, 2_001)).save(file, "png")
    row = replace(GENERATE, images=(EncodedImage(file.getvalue(), "huge.png"),))
    assert refusal("bagel", tmp_path, row) == "picture_too_large"


def bagel_edit_sequences(row):
    """Every (images, texts) that parse_row of edit_dataset.py can draw: start, then one or two steps."""
    images, steps = row["image_list"], row["instruction_list"]
    assert len(images) >= 2
    assert len(steps) == len(images) - 1
    for start in range(len(images) - 1):
        for end in range(start + 1, min(start + 3, len(images))):
            # random.choice over a string would draw one character
            assert all(isinstance(steps[number], list) for number in range(start, end))
            yield (
                [color_of(image) for image in images[start : end + 1]],
                [words for number in range(start, end) for words in steps[number]],
            )


def test_bagel_edit_gives_its_reader_whole_instructions(tmp_path):
    report = run("bagel", tmp_path, EDIT, TWO_EDITS, profile="edit")
    first, second = pq.read_table(tmp_path / "edit-00000.parquet").to_pylist()
    assert list(bagel_edit_sequences(first)) == [(["blue", "black"], ["Make it night."])]
    assert list(bagel_edit_sequences(second)) == [
        (["red", "blue"], ["Blue, please."]),
        (["red", "blue", "black"], ["Blue, please.", "And now black."]),
        (["blue", "black"], ["And now black."]),
    ]
    assert report.images_dropped == {"intermediate_image": 1}


@pytest.mark.parametrize(
    ("kind", "row"), [("no_output_image", UNDERSTAND), ("input_images", WEB), ("input_images", GENERATE)]
)
def test_bagel_edit_refuses_rows_that_are_no_chain(kind, row, tmp_path):
    assert refusal("bagel", tmp_path, row, profile="edit") == kind


def test_bagel_parquet_info_has_every_file_under_the_path_its_reader_asks_for(tmp_path):
    many = [replace(EDIT, id=f"ie-{number:08d}") for number in range(100, 1101)]
    convert_shards(
        [RowShard(*many), RowShard(), RowShard(TWO_EDITS)], tmp_path, to="bagel", options={"profile": "edit"}
    )
    entry = json.loads((tmp_path / "bagel_dataset_info.json").read_text())["unified_edit"]["unifiedvisual"]
    info = json.loads(Path(entry["parquet_info_path"]).read_text())
    folder = entry["data_dir"]
    asked = [f"{folder.rstrip('/')}/{path.name}" for path in Path(folder).iterdir() if path.suffix == ".parquet"]
    assert sorted(info) == sorted(asked)
    assert {Path(path).name: value["num_row_groups"] for path, value in info.items()} == {
        "edit-00000.parquet": 2,
        "edit-00002.parquet": 1,
    }
    assert all(pq.ParquetFile(path).num_row_groups == value["num_row_groups"] for path, value in info.items())
    assert (entry["num_files"], entry["num_total_samples"]) == (2, 1002)


def bagel_vlm_elements(record):
    """change_format: pictures stand in human turns only; gpt turns are text as they are."""
    elements = []
    for turn in record["conversations"]:
        if turn["from"] == "gpt":
            elements.append(turn["value"])
            continue
        texts = turn["value"].split("<image>")
        for number, text in enumerate(texts):
            elements += [text.strip()] if text.strip() else []
            elements += ["*"] if number < len(texts) - 1 else []
    return elements


def test_bagel_vlm_has_as_many_slots_as_pictures_and_no_tag_in_answers(tmp_path):
    report = run("bagel", tmp_path, UNDERSTAND, TEXT, LITERAL, TURNS, EDIT, EIGHT, profile="vlm", on_unfit="drop")
    records = [json.loads(line) for line in (tmp_path / "vlm.jsonl").read_text().splitlines()]
    assert [bagel_vlm_elements(record) for record in records] == [
        ["*", "What is this?", "A red square."],
        ["Two and two?", "Four."],
        ["*", "What does <\\image> or <\\\\image> or <\\video> mean?", "A tag: <\\image>."],
        ["Be brief.", "*", "Colour?", "Red.", "And this?", "*", "Blue."],
    ]
    for record in records:
        assert bagel_vlm_elements(record).count("*") == len(record.get("image", []))
    assert report.rows_dropped == {"output_image": 2}
    assert [color_of((tmp_path / name).read_bytes()) for name in records[3]["image"]] == ["red", "blue"]


# -- Anole: GAIR-NLP/anole@af563fa training/train.py#L15, chameleon/inference/chameleon.py#L676


def test_anole_raw_is_what_sft_tokenization_reads(tmp_path, monkeypatch):
    run("anole", tmp_path, GENERATE)
    monkeypatch.chdir(tmp_path)
    entries = [json.loads(line) for line in Path("anole.jsonl").read_text().splitlines()]
    assert [(entry["text"], color_of(Path(entry["image"]).read_bytes())) for entry in entries] == [
        ("Something warm.", "orange")
    ]


ANOLE = """
class tokenizer:
    def row(self, parts):
        return [token for role, content in parts for token in self.part(role, content)]
    def part(self, role, content):
        return [1000, len(content)] if isinstance(content, bytes) else map(ord, role[0] + content[0])
"""


def test_anole_tokens_hold_the_interleaved_row_in_one_sequence(tmp_path, monkeypatch):
    (tmp_path / "uv_anole.py").write_text(ANOLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    report = run("anole", tmp_path / "out", EDIT, TEXT, profile="tokens", tokenizer="uv_anole:tokenizer")
    entries = [json.loads(line) for line in (tmp_path / "out" / "anole.jsonl").read_text().splitlines()]
    blue, green, black = (len(image.bytes) for image in EDIT.images)
    sequence = entries[0]["text_tokens"] + entries[0]["image_tokens"]  # TokenizedDataset
    assert sequence == [1000, blue, *map(ord, "uM"), *map(ord, "aF"), 1000, green, *map(ord, "aT"), 1000, black]
    assert entries[1]["text_tokens"] == list(map(ord, "uTaF"))
    assert report.images_out == 3


def test_anole_refuses_negative_tokens_which_are_its_padding(tmp_path, monkeypatch):
    (tmp_path / "uv_anole_bad.py").write_text("class tokenizer:\n    def row(self, parts):\n        return [-100]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="expected token ids of 0 and more"):
        run("anole", tmp_path / "out", TEXT, profile="tokens", tokenizer="uv_anole_bad:tokenizer")


# -- diffusers, through datasets' own imagefolder


def load_folder(folder, cache):
    import datasets

    return datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(cache))


def color(image):
    file = io.BytesIO()
    with image:
        image.save(file, "png")
    return color_of(file.getvalue())


def test_diffusers_text_to_image_loads_with_image_and_text(tmp_path):
    run("diffusers", tmp_path / "out", GENERATE, WEB)
    rows = load_folder(tmp_path / "out", tmp_path / "cache")
    assert {"image", "text"} <= set(rows.column_names)
    assert [(color(row["image"]), row["text"]) for row in rows] == [
        ("orange", "Something warm."),
        *((name, "How is bread made?") for name in ("red", "green", "blue")),
    ]


def test_diffusers_edit_loads_with_the_columns_of_instruct_pix2pix(tmp_path):
    report = run("diffusers", tmp_path / "out", EDIT, TWO_EDITS, profile="edit")
    rows = load_folder(tmp_path / "out", tmp_path / "cache")
    assert [(color(row["input_image"]), row["edit_prompt"], color(row["edited_image"])) for row in rows] == [
        ("blue", "Make it night.", "black"),
        ("red", "Blue, please.", "blue"),
        ("blue", "And now black.", "black"),
    ]
    assert (report.records_out, report.images_out) == (3, 5)
    assert report.flattened == {"chain_told_apart": 1}


def test_diffusers_refuses_a_picture_of_no_known_format(tmp_path):
    assert (
        refusal("diffusers", tmp_path, replace(GENERATE, images=(EncodedImage(b"\x00nothing", "a.jpg"),)))
        == "picture_format"
    )


def test_suffix_comes_from_the_content_and_not_from_the_name(tmp_path):
    row = replace(GENERATE, images=(EncodedImage(picture("red", "webp").bytes, "lies.jpg"),))
    run("diffusers", tmp_path, row)
    assert [path.suffix for path in (tmp_path / "train" / "00000").iterdir()] == [".webp"]
