"""The order of an epoch, from row counts alone."""

import random
import subprocess
import sys
from collections import Counter

import pytest

from toolkit.errors import UsageError
from toolkit.streaming.groups import (
    Layout,
    Numbering,
    RowGroup,
    apportion,
    lane_rows,
    locate,
    permutation,
    row_groups,
)
from toolkit.streaming.order import Order, open_groups, shuffle_rows


def uneven(*, shards: int = 7, seed: int = 0) -> tuple[RowGroup, ...]:
    chance = random.Random(seed)
    return row_groups([[chance.randint(0, 40) for _ in range(chance.randint(1, 9))] for _ in range(shards)])


def places(order: Order) -> list[tuple[int, int, int]]:
    found = [order.place(position) for position in range(order.num_rows)]
    return [(place.group.shard, place.group.number, place.row) for place in found]


@pytest.mark.parametrize(
    "layout",
    [
        Layout(),
        Layout(lanes=1, window=1),
        Layout(lanes=3, window=2, run=8),
        Layout(lanes=64, run=5),
        Layout(shuffle=False),
    ],
)
def test_order_holds_every_row_once(layout):
    groups = uneven()
    assert sorted(places(Order(groups, layout))) == [
        (group.shard, group.number, row) for group in groups for row in range(group.rows)
    ]


def test_order_without_shuffle_is_that_of_the_manifest():
    assert places(Order(row_groups([[2, 1], [1]]), Layout(shuffle=False, run=4))) == [
        (0, 0, 0),
        (0, 0, 1),
        (0, 1, 0),
        (1, 0, 0),
    ]


def test_order_depends_on_seed_and_epoch_alone():
    groups = uneven()
    first = places(Order(groups, Layout(seed=1), epoch=2))
    assert first == places(Order(groups, Layout(seed=1), epoch=2))
    assert first != places(Order(groups, Layout(seed=2), epoch=2)) != places(Order(groups, Layout(seed=1), epoch=3))


def test_a_position_needs_no_earlier_one():
    groups = uneven()
    in_turn = [Order(groups, Layout(run=4)).place(position) for position in range(100)]
    order = Order(groups, Layout(run=4))
    assert [order.place(position) for position in reversed(range(100))] == in_turn[::-1]


@pytest.mark.parametrize("layout", [Layout(run=4), Layout(lanes=3), Layout(shuffle=False)])
def test_the_rows_of_a_lane_are_those_of_its_positions(layout):
    order = Order(uneven(), layout)
    numbering = Numbering(uneven())
    by_lane: dict[int, list[int]] = {lane: [] for lane in range(order.lanes)}
    for position in range(order.num_rows):
        by_lane[locate(position, lanes=order.lanes, run=layout.run)[0]].append(numbering.number(order.place(position)))
    assert {lane: order.numbers(lane, numbering).tolist() for lane in by_lane} == by_lane


def test_empty_row_groups_are_left_out():
    assert row_groups([[0, 2], [0]]) == (RowGroup(0, 0, 1, 2),)


def test_permutation_is_the_same_on_every_version():
    assert permutation(8, 0, "x") == [
        2,
        5,
        1,
        6,
        3,
        0,
        7,
        4,
    ]  # another value would change the order under every training that resumes


def test_lanes_take_turns_of_a_run_each():
    assert [locate(position, lanes=2, run=2) for position in range(6)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (0, 2),
        (0, 3),
    ]
    assert lane_rows(7, lanes=2, run=2) == [4, 3]


def test_a_batch_needs_the_row_groups_of_one_window():
    order = Order(row_groups([[10] * 40]), Layout(lanes=4, window=3, run=5))
    for start in range(0, 400, 5):
        assert (
            len({order.place(position).group for position in range(start, start + 5)}) <= 4
        )  # a cut between lanes adds one


def test_each_lane_reads_row_groups_of_its_own():
    order = Order(row_groups([[10] * 40]), Layout(lanes=4, window=3, run=5))
    by_lane = [
        {order.place(position).group for position in range(400) if locate(position, lanes=4, run=5)[0] == lane}
        for lane in range(4)
    ]
    assert [len(groups) for groups in by_lane] == [10, 10, 10, 10]
    assert len(set.union(*by_lane)) == 40


def test_rows_of_a_window_are_mixed():
    order = Order(row_groups([[10] * 40]), Layout(lanes=1, window=4))
    neighbours = [order.place(position).group == order.place(position + 1).group for position in range(399)]
    assert sum(neighbours) / 399 == pytest.approx(1 / 4, abs=0.08)


SMALL_AND_UNEQUAL = {
    "six tasks, a row group each": [(1000, 1000)] * 6,
    "six tasks of small row groups": [(1000, 50)] * 6,
    "unequal": [(4000, 100), (1000, 100), (500, 100), (300, 300), (150, 50), (50, 50)],
    "few rows": [(100, 100)] * 6,
    "a task of one row": [(601, 40), (1, 1)],
}


def of_tasks(sizes: list[tuple[int, int]]) -> tuple[RowGroup, ...]:
    """Row groups of tasks, given the rows of each and those of a row group."""
    counts = [[min(each, rows - first) for first in range(0, rows, each)] for rows, each in sizes]
    return row_groups(counts, tasks=[f"task {number}" for number in range(len(sizes))])


@pytest.mark.parametrize("layout", [Layout(), Layout(run=8, seed=5), Layout(lanes=16), Layout(lanes=1, window=1)])
@pytest.mark.parametrize("name", SMALL_AND_UNEQUAL)
def test_each_sixth_of_an_epoch_holds_its_share_of_every_task(name, layout):
    sizes = SMALL_AND_UNEQUAL[name]
    order = Order(of_tasks(sizes), layout)
    tasks = [order.place(position).group.shard for position in range(order.num_rows)]
    for part in range(6):
        counts = Counter(tasks[order.num_rows * part // 6 : order.num_rows * (part + 1) // 6])
        for task, (rows, _) in enumerate(sizes):
            assert abs(counts[task] - rows / 6) <= max(8, rows / 6 * 0.05)


def test_order_of_several_tasks_holds_every_row_once():
    groups = of_tasks(SMALL_AND_UNEQUAL["unequal"])
    for layout in (Layout(run=8), Layout(lanes=64), Layout(shuffle=False)):
        assert len(set(places(Order(groups, layout)))) == sum(group.rows for group in groups)


def test_each_task_has_its_share_of_the_window():
    groups = of_tasks([(600, 10), (200, 10), (10, 10)])
    assert open_groups(groups, Layout(lanes=2, window=4)) == 2 * (3 + 1) + 1  # 4 x 600/810, 4 x 200/810, all there is


def test_apportioned_numbers_have_the_sum_asked_for():
    assert apportion([1, 1, 1], 10) == [4, 3, 3]
    assert apportion([5, 0, 3], 8) == [5, 0, 3]
    assert apportion([0.7, 0.2, 0.1], 1000) == [700, 200, 100]
    assert apportion([], 0) == []


def test_shuffle_quality_is_a_stated_number():
    assert shuffle_rows(of_tasks([(600, 10), (200, 20), (10, 10)]), Layout(lanes=2, window=4)) == (60, 110)
    assert shuffle_rows(row_groups([[10] * 40]), Layout(lanes=4, window=3)) == (30, 120)
    assert shuffle_rows(row_groups([[10] * 40]), Layout(shuffle=False)) == (1, 1)


@pytest.mark.parametrize(("name", "argument"), [("lanes", "lanes"), ("window", "window"), ("run", "batch_size")])
def test_layout_refuses_numbers_below_one(name, argument):
    with pytest.raises(UsageError, match=f"{argument} is 0; expected a positive number"):
        Layout(**{name: 0})


@pytest.mark.parametrize("module", ["groups", "lanes", "order", "mixture", "share", "reading"])
def test_what_orders_and_reads_needs_no_torch(module):
    statement = f"import sys, toolkit.streaming.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", statement], check=False).returncode == 0
