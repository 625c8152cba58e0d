"""The survey of whole files, and the plan that is made from it. Expected values are written by hand."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from conversion import verify
from tests.layout_writers import tarred
from tests.layouts import png
from toolkit.errors import LayoutError, MappingError, RowError, ShardError, UnifiedVisualError
from toolkit.sources.layout import open_source
from toolkit.sources.published import survey as survey_room
from toolkit.sources.published.inspection import inspect_upstream
from toolkit.sources.published.mapping import read_mapping
from toolkit.sources.published.shapes import COLUMN_SHAPES
from toolkit.sources.published.shapes.words import names_pictures, side_of, task_named_in
from toolkit.sources.published.survey import survey_files
from toolkit.sources.repository import LocalFolder
from toolkit.sources.skips import Skips
from toolkit.sources.splits import split_named_in


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("data/Image_Editing-00000-of-00003.parquet", "image_editing"),
        ("data/train_image_editing.parquet", "image_editing"),
        ("images/Image_Correctionr.tar.gz", "image_correction"),
        ("Image_Correction/0.png", "image_correction"),
        ("MMReasoning_MM/3.png", "mm_reasoning_mm"),
        ("mm_reasoning_o", "mm_reasoning_o"),
        ("LLaVA-CoT", "llava_cot"),
        ("llava_cot_subset", "llava_cot"),
        ("CoT-Collection", "cot_collection"),
        ("MMInternet", "mm_internet"),
        ("MMReasoning_Other", ""),
        ("data/train.parquet", ""),
        ("image captioning", ""),
    ],
)
def test_task_is_found_as_whole_words(text, task):
    assert task_named_in(text) == task


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("data/train-00000-of-00001.parquet", "train"),
        ("data/image_editing-00000-of-00001.parquet", "train"),
        ("data/LLaVA_CoT_subset-test.parquet", "test"),
        ("data/x/validation/0.parquet", "validation"),
        ("data/x.dev.parquet", "validation"),
        ("data/eval/test_1.parquet", "test"),
        ("data/contest.parquet", "train"),
        ("data/latest/evaluations.parquet", "train"),
    ],
)
def test_split_is_told_by_file_name_then_folder(path, split):
    assert split_named_in(path) == split


@pytest.mark.parametrize(
    ("column", "is_of_pictures", "side"),
    [
        ("image", True, "images"),
        ("source_image", True, "prompt_images"),
        ("editedImage", True, "answer_images"),
        ("image_path", True, "images"),
        ("data.target_img_url", True, "answer_images"),
        ("image_width", False, "images"),
        ("image_caption", False, "images"),
        ("images", True, "images"),
    ],
)
def test_names_of_columns_say_whether_they_hold_pictures_and_of_which_side(column, is_of_pictures, side):
    assert (names_pictures(column), side_of(column)) == (is_of_pictures, side)


def write(folder, records, name="train.parquet", **options):
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(records if isinstance(records, pa.Table) else pa.Table.from_pylist(records), path, **options)


def plan_of(tmp_path, records, *, name="train.parquet", mapping=None):
    write(tmp_path, records, name)
    if mapping is not None:
        (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    source = open_source(tmp_path, mapping=str(tmp_path / "mapping.yaml") if mapping is not None else None)
    return source.plans[0]


def turns(question="q", answer="a"):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def test_a_survey_counts_every_row(tmp_path):
    rows = [{"q": "two <image> and <image>", "i": None, "n": 1}] * 300
    rows += [{"q": "<imagenet> [IMG]", "i": ["Image_Editing/a.png", None], "n": 2}] * 5 + [{"q": "", "i": [], "n": 2}]
    write(tmp_path, rows, row_group_size=100)
    [found] = survey_files(LocalFolder(tmp_path), ["data/train.parquet"])
    q, i, n = (found.columns[name] for name in "qin")
    assert (found.rows, q.nulls, i.nulls, n.text.values) == (306, 1, 301, {"1": 300, "2": 6})
    assert (dict(q.text.tags), dict(q.text.unknown)) == ({"<image>": 600, "[IMG]": 5}, {"<imagenet>": 5})
    assert (i.leaves["[]"].names, i.leaves["[]"].nulls) == (5, 5)
    assert found.signs["i"].tolist() == [-1] * 300 + [1] * 5 + [-1]


def test_a_survey_looks_into_json_text_and_structs(tmp_path):
    record = {"data": json.dumps({"turns": turns(), "images": ["MMInternet/1.png"]}), "meta": {"source": "x", "n": 1}}
    write(tmp_path, [record])
    plan = open_source(tmp_path).plans[0]
    assert dict(plan.columns) == {"images": ("data.images",), "turns": ("data.turns",)}
    assert plan.counts == {"mm_internet": 1}
    assert "not read: column 'meta.source' (string, e.g. 'x')" in plan.notes


def test_columns_of_bytes_are_not_read_whole(tmp_path, monkeypatch):
    asked = []
    real = survey_room.pq.ParquetFile.iter_batches

    def watched(self, *args, **options):
        asked.append((options["columns"], options["batch_size"]))
        return real(self, *args, **options)

    monkeypatch.setattr(survey_room.pq.ParquetFile, "iter_batches", watched)
    write(
        tmp_path,
        [{"question": "q", "answer": "a", "image": b"\x89PNG\r\n\x1a\n" + bytes(100)}] * 50,
        "LLaVA_CoT.parquet",
    )
    plan = open_source(tmp_path).plans[0]
    assert plan.columns["images"] == ("image",)
    assert (["image"], survey_room.PROBED) in asked
    assert all("image" not in columns or size == survey_room.PROBED for columns, size in asked)


def test_a_second_opening_of_the_same_files_surveys_nothing(tmp_path, monkeypatch):
    write(tmp_path, [{"conversations": turns(), "image": "Image_Editing/1.png"}])
    first = open_source(tmp_path).plans
    monkeypatch.setattr("toolkit.sources.published.opening.survey_files", lambda *args, **options: 1 / 0)
    second = open_source(tmp_path).plans
    assert second == first
    assert [plan.signs.tolist() for plan in second] == [plan.signs.tolist() for plan in first]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".parquet"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[", b'[{"path": "x"}]'])
def test_a_damaged_cache_is_made_again(tmp_path, own_caches, damage):
    write(tmp_path, [{"conversations": turns(), "image": "Image_Editing/1.png"}])
    first = open_source(tmp_path).plans
    [kept] = (own_caches / "hf-home/datasets/unifiedvisual-surveys").glob("*.json")
    kept.write_bytes(damage)
    assert open_source(tmp_path).plans == first


def test_a_cache_with_a_flipped_bit_changes_no_plan(tmp_path, own_caches):
    write(tmp_path, [{"conversations": turns(), "image": "Image_Editing/1.png"}])
    first = open_source(tmp_path).plans
    [kept] = (own_caches / "hf-home/datasets/unifiedvisual-surveys").glob("*.json")
    content = kept.read_bytes()
    for place in range(0, len(content), len(content) // 20):
        kept.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert open_source(tmp_path).plans == first


def test_a_changed_file_is_surveyed_again(tmp_path):
    write(tmp_path, [{"prompt": "q", "answer": "a"}], "Image_Editing.parquet")
    assert open_source(tmp_path).plans[0].rows == 1
    write(tmp_path, [{"prompt": "q", "answer": "a"}] * 2, "Image_Editing.parquet")
    assert open_source(tmp_path).plans[0].rows == 2


def test_edit_triples_are_told_apart_by_their_column_names(tmp_path):
    record = {"source_image": "a/1.jpg", "edit_prompt": "night", "edited_image": "a/2.jpg"}
    plan = plan_of(tmp_path, [record], name="Image_Editing.parquet")
    expected = {"prompt": ("edit_prompt",), "prompt_images": ("source_image",), "answer_images": ("edited_image",)}
    assert (dict(plan.columns), plan.shape, plan.task) == (expected, "columns", "image_editing")


def test_a_picture_column_beside_that_of_one_side_is_of_the_other(tmp_path):
    record = {"image": "1.jpg", "instruction": "night", "edited_image": "2.jpg"}
    plan = plan_of(tmp_path, [record], name="Image_Editing.parquet")
    assert (plan.columns["prompt_images"], plan.columns["answer_images"]) == (("image",), ("edited_image",))


def test_columns_of_pictures_may_be_called_input_and_output(tmp_path):
    record = {"input": "1.jpg", "instruction": "night", "output": "2.jpg"}
    plan = plan_of(tmp_path, [record], name="Image_Editing.parquet")
    assert (plan.columns["prompt_images"], plan.columns["answer_images"]) == (("input",), ("output",))
    assert plan.columns["prompt"] == ("instruction",)


def test_cot_collection_is_known_by_its_columns(tmp_path):
    plan = plan_of(tmp_path, [{"source": "q", "target": "a", "rationale": "r", "task": "glue", "type": "CoT"}])
    assert (plan.task, dict(plan.columns)) == (
        "cot_collection",
        {"prompt": ("source",), "answer": ("target",), "rationale": ("rationale",)},
    )


SECTIONS = "<SUMMARY>a</SUMMARY><CAPTION>b</CAPTION><REASONING>c</REASONING><CONCLUSION>d</CONCLUSION>"


def test_llava_cot_is_known_by_its_sections(tmp_path):
    assert (
        plan_of(tmp_path, [{"id": "1", "image": "sqa/1.png", "conversations": turns("q", SECTIONS)}]).task
        == "llava_cot"
    )


def test_the_archive_named_in_a_path_tells_the_task_of_each_row(tmp_path):
    folders = ("Image_Editing", "MMReasoning_O", "/home/me/Image_Editing", "Image_Editing")
    records = [{"image": [f"{folder}/1.png"], "conversations": turns("<image>")} for folder in folders]
    records += [{"image": [], "conversations": turns()}]
    plan = plan_of(tmp_path, records)
    assert plan.counts == {"image_editing": 3, "mm_reasoning_o": 1, "cot_collection": 1}
    assert "task cot_collection: rows without any picture (1)" in plan.signs_told


def test_a_row_whose_paths_name_two_archives_is_a_bad_row(tmp_path):
    records = [{"image": ["Image_Editing/1.png", "MMInternet/1.png"], "conversations": turns("<image><image>")}]
    records += [{"image": ["Image_Editing/1.png"], "conversations": turns("<image>")}]
    write(tmp_path, records)
    with pytest.raises(RowError, match="row 0: its picture paths name archives of several tasks") as caught:
        list(open_source(tmp_path).sketches("image_editing", Skips()))
    assert caught.value.kind == "ambiguous_task"


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["Image_Editing", "LLaVA-CoT"]),
        pa.array(["Image_Editing", "LLaVA-CoT"]).dictionary_encode(),
        pa.array(["image editing", "llava_cot"], pa.large_string()),
    ],
)
def test_a_column_whose_values_name_tasks_tells_them(tmp_path, column):
    table = pa.table({"kind": column, "prompt": ["q", "q"], "answer": ["a", "b"]})
    plan = plan_of(tmp_path, table)
    assert (plan.task_column, plan.counts) == ("kind", {"image_editing": 1, "llava_cot": 1})


def test_numbers_with_names_in_the_metadata_of_datasets_tell_the_task(tmp_path):
    features = {"task": {"_type": "ClassLabel", "names": ["Image_Editing", "LLaVA_CoT"]}}
    schema = pa.schema([("task", pa.int64()), ("prompt", pa.string()), ("answer", pa.string())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    plan = plan_of(tmp_path, pa.Table.from_arrays([[1, 0, 1], ["q"] * 3, ["a"] * 3], schema=schema))
    assert plan.counts == {"llava_cot": 2, "image_editing": 1}


def test_a_file_and_a_column_that_name_different_tasks_stop(tmp_path):
    with pytest.raises(
        LayoutError, match="the file's path names task image_editing, and column 'task' names 'llava_cot'"
    ):
        plan_of(tmp_path, [{"task": "llava_cot", "prompt": "q", "answer": "a"}], name="Image_Editing.parquet")


def test_the_source_of_rows_does_not_contradict_the_files_name(tmp_path):
    plan = plan_of(tmp_path, [{"source": "LLaVA-CoT", "prompt": "q", "answer": "a"}], name="MMReasoning_O.parquet")
    assert (plan.task, plan.task_column) == ("mm_reasoning_o", "")


@pytest.mark.parametrize("file", ["train.parquet", "test.parquet"])
def test_a_column_that_names_other_splits_stops(tmp_path, file):
    records = [{"split": split, "task": "llava_cot", "prompt": "q", "answer": "a"} for split in ("train", "test")]
    with pytest.raises(
        LayoutError, match=f"column 'split' says 'test', 'train', and the file is read as split {file[:-8]}"
    ):
        plan_of(tmp_path, records, name=file)
    mapping = {"files": {f"data/{file}": {"columns": {"ignore": ["split"]}}}}
    assert plan_of(tmp_path, records, name=file, mapping=mapping).rows == 2
    mapping = {"files": {f"data/{file}": {"split": "validation"}}}
    assert plan_of(tmp_path, records, name=file, mapping=mapping).split == "validation"


def test_a_column_that_names_the_split_of_its_file_is_no_problem(tmp_path):
    records = [{"split": "Test", "task": "llava_cot", "prompt": "q", "answer": "a"}]
    assert plan_of(tmp_path, records, name="test.parquet").split == "test"


def test_a_file_that_says_no_split_beside_one_that_says_train_stops(tmp_path):
    records = [{"task": "llava_cot", "prompt": "q", "answer": "a"}]
    for name in ("train.parquet", "holdout.parquet", "MMInternet.parquet"):
        write(tmp_path, records if name != "MMInternet.parquet" else [{"prompt": "q", "answer": "a"}], name)
    with pytest.raises(
        LayoutError, match=r"holdout.parquet: the file's name says no split, and that of 'data/train.parquet'"
    ):
        open_source(tmp_path)
    (tmp_path / "mapping.yaml").write_text("files: {data/holdout.parquet: {split: test}}")
    assert open_source(tmp_path, mapping=tmp_path / "mapping.yaml").splits == {"train": 2, "test": 1}


def test_a_column_of_types_that_contradicts_the_picture_paths_stops(tmp_path):
    records = [{"type": "image editing", "image": "MMReasoning_O/1.png", "conversations": turns("<image>")}]
    with pytest.raises(
        LayoutError, match="column 'type' names 'image_editing', and the picture paths 'mm_reasoning_o'"
    ):
        plan_of(tmp_path, records)
    mapping = {"files": {"data/train.parquet": {"columns": {"ignore": ["type"]}}}}
    assert plan_of(tmp_path, records, mapping=mapping).counts == {"mm_reasoning_o": 1}
    mapping = {"files": {"data/train.parquet": {"task": {"column": "type"}}}}
    assert plan_of(tmp_path, records, mapping=mapping).counts == {"image_editing": 1}


def test_a_value_that_names_no_task_is_told_and_costs_its_rows(tmp_path):
    tasks = ("llava_cot", "llava_cot", "edits", None)
    records = [{"task": task, "prompt": f"q{number}", "answer": "a"} for number, task in enumerate(tasks)]
    write(tmp_path, records)
    source = open_source(tmp_path)
    assert "column 'task' has values that name no task: 'edits' (1 rows), null (1 rows)" in source.plans[0].notes
    skips = Skips(on_bad_row="skip")
    assert len(list(source.sketches("llava_cot", skips))) == 2
    assert skips.counts == {"unknown_task": 2}


def test_shards_are_planned_together(tmp_path):
    records = [{"image": None, "conversations": turns()}] * 3
    write(tmp_path, records, "train-00000-of-00002.parquet")
    write(
        tmp_path, [{"image": "Image_Editing/1.png", "conversations": turns("<image>")}], "train-00001-of-00002.parquet"
    )
    plans = open_source(tmp_path).plans
    assert [plan.columns["images"] for plan in plans] == [("image",)] * 2
    assert [plan.counts for plan in plans] == [{"cot_collection": 3}, {"image_editing": 1}]


def test_columns_that_are_not_read_are_listed(tmp_path):
    record = {"id": 1, "conversations": turns(), "model": "gpt", "score": 1.5, "nothing": None, "image": "a.png"}
    assert plan_of(tmp_path, [record], name="LLaVA_CoT.parquet").notes == (
        "not read: column 'model' (string, e.g. 'gpt')",
        "not read: column 'score' (double, e.g. '1.5')",
        "not read: column 'nothing' (null in every row)",
    )


UNSURE = {
    "two columns of turns": ({"conversations": turns(), "messages": turns()}, "several columns hold conversations: "),
    "two prompts": (
        {"prompt": "p", "question": "q", "answer": "a"},
        "several columns may be the prompt: prompt, question",
    ),
    "two answers": (
        {"question": "q", "answer": "a", "solution": "s"},
        "several columns may be the answer: answer, sol",
    ),
    "reasoning beside": ({"conversations": turns(), "rationale": "r"}, "column 'rationale' holds reasoning beside"),
    "a picture of no side": (
        {"prompt": "p", "source_image": "a.png", "target_image": "b.png", "mask_image": "c.png"},
        "column 'mask_image' holds pictures beside those of",
    ),
    "bytes that may be pictures": (
        {"prompt": "p", "answer": "a", "blob": b"what is this"},
        "column 'blob' may hold pictures",
    ),
    "pictures called something else": (
        {"prompt": "p", "answer": "a", "image": "A long text about what it shows. " * 10},
        "column 'image' may hold pictures",
    ),
    "numbers of choices": (
        {"question": "q", "choices": ["x", "y"], "answer": 1},
        "column 'answer' holds numbers beside choices in 'choices'",
    ),
    "pictures with notes": (
        {"prompt": "p", "answer": "a", "image": [{"path": "a.png", "note": "n"}]},
        "column 'image' may hold pictures",
    ),
    "a list as an answer": (
        {"prompt": "p", "answer": ["a", "b"], "image": "a.png"},
        "column 'answer' holds list<element: string>, which cannot be read as the answer",
    ),
    "numbers as reasoning": (
        {"prompt": "p", "answer": "a", "reasoning": 8},
        "column 'reasoning' holds numbers: are they the rationale?",
    ),
    "no answer": ({"prompt": "p", "alpha": "x"}, "no column holds a conversation, and prompt and answer were not both"),
}


@pytest.mark.parametrize(("record", "message"), UNSURE.values(), ids=UNSURE)
def test_what_only_a_person_can_settle_stops(tmp_path, record, message):
    with pytest.raises(LayoutError) as caught:
        plan_of(tmp_path, [record], name="Image_Editing.parquet")
    assert message in str(caught.value)
    assert "--mapping FILE" in str(caught.value)


@pytest.mark.parametrize(
    ("case", "columns"),
    [
        ("two columns of turns", {"ignore": ["messages"]}),
        ("two prompts", {"prompt": "question", "ignore": ["prompt"]}),
        ("two answers", {"ignore": ["solution"]}),
        ("reasoning beside", {"ignore": ["rationale"]}),
        ("a picture of no side", {"ignore": ["mask_image"]}),
        ("bytes that may be pictures", {"ignore": ["blob"]}),
        ("pictures called something else", {"ignore": ["image"]}),
        ("numbers of choices", {"answer_choice": "answer"}),
        ("pictures with notes", {"images": ["image"]}),
        ("a list as an answer", {"ignore": ["answer"]}),
        ("numbers as reasoning", {"rationale": "reasoning"}),
        ("no answer", {"answer": "alpha"}),
    ],
)
def test_a_mapping_settles_it(tmp_path, case, columns):
    mapping = {"files": {"data/*": {"columns": columns}}}
    assert not plan_of(tmp_path, [UNSURE[case][0]], name="Image_Editing.parquet", mapping=mapping).problems


def test_a_picture_named_in_a_turn_is_not_one_of_a_column(tmp_path):
    conversation = [{**turn, "image": f"{number}.png"} for number, turn in enumerate(turns("<image>q", "<image>a"))]
    assert plan_of(tmp_path, [{"conversations": conversation}], name="Image_Editing.parquet").problems == ()


def test_lists_of_pictures_called_id_are_pictures(tmp_path):
    plan = plan_of(tmp_path, [{"id": ["a.png"], "conversations": turns()}], name="Image_Editing.parquet")
    assert (plan.columns.get("id"), plan.columns["images"]) == (None, ("id",))


def test_nan_is_null_as_pandas_writes_it(tmp_path):
    record = {"id": float("nan"), "prompt": "p", "rationale": float("nan"), "answer": 4.5, "input": float("nan")}
    write(tmp_path, [record, record | {"answer": float("nan")}], "CoT_Collection.parquet")
    source, skips = open_source(tmp_path), Skips(on_bad_row="skip")
    [row] = source.read("cot_collection", skips)
    assert (row.instruction, row.rationale, row.answer) == ("p", "", "4.5")
    assert skips.counts == {"null_answer": 1}
    assert "rationale" not in source.plans[0].columns


def test_text_where_other_rows_hold_json_objects_is_a_bad_row(tmp_path):
    texts = [json.dumps({"question": f"q{number}", "answer": "a"}) for number in range(3)]
    write(tmp_path, [{"hint": "h", "data": text} for text in [*texts, "no JSON"]], "CoT_Collection.parquet")
    skips = Skips(on_bad_row="skip")
    rows = list(open_source(tmp_path).read("cot_collection", skips))
    assert [row.instruction for row in rows] == ["q0\n\nh", "q1\n\nh", "q2\n\nh"]
    assert "column 'data' holds 'no JSON'; expected an object as JSON" in skips.examples["bad_shape"][0]


def test_unknown_columns_show_what_they_hold_and_the_mapping_to_write(tmp_path):
    with pytest.raises(LayoutError) as caught:
        plan_of(tmp_path, [{"alpha": "hello", "beta": 3}], name="Image_Editing.parquet")
    message = str(caught.value)
    assert "data/Image_Editing.parquet: no column holds a conversation" in message
    assert "alpha: 'hello'" in message
    assert "--mapping FILE" in message
    assert "shape: columns" in message


def test_a_task_that_cannot_be_told_is_asked_for(tmp_path):
    with pytest.raises(LayoutError, match="nothing tells the task"):
        plan_of(tmp_path, [{"prompt": "q", "answer": "a"}])


def test_a_file_of_thousands_of_columns_is_refused_at_once(tmp_path):
    table = pa.table({f"c{number}": ["x"] for number in range(1_001)})
    with pytest.raises(ShardError, match="1,001 columns, with those in others; at most 1,000 are read"):
        plan_of(tmp_path, table, name="Image_Editing.parquet")


def test_two_columns_of_one_name_are_named(tmp_path):
    table = pa.Table.from_arrays([pa.array(["x"])] * 3, names=["prompt", "answer", "prompt"])
    with pytest.raises(LayoutError, match="column names that occur twice: 'prompt'"):
        plan_of(tmp_path, table, name="Image_Editing.parquet")


def test_a_mapping_overrides_every_choice(tmp_path):
    entry = {
        "task": {"column": "kind", "values": {"e": "image_editing"}},
        "split": "test",
        "shape": "columns",
        "columns": {"id": "n", "prompt": "alpha", "answer": "beta", "images": ["gamma"], "keep": ["more"]},
        "placeholder": ["[IMG]", {"pattern": "@[0-9]"}],
        "paths": {"strip": "/home/", "add": "x/"},
    }
    record = {"alpha": "q", "beta": "a", "gamma": "1", "n": 1, "kind": "e", "more": "m"}
    plan = plan_of(tmp_path, [record], mapping={"files": {"data/*.parquet": entry}})
    assert dict(plan.columns) == {
        use: (name,) if isinstance(name, str) else tuple(name) for use, name in entry["columns"].items()
    }
    assert (plan.placeholders, plan.strip, plan.add) == (("[IMG]", "re:@[0-9]"), "/home/", "x/")
    assert (plan.task_column, plan.split, plan.counts) == ("kind", "test", {"image_editing": 1})
    assert plan.to_yaml() == entry


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"file": {}}, r"mapping.yaml: unknown keys \['file'\]; known: archives, files"),
        ({"files": {}}, "found no entry"),
        ({"files": []}, r"files: found \[\]; expected a mapping"),
        ({"files": {3: {}}}, "found the key 3; expected text, in quotes"),
        ({"files": {"*": {"colums": {}}}}, r"files\['\*'\]: unknown keys \['colums'\]; known: columns, paths"),
        ({"files": {"*": {"task": "editing"}}}, "task: found 'editing'; expected one of cot_collection"),
        ({"files": {"*": {"task": ["llava_cot"]}}}, r"task: found \['llava_cot'\]; expected one of"),
        ({"files": {"*": {"task": {"values": {}}}}}, r"task\.column: found None; expected text"),
        (
            {"files": {"*": {"task": {"column": "x", "values": {1: "edit"}}}}},
            r"task\.values\[1\]: found 'edit'; expected",
        ),
        (
            {"files": {"*": {"shape": "rows"}}},
            f"shape: unknown column shape 'rows'; known: {', '.join(sorted(COLUMN_SHAPES.own))}",
        ),
        ({"files": {"*": {"shape": None}}}, "shape: found None; expected text"),
        ({"files": {"*": {"split": "exam"}}}, "split: found 'exam'; expected one of test, train, validation"),
        ({"files": {"*": {"placeholder": {"pattern": "("}}}}, "pattern '\\(' is no regular expression"),
        ({"files": {"*": {"placeholder": 3}}}, "placeholder: found 3; expected text"),
        ({"files": {"*": {"sides": "prompt"}}}, "sides: found 'prompt'; expected a list of prompt and answer"),
        ({"files": {"*": {"sides": ["prompt", "input"]}}}, "sides: found 'input'; expected one of answer, prompt"),
        ({"files": {"*": {"sides": {"edit": ["prompt"]}}}}, "sides: found 'edit'; expected one of"),
        ({"files": {"*": {"columns": ["id"]}}}, r"columns: found \['id'\]; expected a mapping"),
        ({"files": {"*": {"columns": {"question": "q"}}}}, r"unknown keys \['question'\]"),
        ({"files": {"*": {"columns": {"prompt": 1}}}}, r"columns\.prompt: found 1; expected text"),
        ({"files": {"*": {"columns": {"prompt": ["q"]}}}}, r"columns\.prompt: found \['q'\]; expected text"),
        (
            {"files": {"*": {"columns": {"prompt": "nope"}}}},
            r"mapping.yaml: files\['\*'\]: columns.prompt: found 'nope'; expected a column of .*: answer, prompt",
        ),
        ({"files": {"*": ["x"]}}, "expected a mapping"),
        (
            {"files": {"date/*": {"task": "llava_cot"}}},
            r"mapping.yaml: files\['date/\*'\] fits no file; there are 'data/Image_Editing",
        ),
        ({"archives": {"x.tar": "edit"}}, r"archives\['x\.tar'\]: found 'edit'; expected one of"),
        ({"archives": {"x.tar": "ignore"}}, r"archives\['x\.tar'\] fits no file"),
    ],
)
def test_a_wrong_mapping_says_file_key_found_and_expected(tmp_path, mapping, message):
    with pytest.raises(MappingError, match=message):
        plan_of(tmp_path, [{"prompt": "q", "answer": "a"}], name="Image_Editing.parquet", mapping=mapping)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ([0, 1], "{0: llava_cot, 1: cot_collection}"),
        (["0", "1"], "{0: llava_cot, '1': cot_collection}"),
        ([True, False], "{true: llava_cot, false: cot_collection}"),
        (["true", "no"], "{'true': llava_cot, 'no': cot_collection}"),
        ([0.5, 1.5], "{0.5: llava_cot, 1.5: cot_collection}"),
    ],
)
def test_numbers_and_truth_values_of_yaml_are_values_of_a_task_column(tmp_path, column, values):
    write(tmp_path, pa.table({"kind": column, "question": ["q", "q"], "answer": ["a", "b"]}))
    (tmp_path / "m.yaml").write_text(f"files:\n  'data/*': {{task: {{column: kind, values: {values}}}}}\n")
    source = open_source(tmp_path, mapping=str(tmp_path / "m.yaml"))
    assert source.plans[0].counts == {"llava_cot": 1, "cot_collection": 1}
    assert [each.origin["row"] for each in source.sketches("llava_cot", Skips())] == [0]


@pytest.mark.parametrize(
    ("text", "encoding"), [("files:\n\t'a': 1\n", "utf-8"), ("", "utf-8"), ("files: {}", "utf-16")]
)
def test_a_mapping_that_is_no_yaml_says_so(tmp_path, text, encoding):
    (tmp_path / "m.yaml").write_bytes(text.encode(encoding))
    with pytest.raises(MappingError, match=r"m\.yaml: (cannot be read as YAML|found None)"):
        read_mapping(tmp_path / "m.yaml")
    with pytest.raises(MappingError, match=r"nope\.yaml: cannot be read as YAML"):
        read_mapping(tmp_path / "nope.yaml")


def test_a_mapping_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "m.yaml").write_text("files: {'*': {task: llava_cot}}", encoding="utf-8-sig")
    assert read_mapping(tmp_path / "m.yaml").entries[0].task == "llava_cot"


def test_a_half_downloaded_parquet_is_named(tmp_path):
    write(tmp_path, [{"prompt": "q" * 5000, "answer": "a"}], "Image_Editing.parquet")
    path = tmp_path / "data/Image_Editing.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ShardError, match=r"data/Image_Editing\.parquet: not a whole Parquet file .*download it again"):
        open_source(tmp_path)


def test_inspection_finds_all_problems_and_lists_what_is_not_read(tmp_path):
    write(tmp_path, [{"prompt": "q", "answer": "a", "model": "m"}], "LLaVA_CoT.parquet")
    write(tmp_path, [{"alpha": "x"}], "Other.parquet")
    (tmp_path / "data/extra.jsonl").write_text("{}")
    found = inspect_upstream(LocalFolder(tmp_path))
    assert found.rows == {"train": {"llava_cot": 1}}
    assert found.counts == {"unknown_columns": 1, "missing_archive": 1}
    assert found.notes == [
        "data/extra.jsonl: not read; expected Parquet, an archive or a picture",
        "data/LLaVA_CoT.parquet: not read: column 'model' (string, e.g. 'm')",
        "data/Other.parquet: not read: column 'alpha' (string, e.g. 'x')",
    ]


PAIRS = [{"prompt": f"Edit {n}.", "response": "Done.", "image": [f"{n}_out.png", f"{n}_in.png"]} for n in range(3)]


def told(tmp_path, mapping=None):
    """What inspect and verify say is taken for granted, which is the same."""
    found = inspect_upstream(LocalFolder(tmp_path), read_mapping(mapping) if mapping else None)
    assert found.counts == {}
    notes = verify(tmp_path, mapping=mapping and str(mapping)).notes
    told = [note for note in found.notes if "taken by" in note]
    assert [note for _, note in notes if "taken by" in note] == told
    return told


def test_sides_that_only_an_order_tells_are_told_and_a_mapping_settles_them(tmp_path, caplog):
    write(tmp_path, PAIRS, "image_editing.parquet")
    members = [(f"{n}_{side}.png", png(f"{n} {side}")) for n in range(3) for side in ("in", "out")]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "Image_Editing.tar").write_bytes(tarred(members, is_plain=True))
    [line] = told(tmp_path)
    assert line.startswith("taken by position: 3 rows have two images in one list and no placeholder: the first")
    assert "`sides: [answer, prompt]` reverses it" in line
    assert line in caplog.text
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("files: {'data/*': {sides: {image_editing: [answer, prompt]}}}", encoding="utf-8")
    assert not any("two images" in line for line in told(tmp_path, mapping))
    first = next(open_source(tmp_path, mapping=str(mapping)).read("image_editing", in_order=True))
    assert [(image.path, role) for image, role in zip(first.images, first.image_roles, strict=True)] == [
        ("0_in.png", "input"),
        ("0_out.png", "output"),
    ]
    assert inspect_upstream(LocalFolder(tmp_path), read_mapping(mapping)).mapping() == {
        "files": {
            "data/image_editing.parquet": {
                "task": "image_editing",
                "shape": "columns",
                "columns": {"images": ["image"], "prompt": "prompt", "answer": "response"},
                "sides": {"image_editing": ["answer", "prompt"]},
            }
        }
    }


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            {"prompt": "p", "answer": "a", "image": "1.png", "edited_image": "2.png"},
            "column 'image' (1 rows) are the pr",
        ),
        (
            {"prompt": "p <image>", "answer": "a", "images": ["1.png"], "captions": ["c"]},
            "captions of column 'captions'",
        ),
        ({"question": "p", "answer": "a", "context": "c"}, "the prompt is context, question, in this order (1 rows)"),
        (
            {"question": "p", "answer": "a", "rationale": "c"},
            "'rationale' stands before 'answer' in the answer (1 rows)",
        ),
        ({"question": "p", "answer": "a", "options": ["x", "y"]}, "'options' that have no label are A, B, C"),
    ],
)
def test_what_is_taken_from_columns_without_their_saying_so_is_told(tmp_path, record, line):
    write(tmp_path, [record], "image_editing.parquet")
    notes = inspect_upstream(LocalFolder(tmp_path)).notes
    assert sum(line in note and "taken by" in note for note in notes) == 1, notes


def archive(tmp_path, name, *members):
    (tmp_path / "images").mkdir(exist_ok=True)
    (tmp_path / "images" / name).write_bytes(tarred([(each, png(each)) for each in members], is_plain=True))


NUMBERED = {"question": "q", "answer": "a", "image_id": 1}


@pytest.mark.parametrize("column", [{}, {"task": "llava_cot"}])
def test_rows_that_name_no_picture_of_their_archive_stop(tmp_path, column):
    write(tmp_path, [NUMBERED | column], "train.parquet" if column else "llava_cot.parquet")
    archive(tmp_path, "LLaVA_CoT_subset.tar", "1.png")
    with pytest.raises(LayoutError, match="no row names a picture, and there are some of 'llava_cot'"):
        open_source(tmp_path)
    (tmp_path / "mapping.yaml").write_text("archives: {'images/*': ignore}", encoding="utf-8")
    [row] = open_source(tmp_path, mapping=str(tmp_path / "mapping.yaml")).read("llava_cot")
    assert row.images == ()


def test_pictures_that_a_pattern_of_a_mapping_names_are_pictures(tmp_path):
    write(tmp_path, [{"question": "@1.png@ What?", "answer": "a"}], "llava_cot.parquet")
    archive(tmp_path, "LLaVA_CoT_subset.tar", "1.png")
    mapping = {"files": {"*": {"placeholder": {"pattern": "@(?P<path>[^@]+)@"}}}}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    [row] = open_source(tmp_path, mapping=str(tmp_path / "mapping.yaml")).read("llava_cot")
    assert [image.bytes for image in row.images] == [png("1.png")]


def test_rows_of_one_task_that_name_no_picture_of_its_archive_stop_when_they_are_read(tmp_path):
    drawn = {"question": "q", "answer": "a <image>", "image": "Image_Generation/2.png", "task": "image_generation"}
    write(tmp_path, [{"question": "q", "answer": "a", "image": None, "task": "llava_cot"}, drawn])
    archive(tmp_path, "LLaVA_CoT_subset.tar", "1.png")
    archive(tmp_path, "Image_Generation.tar", "2.png")
    message = "none of 1 rows of 'llava_cot' names a picture, and there are some in 'images/LLaVA_CoT_subset.tar'"
    with pytest.raises(LayoutError, match=message):
        list(open_source(tmp_path).read("llava_cot"))
    assert len(list(open_source(tmp_path).read("image_generation"))) == 1
    found = inspect_upstream(LocalFolder(tmp_path))
    assert message in found.problems["layout"][0]
    assert [kind for kind, _ in verify(tmp_path).problems] == ["unreadable"]


def test_no_archive_is_missed_where_pictures_lie_in_one_of_no_task(tmp_path):
    write(tmp_path, [{"question": "<image>q", "answer": "a", "image": "1.png"}], "llava_cot.parquet")
    archive(tmp_path, "all.tar", "1.png")
    assert inspect_upstream(LocalFolder(tmp_path)).counts == {}


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("turns", {"conversations": {"from": ["human", "gpt"], "value": ["<image>q", "a"]}}),
        ("turns", {"messages": {"role": ["user", "assistant"], "content": ["<image>q", "a"]}}),
        ("pairs", {"texts": {"user": ["<image>q"], "assistant": ["a"]}}),
    ],
)
def test_a_struct_of_lists_is_a_list_of_structs(tmp_path, kind, column):
    write(tmp_path, [{**column, "image": png("1")}], "llava_cot.parquet")
    source = open_source(tmp_path)
    assert source.plans[0].shape == kind
    [row] = source.read("llava_cot")
    assert [(part.type, part.text) for message in row.messages for part in message.content] == [
        ("image", ""),
        ("text", "q"),
        ("text", "a"),
    ]


def test_lists_of_unlike_lengths_are_a_bad_row(tmp_path):
    write(tmp_path, [{"conversations": {"from": ["human", "gpt"], "value": ["q"]}}], "cot_collection.parquet")
    with pytest.raises(RowError, match="lists of 1, 2 entries; expected as many in each"):
        list(open_source(tmp_path).read("cot_collection"))


def test_texts_as_views_are_texts(tmp_path):
    table = pa.table({"question": pa.array(["q1", None], pa.string_view()), "answer": ["a1", "a2"]})
    write(tmp_path, table, "cot_collection.parquet")
    skips = Skips(on_bad_row="skip")
    assert [row.instruction for row in open_source(tmp_path).read("cot_collection", skips)] == ["q1"]
    assert skips.counts == {"null_prompt": 1}


def test_errors_of_reading_are_of_this_project(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UnifiedVisualError, match="Git LFS pointer"):
        open_source(tmp_path)
