"""Weighted mixtures, from row counts alone."""

from collections import Counter

import pytest

from toolkit.errors import UsageError
from toolkit.streaming.groups import Layout, row_groups
from toolkit.streaming.mixture import BLOCK, Mixture, quotas

LAYOUT = Layout(lanes=2, run=5)


def mixture(sizes=(300, 200), weights=(1, 1), stop="first_exhausted", layout=LAYOUT, **options) -> Mixture:
    groups = [row_groups([[50] * (size // 50)], source=source) for source, size in enumerate(sizes)]
    return Mixture(groups, weights, layout, stop=stop, **options)


def drawn(mixed: Mixture) -> list[Counter]:
    counts = [Counter() for _ in range(2)]
    for position in range(mixed.num_rows):
        place = mixed.place(position)
        counts[place.group.source][(place.group.number, place.row)] += 1
    return counts


def test_first_exhausted_stops_before_a_row_repeats():
    first, second = drawn(mixture())
    assert set(first.values()) == set(second.values()) == {1}
    assert 180 <= len(second) <= 200


def test_all_exhausted_draws_every_row():
    first, second = drawn(mixture(stop="all_exhausted"))
    assert (len(first), len(second)) == (300, 200)
    assert set(first.values()) <= {1, 2}


def test_a_number_of_rows_is_kept_exactly():
    assert sum(map(Counter.total, drawn(mixture(stop=1234)))) == mixture(stop=1234).num_rows == 1234


def test_a_source_that_begins_again_is_in_another_order():
    mixed = mixture(sizes=(50, 50), stop=10_000, layout=Layout(lanes=1, window=1))
    rows = [mixed.place(position) for position in range(10_000)]
    first = [place.row for place in rows if place.group.source == 0]
    assert sorted(first[:50]) == sorted(first[50:100]) == list(range(50))
    assert first[:50] != first[50:100]


def test_realised_proportions_are_exact_after_each_block():
    mixed = mixture(weights=(3, 1), stop=4 * BLOCK)
    assert mixed.drawn() == [3000, 1000]
    assert [line["realised"] for line in mixed.report(2 * BLOCK)] == [0.75, 0.25]


def test_the_report_counts_what_is_drawn():
    mixed = mixture(weights=(2, 1), stop=777)
    counts = [sum(mixed.place(position).group.source == source for position in range(777)) for source in (0, 1)]
    assert mixed.drawn() == counts
    assert [line["passes"] for line in mixed.report()] == [counts[0] / 300, counts[1] / 200]


def test_a_position_of_a_mixture_needs_no_earlier_one():
    in_turn = [mixture().place(position) for position in range(100)]
    backwards = mixture()
    assert [backwards.place(position) for position in reversed(range(100))] == in_turn[::-1]


def test_epochs_of_a_mixture_differ():
    assert [mixture().place(position) for position in range(50)] != [
        mixture(epoch=1).place(position) for position in range(50)
    ]


def test_quotas_add_up_by_largest_remainder():
    assert quotas([1, 1, 1]) == [334, 333, 333]
    assert quotas([0.7, 0.3]) == [700, 300]


@pytest.mark.parametrize("weights", [[1, 0], [1, -1], [1, float("nan")], [1, 1e-6]])
def test_weights_that_draw_nothing_are_refused(weights):
    with pytest.raises(UsageError, match="weights are"):
        quotas(weights)


@pytest.mark.parametrize("stop", ["never", 0, True])
def test_an_unknown_stopping_rule_is_refused(stop):
    with pytest.raises(UsageError, match="expected a number of rows, 'first_exhausted' or 'all_exhausted'"):
        mixture(stop=stop)


def test_a_source_without_rows_is_refused():
    with pytest.raises(UsageError, match="at least one row in each"):
        mixture(sizes=(50, 0))
