"""Two processes against one, for every family. They are started once; see tests/two_ranks.py."""

import json
import socket

import pytest

from tests.example_runs import WARNINGS, losses_of, run_example, trained_alike, weights_of
from tests.installed import needs
from tests.packed import pack_demo
from tests.training_families import FAMILIES, READING, difference, trainer_update
from tests.two_ranks import BEGUN_ALONE, EXAMPLE, SAVED, main
from toolkit.streaming.dataset import StreamingDataset

torch = pytest.importorskip("torch", reason="training needs torch; pip install torch")
needs("accelerate", "peft", "pytorch_lightning", "torchdata", "trl", reason="of the examples; pip install -e '.[dev]'")

pytestmark = [pytest.mark.timeout(300), *map(pytest.mark.filterwarnings, WARNINGS)]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    tasks = ["image_generation", "image_editing", "llava_cot", "cot_collection"]
    packed = pack_demo(folder / "packed", tasks)
    for name in BEGUN_ALONE:
        options = ("--data", packed, *EXAMPLE, "--accumulate", 2, *SAVED.get(name, ()))
        run_example(name, *options, "--out", folder / f"{name}-alone" / "whole", "--steps", 3)
        run_example(name, *options, "--out", folder / f"{name}-alone" / "parts", "--steps", 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(main, (port, folder, packed), nprocs=2, start_method="fork")
    return folder


@pytest.mark.parametrize("family", dict.fromkeys((*FAMILIES, *READING)))
def test_two_ranks_take_the_step_of_one(two_ranks, tmp_path, family):
    """Also where the batch of one rank has no picture and that of the other has."""
    alone = trainer_update(family, tmp_path, rows=4, accumulation=1)
    for rank in (0, 1):
        found = torch.load(two_ranks / f"{family}-{rank}.pt", weights_only=True)
        assert found.keys() == ({"trainer", "accumulated", "ddp", "fsdp"} if family in FAMILIES else {"fsdp"})
        for way, update in found.items():
            assert difference(update, alone) < 1e-5, way


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_share_out_a_stream_under_the_plain_lines_of_trainer(two_ranks, family):
    ranks = [json.loads((two_ranks / f"{family}-{rank}.json").read_text()) for rank in (0, 1)]
    rows = list(StreamingDataset(two_ranks / "packed", "all", decode=None, batch_size=2, rank=0, world_size=1))
    ids = [row["id"] for row in rows]
    assert ranks[0]["ids"] == [*ids[:2], *ids[4:6]]
    assert ranks[1]["ids"] == [*ids[2:4], *ids[6:8]]
    assert len(ranks[0]["losses"]) == 2
    assert ranks[0]["losses"] == ranks[1]["losses"]  # the mean over all tokens of both


@pytest.mark.parametrize("name", ["chameleon", "chameleon-fsdp", "trainer", "accelerate", "lightning", "sft"])
def test_an_example_resumes_exactly_on_two_ranks(two_ranks, name):
    assert trained_alike(two_ranks / name / "parts", two_ranks / name / "whole")


@pytest.mark.parametrize("name", BEGUN_ALONE)
def test_two_ranks_go_on_with_what_one_has_begun(two_ranks, name):
    parts, whole = (two_ranks / f"{name}-alone" / each for each in ("parts", "whole"))
    found, expected = (torch.tensor(losses_of(folder), dtype=torch.float64) for folder in (parts, whole))
    ours, theirs = weights_of(parts), weights_of(whole)
    assert torch.allclose(found, expected, rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
