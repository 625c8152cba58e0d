"""The streaming room on what the packer really makes: every row once, in a fixed order, and exactly on after a stop."""

import itertools

import numpy as np
import pytest

from tests.replicas import replica
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.errors import UsageError
from toolkit.images import decode_image
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.layout import open_source
from toolkit.tasks import TASKS

torch = pytest.importorskip("torch", reason="torch is not installed; pip install -c constraints.txt -e '.[train]'")
from torch.utils.data import DataLoader  # noqa: E402

from toolkit.streaming.batch import collate_images  # noqa: E402
from toolkit.streaming.dataset import StreamingDataset  # noqa: E402
from toolkit.streaming.indexed import RowDataset  # noqa: E402
from toolkit.streaming.mixture import Component  # noqa: E402

NUM_ROWS = 61
BATCH = 4


@pytest.fixture(scope="module")
def truth():
    return {row.id: row for row in demo_rows("image_editing", NUM_ROWS)}


@pytest.fixture(scope="module")
def packed(tmp_path_factory, truth):
    folder = tmp_path_factory.mktemp("streaming")
    write_replica(
        folder / "source",
        {"image_editing": list(truth.values()), "cot_collection": list(demo_rows("cot_collection", 20))},
        shape="columns",
    )
    pack(
        open_source(folder / "source"),
        folder / "packed",
        TASKS,
        PackOptions(shard_bytes=70_000, row_group_bytes=25_000),
    )
    return folder / "packed"


def stream(packed, name="image_editing", **options):
    return StreamingDataset(packed, name, **{"decode": None, "seed": 3, "batch_size": BATCH, **options})


def loader(dataset, workers=0):
    return DataLoader(
        dataset, batch_size=BATCH, num_workers=workers, collate_fn=lambda rows: [row["id"] for row in rows]
    )


def batches(dataset, workers=0):
    return list(loader(dataset, workers))


def flat(parts):
    return list(itertools.chain.from_iterable(parts))


def test_every_row_comes_once_and_bytes_are_the_originals(packed, truth):
    rows = list(stream(packed))
    assert sorted(row["id"] for row in rows) == sorted(truth)
    for row in rows:
        assert [image["bytes"] for image in row["images"]] == [image.bytes for image in truth[row["id"]].images]
        assert row["messages"] == truth[row["id"]].to_dict()["messages"]


def test_the_order_is_that_of_seed_and_epoch_and_without_shuffle_that_of_the_manifest(packed, truth):
    def order(epoch=0, **options):
        dataset = stream(packed, **options)
        dataset.set_epoch(epoch)
        return [row["id"] for row in dataset]

    assert order() == order() != order(seed=4)
    assert order() != order(epoch=1)
    assert order(shuffle=False, lanes=1) == list(truth)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(packed, workers):
    assert batches(stream(packed), workers) == batches(stream(packed))


@pytest.mark.parametrize(("workers", "other"), [(0, 0), (0, 2), (2, 1)])
def test_a_stopped_epoch_goes_on_exactly_also_with_other_workers_and_in_the_next_epoch(packed, workers, other):
    whole = batches(stream(packed))
    second = stream(packed)
    second.set_epoch(1)
    after = batches(second)
    for stop in (0, 5, len(whole) - 1):
        dataset = stream(packed)
        before = list(itertools.islice(loader(dataset, workers), stop)) if stop else []
        state = dataset.state_dict(batches=stop)
        assert len(repr(state)) < 1000
        resumed = stream(packed)
        resumed.load_state_dict(state)
        assert before + batches(resumed, other) == whole
        resumed.set_epoch(1)
        assert batches(resumed, other) == after


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("tail", ["drop", "pad"])
def test_ranks_take_the_same_number_of_rows_and_what_is_odd_is_counted(packed, world_size, tail):
    ranks = [stream(packed, rank=rank, world_size=world_size, tail=tail) for rank in range(world_size)]
    taken = [flat(batches(rank)) for rank in ranks]
    assert len({len(part) for part in taken}) == 1
    assert sum(map(len, taken)) == NUM_ROWS + ranks[0].odd_rows
    assert len(set(flat(taken))) == min(NUM_ROWS, NUM_ROWS + ranks[0].odd_rows)


def test_a_state_of_two_ranks_goes_on_with_one(packed):
    whole = set(flat(batches(stream(packed))))
    ranks = [stream(packed, rank=rank, world_size=2) for rank in range(2)]
    seen = [flat(itertools.islice(loader(rank), 3)) for rank in ranks]
    one = stream(packed)
    one.load_state_dict(ranks[0].state_dict(batches=3))
    rest = flat(batches(one))
    assert set(flat(seen)) | set(rest) == whole
    assert len(flat(seen)) + len(rest) == NUM_ROWS


def test_a_stateful_dataloader_resumes_exactly(packed):
    torchdata = pytest.importorskip(
        "torchdata.stateful_dataloader", reason="torchdata is not installed; pip install torchdata"
    )

    def make():
        return torchdata.StatefulDataLoader(
            stream(packed), batch_size=BATCH, num_workers=2, collate_fn=lambda rows: [row["id"] for row in rows]
        )

    whole = list(make())
    first = make()
    before = list(itertools.islice(first, 5))
    again = make()
    again.load_state_dict(first.state_dict())
    assert before + list(again) == whole


def test_exact_pictures_equal_those_of_the_one_place_that_decodes(packed, truth):
    for row in itertools.islice(stream(packed, decode="exact"), 12):
        for picture, image in zip(row["images"], truth[row["id"]].images, strict=True):
            assert np.array_equal(np.asarray(picture), np.asarray(decode_image(image.bytes, "test")))


@pytest.mark.parametrize("decode", ["exact", "fused", "scaled"])
def test_pictures_of_one_size_are_batched_in_the_worker(packed, decode):
    dataset = stream(packed, decode=decode, image_size=64)
    batch = next(iter(DataLoader(dataset, batch_size=BATCH, num_workers=1, collate_fn=collate_images)))
    assert batch["pixel_values"].shape == (2 * BATCH, 3, 64, 64)
    assert batch["pixel_values"].dtype == torch.uint8
    assert batch["num_images"] == [2] * BATCH
    exact = torch.stack(
        [
            picture
            for row in itertools.islice(stream(packed, decode="exact", image_size=64), BATCH)
            for picture in row["images"]
        ]
    )
    difference = (batch["pixel_values"].int() - exact.int()).abs()
    assert difference.max() <= {"exact": 0, "fused": 1, "scaled": 255}[decode]
    assert difference.float().mean() < 4


def test_only_asked_columns_are_read(packed):
    assert set(next(iter(stream(packed, columns=["id", "answer"])))) == {"id", "answer"}


def test_rows_by_number_and_its_sampler_follow_the_same_order(packed, truth):
    rows = RowDataset(packed, "image_editing", decode=None)
    assert [rows[number]["id"] for number in range(len(rows))] == list(truth)
    sampler = rows.sampler(seed=3, batch_size=BATCH)
    assert [rows[number]["id"] for number in sampler] == [row["id"] for row in stream(packed)]


def test_a_mixture_keeps_its_weights_and_reports_them(packed):
    parts = [
        Component(path=str(packed), name="image_editing", weight=3),
        Component(path=str(packed), name="cot_collection", weight=1),
    ]
    dataset = StreamingDataset(parts, decode=None, stop=400)
    ids = [row["id"] for row in dataset]
    assert len(ids) == 400
    assert 270 < sum(each.startswith("ie-") for each in ids) < 330
    assert [line["name"] for line in dataset.proportions()] == ["image_editing", "cot_collection"]


def test_the_published_layout_is_refused_with_what_to_do(tmp_path):
    source = replica(tmp_path / "source", "columns", tasks=("cot_collection",))
    with pytest.raises(UsageError, match="unifiedvisual pack"):
        StreamingDataset(source, "cot_collection")


@pytest.mark.parametrize("kind", ["500", "cut"])
def test_streaming_from_a_hub_with_workers_and_faults_gives_each_row_once(packed, truth, hub, kind):
    hub.add_folder("org/packed", packed)
    dataset = stream("org/packed")
    hub.fail(kind, method="GET", path=r"\.parquet$", times=3, **({"after_bytes": 5_000} if kind == "cut" else {}))
    assert sorted(flat(batches(dataset, workers=2))) == sorted(truth)
