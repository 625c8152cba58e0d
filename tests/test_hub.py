from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub import LoopbackHub

REPO = "org/name"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repo" / "data").mkdir(parents=True)
    pq.write_table(pa.table({"x": list(range(1000))}), tmp_path / "repo" / "data" / "train-0.parquet", row_group_size=100)
    (tmp_path / "repo" / "README.md").write_text("# A card\n")
    return tmp_path / "repo"


def test_load_dataset_reads_a_parquet_repository(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    assert datasets.load_dataset(REPO, split="train")["x"][:] == list(range(1000))
