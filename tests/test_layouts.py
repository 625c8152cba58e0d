"""Every likely layout of a published dataset, streamed and not, from a folder and from a Hub: equal to the rows it was
made from.
"""

import os
from itertools import product

import datasets
import pytest

import unifiedvisual
from tests.layouts import RECORDS, essence, layout, truth
from toolkit.cli.app import main
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.layout import open_source
from toolkit.tasks import CONFIGS, TASKS

FEATURES = unifiedvisual.row_features() | {"images": datasets.List(datasets.Image(decode=False))}
MATRIX = list(product(("one", "split per task", "shards"), (True, False), ("archive", "bare", "hashed"), RECORDS))
# A layout of each pair of values; all of them with READ_ALL_LAYOUTS=1.
SOME = [each for number, each in enumerate(MATRIX) if number % 7 == 0]
PAIRS = MATRIX if os.environ.get("READ_ALL_LAYOUTS") else SOME


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")

    def make(files, has_task, paths, records):
        place = folder / f"{files}-{has_task}-{paths}-{records}".replace(" ", "-")
        return place if place.exists() else layout(files, has_task=has_task, paths=paths, records=records).write(place)

    return make


def load(source, config="all", **options):
    rows = unifiedvisual.load_dataset(
        str(source), config, split="train", features=datasets.Features(FEATURES), **options
    )
    return {row["id"]: essence(row) for row in rows}


@pytest.mark.parametrize("case", MATRIX, ids=lambda case: "-".join(map(str, case)))
def test_streamed_rows_equal_the_truth(made, case):
    assert load(made(*case), streaming=True) == truth()


@pytest.mark.parametrize("case", PAIRS, ids=lambda case: "-".join(map(str, case)))
def test_downloaded_rows_and_those_of_a_hub_equal_the_truth(made, hub, case):
    assert load(made(*case)) == truth()
    hub.add_folder("org/uv", made(*case))
    assert load("org/uv", streaming=True) == truth()
    assert load("org/uv") == truth()


TOLD = ("one", False, "hashed", "turns")


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_of_a_layout_whose_archives_tell_the_task_has_its_rows_alone(made, config):
    expected = {key: row for key, row in truth().items() if row["task"] in CONFIGS[config]}
    assert load(made(*TOLD), config, streaming=True) == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_layout_whose_archives_tell_the_task_packs_and_converts_whole(made, tmp_path, workers):
    source = open_source(made(*TOLD))
    manifest = pack(source, tmp_path / "packed", TASKS, PackOptions(row_group_bytes=500), workers=workers)
    assert {task: manifest.total("rows", [task]) for task in TASKS} == dict.fromkeys(TASKS, 2)
    packed = open_source(tmp_path / "packed")
    rows = [row for task in TASKS for row in packed.read(task)]
    assert {row.id: essence(row.to_dict()) for row in rows} == truth()
    assert [row.id for row in rows] == [f"{TASKS[task].prefix}-{n:04d}" for task in TASKS for n in range(2)]
    report = unifiedvisual.convert(made(*TOLD), "messages", tmp_path / "converted", workers=workers)
    assert (report.rows_in, report.rows_out) == (18, 18)


def test_pictures_in_no_archive_are_missing_rows_however_it_is_read(tmp_path, capsys):
    made = layout(has_task=False, paths="hashed")
    made.archives["images/MMInternet.tar.gz"] = made.archives["images/MMInternet.tar.gz"][:-1]
    folder = made.write(tmp_path / "source")
    expected = {key: row for key, row in truth().items() if key != "mi-0001"}
    assert load(folder, streaming=True, on_missing="skip") == expected
    manifest = pack(open_source(folder), tmp_path / "packed", TASKS, PackOptions(on_missing="skip"))
    assert sum(counts["missing_image"] for counts in manifest.skipped.values()) == 1
    with pytest.raises(SystemExit):
        main(["verify", str(folder)])
    assert "missing_image: 1" in capsys.readouterr().out
