"""Prompts that are dropped for guidance, and counts that reach the process of the loop from its workers."""

import copy
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch.multiprocessing
from torch.utils.data import DataLoader

from tests.packed import numbered, pack_demo, write_packed
from tests.replicas import truth
from toolkit.collate import get_collator
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.demo.tiny_models import tiny_chameleon
from toolkit.errors import UsageError
from toolkit.images import DecodePolicy
from toolkit.streaming import counts
from toolkit.streaming.counts import KINDS, PROCESSES, SharedCounts
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.guidance import without_prompt


def text(value: str) -> dict:
    return {"type": "text", "text": value}


IMAGE = {"type": "image", "text": ""}


def test_a_row_without_its_prompt_keeps_what_belongs_to_its_answer():
    row = {
        "id": "ie-1",
        "messages": [
            {"role": "system", "content": [text("Be kind.")]},
            {"role": "user", "content": [IMAGE, text("Make it red.")]},
            {"role": "assistant", "content": [text("Here:"), IMAGE, IMAGE]},
        ],
        "images": ["a", "b", "c"],
        "image_roles": ["input", "intermediate", "output"],
        "image_captions": ["A", "B", "C"],
        "regions": [{"image": 0, "label": "x"}, {"image": 2, "label": "y"}],
        "instruction": "Make it red.",
        "answer": "Here:",
        "num_tokens": 40,
    }
    before = copy.deepcopy(row)
    assert without_prompt(row) == {
        "id": "ie-1",
        "messages": [
            {"role": "system", "content": [text("")]},
            {"role": "user", "content": [text("")]},
            {"role": "assistant", "content": [text("Here:"), IMAGE, IMAGE]},
        ],
        "images": ["b", "c"],
        "image_roles": ["intermediate", "output"],
        "image_captions": ["B", "C"],
        "regions": [{"image": 1, "label": "y"}],
        "instruction": "",
        "answer": "Here:",
    }
    assert row == before


@pytest.fixture(scope="module")
def drawing(tmp_path_factory) -> Path:
    """600 rows with an image in the answer, 200 without."""
    conversation = [
        {"role": "user", "content": [text("Draw.")]},
        {"role": "assistant", "content": [text("Here:"), IMAGE]},
    ]

    def table(first: int, *, draws: bool):
        made = numbered([f"n-{number}" for number in range(first, first + 200)], "image_generation", b"x" * draws)
        messages = [conversation if draws else [conversation[0]]] * 200
        place = made.schema.get_field_index("messages")
        return made.set_column(place, made.schema.field("messages"), [messages])

    groups = [table(first, draws=first < 600) for first in range(0, 800, 200)]
    return write_packed(tmp_path_factory.mktemp("drawing") / "packed", {"image_generation": [groups]})


def dropped(dataset, workers: int = 0) -> set[str]:
    rows = DataLoader(dataset, batch_size=None, num_workers=workers, collate_fn=lambda row: row)
    return {row["id"] for row in rows if row["messages"][0]["content"] == [text("")]}


def test_a_seeded_share_of_the_rows_that_draw_loses_its_prompt_and_is_counted(drawing):
    dataset = StreamingDataset(drawing, decode=None, prompt_dropout=0.1)
    first = dropped(dataset)
    assert len(first) == dataset.dropped_prompts == pytest.approx(60, abs=3.5 * math.sqrt(600 * 0.1 * 0.9))
    assert all(int(id_[2:]) < 600 for id_ in first)
    assert first == dropped(StreamingDataset(drawing, decode=None, prompt_dropout=0.1, lanes=16, batch_size=8))
    assert first != dropped(StreamingDataset(drawing, decode=None, prompt_dropout=0.1, seed=1))
    dataset.set_epoch(1)
    assert first != dropped(dataset)
    assert dropped(StreamingDataset(drawing, decode=None)) == set()


def test_workers_drop_the_same_prompts_and_their_counts_arrive(drawing):
    dataset = StreamingDataset(drawing, decode=None, prompt_dropout=0.1)
    found = dropped(dataset, workers=2)
    assert found == dropped(StreamingDataset(drawing, decode=None, prompt_dropout=0.1))
    assert dataset.dropped_prompts == len(found)


def test_a_resumed_epoch_drops_the_same_prompts(drawing):
    whole = list(StreamingDataset(drawing, decode=None, prompt_dropout=0.5))
    again = StreamingDataset(drawing, decode=None, prompt_dropout=0.5)
    again.load_state_dict(StreamingDataset(drawing, decode=None).state_dict(batches=300))
    assert list(again) == whole[300:]


def test_a_collator_trains_on_the_answer_alone(tmp_path):
    folder = pack_demo(tmp_path / "packed", ["image_editing"])
    tiny = tiny_chameleon()
    image_tokens = chameleon_tokenizer(tiny.model, tiny.processor)
    collate = get_collator("chameleon", processor=tiny.processor, image_tokens=image_tokens)
    whole, bare = (next(iter(StreamingDataset(folder, decode=None, prompt_dropout=share))) for share in (0.0, 1.0))
    with_prompt, without = collate([whole]), collate([bare])
    answers = [batch["labels"][batch["labels"] != -100].tolist() for batch in (with_prompt, without)]
    assert answers[0] == answers[1]
    prompt = without["input_ids"][without["labels"] == -100].tolist()
    assert tiny.tokenizer.convert_ids_to_tokens(prompt) == ["<s>", "<reserved08706>"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_dropout": 1.5}, "prompt_dropout is 1.5; expected a share of the rows, 0 to 1"),
        ({"prompt_dropout": 0.1, "columns": ["id"]}, r"needs the columns id, messages, images; columns= lacks"),
    ],
)
def test_a_dropout_that_cannot_be_is_refused(drawing, options, message):
    with pytest.raises(UsageError, match=message):
        StreamingDataset(drawing, **options)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_pictures_of_workers_are_counted_in_the_process_of_the_loop(tmp_path, workers):
    task = truth()["image_editing"][0].task
    tables = [numbered([f"ie-{number}" for number in range(10)], task, b"no picture")]
    folder = write_packed(tmp_path / "packed", {task: [tables]})
    dataset = StreamingDataset(folder, policy=DecodePolicy(on_bad="placeholder"))
    assert len(list(DataLoader(dataset, batch_size=None, num_workers=workers, collate_fn=list))) == 10
    assert dataset.bad_images == {"not_an_image": 10}


def count_a_lot(shared: SharedCounts, number: int) -> None:
    for _ in range(1000):
        shared.add("all")
        shared.add(f"of {number % 2}", 2)


def test_processes_count_side_by_side():
    shared = SharedCounts()
    shared.add("all")
    context = torch.multiprocessing.get_context("fork")
    children = [context.Process(target=count_a_lot, args=(shared, number)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert shared.total() == {"all": 3001, "of 0": 4000, "of 1": 2000}


def test_a_fork_of_a_process_that_has_counts_makes_its_own():
    script = """
import os, signal
from toolkit.streaming.counts import SharedCounts
SharedCounts()
if not (child := os.fork()):
    signal.alarm(10)
    counts = SharedCounts()
    counts.add("kind")
    os._exit(counts.total()["kind"])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    threads = {**os.environ, "OMP_NUM_THREADS": "2"}  # those of torch, which a fork has not
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=threads, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_lines_of_processes_that_ended_are_used_again_with_their_counts(monkeypatch):
    shared = SharedCounts()
    for process in range(1, 2 * PROCESSES):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        monkeypatch.setattr(counts, "_is_alive", lambda other, process=process: other == process)
        shared.add("kind")
    assert shared.total() == {"kind": 2 * PROCESSES - 1}


def test_kinds_without_number_are_counted_together():
    shared = SharedCounts()
    for number in range(2 * KINDS):
        shared.add(f"kind {number}")
    assert shared.total()["other kinds"] == KINDS + 1
    assert shared.total().total() == 2 * KINDS
    copied = pickle.loads(pickle.dumps(shared))
    copied.add("kind 0")
    assert (copied.total()["kind 0"], shared.total()["kind 0"]) == (2, 1)
