"""SenseNova-U1, and trainers of NEO-style models: JSON Lines of conversations, one file for each of the reader's tasks.

    sensenova-t2i.jsonl, -it2i.jsonl      one question, and an answer that ends with its only picture
    sensenova-interleave_gen.jsonl        all other answers with pictures
    sensenova-multimodal.jsonl            answers without
    sensenova.json                        what `mm_data_path` names: folder, file, length and task of each

Source: https://github.com/OpenSenseNova/SenseNova-U1@0029177 training/sensenovavl/data/multimodal_dataset.py
(check_t2i_data, check_it2i_data, check_i2t_data, check_interleave_data, get_dataset_type_ids_map), training/data/sample
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conversion.conversations_import import reader
from conversion.formats import Format, Holds, check_options
from conversion.importing import ReadOptions
from conversion.pairs import picture_size, refuse
from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from conversion.text import count_strings, texts_of, turn_text
from toolkit.schema import Row
from toolkit.staging.files import write_whole

SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}
TASKS = ("t2i", "it2i", "interleave_gen", "multimodal")
# A row with one of these in a text is skipped. Source: the constants of InternVL, which its reader is made of
SPECIAL = re.compile(r"</?img>|<IMG_CONTEXT>")
MAX_IMAGES = 40  # of a row of mm_interleave_gen. Source: check_interleave_data
MAX_RATIO = 200  # of width and height. Source: training/sensenovavl/data/dataset.py, smart_resize


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "u1".
        root: the folder as the trainer will see it; "" = where it is written.
    """

    profile: str = "u1"
    root: str = ""

    def __post_init__(self) -> None:
        check_options(self, PROFILES)


PROFILES = {
    "u1": Holds(
        consumers="SenseNova-U1, training/train_sensenovau1.py",
        use="`mm_data_path=OUT/sensenova.json`, an absolute path, in the environment of training/shell/train_u1/8B.sh "
        "or A3B.sh",
        trained="the pictures of answers, and their text with `enable_und_loss` (the default); not prompts",
        prompt_images="any number, anywhere",
        answer_images="any number, anywhere; at most 40 pictures a row",
        trains_output_images=True,
        columns=("id", "task", "messages", "images"),
        notes=(
            "a row is of task mm_t2i or mm_it2i when it has two turns and its answer ends with its only picture, of "
            "mm_interleave_gen with other pictures in answers, of multimodal without",
            "rows that the reader would skip are refused: `<img>`, `</img>` or `<IMG_CONTEXT>` in a text, over 40 "
            "pictures, one side over 200 times the other, an only picture that is not in the first question",
            "literal `<image>` in text is written `<\\image>`",
        ),
    )
}


def task_of(row: Row) -> str:
    """Which of the reader's tasks a row is."""
    drawn = len(row.images) - row.image_roles.count("input")
    if not drawn:
        return "multimodal"
    last = row.messages[-1].content[-1:]
    if len(row.messages) == 2 and drawn == 1 and last and last[0].type == "image":
        return "it2i" if len(row.images) > 1 else "t2i"
    return "interleave_gen"


def check(row: Row, task: str) -> None:
    """
    Raises:
        RowError: kinds "special_token", "too_many_images", "input_images": the reader would skip the row.
    """
    if any(SPECIAL.search(text) for text in texts_of(row)):
        raise refuse(row, "special_token", "a text holds <img>, </img> or <IMG_CONTEXT>; the reader skips such rows")
    if task == "interleave_gen" and len(row.images) > MAX_IMAGES:
        raise refuse(row, "too_many_images", f"has {len(row.images)} pictures; the reader skips more than {MAX_IMAGES}")
    if task == "multimodal" and row.images:
        places = [message for message in row.messages for part in message.content if part.type == "image"]
        first = next(message for message in row.messages if message.role == "user")
        if any(message.role == "system" for message in places) or (len(places) == 1 and places[0] is not first):
            raise refuse(
                row,
                "input_images",
                "has a picture in its system message, or its only picture after the first question; the reader skips "
                "such rows",
            )


class SenseNovaWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard = shard
        self.lengths: Counter[str] = Counter()

    def write(self, row: Row) -> None:
        task = task_of(row)
        check(row, task)
        sizes = [picture_size(row, number, max_ratio=MAX_RATIO) for number in range(len(row.images))]
        count_strings(self.shard.tally, row)
        record: dict[str, Any] = {"id": row.id, "task": row.task}
        if sizes:
            record["image"] = [self.shard.image(row, number) for number in range(len(row.images))]
            record["width"], record["height"] = ([size[side] for size in sizes] for side in (0, 1))
        record["conversations"] = [
            {"from": SPEAKERS[message.role], "value": turn_text(message.content)} for message in row.messages
        ]
        self.shard.line(_file_of(task), record)
        self.lengths[task] += 1

    def close(self) -> Notes:
        return dict(self.lengths)


def _file_of(task: str) -> str:
    return f"sensenova-{task}.jsonl"


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    root = Path(options.root) if options.root else out.absolute()
    lengths: Counter[str] = Counter()
    for note in notes:
        lengths.update(note)
    meta = {
        f"unifiedvisual_{task}": {
            "root": str(root),
            "annotation": str(root / _file_of(task)),
            "repeat_time": 1,
            "length": lengths[task],  # the reader stops after as many lines
            **({} if task == "multimodal" else {"task": task}),  # which is what no task means
        }
        for task in TASKS
        if lengths[task]  # an empty file stops the reader
    }
    write_whole(out / "sensenova.json", json.dumps(meta, indent=2) + "\n")


FORMAT = Format(
    name="sensenova",
    options=Options,
    profiles=PROFILES,
    writer=SenseNovaWriter,
    finish=finish,
    read=reader("sensenova", "*.jsonl"),
    read_options=ReadOptions,
)
