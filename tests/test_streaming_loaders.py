"""StreamingDataset inside the loaders and trainers people use: workers, ranks, resume, faults."""

import contextlib
import importlib.util
import itertools
import os
import resource
import signal
import socket
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from torch.utils.data import DataLoader

from tests.hub import LoopbackHub
from tests.packed import pack_demo, pack_numbers
from tests.processes import FORKS
from tests.replicas import truth
from toolkit.errors import UnifiedVisualError, UsageError
from toolkit.streaming.batch import collate_images
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.indexed import RowDataset

SHARDS = [
    [300, 7, 150],
    [1],
    [220, 90, 90, 41],
    [501],
]  # 1,400 rows, uneven; far more than a batch, so that a lost buffer would show
BATCH = 16

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than this machine has cores
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata's own use of torch
]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Path:
    return pack_numbers(tmp_path_factory.mktemp("numbers") / "packed", SHARDS)


def ids_of(rows: list[dict]) -> list[str]:
    return [row["id"] for row in rows]


def stream(folder, **options) -> StreamingDataset:
    return StreamingDataset(folder, columns=["id"], **{"batch_size": BATCH, "seed": 7, **options})


def loader(dataset, workers: int, kind=DataLoader, **options):
    return kind(dataset, batch_size=BATCH, num_workers=workers, collate_fn=ids_of, **options)


def stateful(*args, **options):
    return pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader(*args, **options)


def run(folder, *, world_size: int, workers: int, state=None, epochs=(0,), stop=None):
    """Global order of ids per epoch, as all ranks together see it, and the state of rank 0 after `stop` steps of the
    last epoch.
    """
    by_rank, saved = [], None
    for rank in range(world_size):
        dataset = stream(folder, rank=rank, world_size=world_size)
        if state:
            dataset.load_state_dict(state)
        batches = loader(dataset, workers)
        by_rank.append([])
        for epoch in epochs:
            dataset.set_epoch(epoch)
            by_rank[-1].append(list(itertools.islice(batches, stop if epoch == epochs[-1] else None)))
        saved = saved or (stop and dataset.state_dict(batches=stop))
    return [
        [id_ for step in zip(*of_ranks, strict=True) for batch in step for id_ in batch]
        for of_ranks in zip(*by_rank, strict=True)
    ], saved


@pytest.mark.parametrize("workers", [1, 2, 4, 6])  # the last is more than there are shards
def test_batches_are_the_same_for_any_number_of_workers(numbers, workers):
    assert list(loader(stream(numbers), workers)) == list(loader(stream(numbers), 0))


def test_each_row_comes_once_when_the_batch_size_is_not_told(numbers):
    ids = sum(loader(stream(numbers, batch_size=1), 3), [])  # noqa: RUF017
    assert sorted(ids) == sorted(f"n-{number}" for number in range(1400))


@pytest.mark.parametrize(
    ("before", "after"),
    [((1, 0), (1, 2)), ((1, 2), (2, 0)), ((2, 2), (1, 0)), ((4, 0), (1, 4)), ((1, 4), (4, 1)), ((2, 1), (4, 2))],
)
def test_a_run_goes_on_with_other_ranks_and_workers(numbers, before, after):
    whole, _ = run(numbers, world_size=1, workers=0, epochs=(1, 2))
    first, state = run(numbers, world_size=before[0], workers=before[1], epochs=(1,), stop=40 // before[0])
    rest, _ = run(numbers, world_size=after[0], workers=after[1], epochs=(1, 2), state=state)
    assert first[0] + rest[0] == whole[0][: len(first[0]) + len(rest[0])]
    assert len(first[0]) + len(rest[0]) > 1400 - after[0]
    assert rest[1] == whole[1][: len(rest[1])]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_stateful_loader_resumes_and_goes_on_to_the_next_epoch(numbers, workers):
    dataset = stream(numbers)
    whole = list(loader(dataset, 0))
    first = loader(dataset, workers, stateful)
    head = list(itertools.islice(first, 31))
    state = first.state_dict()
    other = stream(numbers)
    second = loader(other, workers, stateful)
    second.load_state_dict(state)
    assert head + list(second) == whole
    other.set_epoch(1)
    dataset.set_epoch(1)
    assert list(second) == list(loader(dataset, 0))


def test_the_state_of_a_stateful_loader_fits_other_numbers_of_workers(numbers):
    whole = list(loader(stream(numbers), 0))
    first = loader(stream(numbers), 3, stateful)
    head = list(itertools.islice(first, 31))
    other = stream(numbers)
    other.load_state_dict(first.state_dict())
    assert head + list(loader(other, 2)) == whole


def test_stateful_loader_resumes_rows_by_number(numbers):
    rows = RowDataset(numbers, columns=["id"])
    whole = [rows[number]["id"] for number in rows.sampler(batch_size=BATCH)]
    first = loader(rows, 2, stateful, sampler=rows.sampler(batch_size=BATCH))
    head = list(itertools.islice(first, 31))
    second = loader(rows, 2, stateful, sampler=rows.sampler(batch_size=BATCH))
    second.load_state_dict(first.state_dict())
    assert sum([*head, *second], []) == whole  # noqa: RUF017


def test_persistent_workers_see_new_epochs(numbers):
    dataset = stream(numbers)
    persistent, epochs = loader(dataset, 2, persistent_workers=True), []
    for epoch in (0, 1, 2):
        dataset.set_epoch(epoch)
        epochs.append(sum(persistent, []))  # noqa: RUF017
    assert [len(set(ids)) for ids in epochs] == [1400] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_state_loaded_after_its_workers_started_is_refused(numbers):
    dataset = stream(numbers)
    persistent = loader(dataset, 1, persistent_workers=True)
    list(persistent)
    dataset.load_state_dict(dataset.state_dict(batches=5))
    with pytest.raises(UsageError, match="make a new loader"):
        list(persistent)


def test_a_resumed_epoch_is_short_only_once_with_workers(numbers):
    dataset = stream(numbers)
    dataset.load_state_dict(stream(numbers).state_dict(batches=80))
    batches = loader(dataset, 2)
    assert [sum(map(len, batches)) for _ in range(2)] == [120, 1400]


def test_the_state_with_workers_needs_to_be_told_how_far_the_loop_is(numbers):
    dataset = stream(numbers)
    list(loader(dataset, 2))
    with pytest.raises(UsageError, match=r"pass batches=, or use torchdata's StatefulDataLoader"):
        dataset.state_dict()


def test_workers_that_are_sent_the_dataset_read_the_same(numbers):
    """As spawned ones are."""
    assert list(loader(stream(numbers), 1, multiprocessing_context=FORKS)) == list(loader(stream(numbers), 0))


def test_batches_are_put_together_in_the_worker(tmp_path):
    folder = pack_demo(tmp_path / "packed", ["image_editing", "cot_collection"])
    dataset = StreamingDataset(folder, image_size=24, batch_size=4, columns=["id", "images"], decode="fused", threads=2)
    batches = list(DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=collate_images))
    assert {tuple(batch["pixel_values"].shape[1:]) for batch in batches} <= {(3, 24, 24), (3, 0, 0)}
    assert sum(len(batch["pixel_values"]) for batch in batches) == sum(
        len(row.images) for row in truth()["image_editing"]
    )


@pytest.mark.parametrize("strategy", ["file_descriptor", "file_system"])
@pytest.mark.parametrize(
    "options", [{"decode": "fused"}, {"decode": "exact"}, {"decode": "exact", "image_type": "float32"}]
)
def test_batches_of_workers_are_those_of_the_loop(tmp_path, options, strategy):
    folder = pack_demo(tmp_path / "packed", ["image_editing"])
    dataset = StreamingDataset(folder, image_size=24, batch_size=4, **options)
    before = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy(strategy)
    try:
        workers, loop = (
            list(DataLoader(dataset, batch_size=4, num_workers=number, collate_fn=collate_images)) for number in (1, 0)
        )
    finally:
        torch.multiprocessing.set_sharing_strategy(before)
    for ours, expected in zip(workers, loop, strict=True):
        assert torch.equal(ours["pixel_values"], expected["pixel_values"])
        assert (ours["pixel_values"].stride(), ours["pixel_values"].dtype) == (
            expected["pixel_values"].stride(),
            expected["pixel_values"].dtype,
        )
        assert (ours["pixel_values"].is_shared(), expected["pixel_values"].is_shared()) == (True, False)


@pytest.mark.parametrize("left", [0, 5000])
def test_full_memory_is_an_error_that_says_so(tmp_path, monkeypatch, left):
    """A limit on the size of files holds for memory that is written as one, too."""
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)  # that its end is waited for
    folder = pack_demo(tmp_path / "packed", ["image_editing"])
    dataset = StreamingDataset(folder, image_size=64, batch_size=4, decode="fused")
    loader = DataLoader(dataset, batch_size=4, num_workers=1, collate_fn=partial(collate_when_full, left))
    with pytest.raises(
        UnifiedVisualError, match=r"a batch of 98,304 bytes, .*, does not fit into memory \(.*batch_size"
    ):
        next(iter(loader))


def collate_when_full(left: int, rows: list) -> dict:
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, resource.RLIM_INFINITY))
    return collate_images(rows)


def test_views_of_batches_that_the_loop_holds_keep_their_pixels(tmp_path):
    folder = pack_demo(tmp_path / "packed", ["image_editing"])
    dataset = StreamingDataset(folder, image_size=24, batch_size=2, decode="fused")
    workers, loop = (
        [batch["pixel_values"][1:] for batch in DataLoader(dataset, 2, num_workers=number, collate_fn=collate_images)]
        for number in (1, 0)
    )
    assert len(workers) > 2
    assert all(torch.equal(held, expected) for held, expected in zip(workers, loop, strict=True))


def test_a_killed_worker_is_an_error_and_no_hang(numbers):
    def kill(rows):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match=r"DataLoader worker .* (exited unexpectedly|killed by signal)"):
        list(DataLoader(stream(numbers), batch_size=BATCH, num_workers=2, collate_fn=kill))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def forked(work, *arguments) -> None:
    """Two ranks; spawned ones would import torch and all else again."""
    importlib.import_module("torch._dynamo")  # which DistributedDataParallel imports, in each rank else: two seconds
    torch.multiprocessing.start_processes(work, (free_port(), *arguments), nprocs=2, start_method="fork")


def _train(rank: int, port: int, folder: str, found) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
    steps = 0
    for batch in loader(stream(folder), 1):
        model(torch.ones(len(batch), 1)).sum().backward()
        steps += 1
    found[rank] = steps
    torch.distributed.destroy_process_group()


@pytest.mark.timeout(60)
def test_ranks_with_uneven_shards_take_the_same_steps(tmp_path):
    folder = pack_numbers(tmp_path / "packed", [[301], [3], [40, 1]])
    found = torch.zeros(2, dtype=torch.int64).share_memory_()
    forked(_train, str(folder), found)
    assert found.tolist() == [11, 11]  # 345 rows: 172 each, one dropped


@pytest.mark.parametrize("kind", ["429", "503", "cut"])
def test_streaming_from_the_hub_survives_faults(hub: LoopbackHub, tmp_path, kind):
    tasks = ("image_editing", "llava_cot", "cot_collection")
    hub.add_folder("org/packed", pack_demo(tmp_path / "packed", tasks))
    hub.fail(kind, method="GET", path=r"\.parquet$", times=3, after_bytes=1000)
    dataset = StreamingDataset("hf://datasets/org/packed", columns=["id", "images"], decode=None, batch_size=2)
    rows = [row for batch in DataLoader(dataset, batch_size=2, num_workers=4, collate_fn=list) for row in batch]
    expected = {row.id: [image.bytes for image in row.images] for task in tasks for row in truth()[task]}
    assert len(rows) == len(expected)
    assert {row["id"]: [image["bytes"] for image in row["images"]] for row in rows} == expected


def test_the_hub_is_read_by_row_group(hub: LoopbackHub, tmp_path):
    hub.add_folder(
        "org/packed", pack_demo(tmp_path / "packed", ["image_editing"], rows_per_group=1, groups_per_shard=7)
    )
    next(iter(StreamingDataset("org/packed", shuffle=False, columns=["id"], ahead=1)))
    assert not [
        request
        for request in hub.requests
        if request.path.endswith(".parquet") and request.method == "GET" and not request.range
    ]


needs = pytest.mark.skipif


@needs(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_accelerate_resumes_at_the_right_row(numbers):
    pytest.importorskip("torchdata")
    from accelerate import Accelerator, DataLoaderConfiguration

    accelerator = Accelerator(
        cpu=True, dataloader_config=DataLoaderConfiguration(use_stateful_dataloader=True, dispatch_batches=False)
    )
    tensors = {"batch_size": BATCH, "collate_fn": lambda rows: torch.tensor([int(row["id"][2:]) for row in rows])}
    expected = [batch.tolist() for batch in DataLoader(stream(numbers), **tensors)]
    first = accelerator.prepare(DataLoader(stream(numbers), **tensors))
    head = [batch.tolist() for batch in itertools.islice(first, 31)]
    state = first.state_dict()
    second = accelerator.prepare(DataLoader(stream(numbers), **tensors))
    second.load_state_dict(state)
    assert head + [batch.tolist() for batch in second] == expected


def _prepare(rank: int, port: int, folder: str, found) -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # of the process that was forked
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    accelerator = Accelerator(cpu=True)
    for way, ranks in enumerate(({}, {"rank": 0, "world_size": 1})):
        dataset = stream(folder, **ranks)
        loader = accelerator.prepare(DataLoader(dataset, batch_size=BATCH, collate_fn=as_numbers))
        ids, state = [], {}
        for batches, batch in enumerate(loader, 1):
            ids += accelerator.gather_for_metrics(batch["number"]).tolist()
            if batches == 5:
                state, first = dataset.state_dict(batches=batches), list(ids)
        again = stream(folder, **ranks)
        again.load_state_dict(state)
        rest = accelerator.prepare(DataLoader(again, batch_size=BATCH, collate_fn=as_numbers))
        first += [number for batch in rest for number in accelerator.gather_for_metrics(batch["number"]).tolist()]
        # Where Accelerate shares out, it fills the last batches with rows that it has had.
        once = list(dict.fromkeys(ids))
        is_right = once == list(dict.fromkeys(first)) and len(ids) - len(once) <= way * BATCH
        found[rank, way] = len(once) if is_right else -1
    torch.distributed.destroy_process_group()


@needs(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
@pytest.mark.timeout(60)
def test_accelerate_with_two_processes_loses_no_row_and_resumes_at_the_right_one(numbers):
    found = torch.zeros(2, 2, dtype=torch.int64).share_memory_()
    forked(_prepare, str(numbers), found)
    assert found.tolist() == [[1400, 1400]] * 2


class Count(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[int] = []

    def forward(self, number: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        self.seen += number.tolist()
        return {"loss": (self.weight * number.float().mean()).abs().sum()}


def as_numbers(rows: list[dict]) -> dict[str, torch.Tensor]:
    return {"number": torch.tensor([int(row["id"][2:]) for row in rows])}


@needs(importlib.util.find_spec("accelerate") is None, reason="the Trainer of transformers needs accelerate")
def test_the_trainer_of_transformers_sees_every_row_of_both_epochs(numbers, tmp_path):
    transformers = pytest.importorskip("transformers")
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=2,
        per_device_train_batch_size=BATCH,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        remove_unused_columns=False,
        disable_tqdm=True,
        logging_strategy="no",
    )
    model = Count()
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers.Trainer(
            model=model, args=arguments, train_dataset=stream(numbers), data_collator=as_numbers
        ).train()
    assert sorted(model.seen) == sorted([*range(1400), *range(1400)])
    assert model.seen[:1400] != model.seen[1400:]


@needs(importlib.util.find_spec("pytorch_lightning") is None, reason="pytorch-lightning is not installed")
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers, loggers and GPUs
def test_lightning_goes_on_inside_an_epoch_at_the_right_row(numbers, tmp_path, num_workers):
    lightning = pytest.importorskip("pytorch_lightning")
    from pytorch_lightning.callbacks import ModelCheckpoint

    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    class Reader(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.count = Count()

        def on_train_epoch_start(self) -> None:
            self.trainer.train_dataloader.dataset.set_epoch(self.current_epoch)

        def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.count(**batch)["loss"]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1e-6)

    def fit(max_steps: int, checkpoint: str | None = None) -> list[int]:
        model = Reader()
        saved = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=88 + 40, save_top_k=-1)
        trainer = lightning.Trainer(
            max_steps=max_steps,
            callbacks=[saved],
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        dataset = StreamingDataset(numbers, columns=["id"], batch_size=BATCH)
        loader = loaders.StatefulDataLoader(dataset, batch_size=BATCH, num_workers=num_workers, collate_fn=as_numbers)
        trainer.fit(model, loader, ckpt_path=checkpoint)
        return model.count.seen

    undisturbed = fit(2 * 88)
    assert sorted(undisturbed[:1400]) == sorted(undisturbed[1400:]) == list(range(1400))
    assert fit(2 * 88, str(tmp_path / "step=128.ckpt")) == undisturbed[1400 + 40 * BATCH :]
