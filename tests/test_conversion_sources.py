"""Conversion from real sources: the layout as published, the packed layout, the Hub."""

import json

import pytest

from conversion import convert_shards, import_rows, shards_of
from tests.replicas import essence, replica, truth
from toolkit.errors import UnifiedVisualError
from toolkit.schema import rows_to_table
from toolkit.sources.layout import open_source
from toolkit.tasks import TASKS


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return replica(tmp_path_factory.mktemp("published") / "uv", "conversations")


def converted(source, out, **options):
    report = convert_shards(shards_of(open_source(source), TASKS), out, to="webdataset", **options)
    return report, {row.id: essence(row) for shard in import_rows("webdataset", out) for row in shard()}


def expected():
    return {row.id: essence(row) for rows in truth().values() for row in rows}


def test_the_layout_as_published_converts_whole_in_two_processes(published, tmp_path):
    report, rows = converted(published, tmp_path / "out", workers=2)
    assert rows == expected()
    assert report.rows_in == report.rows_out == len(rows)


def test_the_packed_layout_converts_whole(tmp_path):
    import pyarrow.parquet as pq

    for task, rows in truth().items():
        folder = tmp_path / "packed" / "data" / task
        folder.mkdir(parents=True)
        pq.write_table(rows_to_table(rows), folder / "train-00000-of-00001.parquet", row_group_size=3)
    assert converted(tmp_path / "packed", tmp_path / "out")[1] == expected()


def test_a_hub_repository_converts_whole(published, hub, tmp_path):
    hub.add_folder("org/uv", published)
    assert converted("org/uv", tmp_path / "out")[1] == expected()


def test_rows_that_the_source_skips_are_in_the_report(tmp_path):
    import tarfile

    folder = replica(tmp_path / "uv", "conversations", tasks=("image_generation",))
    (archive,) = (folder / "images").glob("*.tar.gz")
    with tarfile.open(archive) as old:
        members = [(member, old.extractfile(member).read()) for member in old if member.isfile()]
    with tarfile.open(archive, "w:gz") as new:
        import io

        for member, content in members[1:]:
            new.addfile(member, io.BytesIO(content))
    source = open_source(folder, on_missing="skip", on_bad_row="skip")
    report = convert_shards(shards_of(source, ["image_generation"]), tmp_path / "out", to="webdataset")
    assert report.rows_dropped == {"missing_image": 1}
    assert report.rows_in == len(truth()["image_generation"]) == report.rows_out + 1
    assert json.loads((tmp_path / "out" / "conversion_report.json").read_text())["examples"][
        "rows_dropped.missing_image"
    ]


def test_tasks_that_are_not_there_are_named(published, tmp_path):
    folder = replica(tmp_path / "uv", "conversations", tasks=("image_generation",))
    with pytest.raises(UnifiedVisualError, match="it has: "):
        shards_of(open_source(folder), [])
