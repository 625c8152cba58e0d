"""What others published -> a packed dataset: tasks of its own, one that is stopped goes on, parts make the whole."""

import json
import pickle
from pathlib import Path

import datasets
import pytest

from tests.dialect_sets import GREEN, RED, SETS, image, jsonl, parquet, said, tar, turn
from tests.guests import guest  # noqa: F401 (a fixture)
from tests.openai_server import OpenAIServer
from tests.test_dialects import opened, write
from tests.test_pack import content
from toolkit.cli.app import main
from toolkit.errors import PartDone, SourceError
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.packing.verify import verify_packed
from toolkit.sources.dialects.pictures import Stock
from toolkit.sources.dialects.source import open_foreign
from toolkit.sources.repository import LocalFolder
from toolkit.tasks import Task
from unifiedvisual import StreamingDataset, load_dataset

BOTH = {**SETS["sharegpt-4o-image"].files, **SETS["sharegpt-4o-image edits"].files}


@pytest.fixture
def run(capsys):
    """Call the command; gives its exit code, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        printed = capsys.readouterr()
        return ended.value.code or 0, " ".join(printed.out.split()), printed.err

    return call


def pairs(folder, count=6):
    members = {f"{n:03d}.{kind}": data for n in range(count) for kind, data in (("png", RED), ("txt", b"Red %d" % n))}
    return write(folder, {"a.tar": tar(members), "notes.csv": b"x,y\n1,2\n"})


def test_images_on_the_network_are_fetched_once_where_that_is_asked_for(run, tmp_path):
    """A document of OBELICS in which one address leads nowhere is a bad row; the others are read as if from a disk."""
    site = OpenAIServer()
    root = site.url.removesuffix("/v1")
    site.downloads = {"/a.png": RED, "/b.png": GREEN}
    pages = [[f"{root}/a.png", f"{root}/b.png"], [f"{root}/gone.png"], [f"{root}/b.png"]]
    write(
        tmp_path / "src",
        {"t.jsonl": jsonl(*({"texts": ["Look:", *[None] * len(of)], "images": [None, *of]} for of in pages))},
    )
    skip = ("--on-bad-row", "skip", "--json")
    try:
        assert run("import", tmp_path / "src", tmp_path / "none", *skip)[0] != 0  # every row is a bad one
        for out in ("one", "two"):
            told = run("import", tmp_path / "src", tmp_path / out, "--download", tmp_path / "kept", *skip)[1]
            assert json.loads(told)["skipped"] == {"interleaved": {"http_404": 1}}
        assert sorted(path for path, _ in site.fetched) == ["/a.png", "/b.png", "/gone.png"]
    finally:
        site.close()
    assert content(tmp_path / "one/data") == content(tmp_path / "two/data")
    rows = list(StreamingDataset(tmp_path / "one", "interleaved", decode=None, shuffle=False))
    assert [[image["bytes"] for image in row["images"]] for row in rows] == [[RED, GREEN], [GREEN]]


def test_a_new_task_is_a_config_with_its_rule_and_counts_as_nobodys(run, tmp_path):
    files = {"a.png": RED, "b.png": GREEN}
    turns = [turn("human", "<image>\nInvert."), turn("gpt", "Done.\n<image>")]
    write(tmp_path / "src", {"t.jsonl": jsonl({"image": list(files), "conversations": turns}), **files})
    out = tmp_path / "packed"
    assert run("import", tmp_path / "src", out, "--task", "inverting", "--outputs", "none", "--name", "mine")[0] == 0
    manifest = json.loads((out / "MANIFEST.json").read_text())
    assert manifest["vocabulary"]["inverting"]["outputs"] == "none"
    rows = list(load_dataset(str(out), "inverting", split="train", streaming=True))
    assert [(row["image_roles"], row["quadrant"], row["source"]) for row in rows] == [
        (["input", "intermediate"], "mm-mm", "mine")
    ]
    assert len(list(StreamingDataset(out, "inverting", decode=None, shuffle=False))) == 1
    assert len(datasets.load_dataset(str(out), "inverting", split="train")) == 1  # by the card alone
    card = (out / "README.md").read_text()
    assert "inverting" in card
    assert "**Nothing of this is the published fnlp-vision/UnifiedVisual-240K.**" in card
    assert json.loads(run("stats", out, "--json")[1])["tasks"]["inverting"]["rows"] == 1
    assert run("preview", out, tmp_path / "preview.html")[0] == 0
    assert "inverting" in (tmp_path / "preview.html").read_text()
    assert run("verify", out, "--deep")[0] == 0


def test_rows_of_one_of_the_nine_do_not_pass_as_published(run, tmp_path):
    source = write(tmp_path / "src", SETS["llava-cot"].files)
    assert run("import", source, tmp_path / "packed", "--task", "llava_cot")[0] == 0
    card = (tmp_path / "packed/README.md").read_text()
    assert "**Nothing of this is the published fnlp-vision/UnifiedVisual-240K.**" in card
    assert "Xkev/LLaVA-CoT-100k" not in card


def test_it_says_how_it_reads_and_what_it_does_not_read(run, tmp_path):
    code, text, _ = run("import", pairs(tmp_path / "src"), tmp_path / "out", "--dry-run")
    assert code == 0
    assert "a.tar: read as pairs, since 6 of 6 records looked at have txt, png, __key__: a text and one" in text
    assert "task text_to_image, targets among images of answers: all" in text
    assert "could also be read as captions (--format)" in text
    assert "notes.csv: not read: its records have 'x', 'y'" in text
    assert not (tmp_path / "out").exists()
    code, text, _ = run("import", tmp_path / "src", tmp_path / "out", "-f", "captions", "-o", "prompt=What?", "--json")
    [group] = json.loads(text)["read_as"]["groups"]
    assert (code, group["dialect"], group["options"]) == (0, "captions", {"prompt": "What?"})
    assert json.loads(text)["shards"][0]["quadrants"] == {"mm-text": 6}


def test_wrong_calls_say_what_is_known(run, tmp_path):
    source, out = pairs(tmp_path / "src"), tmp_path / "out"
    assert (
        "unknown format 'wds'; known: bagel-interleaved, captions, cauldron"
        in run("import", source, out, "-f", "wds")[2]
    )
    assert "unknown option 'colour'; known: " in run("import", source, out, "-o", "colour=red")[2]
    assert "expected [a-z][a-z0-9_]*" in run("import", source, out, "--task", "No Task")[2]
    assert "name a task of your own" in run("import", source, out, "--outputs", "last")[2]
    assert "expected USE=COLUMN" in run("import", source, out, "--column", "text")[2]
    assert run("import", source)[0] == 2
    assert "columns: for dialects" in run("import", source, out, "-f", "llava", "--column", "text=x")[2]
    assert "`json`" not in run("import", "--list")[1]
    assert set(json.loads(run("import", "--list", "--json")[1])) >= {"conversations", "vqa"}
    (source / "MANIFEST.json").write_text("{}")
    assert "is packed already; join it with others by merge" in run("import", source, out)[2]
    assert not out.exists()


def test_a_token_of_the_environment_is_no_option_of_a_format(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]
    write(tmp_path / "src", {"train.json": json.dumps([{"id": "a", "conversations": turns}]).encode()})
    code, _, error = run(
        "import", tmp_path / "src" / "train.json", tmp_path / "out", "-f", "llava", "--task", "llava_cot"
    )
    assert (code, error) == (0, "")


def test_a_bad_record_stops_it_or_is_counted(run, tmp_path, caplog):
    good = {"question": "Q", "answer": "A"}
    write(tmp_path / "src", {"t.jsonl": jsonl(good, good, {"question": "Q", "answer": None}, good)})
    code, _, error = run("import", tmp_path / "src", tmp_path / "a")
    assert code == 1
    assert f"{tmp_path / 'src'}: t.jsonl: record 2: has no answer" in error
    code, text, _ = run("import", tmp_path / "src", tmp_path / "b", "--on-bad-row", "skip", "--json")
    manifest = json.loads(text)
    assert (code, manifest["skipped"]) == (0, {"question_answering": {"bad_record": 1}})
    assert manifest["shards"][0]["rows"] == 3
    [warning] = [record.getMessage() for record in caplog.records]
    assert warning.startswith(
        f"{tmp_path / 'src'}: question_answering: 1 bad_record; e.g. {tmp_path / 'src'}: t.jsonl: "
    )


@pytest.mark.parametrize("after", [1, 4, 9])
def test_stopped_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path, monkeypatch, after):
    source, small = pairs(tmp_path / "src", 10), PackOptions(shard_bytes=200, row_group_bytes=100)
    pack(open_foreign(source).rows, tmp_path / "whole", ["text_to_image"], small)
    found, count = Stock.find, iter(range(100))

    def find(self, *arguments):
        if next(count) == after:
            raise KeyboardInterrupt
        return found(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Stock, "find", find)
        with pytest.raises(KeyboardInterrupt):
            pack(open_foreign(source).rows, tmp_path / "out", ["text_to_image"], small)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert len(before) >= after // 3
    pack(open_foreign(source).rows, tmp_path / "out", ["text_to_image"], small)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    again = {path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert set(before.values()) <= again  # whole shards are not written again


def test_parts_and_other_processes_make_what_one_process_makes(tmp_path):
    source = write(tmp_path / "src", BOTH)
    whole = open_foreign(source).rows
    assert whole.tasks == ("edit", "text_to_image")
    read = []
    pack(whole, tmp_path / "whole", whole.tasks, on_read=lambda path, size: read.append((path, size)))
    assert sum(size for path, size in read) == sum(len(data) for path, data in BOTH.items() if path.endswith(".json"))
    assert verify_packed(LocalFolder(tmp_path / "whole")).problems == ()
    for part in (0, 1):
        sent = pickle.loads(pickle.dumps(open_foreign(source).rows))
        with pytest.raises(PartDone):
            pack(sent, tmp_path / "parts", sent.tasks, part=(part, 2))
    pack(open_foreign(source).rows, tmp_path / "parts", whole.tasks)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_the_hub_says_source_and_licence(run, tmp_path, hub):
    card = b"---\nlicense: cc-by-4.0\npretty_name: x\n---\n# A set\n"
    commit = hub.add_files("org/set", {**SETS["cauldron"].files, "README.md": card})
    assert run("import", "org/set", tmp_path / "packed", "--workers", "2")[0] == 0
    manifest = json.loads((tmp_path / "packed/MANIFEST.json").read_text())
    assert manifest["source"] == {"repository": "org/set", "revision": commit}
    assert verify_packed(LocalFolder(tmp_path / "packed")).problems == ()
    assert "cc-by-4.0" in (tmp_path / "packed/README.md").read_text()
    rows = [row for piece in open_foreign("hf://datasets/org/set", files="ai2d/*").rows.pieces for row in piece()]
    assert {(row.source, row.license) for row in rows} == {("org/set", "cc-by-4.0")}
    assert json.loads(rows[1].provenance) == {
        "imported_from": "cauldron",
        "file": "ai2d/train-00000-of-00001.parquet",
        "record": 1,
    }
    assert [row.id for row in rows] == [f"question_answering-ai2d-train-00000-of-00001-0000000{n}" for n in (0, 1)]


def test_images_that_no_column_would_read_are_not_lost_in_silence(run, tmp_path):
    odd = {"question": "Q", "answer": "A", "problem_image_0": image(RED), "thought_0": "T"}
    write(tmp_path / "odd", {"a.parquet": parquet(odd)})
    with pytest.raises(SourceError, match="vqa: the images in 'problem_image_0' would not be read; name their columns"):
        open_foreign(tmp_path / "odd")
    [row] = next(iter(open_foreign(tmp_path / "odd", columns={"images": "problem_image_0"}).rows.pieces))()
    assert said(row) == [["user", "<red>", "Q"], ["assistant", "A"]]
    write(tmp_path / "masks", SETS["magicbrush"].files)
    _, text, _ = run("import", tmp_path / "masks", tmp_path / "out", "--dry-run")
    assert "columns not read: turn_index, mask_img of which hold images: mask_img" in text


def test_splits_in_one_object_are_not_read_as_one(tmp_path):
    record = {"question": "Q", "answer": "A"}
    write(tmp_path, {"a.json": json.dumps({"train": [record], "test": [record]}).encode()})
    with pytest.raises(SourceError, match="its records have 'test', 'train'"):
        open_foreign(tmp_path)


def test_splits_are_read_one_at_a_time(tmp_path):
    record = {"question": "Q", "answer": "A"}
    write(tmp_path, {"train-0.jsonl": jsonl(record), "test-0.jsonl": jsonl(record, record)})
    found = open_foreign(tmp_path)
    assert [len(list(piece())) for piece in found.rows.pieces] == [1]
    assert found.not_read == {"test-0.jsonl": "split test, not train"}
    assert [len(list(piece())) for piece in open_foreign(tmp_path, split="test").rows.pieces] == [2]


def test_columns_are_kept_where_they_are_asked_for(tmp_path):
    write(tmp_path, {"t.jsonl": jsonl({"id": 7, "question": "Q", "answer": "A", "score": 0.5, "url": "u"})})
    found = open_foreign(tmp_path, columns={"keep": ["score", "url"]})
    [row] = next(iter(found.rows.pieces))()
    assert json.loads(row.provenance)["columns"] == {"score": 0.5, "url": "u"}
    assert json.loads(row.provenance)["id"] == 7
    assert found.groups[0].not_read == ()


def test_addresses_are_read_as_names_in_a_folder_of_images(tmp_path):
    write(tmp_path / "src", {"t.jsonl": jsonl({"url": "https://example.org/x/a.png?w=1", "caption": "Red."})})
    write(tmp_path / "pictures", {"a.png": RED})
    found = open_foreign(tmp_path / "src", columns={"image": "url"}, image_folder=str(tmp_path / "pictures"))
    assert [said(row) for row in next(iter(found.rows.pieces))()] == [[["user", "Red."], ["assistant", "<red>"]]]


MINE = """
from toolkit.sources.dialects.dialect import Dialect, Draft, Turn, Use, text_in
from toolkit.tasks import Task


def read(fields, options):
    return Draft((Turn("user", (text_in(fields, "call"),)), Turn("assistant", (text_in(fields, "echo"),))))


DIALECT = Dialect(
    name="echoes",
    reads="nobody's",
    sign="a call and its echo",
    task=Task(name="echo", quadrant="text-text"),
    uses={"call": Use(("call",)), "echo": Use(("echo",))},
    fits=lambda fields: True,
    read=read,
)
"""


def test_a_dialect_of_a_file_is_read_and_its_task_is_carried(run, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    write(tmp_path / "src", {"t.jsonl": jsonl({"call": "Hey", "echo": "ey"})})
    assert run("import", tmp_path / "src", tmp_path / "out", "-f", f"{tmp_path}/mine.py:DIALECT")[0] == 0
    assert [row["answer"] for row in load_dataset(str(tmp_path / "out"), "echo", split="train")] == ["ey"]
    assert run("import", tmp_path / "src", tmp_path / "other")[0] == 1


def test_a_dialect_of_an_installed_package_is_recognised_before_ours(guest, tmp_path):  # noqa: F811
    write(tmp_path / "src", {"t.jsonl": jsonl({"question": "Q", "answer": "A", "murmur": "mm"})})
    found = open_foreign(tmp_path / "src")
    assert (found.groups[0].dialect, found.tasks[0]) == ("murmurs", Task(name="murmuring", quadrant="text-text"))
    assert found.groups[0].also == ("vqa",)
    assert isinstance(opened(Path(tmp_path / "src"), SETS["vqav2"], format="vqa").rows.tasks, tuple)


def test_where_no_record_is_left_it_says_why_and_packs_nothing(run, tmp_path):
    record = {"image": "no.png", "conversations": [turn("human", "Q"), turn("gpt", "A")]}
    write(tmp_path / "src", {"a.jsonl": jsonl(record)})
    code, _, errors = run("import", tmp_path / "src", tmp_path / "out", "--on-bad-row", "skip")
    assert code == 1
    assert "out: no row is left; left out: {'conversation': {'missing_image': 1}}; nothing was packed" in errors
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
