import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from toolkit.errors import LayoutError, MappingError, ShardError
from toolkit.sources.published.look import look, task_named_in, task_of
from toolkit.sources.published.mapping import read_mapping
from toolkit.sources.published.shapes import Columns
from toolkit.sources.repository import LocalFolder


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


def plan_of(tmp_path, records, *, name="train.parquet", mapping=None):
    (tmp_path / "data").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "data" / name)
    if mapping is None:
        return look(LocalFolder(tmp_path), f"data/{name}", {})
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    return look(LocalFolder(tmp_path), f"data/{name}", read_mapping(tmp_path / "mapping.yaml"))


def test_edit_triples_are_told_apart_by_their_column_names(tmp_path):
    plan = plan_of(
        tmp_path,
        [{"source_image": "a/1.jpg", "edit_prompt": "night", "edited_image": "a/2.jpg"}],
        name="Image_Editing.parquet",
    )
    assert plan.columns == Columns(
        prompt="edit_prompt", prompt_images=("source_image",), answer_images=("edited_image",)
    )
    assert (plan.shape, plan.task) == ("columns", "image_editing")


def test_cot_collection_is_known_by_its_columns(tmp_path):
    plan = plan_of(tmp_path, [{"source": "q", "target": "a", "rationale": "r", "task": "glue", "type": "CoT"}])
    assert (plan.task, plan.columns) == (
        "cot_collection",
        Columns(prompt="source", rationale="rationale", answer="target"),
    )


def test_llava_cot_is_known_by_its_sections(tmp_path):
    turns = [
        {"from": "human", "value": "q"},
        {
            "from": "gpt",
            "value": "<SUMMARY>a</SUMMARY><CAPTION>b</CAPTION><REASONING>c</REASONING><CONCLUSION>d</CONCLUSION>",
        },
    ]
    assert plan_of(tmp_path, [{"id": "1", "image": "sqa/1.png", "conversations": turns}]).task == "llava_cot"


def test_the_archive_named_in_a_path_tells_the_task_of_each_row(tmp_path):
    turns = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]
    records = [{"image": f"{folder}/1.png", "conversations": turns} for folder in ("Image_Editing", "MMReasoning_O")]
    plan = plan_of(tmp_path, records)
    assert [task_of(record, plan) for record in records] == ["image_editing", "mm_reasoning_o"]


def test_unknown_columns_show_a_sample_and_the_mapping_to_write(tmp_path):
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


def test_a_mapping_overrides_every_guess(tmp_path):
    entry = {
        "task": {"column": "kind", "values": {"e": "image_editing"}},
        "shape": "columns",
        "columns": {"prompt": "alpha", "answer": "beta", "images": ["gamma"], "id": "n"},
        "placeholder": "[IMG]",
        "paths": {"strip": "/home/", "add": "x/"},
    }
    record = {"alpha": "q", "beta": "a", "gamma": "1", "n": 1, "kind": "e", "prompt": "not this"}
    plan = plan_of(tmp_path, [record], mapping={"files": {"data/*.parquet": entry}})
    assert plan.columns == Columns(id="n", prompt="alpha", answer="beta", images=("gamma",))
    assert (plan.placeholder, plan.strip, plan.add, plan.task_column) == ("[IMG]", "/home/", "x/", "kind")
    assert task_of(record, plan) == "image_editing"
    assert plan.to_yaml() == entry


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"file": {}}, "expected one key 'files'"),
        ({"files": {"*": {"colums": {}}}}, r"unknown keys \['colums'\]; known: columns, paths"),
        ({"files": {"*": {"task": "editing"}}}, "unknown task 'editing'; known: cot_collection"),
        ({"files": {"*": {"shape": "rows"}}}, "unknown shape 'rows'; known: columns, turns"),
        ({"files": {"*": {"placeholder": "<x>"}}}, "unknown placeholder '<x>'"),
        ({"files": {"*": {"columns": {"question": "q"}}}}, r"unknown keys \['question'\]"),
        ({"files": {"*": {"columns": {"prompt": "nope"}}}}, r"names columns \['nope'\]; the file has: answer, prompt"),
        ({"files": {"*": ["x"]}}, "expected a mapping"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(tmp_path, mapping, message):
    with pytest.raises(MappingError, match=message):
        plan_of(tmp_path, [{"prompt": "q", "answer": "a"}], name="Image_Editing.parquet", mapping=mapping)


def test_a_mapping_that_is_not_there_says_so(tmp_path):
    with pytest.raises(MappingError, match=r"nope\.yaml: cannot be read as YAML"):
        read_mapping(tmp_path / "nope.yaml")


def test_a_half_downloaded_parquet_is_named(tmp_path):
    plan_of(tmp_path, [{"prompt": "q" * 5000, "answer": "a"}], name="Image_Editing.parquet")
    path = tmp_path / "data/Image_Editing.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ShardError, match=r"data/Image_Editing\.parquet: not a whole Parquet file .*download it again"):
        look(LocalFolder(tmp_path), "data/Image_Editing.parquet", {})
