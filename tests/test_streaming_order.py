"""The order of an epoch, from row counts alone."""

import random
import subprocess
import sys

import pytest

from toolkit.errors import UsageError
from toolkit.streaming.order import Layout, Order, RowGroup, lane_rows, locate, permutation, row_groups, shuffle_rows


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


def test_shuffle_quality_is_a_stated_number():
    assert shuffle_rows(row_groups([[10] * 40]), Layout(lanes=4, window=3)) == (30, 120)
    assert shuffle_rows(row_groups([[10] * 40]), Layout(shuffle=False)) == (1, 1)


@pytest.mark.parametrize("name", ["lanes", "window", "run"])
def test_layout_refuses_numbers_below_one(name):
    with pytest.raises(UsageError, match=f"{name} is 0; expected a positive number"):
        Layout(**{name: 0})


@pytest.mark.parametrize("module", ["order", "mixture", "share", "reading"])
def test_what_orders_and_reads_needs_no_torch(module):
    statement = f"import sys, toolkit.streaming.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", statement], check=False).returncode == 0
