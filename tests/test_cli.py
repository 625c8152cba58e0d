"""The commands as a user calls them: what they print, and the exit code of every kind of bad input."""

import errno
import gzip
import inspect
import io
import json
import re
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from conversion import FORMATS
from tests.command_line import commands, parse_command
from tests.replicas import ROWS_PER_TASK, replica, truth
from toolkit.cli import demo
from toolkit.cli.app import as_typed, main
from toolkit.demo.replica import REPLICA_SHAPES, archive_stem, file_name, write_archive, write_replica
from toolkit.demo.rows import demo_rows
from toolkit.errors import DiskFull
from toolkit.sources.manifest import MANIFEST
from toolkit.staging.locks import hold
from toolkit.tasks import CONFIGS, TASKS


@pytest.fixture
def run(capsys):
    """Call the command; gives its exit code, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


def members_of(task):
    stem = archive_stem(task)
    return [
        (f"{stem}/pictures/{file_name(row, n, image)}", image.bytes)
        for row in truth()[task]
        for n, image in enumerate(row.images)
    ]


def edits(tmp_path, shape="columns"):
    return replica(tmp_path / "source", shape, tasks=("image_editing", "cot_collection"))


def test_info_tells_configs_counts_and_licences(run):
    code, out, _ = run("info")
    assert code == 0
    assert "247,215" in out
    assert "Image_Correctionr" in out
    code, out, _ = run("info", "--json")
    assert json.loads(out)["configs"] == {name: list(tasks) for name, tasks in CONFIGS.items()}


@pytest.mark.parametrize("name", dict(commands()))
def test_help_shows_an_example_that_parses(run, name):
    code, out, _ = run(*name.split()[1:], "--help")
    (example,) = re.findall(r"^Example: (.+)$", inspect.cleandoc(dict(commands())[name].help), flags=re.MULTILINE)
    assert code == 0
    assert "".join(f"Example: {example}".split()) in "".join(out.split())  # wide ones are wrapped
    assert example.startswith(f"{name} ") or example == name
    parse_command(example)


@pytest.mark.parametrize(
    "line",
    ["unifiedvisual pack demo-out", "unifiedvisual pakc a b", "unifiedvisual generate run --shrad 0/1 spec.yaml"],
)
def test_an_example_that_is_wrong_does_not_parse(line):
    with pytest.raises(Exception, match=r"pakc|shrad|[Mm]issing"):
        parse_command(line)


@pytest.mark.parametrize("shape", REPLICA_SHAPES)
def test_inspect_and_verify_find_nothing_wrong_with_a_whole_replica(run, tmp_path, shape):
    source = replica(tmp_path / "source", shape)
    code, out, _ = run("inspect", source, "--json")
    found = json.loads(out)
    assert (code, found["counts"]) == (0, {})
    assert found["rows"] == {"train": dict.fromkeys(TASKS, ROWS_PER_TASK)}
    assert all(finding["matched"] == finding["members"] > 0 for finding in found["archives"].values())
    code, out, _ = run("verify", source, "--deep", "--json")
    found = json.loads(out)
    assert (code, found["problems"], sum(found["rows"].values())) == (0, {}, ROWS_PER_TASK * len(TASKS))


def test_inspect_writes_a_mapping_that_reads_the_same(run, tmp_path):
    source = replica(tmp_path / "source", "json")
    code, out, _ = run("inspect", source, "--write-mapping", tmp_path / "mapping.yaml")
    assert code == 0
    assert "[IMG]" in out
    assert "published" in out
    assert set(yaml.safe_load((tmp_path / "mapping.yaml").read_text())["files"]) == {
        f"data/{archive_stem(task)}.parquet" for task in TASKS
    }
    assert run("verify", source, "--mapping", tmp_path / "mapping.yaml")[0] == 0


def test_a_mapping_reads_columns_no_guess_can_read(run, tmp_path):
    source = edits(tmp_path)
    table = pq.read_table(source / "data/Image_Editing.parquet").rename_columns(
        {"question": "w", "answer": "x", "rationale": "y", "images": "z", "id": "i"}
    )
    pq.write_table(table, source / "data/Image_Editing.parquet")
    code, _, err = run("verify", source)
    assert code == 1
    assert (
        "data/Image_Editing.parquet: no column holds a conversation, and prompt and answer were not both found" in err
    )
    columns = {"id": "i", "prompt": "w", "rationale": "y", "answer": "x", "images": ["z"]}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({"files": {"data/Image_*": {"columns": columns}}}))
    code, out, _ = run("verify", source, "--mapping", tmp_path / "m.yaml", "--json")
    assert (code, json.loads(out)["rows"]["image_editing"]) == (0, ROWS_PER_TASK)


def test_inspect_goes_on_past_what_it_cannot_read(run, tmp_path):
    source = edits(tmp_path)
    pq.write_table(pa.table({"alpha": ["x"]}), source / "data/Other.parquet")
    (source / "data/Cut.parquet").write_bytes(b"PAR1half")
    (source / "images/MMInternet.tar.gz").write_bytes(b"<html>")
    code, out, _ = run("inspect", source, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["counts"] == {"unknown_columns": 1, "bad_parquet": 1}
    assert found["rows"] == {"train": {"image_editing": ROWS_PER_TASK, "cot_collection": ROWS_PER_TASK}}
    assert "images/MMInternet.tar.gz: not read: no row names a picture that may be in it" in found["notes"]


BAD_INPUT = {
    "no folder": (["verify", "{missing}"], None, 1, "neither a folder on this machine nor a Hub dataset"),
    "empty folder": (["verify", "{empty}"], None, 1, "no Parquet under data/; found no files at all"),
    "datasets inside": (
        ["stats", "{source}"],
        lambda s: packed_inside(s),
        1,
        "holds packed datasets in folders: a, b/c; pass one of them",
    ),
    "missing archive": (
        ["verify", "{source}"],
        lambda s: (s / "images/Image_Editing.tar.gz").unlink(),
        1,
        "images/Image_Editing.tar.gz is not there",
    ),
    "cut archive": (["verify", "{source}"], lambda s: cut(s / "images/Image_Editing.tar.gz"), 1, "damaged or cut off"),
    "not an archive": (
        ["verify", "{source}"],
        lambda s: (s / "images/Image_Editing.tar.gz").write_text("<html>"),
        1,
        "an HTML page in place of the file; download it again",
    ),
    "half a Parquet": (
        ["verify", "{source}"],
        lambda s: cut(s / "data/Image_Editing.parquet"),
        1,
        "not a whole Parquet file",
    ),
    "no spec": (["generate", "run", "{missing}"], None, 2, "is neither a file nor a preset; presets: zero-key"),
    "no mapping file": (["verify", "{source}", "--mapping", "{missing}"], None, 2, "cannot be read as YAML"),
    "wrong mapping": (["verify", "{source}", "--mapping", "{mapping}"], None, 2, "found 'nope'; expected a column of"),
    "missing picture": (
        ["verify", "{source}"],
        lambda s: write_archive(s / "images/Image_Editing.tar.gz", members_of("image_editing")[1:]),
        1,
        "missing_image: 1",
    ),
    "deep folder": (["convert", "{source}", "llava", "{missing}" + "/a" * 1500], None, 1, "nested more deeply than"),
    "unknown command": (["publish"], None, 2, "No such command"),
    "no argument": (["verify"], None, 2, "Missing argument"),
}


def lose_first(path):
    write_archive(path, members_of("image_editing")[1:])


def packed_inside(folder):
    for name in ("a", "b/c"):
        (folder / name).mkdir(parents=True)
        (folder / name / MANIFEST).touch()


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_clear_message_and_an_exit_code(run, tmp_path, case):
    arguments, damage, expected, message = BAD_INPUT[case]
    source = edits(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"files": {"*": {"columns": {"prompt": "nope"}}}}))
    if damage:
        damage(source)
    places = {
        "source": source,
        "missing": tmp_path / "missing",
        "empty": tmp_path / "empty",
        "mapping": tmp_path / "mapping.yaml",
    }
    code, out, err = run(*(argument.format(**places) for argument in arguments))
    assert code == expected
    assert message in " ".join((out + err).split())
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("401", "not logged in, or the token is not valid"),
        ("404", "not found"),
        ("429", "the Hub asks to slow down"),
        ("503", "the Hub answers 503, also after waiting; try again later"),
    ],
)
def test_a_hub_that_refuses_is_told_with_what_to_do(run, hub, tmp_path, monkeypatch, fault, message):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.add_folder("org/uv", edits(tmp_path))
    hub.fail(fault, path=r"^/api/datasets/org/uv", times=1000)
    code, _, err = run("verify", "org/uv")
    assert code == 1
    assert f"error: org/uv: {message}" in err


def test_a_private_or_missing_repository_and_a_missing_revision_are_told(run, hub, tmp_path):
    hub.add_folder("org/uv", edits(tmp_path))
    missing = run("inspect", "org/nope")[2]
    assert "error: org/nope: no such dataset, or it is private; check the name" in missing
    assert "; nor is org/nope a folder on this machine" in " ".join(missing.split())
    assert "error: org/uv@nope: no such branch, tag or commit" in run("inspect", "org/uv", "--revision", "nope")[2]
    assert run("inspect", "org/uv")[0] == 0


def test_verify_counts_every_kind_of_problem_and_goes_on(run, tmp_path):
    source = edits(tmp_path)
    path = source / "data/Image_Editing.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["id"] = rows[1]["id"]
    rows[2]["question"] += "<image>"
    rows[3]["images"][0]["path"] = "../../etc/passwd"
    pq.write_table(pa.Table.from_pylist(rows), path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in [*members_of("image_editing"), members_of("image_editing")[0], ("../evil.png", b"x")]:
            data = b"<html>" if name.endswith("ie-0005_1.webp") else data
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (source / "images/Image_Editing.tar.gz").write_bytes(gzip.compress(buffer.getvalue()))
    code, out, _ = run("verify", source, "--deep", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["rows"]["image_editing"] == ROWS_PER_TASK - 2
    expected = {
        "duplicate_id",
        "duplicate_member",
        "placeholder_mismatch",
        "unsafe_path",
        "refused_unsafe_name",
        "image_not_an_image",
    }
    assert found["problems"] == dict.fromkeys(expected, 1)
    assert not (tmp_path.parent / "evil.png").exists()


@pytest.mark.parametrize(
    ("lock", "command"),
    [
        ("demo/.lock", "demo {}/demo"),
        ("run/topics/LOCK", "generate topics zero-key {}/tree.yaml --to 9 --out {}/run"),
        ("compared/.lock", "evaluate compare {}/mixture.yaml {}/mixture.yaml --out {}/compared --tokens 10000"),
    ],
)
def test_a_second_process_in_one_folder_says_so_and_does_nothing(run, tmp_path, lock, command):
    (tmp_path / "mixture.yaml").write_text("drawing: 1\n")
    with hold(tmp_path / lock, busy=""):
        code, _, told = run(*command.replace("{}", str(tmp_path)).split())
    assert (code, told.count("another process")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mixture.yaml"]


@pytest.mark.slow
def test_demo_goes_the_whole_way(run, tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.cli.demo.TRAINING_STEPS", 3)
    out = tmp_path / "demo"
    code, text, _ = run("demo", out, "--rows", 2)
    assert code == 0
    assert all(f"{task.prefix}-0000" in text for task in TASKS.values())
    assert run("verify", out / "upstream", "--deep")[0] == 0
    assert run("generate", "verify", out / "spec.yaml", "--out", out / "run")[0] == 0
    monkeypatch.setattr("toolkit.cli.demo._are_installed", lambda *packages: False)
    code, text, _ = run("demo", out, "--rows", 2, "--json")
    steps = json.loads(text)["steps"]
    assert (code, [steps[name]["rows"] for name in ("publish", "load", "pack")]) == (0, [18, 18, 18])
    assert not {"preview", "train"} & set(steps)
    constructed = json.loads(run("stats", out / "run/packed", "--json")[1])["tasks"]
    assert set(constructed) == set(TASKS)
    assert (
        steps["construct"]["rows"]
        == steps["convert"]["rows"]
        == steps["verify"]["rows"] - 18
        == sum(task["rows"] for task in constructed.values())
    )


def test_a_source_is_packed_counted_verified_pushed_and_read_back(run, hub, tmp_path):
    source, out = edits(tmp_path), tmp_path / "packed"
    code, text, _ = run("pack", source, out, "--dry-run", "--json")
    assert (code, json.loads(text)["rows"]) == (0, {"image_editing": ROWS_PER_TASK, "cot_collection": ROWS_PER_TASK})
    assert not out.exists()
    code, text, _ = run("pack", source, out, "--shard-size", 20_000, "--tasks", "visual_generation,cot_collection")
    assert code == 0
    assert "Next: unifiedvisual verify" in text
    assert (out / "README.md").read_text().count('load_dataset("fnlp-vision/UnifiedVisual"') == 3
    code, text, _ = run("stats", out, "--json")
    stats = json.loads(text)["tasks"]["image_editing"]
    assert (stats["rows"], stats["roles"], stats["quadrants"]) == (
        ROWS_PER_TASK,
        {"input": ROWS_PER_TASK, "output": ROWS_PER_TASK},
        {"mm-mm": ROWS_PER_TASK},
    )
    sizes = sorted(len(image.bytes) for row in truth()["image_editing"] for image in row.images)
    assert stats["measures"]["image bytes"]["quantiles"][::4] == [sizes[0], sizes[-1]]
    assert stats["measures"]["image bytes"]["sum"] == sum(sizes)
    code, text, _ = run("push", out, "loopback/uv", "--dry-run")
    assert (code, hub.repositories) == (0, {})
    code, text, _ = run("push", out, "loopback/uv", "--token", hub.token, "--json")
    assert (code, json.loads(text)["problems"]) == (0, {})
    assert (out / "README.md").read_text().count('load_dataset("loopback/uv"') == 3
    assert {"README.md", "croissant.json", "MANIFEST.json"} < set(hub.repositories["loopback/uv"].at("main").files)
    assert run("verify", "loopback/uv", "--deep")[0] == 0
    next(out.glob("data/*/*.parquet")).unlink()
    code, text, _ = run("verify", out, "--json")
    assert (code, json.loads(text)["problems"]) == (1, {"missing_shard": 1})
    assert "expected" in run("push", out, "loopback/uv", "--token", hub.token)[2]


def test_a_source_is_converted_with_a_report_and_imported_again(run, tmp_path):
    source = edits(tmp_path)
    code, text, _ = run("convert", source, "webdataset", tmp_path / "wds", "--json")
    report = json.loads(text)
    assert (code, report["rows_in"], report["rows_out"], report["images_dropped"]) == (
        0,
        2 * ROWS_PER_TASK,
        2 * ROWS_PER_TASK,
        {},
    )
    assert run("import", tmp_path / "wds", tmp_path / "back")[0] == 0
    code, text, _ = run("verify", tmp_path / "back", "--json")
    assert json.loads(text)["images"] == {"image_editing": 2 * ROWS_PER_TASK, "cot_collection": 0}


def test_a_lossy_conversion_stops_until_it_is_told_what_to_drop(run, tmp_path):
    source = edits(tmp_path)
    code, _, err = run("convert", source, "llava", tmp_path / "llava")
    assert code == 1
    assert "pass --output-images context or --output-images drop" in err
    code, text, _ = run("convert", source, "llava", tmp_path / "llava", "--output-images", "drop", "--json")
    assert (code, json.loads(text)["rows_out"]) == (0, ROWS_PER_TASK)
    assert sum(json.loads(text)["rows_dropped"].values()) == ROWS_PER_TASK


def test_convert_lists_formats_and_refuses_unknown_ones_and_options(run, tmp_path):
    code, text, _ = run("convert", "--list", "--json")
    assert (code, {"llava", "webdataset", "emu3", "messages"} <= {entry["format"] for entry in json.loads(text)}) == (
        0,
        True,
    )
    assert run("convert", "--list")[0] == 0
    source = edits(tmp_path)
    assert run("convert", source, "webdata", tmp_path / "x")[0::2] == (
        2,
        f"error: unknown format 'webdata'; known: {', '.join(sorted(FORMATS))}\n",
    )
    assert "unknown option 'shards'" in run("convert", source, "webdataset", tmp_path / "x", "-o", "shards=3")[2]
    assert "expected NAME=VALUE" in run("convert", source, "webdataset", tmp_path / "x", "-o", "shards")[2]
    assert run("convert")[0] == 2


def test_import_counts_bad_records_or_stops_at_them(run, tmp_path):
    good = {"id": "1", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    (tmp_path / "train.json").write_text(json.dumps([good, {"id": "2", "conversations": []}]))
    code, _, err = run("import", tmp_path / "train.json", tmp_path / "a", "-f", "llava", "--task", "cot_collection")
    assert code == 1
    assert "record 1" in err
    code, text, _ = run(
        "import",
        tmp_path / "train.json",
        tmp_path / "b",
        "--format=llava",
        "--task",
        "cot_collection",
        "--on-bad-row",
        "skip",
        "--json",
    )
    manifest = json.loads(text)
    assert (code, sum(manifest["skipped"]["cot_collection"].values()), manifest["shards"][0]["rows"]) == (0, 1, 1)


def test_a_card_that_a_person_changed_is_kept(run, hub, tmp_path):
    source, out = edits(tmp_path), tmp_path / "packed"
    run("pack", source, out)
    mine = (out / "README.md").read_text() + "\nMore from me.\n"
    (out / "README.md").write_text(mine)
    run("push", out, "loopback/uv", "--token", hub.token)
    assert (out / "README.md").read_text() == mine


@pytest.mark.parametrize(
    ("format", "profile"),
    [
        ("webdataset", "rows"),
        ("webdataset", "pairs"),
        ("llava", "v15"),
        *(("messages", name) for name in ("trl", "ms-swift", "lmms-engine")),
    ],
)
def test_verify_reads_converted_output_back_and_finds_what_was_lost(run, tmp_path, format, profile):
    out = tmp_path / "out"
    write_replica(
        source := tmp_path / "source", {task: list(demo_rows(task, 3)) for task in ("image_generation", "llava_cot")}
    )
    assert run("convert", source, format, out, "--on-unfit", "drop", "--option", f"profile={profile}")[0] == 0
    code, text, _ = run("verify", out, "--deep")
    assert (code, "every image decodes" in text) == (0, True)
    damaged = max(out.rglob("*.*"), key=lambda path: path.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    assert run("verify", out, "--deep")[0] == 1


def test_verify_says_which_formats_it_can_read_back(run, tmp_path):
    assert (
        run(
            "convert", edits(tmp_path), "emu3", tmp_path / "out", "--on-unfit", "drop", "--option", "input_images=drop"
        )[0]
        == 0
    )
    code, _, error = run("verify", tmp_path / "out")
    assert (code, "has no way back" in error) == (2, True)


@pytest.mark.parametrize("command", ["preview {source} {there}", "inspect {source} --write-mapping {there}"])
def test_a_file_that_is_read_is_not_written_over(run, tmp_path, command):
    source = edits(tmp_path)
    there = source / "data/Image_Editing.parquet"
    before = there.read_bytes()
    code, _, error = run(*command.format(source=source, there=there).split())
    assert (code, "Image_Editing.parquet is there, and does not end in ." in error) == (2, True)
    assert there.read_bytes() == before


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("where='nope = 1': no column", "--where 'nope = 1': no column"),
        ('pass on_bad_row="skip" to go on', "pass --on-bad-row skip to go on"),
        ("pass workers= or more", "pass --workers or more"),
        ("name the columns with columns=; parts=8", "name the columns with --column; --parts 8"),
    ],
)
def test_messages_name_options_as_they_are_typed(said, typed):
    assert as_typed(said) == typed


def test_demo_names_its_folder_where_the_disk_is_full(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(demo, "_publish", full)
    with pytest.raises(DiskFull, match=f"^{tmp_path}/demo: the disk is full: "):
        demo.run(tmp_path / "demo", rows_per_task=1, as_json=False)
