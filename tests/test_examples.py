"""Every example runs as its first lines say, learns, and goes on exactly where it was stopped."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packed import pack_demo
from toolkit.collate.emu3 import Emu3Collator

torch = pytest.importorskip("torch", reason="the examples train; pip install -e '.[train]'")
pytest.importorskip("transformers", reason="the examples train transformers' models; pip install -e '.[train]'")

EXAMPLES = Path(__file__).parents[1] / "examples"
FAMILIES = ("chameleon", "emu3", "janus")
LOSS = re.compile(r"^(\w+): ([\d.]+) -> ([\d.]+) \(", re.MULTILINE)

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning"),
]  # TRL's own


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """Uneven shards: 7 rows a task in row groups of 2, 2 and 2, 1."""
    return pack_demo(
        tmp_path_factory.mktemp("examples") / "packed",
        ["image_generation", "image_editing", "image_correction", "llava_cot", "cot_collection"],
    )


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example as a script, in this process, and give what it printed."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(EXAMPLES)

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name), *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    yield call
    torch.set_num_threads(threads)


def losses_of(text: str) -> dict[str, tuple[float, float]]:
    """What is learned -> its first and last loss."""
    return {name: (float(first), float(last)) for name, first, last in LOSS.findall(text)}


def history(folder: Path) -> list[tuple[float, float]]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["history"]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("train_*.py")))
def test_the_options_of_an_example_are_explained_from_anywhere(tmp_path, name):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "--help"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "--model" in done.stdout
    assert "default: " in done.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_an_example_learns_text_and_pictures_and_goes_on_exactly_where_it_was_stopped(run, packed, tmp_path, family):
    name, data = f"train_{family}.py", ("--data", packed)
    whole = losses_of(run(name, *data, "--out", tmp_path / "whole", "--steps", 60))
    assert whole["text"][1] < whole["text"][0] - 1
    assert whole["pictures"][1] < whole["pictures"][0] - 0.3
    run(name, *data, "--out", tmp_path / "parts", "--steps", 33)  # inside the sixth epoch: 21 rows are 6 batches
    said = run(name, *data, "--out", tmp_path / "parts", "--steps", 60, "--resume", "--workers", 0)
    assert "resumed at step 33, epoch 5" in said
    assert len(history(tmp_path / "whole")) == 60
    assert history(tmp_path / "parts") == history(tmp_path / "whole")  # bit for bit


@pytest.mark.parametrize("family", FAMILIES)
def test_an_example_trains_a_checkpoint(run, packed, tmp_path, family):
    run(f"train_{family}.py", "--data", packed, "--out", tmp_path, "--steps", 3, "--workers", 0)
    small = ("--image-size", 24) if family == "emu3" else ()  # a checkpoint's pictures are as large as they may be
    arguments = ("--data", packed, "--out", tmp_path / "next", "--model", tmp_path / "model", *small)
    said = run(f"train_{family}.py", *arguments, "--steps", 2, "--workers", 0)
    assert "tokenize: {'encoded': 0" not in said
    assert losses_of(said).keys() == {"text", "pictures"}
    first, _ = losses_of(said)["text"]
    assert first < history(tmp_path)[0][0]  # goes on from what the checkpoint had learned


def test_without_data_an_example_makes_some(run, tmp_path):
    said = run("train_janus.py", "--out", tmp_path, "--config", "image_generation", "--steps", 2, "--workers", 0)
    assert (tmp_path / "packed-image_generation" / "MANIFEST.json").exists()
    assert losses_of(said)["pictures"][0] == pytest.approx(2.8, abs=0.5)  # ln 16: a head that knows nothing of 16 codes


@pytest.mark.parametrize("tail", ["drop", "pad"])
def test_two_processes_take_the_same_steps_and_every_row_once(packed, tmp_path, tail):
    command = [
        sys.executable,
        str(EXAMPLES / "train_ddp.py"),
        "--data",
        str(packed),
        "--out",
        str(tmp_path),
        "--workers",
        "1",
        "--tail",
        tail,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    ids = [row_id for rank in ranks for row_id in rank["ids"]]
    assert [rank["steps"] for rank in ranks] == [3, 3]  # 21 rows
    assert [len(rank["ids"]) for rank in ranks] == ([10, 10] if tail == "drop" else [11, 11])
    assert len(set(ids)) == (20 if tail == "drop" else 21)
    assert {rank["odd_rows"] for rank in ranks} == {-1 if tail == "drop" else 1}


def test_trainer_goes_on_exactly_where_it_was_stopped_and_reads_nothing_twice(run, packed, tmp_path, monkeypatch):
    pytest.importorskip("accelerate", reason="Trainer needs it; pip install accelerate")
    first, last = losses_of(run("train_trainer.py", "--data", packed, "--out", tmp_path / "whole", "--steps", 20))[
        "loss"
    ]
    assert last < first - 1
    run("train_trainer.py", "--data", packed, "--out", tmp_path / "parts", "--steps", 9)
    rows = []
    encode = Emu3Collator.encode
    monkeypatch.setattr(Emu3Collator, "encode", lambda self, row: rows.append(row["id"]) or encode(self, row))
    said = run(
        "train_trainer.py", "--data", packed, "--out", tmp_path / "parts", "--steps", 20, "--resume", "--workers", 0
    )
    assert (
        len(rows) <= 9 + 21 + 8 + 4
    )  # the rest of an epoch, a whole one, two batches, and one that Accelerate reads ahead
    assert "of 20 steps" in said
    assert trained(tmp_path / "parts") == trained(tmp_path / "whole")


def trained(folder: Path) -> list[tuple[int, float]]:
    """Step and loss of every step that a Trainer has logged."""
    log = json.loads((folder / "checkpoint-20" / "trainer_state.json").read_text())["log_history"]
    return [(entry["step"], entry["loss"]) for entry in log if "loss" in entry]


def test_sft_trainer_learns_answers(run, packed, tmp_path):
    pytest.importorskip("trl", reason="the example shows its SFTTrainer; pip install trl")
    said = run("train_sft.py", "--data", packed, "--out", tmp_path, "--steps", 12)
    first, last = losses_of(said)["loss"]
    assert last < first - 0.5
    assert "rows left out: {}" in said
