"""What others add from outside the tree, used from the command line."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from conversion.formats import get_format
from tests.guests import guest, write_guest, write_llava  # noqa: F401 (a fixture)
from tests.packed import split, write_packed
from tests.replicas import truth
from toolkit.cli.app import main
from toolkit.collate import COLLATORS
from toolkit.errors import UsageError
from toolkit.sources.published.shapes import COLUMN_SHAPES
from unifiedvisual import StoredLengths, StreamingDataset, load_dataset

KEEP = ("--profile", "next", "--output-images", "context")


@pytest.fixture
def run(capsys):
    """Call the command; gives its exit code and standard output."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code or 0, capsys.readouterr().out

    return call


@pytest.fixture
def packed(run, guest, tmp_path):  # noqa: F811
    """Rows of the guest's task, imported under its declared name."""
    assert (
        run("import", write_llava(tmp_path / "llava"), tmp_path / "packed", "-f", "llava", "--task", "sketching")[0]
        == 0
    )
    return tmp_path / "packed"


def test_rows_of_a_foreign_task_are_packed_checked_and_shown(run, packed, tmp_path):
    assert [path.parent.name for path in packed.glob("data/*/*.parquet")] == ["sketching"]
    code, out = run("verify", packed, "--deep", "--json")
    found = json.loads(out)
    assert (code, found["rows"], found["images"], found["problems"]) == (0, {"sketching": 3}, {"sketching": 6}, {})
    assert "llava_cot" not in run("verify", packed)[1]
    assert (
        json.loads(run("stats", packed, "--plots", tmp_path / "plots", "--json")[1])["tasks"]["sketching"]["rows"] == 3
    )
    assert (tmp_path / "plots" / "sheet-sketching.jpg").exists()
    assert run("preview", packed, tmp_path / "preview.html")[0] == 0
    page = (tmp_path / "preview.html").read_text()
    assert "a sketch, | and how it was drawn" in page
    assert "published as" not in page
    assert "sketching" in run("info")[1]
    assert run("pack", packed, tmp_path / "again", "--tasks", "sketching")[0] == 0
    assert (
        json.loads((tmp_path / "again" / "MANIFEST.json").read_text())["vocabulary"]["sketching"]["family"] == "drawing"
    )


def test_a_foreign_task_is_a_config_to_load_and_stream(packed):
    for config in ("all", "sketching"):
        assert len(load_dataset(str(packed), config, split="train")) == 3
        assert len(list(load_dataset(str(packed), config, split="train", streaming=True))) == 3
        assert len(list(StreamingDataset(packed, config, decode=None, shuffle=False))) == 3
        assert len(datasets.load_dataset(str(packed), config, split="train")) == 3  # by the card alone


def test_turns_of_a_foreign_task_each_have_their_target(packed):
    row = next(iter(load_dataset(str(packed), "sketching", split="train", streaming=True)))
    assert row["image_roles"] == ["output", "output"]  # `outputs` is "last": of each answer
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * 2


def test_rows_of_a_foreign_task_are_converted_and_checked(run, packed, tmp_path):
    for name in ("webdataset", "messages"):
        assert run("convert", packed, name, tmp_path / name, "--tasks", "sketching")[0] == 0
        assert run("verify", tmp_path / name, "--deep")[0] == 0
    assert run("import", tmp_path / "webdataset", tmp_path / "back")[0] == 0
    rows = [list(load_dataset(str(folder), split="train")) for folder in (packed, tmp_path / "back")]
    assert [row["messages"] for row in rows[0]] == [row["messages"] for row in rows[1]]


def test_a_card_of_foreign_tasks_claims_nothing_of_the_published_dataset(run, packed):
    text = (packed / "README.md").read_text()
    assert "Nothing of this is the published" in text
    assert "a sketch, &#124; and how it was drawn" in text
    assert "pretty_name: packed\n" in text
    for claim in (
        "chain-of-thought",
        'fnlp-vision/UnifiedVisual"',
        "2509.14738",
        "247,215",
        "GPT-4",
        "Image_Correctionr",
        "Wang",
        "As published:",
        "$",
    ):
        assert claim not in text
    assert "Wang" not in run("card", packed, "--croissant")[1]


def test_a_task_in_a_file_needs_no_installation(run, tmp_path):
    file = write_guest(tmp_path / "mine") / "guest_tasks.py"
    source = write_llava(tmp_path / "llava", task="sketching")
    assert (
        run("import", source, tmp_path / "nothing", "-f", "llava", "--task", "llava_cot")[0] == 1
    )  # records name another
    assert run("import", source, tmp_path / "packed", "-f", "llava", "--task", f"{file}:SKETCHING")[0] == 0
    # From here on the dataset says itself what the task is.
    assert run("verify", tmp_path / "packed", "--deep")[0] == 0
    assert run("convert", tmp_path / "packed", "llava", tmp_path / "out", *KEEP)[0] == 0
    assert run("verify", tmp_path / "out")[0] == 0
    assert len(load_dataset(str(tmp_path / "packed"), "sketching", split="train")) == 3
    assert "drawing" in (tmp_path / "packed" / "README.md").read_text()


def test_no_record_can_name_a_module(run, tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    source = write_llava(tmp_path / "llava", task=f"{tmp_path / 'evil.py'}:TASK")
    assert run("import", source, tmp_path / "packed", "-f", "llava", "--task", "llava_cot")[0] == 1
    assert not Path(tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["hex", "guest_formats:FORMAT", "{site}/guest_formats.py:FORMAT"])
def test_a_foreign_format_is_listed_written_checked_and_read_back(run, packed, guest, tmp_path, name):  # noqa: F811
    name = name.format(site=guest)
    assert ("hex" in run("convert", "--list")[1]) is True
    code, _ = run("convert", packed, name, tmp_path / "out", "-o", "greeting=hi", "--workers", 2)
    assert code == 0
    assert json.loads((tmp_path / "out/hex.jsonl").read_text().splitlines()[0])["greeting"] == "hi"
    assert json.loads((tmp_path / "out/conversion_report.json").read_text())["format"] == name
    assert run("verify", tmp_path / "out", "--deep")[0] == 0
    assert run("import", tmp_path / "out", tmp_path / "back", "-f", name)[0] == 0
    rows = [list(load_dataset(str(folder), split="train")) for folder in (packed, tmp_path / "back")]
    assert [row["messages"] for row in rows[0]] == [row["messages"] for row in rows[1]]


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (
            {"id": "a", "images": []},
            "record 0: not a record of this format (KeyError: 'turns'); found ['id', 'images']",
        ),
        (
            {"turns": [["user", ["Q"]], ["assistant", ["A"]]], "images": []},
            "record 0: the record names no task; pass --task",
        ),
    ],
)
def test_an_import_without_a_row_says_why_the_first_record_makes_none(guest, tmp_path, capsys, record, cause):  # noqa: F811
    (tmp_path / "hex.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(SystemExit):
        main(["import", str(tmp_path / "hex.jsonl"), str(tmp_path / "out"), "-f", "guest_formats:FORMAT"])
    assert cause in capsys.readouterr().err


def test_a_format_whose_read_fails_is_named_with_the_cause(guest, tmp_path, capsys):  # noqa: F811
    text = (guest / "guest_formats.py").read_text().replace("return record_shards(", "return {}['shards'](")
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(SystemExit):
        main(["import", str(tmp_path), str(tmp_path / "out"), "-f", f"{tmp_path}/mine.py:FORMAT"])
    assert "mine.py:FORMAT' failed: KeyError: 'shards'" in capsys.readouterr().err


def test_a_format_of_a_file_is_written_by_several_processes(run, guest, tmp_path):  # noqa: F811
    rows = truth()
    source = write_packed(
        tmp_path / "packed", {task: split(rows[task], 2, 2) for task in ("llava_cot", "cot_collection")}
    )
    name = f"{guest / 'guest_formats.py'}:FORMAT"
    assert run("convert", source, name, tmp_path / "out", "--workers", 2)[0] == 0
    lines = (tmp_path / "out/hex.jsonl").read_text().splitlines()
    expected = [row.id for task in ("llava_cot", "cot_collection") for row in rows[task]]
    assert [json.loads(line)["id"] for line in lines] == expected


@pytest.mark.parametrize("how", ["riddles: 3", "mine: {{n: 3, use: '{site}/guest_recipes.py:RIDDLES'}}"])
def test_a_foreign_recipe_makes_rows_of_a_foreign_task(run, guest, tmp_path, how):  # noqa: F811
    spec = tmp_path / "spec.yaml"
    how = how.format(site=guest)
    spec.write_text(f"name: guest\nbackends: {{all: {{kind: procedural}}}}\nrecipes: {{{how}}}\n")
    assert run("generate", "run", spec, "--out", tmp_path / "run")[0] == 0
    assert run("generate", "finalize", spec, "--out", tmp_path / "run")[0] == 0
    assert run("generate", "verify", spec, "--out", tmp_path / "run")[0] == 0
    rows = list(load_dataset(str(tmp_path / "run/packed"), "riddles", split="train"))
    assert {row["answer"] for row in rows} == {"A cat."}
    assert {row["instruction"] for row in rows} == {"Who, 0?", "Who, 1?", "Who, 2?"}
    assert rows[0]["id"].startswith("riddles-proc-")


@pytest.mark.parametrize("name", ["short", "{site}/guest_collators.py:ShortCollator"])
def test_a_foreign_collator_counts_the_tokens_of_rows(run, packed, guest, tmp_path, name):  # noqa: F811
    pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
    from toolkit.demo.tiny_models import tiny_llava

    processor = tiny_llava().processor
    processor.save_pretrained(tmp_path / "model")
    options = ("--collator", name.format(site=guest), "--model", tmp_path / "model", "--json")
    code, out = run("lengths", packed, tmp_path / "lengths", *options)
    assert (code, json.loads(out)["measured"]) == (0, 3)
    for row in load_dataset(str(packed), split="train"):
        text = processor.apply_chat_template(row["messages"])  # where a picture is one token
        expected = len(processor.tokenizer(text)["input_ids"]) + 1  # eos
        assert StoredLengths(tmp_path / "lengths").of([row["id"]]) == [(expected, "")]


@pytest.mark.parametrize("shape", ["dialogue", "guest_shapes:DIALOGUE", "{site}/guest_shapes.py:DIALOGUE", ""])
def test_a_foreign_column_shape_is_recognised_read_and_packed(run, guest, tmp_path, shape):  # noqa: F811
    (tmp_path / "source/data").mkdir(parents=True)
    records = [{"key": f"k{n}", "dialogue": [f"Who is {n}?", "I.", "And 0?", "Nobody."]} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "source/data/train.parquet")
    entry = {"task": "cot_collection", **({"shape": shape.format(site=guest)} if shape else {})}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"files": {"data/*.parquet": entry}}))
    mapping = ("--mapping", tmp_path / "mapping.yaml")
    assert run("inspect", tmp_path / "source", *mapping)[0] == 0
    assert run("verify", tmp_path / "source", *mapping, "--deep")[0] == 0
    assert run("pack", tmp_path / "source", tmp_path / "packed", *mapping)[0] == 0
    rows = list(load_dataset(str(tmp_path / "packed"), "cot_collection", split="train"))
    assert [[part["text"] for message in row["messages"] for part in message["content"]] for row in rows] == [
        record["dialogue"] for record in records
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("(record['x'], PNG)", "turn 0 holds b'\\x89PNG'; expected text, or a picture as Reference(path)"),
        ("(Reference(PNG),)", "turn 0: Reference(b'\\x89PNG'): its path is no text"),
        ("record['x']", "turn 0: content is 'q'; expected a tuple"),
    ],
)
def test_what_a_shape_puts_where_nothing_would_read_it_is_a_problem(run, tmp_path, content, problem):
    (tmp_path / "mine.py").write_text(
        "from toolkit.sources.published.shapes import Draft, Guess\n"
        "from toolkit.sources.published.shapes.pictures import Reference\n"
        "from toolkit.sources.published.shapes.placing import Turn\n"
        "PNG = b'\\x89PNG'\n"
        "class Mine:\n"
        "    uses = ()\n"
        "    def recognise(self, table, given): return Guess({'keep': ('x',)})\n"
        f"    def read(self, record, columns): return Draft((Turn('user', {content}), Turn('assistant', ('a',))))\n"
        "    def problems(self, columns): return ()\n"
        "SHAPE = Mine()\n"
    )
    (tmp_path / "source/data").mkdir(parents=True)
    pq.write_table(pa.table({"x": ["q"]}), tmp_path / "source/data/train.parquet")
    entry = {"task": "cot_collection", "shape": f"{tmp_path}/mine.py:SHAPE"}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"files": {"data/*.parquet": entry}}))
    code, out = run("inspect", tmp_path / "source", "--mapping", tmp_path / "mapping.yaml", "--json")
    assert code == 1
    assert problem in json.dumps(json.loads(out)).replace("\\\\", "\\")
    assert "mine.py:SHAPE" in out


SHAPE, FORM = ("guest_shapes.py", COLUMN_SHAPES.load, "DIALOGUE"), ("guest_formats.py", get_format, "FORMAT")


@pytest.mark.parametrize(
    ("entry", "old", "new", "problem"),
    [
        (SHAPE, "DIALOGUE = Dialogue()", "DIALOGUE = Dialogue", " is the class Dialogue; expected an object of it"),
        (SHAPE, "def problems", "def problem", " has no problems; expected a column shape"),
        (SHAPE, 'uses = ("dialogue",)', 'uses = "dialogue"', " has uses 'dialogue'; expected a tuple of names"),
        (FORM, "def close", "def ended", ": its writer HexWriter has no close"),
        (FORM, "def write(", "def put(", ": its writer HexWriter has no write"),
        (FORM, ", read_options=ReadOptions", "", ": has a read but no read_options"),
    ],
)
def test_what_is_no_shape_and_no_format_is_told_when_it_is_loaded(guest, tmp_path, entry, old, new, problem):  # noqa: F811
    file, load, name = entry
    text = (guest / file).read_text()
    assert old in text
    (tmp_path / "mine.py").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=f"mine.py:{name}'{problem}"):
        load(f"{tmp_path}/mine.py:{name}")


def test_a_collator_without_encode_is_told_when_it_is_loaded(guest, tmp_path):  # noqa: F811
    pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
    (tmp_path / "mine.py").write_text((guest / "guest_collators.py").read_text().replace("def encode(", "def code("))
    with pytest.raises(UsageError, match=r"mine\.py:ShortCollator' has no encode"):
        COLLATORS.load(f"{tmp_path}/mine.py:ShortCollator")


def test_a_declared_object_that_cannot_be_loaded_is_told_with_its_package(guest, tmp_path):  # noqa: F811
    (guest / "guest_formats.py").write_text("FORMATS = {}\n")
    with pytest.raises(UsageError, match="format 'hex' of uv-guest cannot be loaded: AttributeError"):
        get_format("hex")
