"""One contract for every format and profile, so that a new one is tested by its line in the table."""

import inspect
import json
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
import tomllib
import yaml

from conversion import FORMATS, convert_shards, describe, import_rows, verify
from conversion.formats import get_format, is_for
from conversion.report import REASONS, Report
from conversion.way_back import format_of
from tests.conversion_plugins import options_for
from tests.conversion_rows import EDIT, GENERATE, ROWS, TEXT, UNDERSTAND, WEB, RowShard, make, tree
from tests.docs_formats import PAGE
from toolkit.errors import PartDone, RowError, SourceError, TooManyBadRows, UnknownName, UsageError
from toolkit.schema import COLUMNS, EncodedImage, Message, Part
from toolkit.sources.dialects.source import open_foreign

PROFILES = [(name, profile) for name in FORMATS for profile in get_format(name).profiles]
LOSSLESS = [(name, profile) for name, profile in PROFILES if get_format(name).profiles[profile].lossless]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """(name, profile) -> the folder with all that fits, and its report; made once."""

    @cache
    def folder(name, profile):
        out = tmp_path_factory.mktemp("converted") / "out"
        shards = [RowShard(*ROWS[:7]), RowShard(*ROWS[7:])]
        return out, convert_shards(shards, out, to=name, options=options_for(name, profile), on_unfit="drop")

    return folder


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_every_row_and_picture_is_kept_or_counted(name, profile, converted):
    out, report = converted(name, profile)
    assert report.rows_in == len(ROWS) == report.rows_out + sum(report.rows_dropped.values())
    assert (
        report.images_in
        == sum(len(row.images) for row in ROWS)
        == report.images_out + sum(report.images_dropped.values())
    )
    assert report.rows_out > 0
    assert report.records_out >= report.rows_out
    # what is told to be kept in JSON is what the caller was told
    assert Report.read(out / "conversion_report.json") == report
    for counter in REASONS:
        for reason in getattr(report, counter):
            assert report.examples[f"{counter}.{reason}"]
    assert not (out / ".staging").exists()


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_output_does_not_depend_on_the_order_in_which_shards_are_written(name, profile, tmp_path):
    shards = [RowShard(*ROWS[:5]), RowShard(), RowShard(*ROWS[5:])]
    # some write the path of their output down
    options = options_for(name, profile)
    if "root" in {option.name for option in fields(get_format(name).options)}:
        options |= {"root": "/x"} if is_for(get_format(name).options, "root", profile) else {}
    convert_shards(shards, tmp_path / "one", to=name, options=options, on_unfit="drop")
    for part in (2, 1, 0):
        with suppress(PartDone):
            convert_shards(shards, tmp_path / "two", to=name, options=options, on_unfit="drop", part=(part, 3))
    convert_shards(shards, tmp_path / "two", to=name, options=options, on_unfit="drop")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@pytest.mark.parametrize(("name", "profile"), [("webdataset", "rows"), ("messages", "trl")])
def test_output_does_not_depend_on_workers(name, profile, tmp_path):
    shards = [RowShard(*ROWS[:5]), RowShard(), RowShard(*ROWS[5:])]
    for folder, workers in (("one", 1), ("two", 2)):
        convert_shards(shards, tmp_path / folder, to=name, options={"profile": profile}, workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@pytest.mark.parametrize(("name", "profile"), LOSSLESS)
def test_lossless_formats_give_the_same_rows_back(name, profile, tmp_path):
    report = convert_shards(
        [RowShard(*ROWS[:7]), RowShard(*ROWS[7:])], tmp_path / "out", to=name, options={"profile": profile}
    )
    back = [row for shard in import_rows(name, tmp_path / "out") for row in shard()]
    assert [to_float32(row) for row in back] == [to_float32(row) for row in ROWS]
    assert not any(getattr(report, counter) for counter in REASONS if counter not in ("images_without_loss", "warned"))


# What holds nothing but ids of tokens, or lies in a file of its consumer's own kind.
NEVER_IMPORTED = {("anole", "tokens"), ("emu3", "tokens"), ("emu35", "story")}


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_what_convert_wrote_is_imported_as_far_as_the_report_says(name, profile, converted):
    out, report = converted(name, profile)
    if (name, profile) in NEVER_IMPORTED:
        with pytest.raises(SourceError, match="nothing in it is read"):
            imported(out)
        return
    back = imported(out)
    assert len(back) == report.records_out
    originals = {row.id: row for row in ROWS}
    told = {
        row_id
        for counter in ("images_moved", "flattened")
        for reason in getattr(report, counter)
        for row_id in report.examples[f"{counter}.{reason}"]
    }
    if "messages" in report.columns_lost or not get_format(name).read:  # pairs, edits: a row of each record
        whole = [row for row in back if json.loads(row.provenance).get("id") not in told]
        assert [row.id for row in whole if not any(is_part(row, original) for original in ROWS)] == []
        assert whole
        return
    assert {row.id for row in back if said(row) != said(originals[row.id])} <= told
    kept = [column for column in COLUMNS if column not in (*report.columns_lost, "messages", "images")]
    assert {"id"} <= set(kept)
    for row in back:
        wanted, found = to_float32(originals[row.id]), to_float32(row)
        if row.id not in told:
            stated = [column for column in kept if wanted[column] not in ("", [], "{}")]
            assert {column: found[column] for column in stated} == {column: wanted[column] for column in stated}


def imported(out):
    """As the command does without --format, tasks given to records that name none."""
    if form := format_of(str(out)):
        return [row for shard in import_rows(form, out, options={"task": "image_editing"}) for row in shard()]
    return [row for piece in open_foreign(out).rows.pieces for row in piece()]


def said(row):
    """Turns of texts, those side by side joined, and pictures."""
    pictures = iter(row.images)
    turns = []
    for message in row.messages:
        pieces = []
        for part in message.content:
            if part.type == "text" and pieces and isinstance(pieces[-1], str):
                pieces[-1] += f"\n{part.text}"
            else:
                pieces.append(part.text if part.type == "text" else next(pictures).bytes)
        turns.append((message.role, pieces))
    return turns


def is_part(row, whole):
    """Whether the pictures of a row are some of another's, in order, and its first text is the other's."""
    pictures = iter(image.bytes for image in whole.images)
    text = next((part.text for part in row.messages[0].content if part.type == "text"), "")
    whole_text = "\n".join(piece for _, pieces in said(whole) for piece in pieces if isinstance(piece, str))
    is_of_it = text in whole.instruction or text in whole_text
    return is_of_it and bool(row.images or not whole.images) and all(image.bytes in pictures for image in row.images)


def to_float32(row):
    """Arrow keeps boxes as float32; so does every row that was ever packed."""
    return row.to_dict() | {"regions": [(r.image, tuple(round(x, 6) for x in r.box), r.label) for r in row.regions]}


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_a_folder_says_how_to_use_it_as_the_documentation_does(name, profile, converted):
    out, _ = converted(name, profile)
    text = (out / "README.md").read_text()
    (entry,) = (entry for entry in describe() if (entry["format"], entry["profile"]) == (name, profile))
    assert entry["guide"] in text
    assert f"### `{name}` `{profile}`\n\n{entry['guide']}\n" in PAGE.read_text()
    assert f"- Use: {entry['use']}." in entry["guide"]
    assert f"- Trained: {entry['trained']}." in entry["guide"]
    named = re.findall(r"OUT/([^\s`\",]+)", entry["use"])
    for pattern in (place.replace("ID", "*") for place in named):
        assert list(out.glob(pattern)), f"{pattern} is not in {sorted(tree(out))}"
    assert named or "OUT" in entry["use"] or profile == "pairs"


ABSOLUTE = {"bagel", "bagel-interleaved", "sensenova"}  # as the documentation says


def places_in(folder):
    """Strings of the files that a trainer reads which name a file or folder of the output."""
    waiting = []
    for path in folder.rglob("*"):
        if path.name in ("conversion_report.json", "README.md") or path.is_dir():
            continue
        if path.suffix == ".json":
            waiting.append(json.loads(path.read_text(encoding="utf-8")))
        elif path.suffix in (".yaml", ".yml"):
            waiting.append(yaml.safe_load(path.read_text(encoding="utf-8")))
        elif path.suffix == ".jsonl":
            waiting += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        elif path.suffix == ".toml":
            waiting.append(tomllib.loads(path.read_text(encoding="utf-8")))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and re.fullmatch(r"[\w./-]{1,999}", value) and "/" in value:
            yield from [value] if (folder / value).exists() else []


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_paths_are_relative_to_the_folder_or_absolute_as_the_documentation_says(name, profile, converted, tmp_path):
    out, _ = converted(name, profile)
    assert any(Path(place).is_absolute() for place in places_in(out)) == (name in ABSOLUTE)
    if "root" in {option.name for option in fields(get_format(name).options)}:
        options = {**options_for(name, profile), "root": "/where/it/is"}
        with suppress(UsageError):  # of a profile that does not look at it
            convert_shards([RowShard(*ROWS)], tmp_path / "out", to=name, options=options, on_unfit="drop")
            assert not any(Path(place).is_absolute() for place in places_in(tmp_path / "out"))


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_what_a_format_says_of_itself_is_plain_but_for_code(name, profile):
    holds = get_format(name).profiles[profile]
    for text in (holds.use, holds.trained, holds.prompt_images, holds.answer_images, holds.consumers, *holds.notes):
        assert not set("<>*|") & set("".join(text.split("`")[::2])), text
        assert text.count("`") % 2 == 0
        assert not text.endswith(".")


def kept_by(name, profile):
    return get_format(name).profiles[profile].columns


IMPORTED = [(name, profile) for name, profile in PROFILES if get_format(name).read]


@pytest.mark.parametrize(("name", "profile"), IMPORTED)
def test_what_was_written_is_verified_by_reading_it_back(name, profile, converted):
    out, report = converted(name, profile)
    found = verify(out)
    assert not found.problems
    assert sum(found.rows.values()) == report.records_out


@pytest.mark.parametrize(("name", "profile"), [key for key in IMPORTED if "messages" in kept_by(*key)])
def test_an_empty_text_comes_back_or_is_counted(name, profile, tmp_path):
    empty = [
        make("lc-00000001", "llava_cot", ("user", "*|"), ("assistant", "Red."), pictures="red", roles="i"),
        make("lc-00000002", "llava_cot", ("user", "*|Colour?"), ("assistant", ""), pictures="red", roles="i"),
        make(
            "mrt-00000003",
            "mm_reasoning_mm",
            ("user", "*|"),
            ("assistant", "So:|*|Red."),
            pictures="red red",
            roles="im",
        ),
        make("cc-00000004", "cot_collection", ("user", "|Two and two?"), ("assistant", "Four.")),
    ]
    report = convert_shards([RowShard(*empty)], tmp_path, to=name, options={"profile": profile}, on_unfit="drop")
    assert report.rows_out
    told = report.examples.get("flattened.empty_text", ())
    originals = {row.id: row for row in empty}
    for row in (row for shard in import_rows(name, tmp_path, options={"task": "llava_cot"}) for row in shard()):
        assert said(row) == said(originals[row.id]) or row.id in told


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_no_rows_are_an_output_too(name, profile, tmp_path):
    report = convert_shards([RowShard()], tmp_path / "out", to=name, options=options_for(name, profile))
    assert (report.rows_in, report.rows_out) == (0, 0)


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_options_are_simple_words_and_say_what_they_are(name, profile):
    form = get_format(name)
    assert form.name == name
    assert next(iter(form.profiles)) == form.options().profile
    for option in fields(form.options):
        assert option.type in (str, int, int | str, "str", "int"), option.name  # int | str: a size, as 500MB
        assert f"{option.name}: " in inspect.getdoc(form.options)
    assert set(form.profiles[profile].columns) <= set(COLUMNS)
    with pytest.raises(UsageError, match="profile must be one of"):
        form.options(profile="painting")


def test_describe_names_every_profile_and_what_it_cannot_hold():
    rows = describe()
    assert [(row["format"], row["profile"]) for row in rows] == PROFILES
    assert {row["format"] for row in rows if row["imports"]} == {
        "bagel-interleaved",
        "edit-triples",
        "finevision",
        "janus",
        "llava",
        "messages",
        "sensenova",
        "webdataset",
    }
    json.dumps(rows)


def test_unknown_names_list_the_known(tmp_path):
    with pytest.raises(UnknownName, match="anole, bagel, bagel-interleaved, diffusers"):
        convert_shards([], tmp_path, to="painting")
    with pytest.raises(UnknownName, match="known: output_images, profile, root"):
        convert_shards([], tmp_path, to="llava", options={"colour": "red"})
    with pytest.raises(UsageError, match="on_unfit must be one of 'error', 'drop'"):
        convert_shards([], tmp_path, to="llava", on_unfit="ignore")
    known = "bagel-interleaved, edit-triples, finevision, janus, llava, messages, sensenova, webdataset"
    with pytest.raises(UsageError, match=f"no way back; import knows {known}"):
        import_rows("bagel", tmp_path)


# Hostile rows: what is wrong with each, and the word it is counted under.
LONE = "\ud800"
HOSTILE = {
    "bad_id": [
        replace(TEXT, id="a/b"),
        replace(TEXT, id="img.v1.5_001"),
        replace(TEXT, id="../x"),
        replace(TEXT, id="UPPER"),
    ],
    "long_id": [replace(TEXT, id="x" * 201)],
    "empty_image": [replace(UNDERSTAND, images=(EncodedImage(b"", "x.jpg"),))],
    "bad_turns": [replace(TEXT, messages=(Message("human", TEXT.messages[0].content), TEXT.messages[1]))],
    "count_mismatch": [replace(UNDERSTAND, images=())],
    "bad_text": [replace(TEXT, messages=(TEXT.messages[0], Message("assistant", (Part("text", LONE),))))],
    "bad_quadrant": [replace(TEXT, quadrant="mm-mm")],
}


@pytest.mark.parametrize(("name", "profile"), [("webdataset", "rows"), ("llava", "next"), ("messages", "openai")])
def test_hostile_rows_are_counted_by_name(name, profile, tmp_path):
    bad = [row for rows in HOSTILE.values() for row in rows]
    options = {"profile": profile}
    report = convert_shards(
        [RowShard(*bad, TEXT, UNDERSTAND, TEXT)], tmp_path / "out", to=name, options=options, on_bad_row="skip"
    )
    assert report.rows_dropped == {**{kind: len(rows) for kind, rows in HOSTILE.items()}, "duplicate_id": 1}
    assert report.examples["rows_dropped.bad_id"] == ("a/b", "img.v1.5_001", "../x")
    assert report.rows_out == 2
    assert {path.parent for path in tmp_path.iterdir()} == {tmp_path}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_rows_stop_by_default(kind, tmp_path):
    with pytest.raises(RowError) as caught:
        convert_shards([RowShard(HOSTILE[kind][0])], tmp_path / "out", to="webdataset")
    assert caught.value.kind == kind
    assert not (tmp_path / "out" / "conversion_report.json").exists()


def test_a_hundred_bad_rows_in_a_row_stop_whatever_the_policy(tmp_path):
    with pytest.raises(TooManyBadRows, match="100 bad rows in a row"):
        convert_shards(
            [RowShard(*[replace(TEXT, id="a/b")] * 100)], tmp_path / "out", to="webdataset", on_bad_row="skip"
        )
    shard = RowShard(*[replace(TEXT, id="a/b")] * 99, TEXT, *[replace(TEXT, id="a/b")] * 99)
    assert convert_shards([shard], tmp_path / "two", to="webdataset", on_bad_row="skip").rows_dropped == {"bad_id": 198}


def test_an_id_in_two_shards_stops_for_energon_and_files_need_it_once(tmp_path):
    with pytest.raises(RowError, match="more than one shard: 'cc-00000001'") as caught:
        convert_shards([RowShard(TEXT), RowShard(UNDERSTAND), RowShard(TEXT)], tmp_path / "out", to="webdataset")
    assert caught.value.kind == "duplicate_id"


def test_rows_that_do_not_fit_stop_by_default_and_say_what_to_do(tmp_path):
    with pytest.raises(RowError, match=r"'cc-00000001': has no output picture.*on_unfit='drop'") as caught:
        convert_shards([RowShard(TEXT)], tmp_path / "out", to="emu3")
    assert caught.value.kind == "no_output_image"


def test_columns_that_are_lost_are_counted_by_name(tmp_path):
    report = convert_shards(
        [RowShard(EDIT, GENERATE, WEB)], tmp_path / "out", to="messages", options={"profile": "ms-swift"}
    )
    assert report.columns_lost["regions"] == 1
    assert report.columns_lost["provenance"] == 1
    assert report.columns_lost["image_roles"] == 3


def test_all_is_sorted_and_equals_what_is_public():
    import conversion

    assert conversion.__all__ == sorted(conversion.__all__)
    assert all(hasattr(conversion, name) for name in conversion.__all__)


def test_importing_conversion_and_every_format_loads_no_trainer():
    heavy = "{'torch', 'webdataset', 'datasets', 'transformers', 'google.protobuf'}"
    code = f"import sys, conversion; conversion.describe(); print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_suffix_and_member_order_hold_beyond_ten_pictures(tmp_path):
    from tests.conversion_rows import COLORS, make

    names = " ".join([*COLORS, "red", "green", "blue"])
    row = make(
        "mrm-00000012",
        "mm_reasoning_mm",
        ("user", "|".join("*" * 12)),
        ("assistant", "Twelve."),
        pictures=names,
        roles="i" * 12,
    )
    for name in ("webdataset", "messages"):
        convert_shards([RowShard(row)], tmp_path / name, to=name)
        assert list(import_rows(name, tmp_path / name)[0]()) == [row]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("llava", {"root": "/x"}),
        ("messages", {"root": "/x", "profile": "trl"}),
        ("webdataset", {"text": "caption"}),
        ("bagel", {"profile": "edit", "input_images": "drop"}),
        ("diffusers", {"profile": "edit", "text": "caption"}),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(name, options):
    with pytest.raises(UsageError, match="has no effect on profile"):
        get_format(name).options(**options)


def test_columns_lost_follow_the_text_that_pairs_hold(tmp_path):
    lost = {
        text: convert_shards([RowShard(GENERATE)], tmp_path / text, to="emu3", options={"text": text}).columns_lost
        for text in ("instruction", "caption")
    }
    assert "image_captions" in lost["instruction"]
    assert "instruction" not in lost["instruction"]
    assert "image_captions" not in lost["caption"]
    assert "instruction" in lost["caption"]
