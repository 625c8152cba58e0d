"""Who takes which positions, and where to go on."""

from dataclasses import replace

import pytest

from toolkit.errors import UsageError
from toolkit.streaming.share import Progress, Share, find_progress, resume_position

PROGRESS = Progress(
    epoch=1,
    start=0,
    taken=0,
    worker=0,
    num_workers=1,
    world_size=1,
    batch_size=4,
    num_rows=100,
    seed=0,
    shuffle=True,
    lanes=4,
    window=4,
    run=4,
    checksum=0,
)


def test_ranks_take_batches_in_turn():
    shares = [Share(num_rows=13, rank=rank, world_size=2, batch_size=3) for rank in (0, 1)]
    assert [list(share.positions()) for share in shares] == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]
    assert [share.odd_rows for share in shares] == [-1, -1]


def test_ranks_take_rows_in_turn_without_a_batch_size():
    assert list(Share(num_rows=8, rank=1, world_size=2).positions()) == [1, 3, 5, 7]


def test_a_last_step_is_shorter_for_every_rank_alike():
    shares = [Share(num_rows=10, rank=rank, world_size=2, batch_size=4) for rank in (0, 1)]
    assert [list(share.positions()) for share in shares] == [[0, 1, 2, 3, 8], [4, 5, 6, 7, 9]]


def test_padding_begins_the_epoch_again():
    shares = [Share(num_rows=7, rank=rank, world_size=3, batch_size=2, tail="pad") for rank in range(3)]
    assert [list(share.positions()) for share in shares] == [[0, 1, 6], [2, 3, 0], [4, 5, 1]]
    assert shares[0].odd_rows == 2


def test_workers_take_batches_of_a_rank_in_turn():
    shares = [Share(num_rows=10, worker=worker, num_workers=2, batch_size=3) for worker in (0, 1)]
    assert [list(share.positions()) for share in shares] == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9]]


@pytest.mark.parametrize("tail", ["drop", "pad"])
@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_every_rank_takes_as_many_rows(world_size, tail):
    for num_rows in range(1, 40):
        shares = [
            Share(num_rows=num_rows, start=num_rows // 3, rank=rank, world_size=world_size, batch_size=4, tail=tail)
            for rank in range(world_size)
        ]
        taken = [list(share.positions()) for share in shares]
        assert {len(each) for each in taken} == {shares[0].rank_rows}
        assert set().union(*taken) <= set(range(num_rows))
        assert len(set().union(*taken)) >= min(shares[0].rank_rows * world_size, num_rows - num_rows // 3)


def test_positions_go_on_after_those_taken():
    share = Share(num_rows=100, rank=1, world_size=2, worker=1, num_workers=3, batch_size=4)
    assert [list(share.positions(taken)) for taken in range(12)] == [
        list(share.positions())[taken:] for taken in range(12)
    ]


@pytest.mark.parametrize("wrong", [{"rank": 2, "world_size": 2}, {"batch_size": 0}, {"tail": "cut"}])
def test_share_refuses_what_makes_no_sense(wrong):
    with pytest.raises(UsageError):
        Share(num_rows=4, **wrong)


def test_states_are_found_in_the_state_of_a_loader():
    two = [replace(PROGRESS, worker=worker, num_workers=2) for worker in (0, 1)]
    state = {"snapshot": {"workers": [{"dataset": each.to_dict()} for each in two]}, "steps": 3}
    assert find_progress(state) == two


@pytest.mark.parametrize("state", [{}, {"step": 3}, {"unifiedvisual_stream": 1, "epoch": 1}])
def test_a_foreign_state_is_refused(state):
    with pytest.raises(UsageError, match="the state"):
        find_progress(state)


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_a_state_of_an_unknown_version_is_refused(version):
    with pytest.raises(UsageError, match=f"of version {version!r}; expected 2; finish the epoch with the version"):
        find_progress({**PROGRESS.to_dict(), "unifiedvisual_stream": version})


@pytest.mark.parametrize(
    "values",
    [
        *({name: -1} for name in PROGRESS.to_dict() if name not in ("unifiedvisual_stream", "seed", "shuffle")),
        *({name: 1 << 50} for name in ("epoch", "num_rows", "batch_size", "lanes", "num_workers", "checksum")),
        *({name: 0} for name in ("world_size", "num_workers", "batch_size", "lanes", "window", "run")),
        *({"start": wrong} for wrong in (0.0, "0", None, True, [0], float("nan"))),
        {"shuffle": 1},
        {"worker": 1},
        {"taken": 101},
        {"start": 101},
    ],
    ids=str,
)
def test_a_state_with_numbers_that_cannot_be_is_refused(values):
    with pytest.raises(UsageError, match="the state says"):
        find_progress({**PROGRESS.to_dict(), **values})


def test_workers_that_took_whole_batches_in_turn_give_one_position():
    states = [
        replace(PROGRESS, num_workers=2, worker=worker, world_size=3, taken=taken) for worker, taken in ((1, 4), (0, 8))
    ]
    assert resume_position(states) == 36


def test_a_state_inside_a_batch_fits_no_other_number_of_ranks():
    with pytest.raises(UsageError, match="stop after a whole batch"):
        resume_position([replace(PROGRESS, world_size=2, taken=5)])


def test_workers_without_batch_size_give_no_position():
    states = [
        replace(PROGRESS, num_workers=2, worker=worker, batch_size=1, taken=taken) for worker, taken in ((0, 8), (1, 4))
    ]
    with pytest.raises(UsageError, match="batch_size of its loader"):
        resume_position(states)


def test_the_state_of_one_worker_alone_is_refused():
    with pytest.raises(UsageError, match="whole state of the loader"):
        resume_position([replace(PROGRESS, num_workers=2, taken=4)])
