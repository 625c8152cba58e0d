"""Rows as `push_to_hub` of datasets publishes them, and archives of their images beside them."""

import random

import datasets
import pytest
from huggingface_hub import HfApi

import unifiedvisual
from tests.layouts import essence, layout, stem, truth
from toolkit.tasks import TASKS

FEATURES = unifiedvisual.row_features() | {"images": datasets.List(datasets.Image(decode=False))}


def push_mixed(rows, **options):
    datasets.Dataset.from_list(rows).push_to_hub("org/uv", **options)


def push_in_shards(rows, **options):
    push_mixed(random.Random(0).sample(rows, len(rows)), num_shards=3, **options)


def push_class_labels(rows, **options):
    """The task column holds numbers; which tasks they are, only the metadata of datasets says."""
    datasets.Dataset.from_list(rows).class_encode_column("task").push_to_hub("org/uv", **options)


def push_from_pandas(rows, **options):
    """Out of order, and pandas' index is a column."""
    frame = datasets.Dataset.from_list(rows).to_pandas().sample(frac=1, random_state=0)
    datasets.Dataset.from_pandas(frame).push_to_hub("org/uv", **options)


def push_splits(rows, **options):
    features = datasets.Dataset.from_list(rows).features
    splits = {task: datasets.Dataset.from_list(_of(rows, task), features=features) for task in TASKS}
    datasets.DatasetDict(splits).remove_columns("task").push_to_hub("org/uv", **options)


def push_configs(rows, **options):
    """Each has the features of its own rows alone: where none holds an image, the list is one of nulls."""
    for task in TASKS:
        pushed = datasets.Dataset.from_list(_of(rows, task)).remove_columns("task")
        pushed.push_to_hub("org/uv", config_name=task, **options)


def push_without_tasks(rows, **options):
    datasets.Dataset.from_list(rows).remove_columns("task").push_to_hub("org/uv", **options)


def _of(rows, task):
    return [row for row in rows if row["task"] == stem(task)]


WAYS = [push_mixed, push_in_shards, push_class_labels, push_from_pandas, push_splits, push_configs, push_without_tasks]


@pytest.mark.parametrize("records", ["turns", "messages", "columns"])
@pytest.mark.parametrize("push", WAYS)
def test_rows_that_datasets_pushed_equal_the_truth(hub, tmp_path, push, records):
    made = layout(records=records)
    push([row for table in made.tables.values() for row in table], token=hub.token)
    made.tables.clear()
    HfApi(token=hub.token).upload_folder(
        repo_id="org/uv", repo_type="dataset", folder_path=made.write(tmp_path), commit_message="Add images"
    )
    rows = unifiedvisual.load_dataset("org/uv", "all", split="train", streaming=True, features=FEATURES)
    assert {row["id"]: essence(row) for row in rows} == truth()
