"""Emu3, Emu3.5 and Anole. Their readers' rules are re-told from the sources named at each."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    TEXT,
    TURNS,
    UNKNOWN_FORMAT,
    WEB,
    color_of,
    convert_rows,
    refusal,
)
from toolkit.errors import UsageError

# -- Emu3: baaivision/Emu3@f6ea9aa emu3/train/prepare_data.py#L51, emu3/train/datasets.py#L15


def test_emu3_raw_is_the_list_prepare_data_reads_one_entry_per_output_image(tmp_path, monkeypatch):
    report = convert_rows("emu3", tmp_path, GENERATE, WEB)
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
    report = convert_rows("emu3", tmp_path / "yes", EDIT, input_images="drop")
    assert report.images_dropped == {"input_image": 1, "intermediate_image": 1}
    assert [entry["name"] for entry in json.loads((tmp_path / "yes" / "emu3.json").read_text())] == ["ie-00000042-2"]


def test_emu3_takes_captions_when_told(tmp_path):
    convert_rows("emu3", tmp_path / "one", GENERATE, text="caption")
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
    report = convert_rows(
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
        convert_rows("emu3", tmp_path / "out", GENERATE, profile="tokens", encoder=f"{tmp_path / 'bad.py'}:make")


@pytest.mark.parametrize(
    "options",
    [{"profile": "tokens"}, {"encoder": "json:loads"}, {"profile": "tokens", "encoder": "no_such_module:make"}],
)
def test_emu3_tokens_need_an_encoder_that_can_be_loaded(options, tmp_path):
    with pytest.raises(
        UsageError, match=r"module:factory|no effect on profile|image encoder 'no_such_module:make' cannot be"
    ):
        convert_rows("emu3", tmp_path / "out", GENERATE, **options)


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
    report = convert_rows("emu35", tmp_path, EDIT)
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
    convert_rows("emu35", tmp_path, WEB, EIGHT)
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


def vis_proto_shows(story):
    """src/utils/vis_proto.py: one file for the question's pictures, named before any is looked at."""
    yield "000_question.txt", story.question
    if len(story.reference_images) > 0:
        yield "000_reference_image.png", color_of(story.reference_images[0].image.image_data)
    segments = (segment for clip in story.clips for segment in clip.segments)
    for number, segment in enumerate(segments, start=1):
        yield f"{number:03d}_prompt.txt", segment.asr
        for place, image in enumerate(segment.images):
            yield f"{number:03d}_{place:02d}_image.png", color_of(image.image.image_data)


def test_emu35_viewer_shows_the_first_picture_of_a_question_only(story_class, tmp_path):
    convert_rows("emu35", tmp_path, EIGHT)
    assert list(vis_proto_shows(read_story(story_class, tmp_path, EIGHT))) == [
        ("000_question.txt", "a\nb"),
        ("000_reference_image.png", "red"),
        ("001_prompt.txt", ""),
        ("001_00_image.png", "cyan"),
        ("002_prompt.txt", "c"),
        ("002_00_image.png", "magenta"),
        ("002_01_image.png", "white"),
        ("002_02_image.png", "black"),
    ]


def test_emu35_refuses_several_turns_and_pictures_it_cannot_measure(tmp_path):
    assert refusal("emu35", tmp_path / "one", TURNS) == "several_turns"
    assert refusal("emu35", tmp_path / "two", UNKNOWN_FORMAT) == "picture_format"


# -- Anole: GAIR-NLP/anole@af563fa training/train.py#L15, chameleon/inference/chameleon.py#L676


def test_anole_raw_is_what_sft_tokenization_reads(tmp_path, monkeypatch):
    convert_rows("anole", tmp_path, GENERATE)
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
    report = convert_rows("anole", tmp_path / "out", EDIT, TEXT, profile="tokens", tokenizer="uv_anole:tokenizer")
    entries = [json.loads(line) for line in (tmp_path / "out" / "anole.jsonl").read_text().splitlines()]
    blue, green, black = (len(image.bytes) for image in EDIT.images)
    sequence = entries[0]["text_tokens"] + entries[0]["image_tokens"]  # TokenizedDataset
    assert sequence == [1000, blue, *map(ord, "uM"), *map(ord, "aF"), 1000, green, *map(ord, "aT"), 1000, black]
    assert entries[1]["text_tokens"] == list(map(ord, "uTaF"))
    assert report.images_out == 3


def test_anole_trains_every_token_and_pads_a_batch_with_what_no_embedding_has(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="its collate_fn is torch's pad_sequence")
    (tmp_path / "uv_anole_pad.py").write_text(ANOLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    convert_rows("anole", tmp_path / "out", EDIT, TEXT, profile="tokens", tokenizer="uv_anole_pad:tokenizer")
    lines = [json.loads(line) for line in (tmp_path / "out" / "anole.jsonl").read_text().splitlines()]
    rows = [torch.tensor(line["text_tokens"] + line["image_tokens"], dtype=torch.long) for line in lines]
    # collate_fn: the padded ids are inputs and labels alike, so nothing is masked, and padding is an input too
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
    assert (batch[0] != -100).all()
    assert (batch[1] == -100).any()
    alone = torch.nn.utils.rnn.pad_sequence(rows[1:], batch_first=True, padding_value=-100)
    assert (alone != -100).all()  # batch size 1


def test_anole_refuses_negative_tokens_which_are_its_padding(tmp_path, monkeypatch):
    (tmp_path / "uv_anole_bad.py").write_text("class tokenizer:\n    def row(self, parts):\n        return [-100]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="expected token ids of 0 and more"):
        convert_rows("anole", tmp_path / "out", TEXT, profile="tokens", tokenizer="uv_anole_bad:tokenizer")
