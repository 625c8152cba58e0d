"""Small datasets in the shapes in which others publish theirs, made from the public descriptions of each, with the rows
that they hold written by hand.

A set is files by path, and the turns of its rows: text, or the name of a picture, as `said` tells them of a Row.
"""

import base64
import csv
import gzip
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = ("red", "green", "blue", "black", "white", "yellow", "cyan", "magenta")


@cache
def picture(colour: str, kind: str = "PNG") -> bytes:
    """A file of one colour, another for each."""
    file = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(file, kind)
    return file.getvalue()


RED, GREEN, BLUE, BLACK = (picture(colour) for colour in COLOURS[:4])
NAMES = {picture(colour, kind): f"<{colour}>" for colour in COLOURS for kind in ("PNG", "JPEG", "WEBP")}


def said(row: Any) -> list[Any]:
    """A row as its turns: "user", its pieces, "assistant", its pieces; a picture as "<its colour>"."""
    pictures = iter(row.images)
    return [
        [
            message.role,
            *(NAMES[next(pictures).bytes] if part.type == "image" else part.text for part in message.content),
        ]
        for message in row.messages
    ]


@dataclass(frozen=True, kw_only=True)
class Published:
    """
    Attributes:
        dialect: that it must be recognised as.
        files: path -> content.
        rows: turns of each row.
        roles: of the pictures of each row.
        options, columns: that are needed to read it.
    """

    dialect: str
    files: dict[str, bytes]
    rows: list[list[list[str]]]
    roles: list[list[str]] | None = None
    rationale: list[str] | None = None
    answers: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    image_folder: str = ""


def jsonl(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def parquet(*records: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records)), sink)
    return sink.getvalue()


def arrow(*records: dict[str, Any]) -> bytes:
    """A stream, as `Dataset.save_to_disk` writes it."""
    sink = io.BytesIO()
    table = pa.Table.from_pylist(list(records))
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def image(data: bytes, path: str | None = None) -> dict[str, Any]:
    """As `datasets` stores an Image."""
    return {"bytes": data, "path": path}


def tar(members: dict[str, bytes], mode: Literal["w", "w:gz"] = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return sink.getvalue()


def csv_of(*records: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def turn(speaker: str, text: str) -> dict[str, str]:
    return {"from": speaker, "value": text}


def text_block(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


SETS: dict[str, Published] = {}

# LLaVA and ShareGPT
SETS["llava"] = Published(
    dialect="conversations",
    files={
        "llava_instruct.json": json.dumps(
            [
                {
                    "id": "1",
                    "image": "coco/a.png",
                    "conversations": [turn("human", "<image>\nWhat?"), turn("gpt", "Red.")],
                },
                {
                    "id": "2",
                    "image": "coco/b.png",
                    "conversations": [turn("human", "Which colour?\n<image>"), turn("gpt", "Green.")],
                },
                {
                    "id": "3",
                    "conversations": [
                        turn("human", "Two?"),
                        turn("gpt", "2"),
                        turn("human", "Three?"),
                        turn("gpt", "3"),
                    ],
                },
            ]
        ).encode(),
        "coco/a.png": RED,
        "coco/b.png": GREEN,
    },
    rows=[
        [["user", "<red>", "What?"], ["assistant", "Red."]],
        [["user", "Which colour?", "<green>"], ["assistant", "Green."]],
        [["user", "Two?"], ["assistant", "2"], ["user", "Three?"], ["assistant", "3"]],
    ],
    roles=[["input"], ["input"], []],
)
SETS["sharegpt spellings"] = Published(
    dialect="conversations",
    files={
        "data/train.jsonl": jsonl(
            {
                "images": ["x/a.png", "x/b.png"],
                "conversations": [turn("user", "<image><image> Compare."), turn("assistant", "Differ.")],
            },
            {
                "images": ["x/a.png"],
                "conversations": [
                    turn("system", "Be brief."),
                    turn("human", "No tag"),
                    turn("gpt", "Ok <image>?".replace("<image>", "it")),
                ],
            },
            {"images": [], "conversations": [turn("gpt", "Hello!"), turn("human", "Hi."), turn("gpt", "Yes?")]},
            {"images": [], "conversations": [turn("human", "One."), turn("human", "Two."), turn("bot", "Both.")]},
        ),
        "data/x/a.png": RED,
        "data/x/b.png": BLUE,
    },
    rows=[
        [["user", "<red>", "<blue>", " Compare."], ["assistant", "Differ."]],
        [["system", "Be brief."], ["user", "<red>", "No tag"], ["assistant", "Ok it?"]],
        [["user"], ["assistant", "Hello!"], ["user", "Hi."], ["assistant", "Yes?"]],
        [["user", "One.", "\n\n", "Two."], ["assistant", "Both."]],
    ],
    options={"opening": "keep", "doubled": "join"},
)
SETS["llava as webdataset"] = Published(
    dialect="conversations",
    files={
        "shard-000.tar": tar(
            {
                "a.JPG": picture("red", "JPEG"),
                "a.JSON": json.dumps(
                    {"conversations": [turn("human", "<image>\nWhat?"), turn("gpt", "Red.")]}
                ).encode(),
                "b.json": json.dumps({"conversations": [turn("human", "Why?"), turn("gpt", "So.")]}).encode(),
            }
        )
    },
    rows=[[["user", "<red>", "What?"], ["assistant", "Red."]], [["user", "Why?"], ["assistant", "So."]]],
)
SETS["answers with images"] = Published(
    dialect="conversations",
    files={
        "train.json": json.dumps(
            [
                {
                    "image": ["a.png", "b.png"],
                    "conversations": [turn("human", "<image>\nInvert."), turn("gpt", "Done.\n<image>")],
                }
            ]
        ).encode(),
        "images.zip": zipped({"images/a.png": RED, "images/b.png": GREEN}),
    },
    rows=[[["user", "<red>", "Invert."], ["assistant", "Done.", "<green>"]]],
    roles=[["input", "output"]],
)
# OpenAI, Hugging Face, TRL, ms-swift
SETS["openai"] = Published(
    dialect="chat",
    files={
        "chat.jsonl": jsonl(
            {
                "messages": [
                    {"role": "developer", "content": "Be exact."},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "See"},
                            {"type": "image_url", "image_url": {"url": uri(RED), "detail": "low"}},
                        ],
                    },
                    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look"}}]},
                    {"role": "tool", "content": "red"},
                    {"role": "assistant", "content": "It is red."},
                ]
            },
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_image", "image_url": uri(BLUE)},
                            {"type": "input_text", "text": "Colour?"},
                        ],
                    },
                    {"role": "assistant", "content": [{"type": "output_text", "text": "Blue."}]},
                ]
            },
        )
    },
    rows=[
        [
            ["system", "Be exact."],
            ["user", "See", "<red>"],
            ["assistant", '[{"function": {"name": "look"}}]'],
            ["user", "red"],
            ["assistant", "It is red."],
        ],
        [["user", "<blue>", "Colour?"], ["assistant", "Blue."]],
    ],
)
SETS["hugging face blocks"] = Published(
    dialect="chat",
    files={
        "blocks.jsonl": jsonl(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "path": "p/a.png"}, {"type": "text", "text": "A <image> tag?"}],
                    },
                    {
                        "role": "assistant",
                        "content": [{"type": "text", "text": "Yes."}, {"type": "image", "url": "p/b.png"}],
                    },
                ]
            },
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "Two:"}, {"type": "image"}, {"type": "image"}],
                    },
                    {"role": "assistant", "content": [{"type": "text", "text": "Seen."}]},
                ],
                "images": ["p/b.png", "p/a.png"],
            },
        ),
        "p/a.png": RED,
        "p/b.png": GREEN,
    },
    rows=[
        [["user", "<red>", "A <image> tag?"], ["assistant", "Yes.", "<green>"]],
        [["user", "Two:", "<green>", "<red>"], ["assistant", "Seen."]],
    ],
    roles=[["input", "output"], ["input", "input"]],
)
SETS["trl"] = Published(
    dialect="chat",
    files={
        "data/train-00000-of-00001.parquet": parquet(
            {
                "images": [image(RED)],
                "messages": [
                    {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "What?"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "Red."}]},
                ],
            },
            {
                "images": [],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "Ho"}]},
                ],
            },
        )
    },
    rows=[[["user", "<red>", "What?"], ["assistant", "Red."]], [["user", "Hi"], ["assistant", "Ho"]]],
)
SETS["trl prompt and completion"] = Published(
    dialect="chat",
    files={
        "train.parquet": parquet(
            {
                "prompt": [{"role": "user", "content": "Colour?"}],
                "completion": [{"role": "assistant", "content": "Green."}],
                "images": [image(GREEN)],
            }
        )
    },
    rows=[[["user", "<green>", "Colour?"], ["assistant", "Green."]]],
)
SETS["ms-swift"] = Published(
    dialect="chat",
    files={
        "swift.jsonl": jsonl(
            {
                "messages": [
                    {"role": "system", "content": "S"},
                    {"role": "user", "content": "<image>What?<image>"},
                    {"role": "assistant", "content": "Red, blue."},
                ],
                "images": ["a.png", {"path": "b.png"}],
            },
        ),
        "a.png": RED,
        "b.png": BLUE,
    },
    rows=[[["system", "S"], ["user", "<red>", "What?", "<blue>"], ["assistant", "Red, blue."]]],
)
SETS["ms-swift query and response"] = Published(
    dialect="chat",
    files={
        "swift.jsonl": jsonl(
            {"system": "S", "history": [["one", "1"]], "query": "<image>two", "response": "2", "images": ["a.png"]}
        ),
        "a.png": RED,
    },
    rows=[[["system", "S"], ["user", "one"], ["assistant", "1"], ["user", "<red>", "two"], ["assistant", "2"]]],
)
SETS["images of messages"] = Published(
    dialect="chat",
    files={
        "chat.jsonl": jsonl(
            {
                "conversations": [
                    {"role": "<|User|>", "content": "<image>\nInvert it.", "images": ["a.png"]},
                    {"role": "<|Assistant|>", "content": "Done.", "images": ["b.png"]},
                ]
            },
            {
                "conversations": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "And?"}],
                    },
                    {"role": "assistant", "content": "Red."},
                ],
                "images": ["a.png"],
            },
            {
                "conversations": [
                    {"role": "user", "content": [{"type": "image", "image": "not/here.png"}, text_block("So?")]},
                    {"role": "assistant", "content": "Blue."},
                ],
                "images": [{"bytes": base64.b64encode(BLUE).decode(), "path": None}],
            },
        ),
        "a.png": RED,
        "b.png": GREEN,
    },
    rows=[
        [["user", "<red>", "Invert it."], ["assistant", "Done.", "<green>"]],
        [["user", "<red>", "And?"], ["assistant", "Red."]],
        [["user", "<blue>", "So?"], ["assistant", "Blue."]],
    ],
)
# The Cauldron
SETS["cauldron"] = Published(
    dialect="cauldron",
    files={
        "ai2d/train-00000-of-00001.parquet": parquet(
            {
                "images": [image(RED), image(GREEN)],
                "texts": [
                    {"user": "First?", "assistant": "Red.", "source": "AI2D"},
                    {"user": "Second?", "assistant": "Green.", "source": "AI2D"},
                ],
            },
            {"images": [image(BLUE)], "texts": [{"user": "Q", "assistant": "A", "source": "AI2D"}]},
        )
    },
    rows=[
        [["user", "<red>", "<green>", "First?"], ["assistant", "Red."], ["user", "Second?"], ["assistant", "Green."]],
        [["user", "<blue>", "Q"], ["assistant", "A"]],
    ],
    roles=[["input", "input"], ["input"]],
)
SETS["finevision"] = Published(
    dialect="cauldron",
    files={
        "train-00000-of-00002.parquet": parquet(
            {"images": [image(RED)], "texts": [{"user": "Q", "assistant": "A"}], "source": "x", "relevance_min": 3}
        ),
        "train-00001-of-00002.parquet": parquet(
            {"images": [image(BLUE)], "texts": [{"user": "R", "assistant": "B"}], "source": "x", "relevance_min": 4}
        ),
    },
    rows=[[["user", "<red>", "Q"], ["assistant", "A"]], [["user", "<blue>", "R"], ["assistant", "B"]]],
)
# Zebra-CoT
SETS["zebra-cot"] = Published(
    dialect="zebra-cot",
    files={
        "Chess/train-00000-of-00001.parquet": parquet(
            {
                "Question": "Which move?\n<image_start>[problem_image_1]<image_end>",
                "Text Reasoning Trace": "THOUGHT 0: Look.\n<image_start>[reasoning_image_1]<image_end>\nTHOUGHT 1: So.",
                "Final Answer": "e4",
                "problem_image_1": image(RED),
                "problem_image_2": None,
                "reasoning_image_1": image(GREEN),
            },
            {
                "Question": "And here?",
                "Text Reasoning Trace": "THOUGHT 0: Both.",
                "Final Answer": "d4",
                "problem_image_1": image(BLUE),
                "problem_image_2": image(BLACK),
                "reasoning_image_1": None,
            },
        )
    },
    rows=[
        [["user", "Which move?", "<red>"], ["assistant", "THOUGHT 0: Look.", "<green>", "THOUGHT 1: So.", "e4"]],
        [["user", "<blue>", "<black>", "And here?"], ["assistant", "THOUGHT 0: Both.", "d4"]],
    ],
    roles=[["input", "intermediate"], ["input", "input"]],
    rationale=["THOUGHT 0: Look.\nTHOUGHT 1: So.", "THOUGHT 0: Both."],
    answers=["e4", "d4"],
)
SETS["thinkmorph"] = Published(
    dialect="thinkmorph",
    files={
        "data/train-00000-of-00001.parquet": parquet(
            {
                "pid": "1",
                "question": "Which piece fits?",
                "answer": "B",
                "problem_image_0": image(RED),
                "resoning_thought_0": "I try B.",
                "reasoning_image_0": image(GREEN),
                "resoning_thought_1": "It fits.",
                "task": "jigsaw",
                "full_text_only_thought": "B fits.",
            },
            {
                "pid": "2",
                "question": "<image>\nWhere is it?",
                "answer": "Left",
                "problem_image_0": image(BLUE),
                "resoning_thought_0": "It is seen.",
                "reasoning_image_0": None,
                "resoning_thought_1": None,
                "task": "search",
                "full_text_only_thought": "",
            },
        )
    },
    rows=[
        [["user", "<red>", "Which piece fits?"], ["assistant", "I try B.", "<green>", "It fits.", "B"]],
        [["user", "<blue>", "Where is it?"], ["assistant", "It is seen.", "Left"]],
    ],
    roles=[["input", "intermediate"], ["input"]],
    rationale=["I try B.\nIt fits.", "It is seen."],
    answers=["B", "Left"],
)
# Documents
SETS["obelics"] = Published(
    dialect="obelics",
    files={
        "data/train-00000-of-00001.parquet": parquet(
            {
                "images": [None, "a.png", None, "b.png"],
                "texts": ["Title", None, "Middle", None],
                "metadata": "[]",
                "general_metadata": "{}",
            }
        ),
        "pics/a.png": RED,
        "pics/b.png": GREEN,
    },
    rows=[[["user", "Title"], ["assistant", "<red>", "Middle", "<green>"]]],
    roles=[["output", "output"]],
    image_folder="pics",
)
SETS["mmc4"] = Published(
    dialect="mmc4",
    files={
        "docs_shard_0_v2.jsonl.zip": zipped(
            {
                "docs_shard_0_v2.jsonl": jsonl(
                    {
                        "url": "http://example.org",
                        "text_list": ["One.", "Two.", "Three."],
                        "image_info": [
                            {
                                "image_name": "b.png",
                                "raw_url": "http://example.org/b",
                                "matched_text_index": 2,
                                "matched_sim": 0.3,
                            },
                            {
                                "image_name": "a.png",
                                "raw_url": "http://example.org/a",
                                "matched_text_index": 0,
                                "matched_sim": 0.2,
                            },
                        ],
                        "similarity_matrix": [[0.1, 0.2, 0.3]],
                    }
                )
            }
        ),
        "images/a.png": RED,
        "images/b.png": GREEN,
    },
    rows=[[["user", "<red>"], ["assistant", "One.", "Two.", "<green>", "Three."]]],
    roles=[["input", "output"]],
    image_folder="images",
)
SETS["comm"] = Published(
    dialect="documents",
    files={
        "comm.jsonl": jsonl(
            {
                "title": "How to paint",
                "steps": [
                    {"text": "Take red.", "image": "a.png"},
                    {"text": "Then green.", "images": ["b.png", "c.png"]},
                    {"text": "Done."},
                ],
            }
        ),
        "images.tar.gz": tar({"images/a.png": RED, "images/b.png": GREEN, "images/c.png": BLUE}, "w:gz"),
    },
    rows=[[["user", "How to paint"], ["assistant", "Take red.", "<red>", "Then green.", "<green>", "<blue>", "Done."]]],
    roles=[["output", "output", "output"]],
)
SETS["typed documents"] = Published(
    dialect="documents",
    files={
        "docs.json": json.dumps(
            {
                "data": [
                    {
                        "content": [
                            {"type": "text", "text": "One"},
                            {"type": "image", "image": uri(RED)},
                            {"type": "text", "text": "Two"},
                        ]
                    }
                ]
            }
        ).encode()
    },
    rows=[[["user", "One"], ["assistant", "<red>", "Two"]]],
)
SETS["stories"] = Published(
    dialect="documents",
    files={
        "vist.json": json.dumps([{"images": ["a.png", "b.png"], "captions": ["First.", "Then."]}]).encode(),
        "a.png": RED,
        "b.png": GREEN,
    },
    rows=[[["user", "First."], ["assistant", "<red>", "Then.", "<green>"]]],
)
# Edits
SETS["magicbrush"] = Published(
    dialect="edits",
    files={
        "data/train-00000-of-00001.parquet": parquet(
            {
                "img_id": "7",
                "turn_index": 1,
                "source_img": image(RED),
                "mask_img": image(BLACK),
                "instruction": "Make it green.",
                "target_img": image(GREEN),
            }
        )
    },
    rows=[[["user", "<red>", "Make it green."], ["assistant", "<green>"]]],
    roles=[["input", "output"]],
)
SETS["ultraedit"] = Published(
    dialect="edits",
    files={
        "data/FreeForm_0.parquet": parquet(
            {
                "clip_sim": 0.3,
                "source_image": image(RED),
                "edited_image": image(BLUE),
                "mask_image": image(BLACK),
                "source_caption": "r",
                "target_caption": "b",
                "edit_prompt": "Blue it.",
            }
        )
    },
    rows=[[["user", "<red>", "Blue it."], ["assistant", "<blue>"]]],
)
SETS["instructpix2pix"] = Published(
    dialect="edits",
    files={
        "data/train.parquet": parquet(
            {
                "original_prompt": "a red",
                "original_image": image(RED),
                "edit_prompt": "make it blue",
                "edited_prompt": "a blue",
                "edited_image": image(BLUE),
            }
        )
    },
    rows=[[["user", "<red>", "make it blue"], ["assistant", "<blue>"]]],
)
SETS["anyedit"] = Published(
    dialect="edits",
    files={
        "data/train.parquet": parquet(
            {
                "edited_file": image(BLUE),
                "edit_instruction": "make it blue",
                "edit_type": "color_alter",
                "image_file": image(RED),
                "input": "a red square",
                "output": "a blue square",
                "visual_input": None,
            },
            {
                "edited_file": image(BLUE),
                "edit_instruction": "make it like the second",
                "edit_type": "visual_reference",
                "image_file": image(RED),
                "input": "a red square",
                "output": "a blue square",
                "visual_input": image(GREEN),
            },
        )
    },
    rows=[
        [["user", "<red>", "make it blue"], ["assistant", "<blue>"]],
        [["user", "<red>", "<green>", "make it like the second"], ["assistant", "<blue>"]],
    ],
)
SETS["prompt-input-output"] = Published(  # which without the suffixes would be texts of a chat
    dialect="edits",
    files={
        "data/train.parquet": parquet({"prompt": "Blue it.", "input": "in/1.png", "output": "out/1.png"}),
        "in/1.png": RED,
        "out/1.png": BLUE,
    },
    rows=[[["user", "<red>", "Blue it."], ["assistant", "<blue>"]]],
)
SETS["omnigen2"] = Published(
    dialect="edits",
    files={
        "jsons/edit.jsonl": jsonl(
            {
                "task_type": "edit",
                "instruction": "Put both together.",
                "input_images": ["a.png", "b.png"],
                "output_image": "c.png",
            }
        ),
        "images/pack-0.tar": tar({"a.png": RED, "b.png": GREEN, "c.png": BLUE}),
    },
    rows=[[["user", "<red>", "<green>", "Put both together."], ["assistant", "<blue>"]]],
    roles=[["input", "input", "output"]],
)
SETS["pico-banana"] = Published(
    dialect="edits",
    files={
        "sft.jsonl": jsonl(
            {
                "open_image_input_url": "https://example.org/o.jpg",
                "text": "Add snow.",
                "output_image": "images/1.png",
                "edit_type": "weather",
                "local_input_image": "in/o.png",
            }
        ),
        "images/1.png": GREEN,
        "in/o.png": RED,
    },
    rows=[[["user", "<red>", "Add snow."], ["assistant", "<green>"]]],
)
SETS["pico-banana multi-turn"] = Published(
    dialect="edit-chains",
    files={
        "multi_turn.jsonl": jsonl(
            {
                "files": [
                    {"id": "original", "url": "o.png"},
                    {"id": "intermediate_1", "url": "m.png"},
                    {"id": "final", "url": "f.png"},
                ],
                "metadata_edit_turn_prompts": ["Green.", "Blue."],
            }
        ),
        **{"o.png": RED, "m.png": GREEN, "f.png": BLUE},
    },
    rows=[[["user", "<red>", "Green."], ["assistant", "<green>"], ["user", "Blue."], ["assistant", "<blue>"]]],
    roles=[["input", "output", "output"]],
)
SETS["sharegpt-4o-image edits"] = Published(
    dialect="edits",
    files={
        "text_and_image_to_image.json": json.dumps(
            [
                {
                    "input_prompt": "Turn it.",
                    "input_image": ["text_and_image_to_image/1_in.png"],
                    "output_image": "text_and_image_to_image/1.png",
                }
            ]
        ).encode(),
        "text_and_image_to_image_part_0.tar": tar({"1_in.png": RED, "1.png": GREEN}),
    },
    rows=[[["user", "<red>", "Turn it."], ["assistant", "<green>"]]],
)
# Text to image
SETS["blip3o"] = Published(
    dialect="pairs",
    files={
        "sa_000000.tar": tar(
            {
                "000.jpg": picture("red", "JPEG"),
                "000.txt": b"A red field.",
                "001.jpg": picture("green", "JPEG"),
                "001.txt": b"A green one.",
            }
        )
    },
    rows=[[["user", "A red field."], ["assistant", "<red>"]], [["user", "A green one."], ["assistant", "<green>"]]],
    roles=[["output"], ["output"]],
)
SETS["journeydb"] = Published(
    dialect="pairs",
    files={
        "data/train/train_anno.jsonl": jsonl(
            {
                "img_path": "./000/a.png",
                "prompt": "a red thing",
                "Task2": {"Caption": "Red."},
                "Task3": {"Content": ["x"]},
            }
        ),
        "data/train/imgs/000.tgz": tar({"000/a.png": RED}, "w:gz"),
    },
    rows=[[["user", "a red thing"], ["assistant", "<red>"]]],
)
SETS["sharegpt-4o-image"] = Published(
    dialect="pairs",
    files={
        "text_to_image.json": json.dumps(
            [{"input_prompt": "Red, please.", "output_image": "text_to_image/9.png"}]
        ).encode(),
        "text_to_image_part_0.tar": tar({"text_to_image/9.png": RED}),
    },
    rows=[[["user", "Red, please."], ["assistant", "<red>"]]],
)
SETS["webdataset with json captions"] = Published(
    dialect="pairs",
    files={
        "00000.tar": tar(
            {
                "x/1.WebP": picture("blue", "WEBP"),
                "x/1.json": json.dumps({"caption": "Blue.", "width": 4}).encode(),
                "x/2.WebP": picture("red", "WEBP"),
                "x/2.json": json.dumps({"caption": "Red.", "width": 4}).encode(),
            }
        )
    },
    rows=[[["user", "Blue."], ["assistant", "<blue>"]], [["user", "Red."], ["assistant", "<red>"]]],
)
SETS["image folder with texts"] = Published(
    dialect="pairs",
    files={"a.png": RED, "a.txt": b"A red one.", "b.PNG": GREEN, "b.txt": b"A green one."},
    rows=[[["user", "A red one."], ["assistant", "<red>"]], [["user", "A green one."], ["assistant", "<green>"]]],
)
SETS["image folder with metadata"] = Published(
    dialect="pairs",
    files={"train/metadata.csv": csv_of({"file_name": "a.png", "text": "Red, or not."}), "train/a.png": RED},
    rows=[[["user", "Red, or not."], ["assistant", "<red>"]]],
)
SETS["image folder of classes"] = Published(
    dialect="pairs",
    files={"cat/1.png": RED, "dog/1.png": GREEN},
    rows=[[["user", "cat"], ["assistant", "<red>"]], [["user", "dog"], ["assistant", "<green>"]]],
)
# Questions
SETS["scienceqa"] = Published(
    dialect="vqa",
    files={
        "data/train-00000.parquet": parquet(
            {
                "image": image(RED),
                "question": "Which?",
                "choices": ["red", "blue"],
                "answer": 0,
                "hint": "Look.",
                "lecture": "Light.",
                "solution": "It is red.",
            },
            {
                "image": None,
                "question": "And?",
                "choices": ["x", "y"],
                "answer": 1,
                "hint": "",
                "lecture": "",
                "solution": "",
            },
        )
    },
    rows=[
        [["user", "<red>", "Look.\n\nWhich?\nA. red\nB. blue"], ["assistant", "Light.\n\nIt is red.", "red"]],
        [["user", "And?\nA. x\nB. y"], ["assistant", "y"]],
    ],
    rationale=["Light.\n\nIt is red.", ""],
    answers=["red", "y"],
)
SETS["mmmu"] = Published(
    dialect="vqa",
    files={
        "Art/train-00000.parquet": parquet(
            {
                "id": "1",
                "question": "See <image 1> and <image 2>?",
                "options": "['one', 'two']",
                "answer": "B",
                "explanation": "",
                "image_1": image(RED),
                "image_2": image(GREEN),
                "image_3": None,
            }
        )
    },
    rows=[[["user", "See ", "<red>", " and ", "<green>", "?\nA. one\nB. two"], ["assistant", "B"]]],
    options={"answer": "letter"},
)
SETS["vqav2"] = Published(
    dialect="vqa",
    files={
        "train.parquet": parquet(
            {
                "question": "Colour?",
                "answers": [{"answer": "red"}, {"answer": "blue"}, {"answer": "blue"}],
                "question_id": 5,
                "image": image(BLUE),
            }
        )
    },
    rows=[[["user", "<blue>", "Colour?"], ["assistant", "blue"]]],
)
SETS["a-okvqa"] = Published(
    dialect="vqa",
    files={
        "data/train-0.parquet": parquet(
            {
                "image": image(RED),
                "question_id": "q",
                "question": "What?",
                "choices": ["a cat", "a field"],
                "correct_choice_idx": 1,
                "direct_answers": "['field', 'red']",
                "rationales": ["It is flat.", "No cat."],
            }
        )
    },
    rows=[[["user", "<red>", "What?\nA. a cat\nB. a field"], ["assistant", "It is flat.", "a field"]]],
    rationale=["It is flat."],
    answers=["a field"],
)
LONG = picture("red") + bytes(150_000)  # over the 128 kB that Python's csv reads of a field by default
NAMES[LONG] = "<red, long>"
SETS["mmbench"] = Published(
    dialect="vqa",
    files={
        "mmbench.tsv": (
            "index\tquestion\thint\tA\tB\tC\tanswer\timage\n"
            f"1\tWhich?\tLook.\tred\tblue\t\tB\t{base64.b64encode(LONG).decode()}\n"
        ).encode()
    },
    rows=[[["user", "<red, long>", "Look.\n\nWhich?\nA. red\nB. blue"], ["assistant", "blue"]]],
)
# Reasoning
TAGGED = (
    "<SUMMARY> I look. </SUMMARY>\n\n<CAPTION> A field. </CAPTION>\n\n<REASONING> All red. </REASONING>\n\n"
    "<CONCLUSION> Red </CONCLUSION>"
)
SETS["llava-cot"] = Published(
    dialect="llava-cot",
    files={
        "train.jsonl": jsonl(
            {
                "id": "g1",
                "image": "geoqa+/images/1.png",
                "conversations": [turn("human", "Which?"), turn("gpt", TAGGED)],
            }
        ),
        "image.zip.part-aa": zipped({"geoqa+/images/1.png": RED})[:60],
        "image.zip.part-ab": zipped({"geoqa+/images/1.png": RED})[60:],
    },
    rows=[[["user", "<red>", "Which?"], ["assistant", TAGGED]]],
    rationale=["I look.\n\nA field.\n\nAll red."],
    answers=["Red"],
)
SETS["cot-collection"] = Published(
    dialect="cot-collection",
    files={
        "data/CoT_collection_en.json": json.dumps(
            {
                "0": {"source": "1 + 1?", "target": "2", "rationale": "Count.", "task": "math", "type": "t"},
                "1": {"source": "2 + 2?", "target": "4", "rationale": "Add.", "task": "math", "type": "t"},
            }
        ).encode()
    },
    rows=[[["user", "1 + 1?"], ["assistant", "Count.", "2"]], [["user", "2 + 2?"], ["assistant", "Add.", "4"]]],
    rationale=["Count.", "Add."],
    answers=["2", "4"],
)
# Other containers
SETS["saved to disk by datasets"] = Published(
    dialect="pairs",
    files={
        "data-00000-of-00001.arrow": arrow({"image": image(RED, "a.png"), "text": "Red."}),
        "dataset_info.json": b"{}",
        "state.json": b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}',
    },
    rows=[[["user", "Red."], ["assistant", "<red>"]]],
)
SETS["image folder with json"] = Published(
    dialect="pairs",
    files={"in/a.png": RED, "in/a.json": b'{"caption": "Red.", "width": 4}'},
    rows=[[["user", "Red."], ["assistant", "<red>"]]],
)
SETS["odd columns"] = Published(
    dialect="pairs",
    files={"odd.jsonl.gz": gzip.compress(jsonl({"meta": {"words": "Red."}, "pixels": "a.png"}), mtime=0), "a.png": RED},
    rows=[[["user", "Red."], ["assistant", "<red>"]]],
    columns={"text": "meta.words", "image": "pixels"},
)
SETS["omniedit"] = Published(
    dialect="edits",
    files={
        "data/train-00000-of-00001.parquet": parquet(
            {
                "omni_edit_id": "a",
                "task": "attribute_modification",
                "src_img": image(RED),
                "edited_img": image(GREEN),
                "edited_prompt_list": ["Make it green.", "Turn the red into green."],
                "width": 4,
                "sc_reasoning": "It is green.",
            }
        )
    },
    rows=[[["user", "<red>", "Make it green."], ["assistant", "<green>"]]],
)
SETS["omnigen x2i"] = Published(
    dialect="edits",
    files={
        "web.jsonl": jsonl(
            {
                "task_type": "subject",
                "instruction": "The dog of <img><|image_2|></img> beside the cat of <img><|image_1|></img>.",
                "input_images": ["i/a.png", "i/b.png"],
                "output_image": "i/c.png",
            },
            {"task_type": "t2i", "instruction": "Green.", "input_images": [], "output_image": "i/b.png"},
        ),
        "i/a.png": RED,
        "i/b.png": GREEN,
        "i/c.png": BLUE,
    },
    rows=[
        [["user", "The dog of ", "<green>", " beside the cat of ", "<red>", "."], ["assistant", "<blue>"]],
        [["user", "Green."], ["assistant", "<green>"]],
    ],
)
SETS["gpt-image-edit"] = Published(
    dialect="edits",
    files={
        "a.jsonl": jsonl({"input": ["i/a.png"], "output": ["i/b.png"], "instruction": "<image>\nMake it green."}),
        "i/a.png": RED,
        "i/b.png": GREEN,
    },
    rows=[[["user", "<red>", "Make it green."], ["assistant", "<green>"]]],
)
SETS["image folder of two columns"] = Published(
    dialect="edits",
    files={
        "train/metadata.jsonl": jsonl(
            {"input_file_name": "a.png", "output_file_name": "b.png", "prompt": "Make it green."}
        ),
        "train/a.png": RED,
        "train/b.png": GREEN,
    },
    rows=[[["user", "<red>", "Make it green."], ["assistant", "<green>"]]],
)
SETS["blocks without a type"] = Published(
    dialect="chat",
    files={
        "qwen.jsonl": jsonl(
            {
                "messages": [
                    {"role": "user", "content": [{"image": "a.png"}, {"text": "Colour?"}]},
                    {"role": "assistant", "content": [{"text": "Red."}]},
                ]
            }
        ),
        "a.png": RED,
    },
    rows=[[["user", "<red>", "Colour?"], ["assistant", "Red."]]],
)
SETS["edited image beside image"] = Published(
    dialect="edits",
    files={
        "train.parquet": parquet(
            {"image": image(RED), "edited_image": image(GREEN), "mask": image(BLACK), "prompt": "Make it green."}
        )
    },
    rows=[[["user", "<red>", "Make it green."], ["assistant", "<green>"]]],
)
SETS["one text with tags"] = Published(
    dialect="documents",
    files={
        "train.jsonl": jsonl({"text": "Take red.\n<image>\nThen green: <image>", "images": ["a.png", "b.png"]}),
        "a.png": RED,
        "b.png": GREEN,
    },
    rows=[[["user", "Take red."], ["assistant", "<red>", "Then green: ", "<green>"]]],
)
