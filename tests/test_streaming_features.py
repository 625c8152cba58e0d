"""What people do with an IterableDataset works on ours."""

import itertools
import pickle

import datasets
import pytest
from datasets.distributed import split_dataset_by_node

import unifiedvisual
from tests.replicas import ROWS_PER_TASK, replica
from toolkit.tasks import TASKS


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return replica(tmp_path_factory.mktemp("replica") / "r", "conversations")


def stream(source, config="visual_generation"):
    return unifiedvisual.load_dataset(str(source), config, split="train", streaming=True).cast_column(
        "images", datasets.List(datasets.Image(decode=False))
    )


def ids(rows):
    return [row["id"] for row in rows]


def test_take_skip_filter_map(source):
    everything = ids(stream(source))
    assert len(set(everything)) == 3 * ROWS_PER_TASK
    assert ids(stream(source).take(4)) == everything[:4]
    assert ids(stream(source).skip(4)) == everything[4:]
    assert ids(stream(source).filter(lambda row: row["task"] == "image_editing")) == [
        each for each in everything if each.startswith("ie-")
    ]
    assert [row["n"] for row in stream(source).map(lambda row: {"n": len(row["images"])}).take(2)] == [
        len(row["images"]) for row in stream(source).take(2)
    ]


def test_shuffle_is_seeded_and_keeps_every_row(source):
    everything = ids(stream(source))
    first, again, other = (ids(stream(source).shuffle(seed=seed, buffer_size=10)) for seed in (0, 0, 1))
    assert first == again != other
    assert sorted(first) == sorted(other) == sorted(everything)


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_split_by_node_gives_every_row_to_one_rank(source, world_size):
    parts = [ids(split_dataset_by_node(stream(source), rank, world_size)) for rank in range(world_size)]
    assert sorted(itertools.chain(*parts)) == sorted(ids(stream(source)))


def test_a_stopped_stream_goes_on_where_it_was(source):
    everything = ids(stream(source))
    for stop in (0, 1, 6, 7, 8, 13, len(everything) - 1):
        rows = stream(source)
        before = ids(itertools.islice(rows, stop))
        state = pickle.loads(pickle.dumps(rows.state_dict()))
        resumed = stream(source)
        resumed.load_state_dict(state)
        assert before + ids(resumed) == everything


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("num_workers", [0, 2, 5])
def test_a_dataloader_gets_each_row_once(source, num_workers):
    torch_data = pytest.importorskip(
        "torch.utils.data", reason="torch is not installed; pip install -c constraints.txt -e '.[train]'"
    )
    loader = torch_data.DataLoader(stream(source, "all"), batch_size=None, num_workers=num_workers)
    found = ids(loader)
    assert len(found) == len(set(found)) == ROWS_PER_TASK * len(TASKS)


def test_configs_concatenate_and_interleave_without_casts(source):
    one, two = stream(source, "image_editing"), stream(source, "cot_collection")
    assert len(list(datasets.concatenate_datasets([one, two]))) == 2 * ROWS_PER_TASK
    assert len(list(datasets.interleave_datasets([one, two], stopping_strategy="all_exhausted"))) == 2 * ROWS_PER_TASK
