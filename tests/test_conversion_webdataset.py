"""WebDataset, read by stdlib tarfile, webdataset, datasets and Megatron-Energon. What is not installed is skipped and
named.
"""

import gc
import io
import json
import tarfile
from dataclasses import replace

import pytest

from conversion import convert_shards, import_rows
from conversion.webdataset import _header
from conversion.webdataset_import import MEMBER
from tests.conversion_rows import (
    EIGHT,
    GENERATE,
    ROWS,
    TEXT,
    UNDERSTAND,
    WEB,
    RowShard,
    SeededShard,
    color_of,
    convert_rows,
    make,
    picture,
    refusal,
)
from toolkit.errors import ArchiveError, RowError, SourceError
from toolkit.schema import EncodedImage


@pytest.fixture
def out(tmp_path):
    convert_shards([RowShard(*ROWS[:7]), RowShard(*ROWS[7:])], tmp_path / "out", to="webdataset")
    return tmp_path / "out"


def members(folder):
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            yield from ((path.name, member, tar.extractfile(member).read()) for member in tar)


def in_reading_order(record, sample):
    """The row as texts and colours, from the JSON and whatever holds its members."""
    return [
        part["text"] if part["type"] == "text" else sample(part["image"])
        for message in record["messages"]
        for part in message["content"]
    ]


def as_texts_and_colors(row):
    images = iter(row.images)
    return [
        part.text if part.type == "text" else color_of(next(images).bytes)
        for message in row.messages
        for part in message.content
    ]


PICTURED = {row.id: as_texts_and_colors(row) for row in ROWS if row.id != "lc-00000005"}  # that one has no real picture


def test_members_hold_the_original_bytes_under_the_suffix_of_their_content(out):
    found = {member.name: content for _, member, content in members(out)}
    assert [name for name in found if not name.endswith(".json")] == [
        f"{row.id}.{number}.{suffix}"
        for row in ROWS
        for number, suffix in enumerate(
            {
                "mi-00000001": ["png", "webp", "gif"],
                "lc-00000005": ["bin"],
                "lc-00000001": ["jpg"],
                "ig-00000001": ["jpg"],
            }.get(row.id, ["png"] * len(row.images))
        )
    ]
    for row in ROWS:
        images = [
            content for name, content in found.items() if name.startswith(f"{row.id}.") and not name.endswith(".json")
        ]
        assert images == [image.bytes for image in row.images]


def test_keys_have_no_dot_and_members_of_a_key_lie_side_by_side_once(out):
    keys = [MEMBER.match(member.name)[1] for _, member, _ in members(out)]
    runs = [key for number, key in enumerate(keys) if number == 0 or keys[number - 1] != key]
    assert runs == [row.id for row in ROWS]
    assert all(member.name == member.name.lower() for _, member, _ in members(out))


def test_members_carry_no_date_and_no_owner(out):
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for _, m, _ in members(out)} == {(0, 0, 0, "", "", 0o644)}


def test_json_holds_every_column_and_names_the_members(out):
    record = json.loads(next(content for _, member, content in members(out) if member.name == "ie-00000042.json"))
    assert record == {
        "id": "ie-00000042",
        "task": "image_editing",
        "quadrant": "mm-mm",
        "source": "",
        "license": "",
        "origin": "upstream",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "image": "0.png"}, {"type": "text", "text": "Make it night."}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "First the sky."},
                    {"type": "image", "image": "1.png"},
                    {"type": "text", "text": "Then the stars."},
                    {"type": "image", "image": "2.png"},
                ],
            },
        ],
        "image_names": ["folder.v1/blue.png", "folder.v1/green.png", "folder.v1/black.png"],
        "image_roles": ["input", "intermediate", "output"],
        "image_captions": ["", "sky", "night"],
        "instruction": "Make it night.",
        "rationale": "",
        "answer": "First the sky.\nThen the stars.",
        "regions": [
            {"image": 0, "box": [0.0, 0.25, 0.5, 1.0], "label": "sky"},
            {"image": 2, "box": [0.1, 0.2, pytest.approx(0.3), 0.4], "label": ""},
        ],
        "provenance": '{"row": 42}',
    }


@pytest.mark.parametrize("name", ["", "ie-1.0.jpg", "a" * 99, "a" * 100, "a" * 101, "a/" * 60, "\u00fc.jpg", "~" * 100])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 8**11 - 1, 8**11, 8**12])
def test_headers_are_those_of_tarfile(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    assert _header(name, size) == info.tobuf(tarfile.PAX_FORMAT)


def test_tars_end_by_size(tmp_path):
    convert_shards([SeededShard(0, 300, 20_000)], tmp_path / "out", to="webdataset", options={"shard_size": "1MB"})
    sizes = {path.name: path.stat().st_size for path in sorted((tmp_path / "out").glob("*.tar"))}
    assert list(sizes) == [f"train-00000-{number:03d}.tar" for number in range(len(sizes))]
    assert len(sizes) == 7
    assert all(1_000_000 < size < 1_050_000 for size in list(sizes.values())[:-1])


def test_long_ids_are_whole_in_the_tar(tmp_path):
    convert_shards([RowShard(replace(UNDERSTAND, id="x" * 200))], tmp_path / "out", to="webdataset")
    assert [member.name for _, member, _ in members(tmp_path / "out")] == ["x" * 200 + ".json", "x" * 200 + ".0.jpg"]
    assert [row.id for row in import_rows("webdataset", tmp_path / "out")[0]()] == ["x" * 200]


def test_an_output_without_rows_has_no_tar(tmp_path):
    convert_shards([RowShard()], tmp_path / "out", to="webdataset")
    assert not list((tmp_path / "out").glob("*.tar"))


# -- webdataset itself


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # webdataset leaves its tars open
def test_webdataset_sees_every_picture_in_its_place(out):
    webdataset = pytest.importorskip("webdataset", reason="pip install -c constraints.txt -e '.[webdataset]'")
    urls = [str(path) for path in sorted(out.glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in samples] == [row.id for row in ROWS]
    for sample in samples:
        if sample["__key__"] in PICTURED:
            assert (
                in_reading_order(json.loads(sample["json"]), lambda name, sample=sample: color_of(sample[name]))
                == PICTURED[sample["__key__"]]
            )
    gc.collect()  # the open tars are complained about here and not in the next test


# -- datasets


def hf_rows(*args, **kwargs):
    import datasets

    for row in datasets.load_dataset(*args, split="train", **kwargs):
        yield row["__key__"], in_reading_order(row["json"], lambda name, row=row: hf_color(row[name]))
        assert sum(value is not None for name, value in row.items() if name[0].isdigit()) == len(
            row["json"]["image_roles"]
        )


def hf_color(image):
    file = io.BytesIO()
    with image:
        image.save(file, "png")
    return color_of(file.getvalue())


@pytest.mark.parametrize("streaming", [True, False])
def test_datasets_with_the_published_features_sees_every_picture_in_its_place(streaming, tmp_path):
    import datasets

    convert_shards([RowShard(*ROWS[:-1])], tmp_path / "out", to="webdataset")
    features = datasets.Features.from_dict(json.loads((tmp_path / "out" / "features.json").read_text()))
    files = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    assert dict(hf_rows("webdataset", data_files={"train": files}, features=features, streaming=streaming)) == PICTURED


@pytest.mark.parametrize("streaming", [True, False])
def test_datasets_reads_the_folder_by_its_readme_alone(streaming, tmp_path):
    convert_shards([RowShard(*ROWS[:-1])], tmp_path / "out", to="webdataset")
    assert dict(hf_rows(str(tmp_path / "out"), streaming=streaming)) == PICTURED


def test_datasets_without_the_features_drops_pictures_which_is_why_they_are_published(tmp_path):
    import datasets

    five = [
        make(f"lc-1000000{n}", "llava_cot", ("user", "*|?"), ("assistant", "!"), pictures="red", roles="i")
        for n in range(5)
    ]
    convert_shards([RowShard(*five, EIGHT)], tmp_path / "out", to="webdataset")
    files = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    last = list(datasets.load_dataset("webdataset", data_files={"train": files}, split="train", streaming=True))[-1]
    assert sorted(name for name in last if name[0].isdigit()) == ["0.png"]
    assert len(dict(hf_rows(str(tmp_path / "out"), streaming=True))[EIGHT.id]) == 11


# -- pairs


def test_pairs_are_a_picture_and_a_text_per_output_image(tmp_path):
    report = convert_shards(
        [RowShard(GENERATE, WEB)], tmp_path / "out", to="webdataset", options={"profile": "pairs"}, on_unfit="drop"
    )
    assert [
        (member.name, content if member.name.endswith("txt") else color_of(content))
        for _, member, content in members(tmp_path / "out")
    ] == [
        ("ig-00000001-0.jpg", "orange"),
        ("ig-00000001-0.txt", b"Something warm."),
    ]
    assert report.rows_dropped == {"picture_format": 1}  # a GIF, which no pair reader opens
    assert report.images_dropped == {"row_dropped": 3}


def test_pairs_warn_of_pictures_that_readers_of_jpg_alone_do_not_find(tmp_path):
    row = replace(GENERATE, images=(picture("red", "webp"),))
    report = convert_shards([RowShard(row)], tmp_path / "out", to="webdataset", options={"profile": "pairs"})
    assert report.warned == {"not_jpg": 1}


def load_as_blip3o(tar, cache):
    """LazySupervisedMixDataset of blip3o/data/dataset.py@6ced364, but for its fixed paths."""
    import datasets

    rows = datasets.load_dataset("webdataset", data_files=str(tar), split="train", num_proc=1, cache_dir=str(cache))
    rows = rows.rename_column("jpg", "image")
    return [(hf_color(row["image"]), row["txt"]) for row in rows]


PAIRED = ("How is bread made?", ["red", "green", "blue"])


@pytest.mark.filterwarnings("ignore")  # datasets leaves its file open when it fails
def test_blip3o_reads_pairs_of_any_format_once_they_are_encoded_as_jpg(tmp_path):
    png = replace(WEB, id="mi-2", images=tuple(picture(color) for color in PAIRED[1]))
    convert_rows("webdataset", tmp_path / "png", png, profile="pairs")
    with pytest.raises(Exception, match="jpg"):
        load_as_blip3o(tmp_path / "png/train-00000-000.tar", tmp_path / "cache")
    mixed = replace(WEB, id="mi-3", images=(picture("red", "jpg"), picture("green"), picture("blue")))
    convert_rows("webdataset", tmp_path / "mixed", mixed, profile="pairs")
    with pytest.raises(Exception, match="same types"):
        load_as_blip3o(tmp_path / "mixed/train-00000-000.tar", tmp_path / "cache")
    report = convert_rows("webdataset", tmp_path / "jpg", WEB, GENERATE, profile="pairs", images="jpg")
    assert load_as_blip3o(tmp_path / "jpg/train-00000-000.tar", tmp_path / "cache") == [
        *((color, PAIRED[0]) for color in PAIRED[1]),
        ("orange", "Something warm."),
    ]
    assert report.images_changed == {"encoded_as_jpg": 3}
    assert not report.warned


def test_pairs_keep_the_bytes_of_a_jpeg_and_put_white_behind_what_is_transparent(tmp_path):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(file, "png")
    row = replace(GENERATE, id="ig-3", images=(EncodedImage(file.getvalue(), "clear.png"),))
    convert_rows("webdataset", tmp_path, GENERATE, row, profile="pairs", images="jpg")
    kept, new = (content for _, member, content in members(tmp_path) if member.name.endswith(".jpg"))
    assert kept == GENERATE.images[0].bytes
    assert color_of(new) == "white"


def test_pairs_refuse_what_cannot_be_encoded_as_jpg(tmp_path):
    row = replace(GENERATE, images=(EncodedImage(b"no picture", "a.jpg"),))
    assert refusal("webdataset", tmp_path, row, profile="pairs", images="jpg") == "picture_format"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)  # webdataset leaves its tars open
def test_pairs_are_what_show_o_picks_from_a_sample(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="pip install -c constraints.txt -e '.[webdataset]'")
    webp = replace(GENERATE, id="ig-4", images=(picture("red", "webp"),))
    convert_rows("webdataset", tmp_path, GENERATE, webp, profile="pairs")
    tars = webdataset.WebDataset([str(tmp_path / "train-00000-000.tar")], shardshuffle=False, empty_check=False)
    # Text2ImageDataset of training/data.py@45a5a2d
    samples = tars.decode("pil").rename(images="jpg;png;jpeg;webp", input_ids="text;txt;caption")
    assert [(hf_color(sample["images"]), sample["input_ids"]) for sample in samples] == [
        ("orange", "Something warm."),
        ("red", "Something warm."),
    ]
    gc.collect()


def test_pairs_load_in_datasets_with_the_columns_jpg_and_txt(tmp_path):
    import datasets

    convert_shards(
        [RowShard(GENERATE, replace(GENERATE, id="ig-2"))],
        tmp_path / "out",
        to="webdataset",
        options={"profile": "pairs"},
    )
    for arguments in ((str(tmp_path / "out"),), ("webdataset", None, str(tmp_path / "out"))):
        rows = list(datasets.load_dataset(*arguments, split="train"))
        assert [(hf_color(row["jpg"]), row["txt"], row["__key__"]) for row in rows] == [
            ("orange", "Something warm.", "ig-00000001-0"),
            ("orange", "Something warm.", "ig-2-0"),
        ]


# -- import


def write_tar(path, *files):
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def read_back(path, **options):
    return [row for shard in import_rows("webdataset", path, options=options) for row in shard()]


def test_import_reads_pairs_of_others(tmp_path):
    content = picture("red", "jpg").bytes
    path = write_tar(
        tmp_path / "theirs.tar", ("a/0001.jpg", content), ("a/0001.txt", b"A red square"), ("a/0001.cls", b"7")
    )
    (row,) = read_back(path, task="image_generation")
    assert row.images == (EncodedImage(content, "a/0001.jpg"),)
    assert (row.instruction, row.quadrant, row.image_roles) == ("A red square", "text-mm", ("output",))
    assert row.id.startswith("a-0001-")


def test_import_refuses_a_picture_the_json_names_and_the_sample_lacks(tmp_path):
    convert_shards([RowShard(UNDERSTAND)], tmp_path / "out", to="webdataset")
    kept = [(member.name, content) for _, member, content in members(tmp_path / "out") if member.name.endswith(".json")]
    with pytest.raises(RowError, match=r"'0.jpg' is not in the sample") as caught:
        read_back(write_tar(tmp_path / "less.tar", *kept))
    assert caught.value.kind == "missing_image"


@pytest.mark.parametrize(
    "files", [[("a.json", b"{")], [("a.json", b'{"image_names": []}')], [("a.jpg", b"x")], [("a.json", b"[1]")]]
)
def test_import_counts_samples_that_are_no_rows(files, tmp_path):
    with pytest.raises(RowError) as caught:
        read_back(write_tar(tmp_path / "bad.tar", *files), task="image_generation")
    assert caught.value.kind == "bad_record"


def test_import_refuses_a_key_that_merged_two_samples(tmp_path):
    # "img.v1_001" and "img.v1_002" are both key "img" to every reader
    path = write_tar(tmp_path / "dots.tar", ("img.v1_001.json", b"{}"), ("img.v1_001.json", b"{}"))
    with pytest.raises(ArchiveError, match="two members"):
        read_back(path)


def test_import_says_when_a_tar_is_cut_off_or_none(out, tmp_path):
    whole = (out / "train-00000-000.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2 + 100])
    (tmp_path / "none.tar").write_bytes(b"not a tar" * 1000)
    for name in ("cut.tar", "none.tar"):
        with pytest.raises(ArchiveError, match=f"{name}: (damaged or cut off|.*expected)"):
            read_back(tmp_path / name)
    with pytest.raises(SourceError, match=r"no folder with \*.tar"):
        read_back(tmp_path / "nowhere")


def test_text_rows_are_a_json_alone(tmp_path):
    convert_shards([RowShard(TEXT)], tmp_path / "out", to="webdataset")
    assert [member.name for _, member, _ in members(tmp_path / "out")] == ["cc-00000001.json"]
