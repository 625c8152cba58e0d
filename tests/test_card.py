"""The card: numbers against duckdb, YAML against `datasets`, Markdown against a CommonMark parser, snippets by running
them.
"""

import json
from dataclasses import replace

import datasets
import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from dataset_card.card import card_text
from dataset_card.columns import MEANINGS, yaml_features
from dataset_card.croissant import croissant
from dataset_card.metadata import CATEGORIES, size_category
from tests.card_reading import fences_of, firsts, metadata_of, shown, tables_of
from tests.packed_folder import ROWS, packed_rows, write_packed
from toolkit.cli.app import main
from toolkit.errors import UsageError
from toolkit.published import PUBLISHED
from toolkit.schema import COLUMNS, features
from toolkit.sources.manifest import Manifest
from toolkit.tasks import CONFIGS, QUADRANTS, TASKS

REPO_ID = "fnlp-vision/UnifiedVisual"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The current folder of the snippets, in which REPO_ID is a packed folder with its card; the manifest; the card."""
    base = tmp_path_factory.mktemp("card")
    rows = packed_rows()
    manifest = write_packed(base / REPO_ID, rows, skipped={"image_editing": {"missing_image": 1234, "bad_turns": 1}})
    text = card_text(manifest, firsts(rows), repo_id=REPO_ID)
    (base / REPO_ID / "README.md").write_text(text, encoding="utf-8")
    return base, manifest, text


def number(cell):
    return int(cell.replace(",", ""))


def query(base, statement):
    with duckdb.connect() as connection:
        return connection.execute(
            statement.replace("ROWS", f"read_parquet('{base / REPO_ID}/data/*/*.parquet')")
        ).fetchall()


def test_counts_per_task_equal_those_duckdb_finds_in_the_parquet(packed):
    base, _, text = packed
    found = {
        task: (rows, images)
        for task, rows, images in query(base, "SELECT task, count(*), sum(len(images)) FROM ROWS GROUP BY task")
    }
    *rows, total = tables_of(text)["task family"]
    assert {row[0]: (number(row[2]), number(row[4])) for row in rows} == found
    assert {row[0]: (row[1], number(row[3])) for row in rows} == {
        t.name: (t.family, PUBLISHED[t.name].rows) for t in TASKS.values()
    }
    assert (number(total[2]), number(total[4])) == query(base, "SELECT count(*), sum(len(images)) FROM ROWS")[0]
    assert total[3] == "247,215"


def test_counts_per_quadrant_equal_those_duckdb_finds_in_the_parquet(packed):
    base, _, text = packed
    rows = tables_of(text)["quadrant rows"]
    assert {row[0]: number(row[1]) for row in rows} == dict(
        query(base, "SELECT quadrant, count(*) FROM ROWS GROUP BY quadrant")
    )
    # 9,024 + 20,000 + 21,000 + 17,761; 60,000; 22,755 + 7,276 + 29,399; 60,000
    assert [row[2] for row in rows] == ["67,785", "60,000", "59,430", "60,000"]


@pytest.mark.parametrize("config", CONFIGS)
def test_dataset_info_equals_rows_and_files(packed, config):
    base, _, text = packed
    info = next(each for each in metadata_of(text)["dataset_info"] if each["config_name"] == config)
    names = ", ".join(f"'{task}'" for task in CONFIGS[config])
    size = sum(path.stat().st_size for task in CONFIGS[config] for path in (base / REPO_ID / "data" / task).iterdir())
    rows = query(base, f"SELECT count(*) FROM ROWS WHERE task IN ({names})")[0][0]
    assert info["splits"] == [{"name": "train", "num_bytes": size, "num_examples": rows}]
    assert (info["download_size"], info["dataset_size"]) == (size, size)


def test_configs_name_the_folders_of_their_tasks_and_one_is_the_default(packed):
    configs = metadata_of(packed[2])["configs"]
    assert {each["config_name"]: each["data_files"] for each in configs} == {
        config: [{"split": "train", "path": [f"data/{task}/*.parquet" for task in tasks]}]
        for config, tasks in CONFIGS.items()
    }
    assert [each["config_name"] for each in configs if each.get("default")] == ["all"]


def test_metadata_states_what_is_known_and_no_licence(packed):
    found = metadata_of(packed[2])
    assert (found["license"], found["language"], found["size_categories"]) == ("unknown", ["en"], ["n<1K"])
    assert found["source_datasets"] == [
        "fnlp-vision/UnifiedVisual-240K",
        "Xkev/LLaVA-CoT-100k",
        "kaist-ai/CoT-Collection",
    ]
    assert found["task_categories"] == ["image-text-to-text", "image-to-image", "text-to-image", "text-generation"]


def test_features_in_yaml_are_those_of_the_schema():
    assert (
        datasets.Features._from_yaml_list(yaml.safe_load(yaml.safe_dump(yaml_features(), sort_keys=False)))
        == features()
    )


def test_features_in_yaml_keep_the_length_of_a_box_on_datasets_3():
    regions = next(each for each in yaml_features() if each["name"] == "regions")
    assert list(regions["list"][1].items()) == [
        ("name", "box"),
        ("sequence", "float32"),
        ("length", 4),
    ]  # the first key after the name is the kind


@pytest.mark.parametrize("config", CONFIGS)
def test_plain_datasets_loads_every_config_streamed_and_not(packed, config):
    folder = str(packed[0] / REPO_ID)
    expected = [row for task in CONFIGS[config] for row in packed_rows()[task]]
    for streaming in (False, True):
        rows = datasets.load_dataset(folder, config, split="train", streaming=streaming)
        assert rows.features == features()
        read = list(rows)  # to the end: the packaged reader may abort the interpreter when left early
        assert [row["id"] for row in read] == [row.id for row in expected]
        assert [row["messages"] for row in read] == [row.to_dict()["messages"] for row in expected]
        assert [row["regions"] for row in read] == [row.to_dict()["regions"] for row in expected]
        assert all(isinstance(picture, Image.Image) for row in read for picture in row["images"])
        assert [len(row["images"]) for row in read] == [len(row.images) for row in expected]


def test_plain_datasets_loads_all_rows_when_no_config_is_named(packed):
    assert len(datasets.load_dataset(str(packed[0] / REPO_ID), split="train")) == sum(ROWS.values())


@pytest.mark.parametrize("number", range(3))
def test_load_snippets_run(packed, monkeypatch, capsys, number):
    snippet = fences_of(packed[2], "python")[number]
    assert f'load_dataset("{REPO_ID}", "image_generation", split="train"' in snippet
    monkeypatch.chdir(packed[0])
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})
    assert "ig-0000" in capsys.readouterr().out


def test_convert_snippet_runs(packed, monkeypatch, tmp_path):
    (command,) = fences_of(packed[2], "bash")
    assert command == f"unifiedvisual convert {REPO_ID} webdataset out\n"
    (tmp_path / REPO_ID).parent.mkdir()
    (tmp_path / REPO_ID).symlink_to(packed[0] / REPO_ID)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(command.split()[1:])
    assert not ended.value.code
    assert list((tmp_path / "out").rglob("*.tar"))


def test_train_snippet_runs_but_for_the_download_of_a_processor(packed, monkeypatch):
    transformers = pytest.importorskip(
        "transformers", reason="the snippet loads a processor of it; pip install transformers"
    )
    pytest.importorskip("torch", reason="the snippet makes batches of tensors; pip install torch")
    from toolkit.demo.tiny_models import tiny_llava

    train = fences_of(packed[2], "python")[-1]
    loss = "loss = model(**batch).loss"
    assert train.count(f"    ...  # {loss}") == 1
    tiny, asked = tiny_llava(), []
    monkeypatch.setattr(
        transformers.AutoProcessor, "from_pretrained", lambda name: asked.append(name) or tiny.processor
    )
    monkeypatch.chdir(packed[0])
    names = {"__name__": "__main__", "model": tiny.model, "losses": []}
    exec(compile(train.replace(f"...  # {loss}", f"{loss}; losses.append(loss)"), "README.md", "exec"), names)
    assert asked == ["Qwen/Qwen2.5-VL-3B-Instruct"]
    assert len(names["losses"]) == -(-ROWS["llava_cot"] // 4)
    assert all(loss.isfinite() for loss in names["losses"])


def test_card_shows_the_first_row_of_every_task_whole(packed):
    *worked, packing = fences_of(packed[2], "json")
    assert [json.loads(block) for block in worked] == [shown(row) for row in firsts(packed_rows()).values()]
    assert json.loads(packing) == {"source": packed[1].source, "options": packed[1].options}


def test_card_tells_every_column_in_order(packed):
    assert tuple(MEANINGS) == COLUMNS
    assert [row[0] for row in tables_of(packed[2])["column type"]] == list(COLUMNS)


def test_card_tells_sources_defects_skips_and_whom_to_ask(packed):
    text = packed[2]
    licences = {row[0]: tuple(row[1:]) for row in tables_of(text)["task drawn from"]}
    assert licences["image_editing"] == ("not stated", "not stated")
    assert licences["llava_cot"] == ("Xkev/LLaVA-CoT-100k", "apache-2.0")
    assert "cc-by-4.0 on its Hub card, non-commercial use only in its repository" in licences["cot_collection"][1]
    assert tables_of(text)["task why"] == [
        ["image_editing", "bad_turns", "1"],
        ["image_editing", "missing_image", "1,234"],
    ]
    prose = " ".join(text.split())
    for said in (
        "told here and not resolved",
        "`Image_Correctionr.tar.gz`",
        "sum to 247,215: 127,215 in the seven tasks",
        "were not seen when the reader was written",
        "our recipes are a reconstruction",
        f"https://huggingface.co/datasets/{REPO_ID}/discussions",
        "eprint = {2509.14738}",
        "Wang, Pengyu and Zhou, Shaojun and Tan, Chenkun",
        "**The published dataset has 247,215 rows of 9 tasks**",
    ):
        assert said in prose, said


def test_card_is_the_same_text_twice(packed):
    _, manifest, text = packed
    assert card_text(manifest, firsts(packed_rows()), repo_id=REPO_ID) == text
    again = Manifest(**{name: getattr(manifest, name) for name in ("source", "options", "shards", "skipped")})
    assert card_text(again, dict(reversed(firsts(packed_rows()).items())), repo_id=REPO_ID) == text


def test_card_of_some_tasks_names_only_their_configs(tmp_path):
    rows = packed_rows(("image_editing", "cot_collection"))
    text = card_text(write_packed(tmp_path, rows), firsts(rows), repo_id=REPO_ID)
    configs = [each["config_name"] for each in metadata_of(text)["configs"]]
    assert configs == ["all", "visual_generation", "understanding", "image_editing", "cot_collection"]
    assert metadata_of(text)["source_datasets"] == ["fnlp-vision/UnifiedVisual-240K", "kaist-ai/CoT-Collection"]
    assert "multimodal_reasoning" not in text
    assert "None." in text.split("### Rows left out")[1].split("##")[0]


def test_card_says_that_rows_are_not_the_published_ones(tmp_path):
    rows = {
        task: [replace(row, origin="procedural") for row in listed]
        for task, listed in packed_rows(("mm_reasoning_o",)).items()
    }
    text = card_text(write_packed(tmp_path, rows), firsts(rows), repo_id=REPO_ID)
    assert "**Nothing of this is the published fnlp-vision/UnifiedVisual-240K.**" in text
    assert "procedural (mm_reasoning_o)" in text
    assert metadata_of(text)["source_datasets"] == ["original"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (247_215, "100K<n<1M"),
        (10**6, "1M<n<10M"),
        (10**12, "n>1T"),
    ],
)
def test_size_category_is_the_hubs_word(rows, expected):
    assert size_category(rows) == expected


def test_card_refuses_what_it_cannot_describe(packed):
    manifest = packed[1]
    with pytest.raises(UsageError, match=r"no example row of 'llava_cot'"):
        card_text(
            manifest, {task: row for task, row in firsts(packed_rows()).items() if task != "llava_cot"}, repo_id=REPO_ID
        )
    with pytest.raises(UsageError, match="repo_id is 'a b\\) <c>'; expected 'org/name'"):
        card_text(manifest, firsts(packed_rows()), repo_id="a b) <c>")
    with pytest.raises(UsageError, match="no shards"):
        card_text(replace(manifest, shards=()), {}, repo_id=REPO_ID)


def test_every_quadrant_has_a_category_and_no_constant_breaks_a_table(packed):
    assert set(CATEGORIES) == set(QUADRANTS)
    assert not any(
        "|" in text for text in (*MEANINGS.values(), *(p.built + p.license + p.source for p in PUBLISHED.values()))
    )


@pytest.fixture
def run(capsys):
    """Call `unifiedvisual card`; gives its exit code, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["card", *(str(argument) for argument in arguments)])
        return ended.value.code or 0, *capsys.readouterr()

    return call


def test_command_prints_the_card_and_croissant(run, packed):
    base, manifest, text = packed
    assert run(base / REPO_ID) == (0, text, "")
    code, out, _ = run(base / REPO_ID, "--croissant", "--repo-id", "org/uv")
    assert (code, json.loads(out)) == (
        0,
        croissant(manifest, repo_id="org/uv", url="https://huggingface.co/datasets/org/uv"),
    )


def test_command_reads_a_hub_dataset_and_names_it(run, hub, packed):
    hub.add_folder("org/uv", packed[0] / REPO_ID)
    code, out, _ = run("org/uv")
    assert (code, out) == (
        0,
        packed[2]
        .replace(f'"{REPO_ID}"', '"org/uv"')
        .replace(f"convert {REPO_ID} ", "convert org/uv ")
        .replace(f"{REPO_ID}/d", "org/uv/d"),
    )


def test_command_refuses_what_is_not_packed_and_what_is_no_repository_id(run, packed, tmp_path):
    code, _, err = run(tmp_path)
    assert (code, "holds no MANIFEST.json; a card describes a packed dataset" in err) == (2, True)
    code, _, err = run(packed[0] / REPO_ID, "--repo-id", "nope", "--croissant")
    assert (code, "repo_id is 'nope'; expected org/name" in err) == (2, True)


def test_command_names_a_shard_that_is_missing_or_empty(run, tmp_path):
    write_packed(tmp_path, packed_rows(("llava_cot",)))
    shard = min((tmp_path / "data/llava_cot").iterdir())
    pq.write_table(pq.read_table(shard).slice(0, 0), shard)
    assert run(tmp_path)[::2] == (
        1,
        f"error: {tmp_path}: data/llava_cot/{shard.name}: holds no good row; expected at least one; run verify\n",
    )
    shard.unlink()
    assert run(tmp_path)[::2] == (1, f"error: {shard}: cannot be opened: No such file or directory\n")


def test_the_first_screen_loads_and_every_config_says_what_it_is_for(packed):
    body = packed[2].partition("---\n\n")[2]
    assert body.index("## Load") < body.index("## What is in it")
    assert "| `mm_reasoning_t` | text-mm | draw in order to answer a question of text alone |" in body
    assert "reads at most 300" in body
