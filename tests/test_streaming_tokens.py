"""Batches by a budget of tokens: within it, every row once, the same for any number of workers and ranks, resumable."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from tests.packed import numbered, pack_numbers, write_packed
from toolkit.errors import UsageError
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.mixture import Component
from toolkit.streaming.token_batches import PackedRows

SHARDS = [[300, 7, 150], [1], [220, 90, 90, 41], [501]]  # 1,400 rows
LONGEST, BUDGET = 97, 200

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than this machine has cores
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata's own use of torch
]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Path:
    return pack_numbers(tmp_path_factory.mktemp("numbers") / "packed", SHARDS)


def tokens(row: dict) -> int:
    """1 to LONGEST, without a pattern."""
    return 1 + int(row["id"].partition("-")[2]) * 37 % LONGEST


def stream(folder, **options) -> StreamingDataset:
    settings = {"max_tokens": BUDGET, "lengths": tokens, "columns": ["id"], "seed": 7, **options}
    return StreamingDataset(folder, **settings)


def ids(batch) -> list[str]:
    return [row["id"] for row in batch]


def batches(dataset, workers: int = 0, stop: int | None = None, kind=DataLoader) -> list[list[str]]:
    loader = kind(dataset, batch_size=None, num_workers=workers, collate_fn=ids)
    return list(itertools.islice(loader, stop))


def cost(batch: list[dict]) -> int:
    return len(batch) * max(map(tokens, batch))


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"lanes": 16}, {"max_tokens": LONGEST}])
def test_batches_keep_within_the_budget_and_hold_every_row_once(numbers, options):
    dataset = stream(numbers, **options)
    found = list(dataset)
    assert all(cost(batch) <= options.get("max_tokens", BUDGET) for batch in found)
    assert sorted(itertools.chain(*map(ids, found))) == sorted(f"n-{number}" for number in range(1400))
    assert (len(found), dataset.num_rows) == (len(dataset), 1400)


def test_rows_of_like_length_are_side_by_side_so_little_is_padding(numbers):
    def padding(found: list[list[dict]]) -> float:
        return 1 - sum(tokens(row) for batch in found for row in batch) / sum(map(cost, found))

    rows = list(StreamingDataset(numbers, columns=["id"], seed=7))
    unsorted = [rows[start : start + 4] for start in range(0, 1400, 4)]
    assert padding(unsorted) > 0.3
    assert padding(list(stream(numbers))) < 0.05


def test_packed_batches_are_full_sequences(numbers):
    found = list(stream(numbers, packing=True))
    assert all(isinstance(batch, PackedRows) for batch in found)
    assert all(sum(map(tokens, batch)) <= BUDGET for batch in found)
    assert sorted(itertools.chain(*map(ids, found))) == sorted(f"n-{number}" for number in range(1400))
    assert sum(tokens({"id": f"n-{number}"}) for number in range(1400)) / (len(found) * BUDGET) > 0.97


def test_batches_depend_on_seed_and_epoch_and_are_not_sorted_by_length(numbers):
    dataset = stream(numbers)
    first = batches(dataset)
    dataset.set_epoch(1)
    assert first == batches(stream(numbers)) != batches(stream(numbers, seed=8))
    assert first != batches(dataset)
    longest = [max(tokens({"id": id_}) for id_ in batch) for batch in first]
    assert 0.4 < sum(a < b for a, b in itertools.pairwise(longest)) / len(longest) < 0.6


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_batches_are_the_same_for_any_number_of_workers(numbers, workers, packing):
    assert batches(stream(numbers, packing=packing), workers) == batches(stream(numbers, packing=packing))


@pytest.mark.parametrize("tail", ["drop", "pad"])
def test_ranks_take_the_same_number_of_batches(numbers, tail):
    whole = batches(stream(numbers))
    parts = [batches(stream(numbers, rank=rank, world_size=3, tail=tail), workers=rank) for rank in range(3)]
    assert [len(part) for part in parts] == [len(whole) // 3 + (tail == "pad") * bool(len(whole) % 3)] * 3
    merged = [batch for step in zip(*parts, strict=True) for batch in step]
    assert merged[: len(whole)] == whole[: len(merged)]


@pytest.mark.parametrize(
    ("before", "after", "packing"),
    [
        ((1, 0), (2, 2), False),
        ((1, 2), (1, 0), True),
        ((2, 1), (4, 0), True),
        ((4, 0), (1, 4), False),
        ((2, 2), (2, 2), True),
    ],
)
def test_a_run_resumes_exactly_with_other_ranks_and_workers(numbers, before, after, packing):
    def run(ranks_workers, *, state=None, epochs=(1,), stop=None):
        ranks, workers = ranks_workers
        by_rank = []
        for rank in range(ranks):
            dataset = stream(numbers, rank=rank, world_size=ranks, packing=packing)
            if state:
                dataset.load_state_dict(json.loads(json.dumps(state)))
            by_rank.append([])
            for epoch in epochs:
                dataset.set_epoch(epoch)
                by_rank[-1].append(batches(dataset, workers, stop))
            saved = dataset.state_dict(batches=stop) if stop else None
        return [
            [batch for step in zip(*each, strict=True) for batch in step] for each in zip(*by_rank, strict=True)
        ], saved

    whole, _ = run((1, 0), epochs=(1, 2))
    head, state = run(before, stop=40 // before[0])
    rest, _ = run(after, state=state, epochs=(1, 2))
    assert len(json.dumps(state)) < 400
    assert head[0] + rest[0] == whole[0][: len(head[0] + rest[0])]
    assert len(head[0] + rest[0]) > len(whole[0]) - after[0]
    assert rest[1] == whole[1][: len(rest[1])]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_resumes_exactly(numbers, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    first = stateful(stream(numbers), batch_size=None, num_workers=workers, collate_fn=ids)
    head = list(itertools.islice(first, 31))
    second = stateful(stream(numbers), batch_size=None, num_workers=workers, collate_fn=ids)
    second.load_state_dict(first.state_dict())
    assert head + list(second) == batches(stream(numbers))


def test_a_state_of_other_lengths_or_another_budget_is_refused(numbers):
    state = stream(numbers).state_dict(batches=3)
    for other in ({"max_tokens": 300}, {"packing": True}, {"lengths": lambda row: 5}):
        with pytest.raises(UsageError, match="the state is of other data"):
            stream(numbers, **other).load_state_dict(state)


def test_rows_over_the_budget_are_left_out_and_counted(numbers):
    dataset = stream(numbers, max_tokens=90)
    long = {f"n-{number}" for number in range(1400) if tokens({"id": f"n-{number}"}) > 90}
    assert dataset.left_out == {"too_long": len(long)}
    assert len(long) > 50
    assert long.isdisjoint(itertools.chain(*batches(dataset)))


def test_a_predicate_sees_lengths_and_rows_carry_them(numbers):
    dataset = StreamingDataset(numbers, lengths=tokens, where=lambda row: row["num_tokens"] < 10, columns=["id"])
    rows = list(dataset)
    assert all(row["num_tokens"] == tokens(row) < 10 for row in rows)
    assert len(rows) + dataset.left_out["where"] == 1400


def test_mixtures_have_budgets_too(numbers, tmp_path):
    other = pack_numbers(tmp_path / "packed", [[50]], prefix="m")
    parts = [Component(path=str(numbers), weight=0.8), Component(path=str(other), weight=0.2)]
    dataset = stream(parts, stop=2000, lanes=1)
    found = list(dataset)
    drawn = Counter(row["id"][0] for batch in found for row in batch)
    assert all(cost(batch) <= BUDGET for batch in found)
    assert drawn == {"n": 1600, "m": 400}
    again = stream(parts, stop=2000, lanes=1)
    again.load_state_dict(dataset.state_dict(batches=11))
    assert list(map(ids, found[11:])) == batches(again)


def test_every_task_comes_all_the_time(tmp_path):
    def groups(task: str, rows: int) -> list:
        return [numbered([f"{task}-{n}" for n in range(start, start + 50)], task) for start in range(0, rows, 50)]

    sizes = {"image_editing": 2000, "llava_cot": 800, "cot_collection": 200}
    folder = write_packed(tmp_path / "packed", {task: [groups(task, rows)] for task, rows in sizes.items()})
    tasks = [row["id"].partition("-")[0] for batch in stream(folder) for row in batch]
    for sixth in (tasks[500 * part : 500 * (part + 1)] for part in range(6)):
        assert all(sixth.count(task) == pytest.approx(rows / 6, rel=0.35) for task, rows in sizes.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": None}, "max_tokens=200 needs lengths=, the tokens of each row: run measure_lengths"),
        ({"max_tokens": 0}, "max_tokens is 0; expected a positive number"),
        ({"batch_size": 4}, "leave batch_size out, and give the loader batch_size=None"),
        ({"max_tokens": None, "packing": True}, "packing=True needs max_tokens="),
        ({"lengths": lambda row: 0}, "row 'n-0': lengths= gave 0; expected a positive number of tokens"),
        (
            {"lengths": lambda row: row["images"]},
            "row 'n-0': lengths= raised KeyError: 'images'; it gets the columns id",
        ),
    ],
)
def test_a_budget_that_cannot_be_is_refused(numbers, options, message):
    with pytest.raises(UsageError, match=message):
        stream(numbers, **options)
