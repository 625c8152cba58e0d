"""Rows for the tests of conversion: every quadrant, 0 to 8 pictures, and what formats stumble over."""

import io
import json
import zlib
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from PIL import Image, ImageColor

from conversion import convert_shards
from toolkit.errors import RowError
from toolkit.rules import check_row
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Region, Row, quadrant_of, text_of

COLORS = ("red", "green", "blue", "yellow", "cyan", "magenta", "white", "black", "orange")


@cache
def picture(color: str, suffix: str = "png", size: tuple[int, int] = (8, 8)) -> EncodedImage:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, {"jpg": "jpeg"}.get(suffix, suffix))
    return EncodedImage(file.getvalue(), f"folder.v1/{color}.{suffix}")


def color_of(data: bytes) -> str:
    """The name of the picture's colour; JPEG moves it a little."""
    red, green, blue = Image.open(io.BytesIO(data)).convert("RGB").crop((2, 2, 3, 3)).tobytes()
    shades = {name: ImageColor.getrgb(name) for name in COLORS}
    return min(COLORS, key=lambda name: sum(abs(a - b) for a, b in zip((red, green, blue), shades[name], strict=True)))


def make(
    row_id: str, task: str, *messages: tuple[str, str], pictures: str = "", roles: str = "", **columns: Any
) -> Row:
    """A row from messages in which | parts the texts and * is a picture: ("user", "*|What is this?").

    Args:
        pictures: colours, "jpg:red" for another format than PNG.
        roles: first letters of image roles, in order.
    """
    built = tuple(
        Message(role, tuple(IMAGE_PART if text == "*" else Part("text", text) for text in content.split("|")))
        for role, content in messages
    )
    images = tuple(picture(*reversed(name.split(":"))) if ":" in name else picture(name) for name in pictures.split())
    words = {"i": "input", "m": "intermediate", "o": "output"}
    values: dict[str, Any] = {
        "images": images,
        "image_roles": tuple(words[letter] for letter in roles),
        "image_captions": ("",) * len(images),
        "instruction": text_of(built, "user"),
        "answer": text_of(built, "assistant"),
    }
    row = Row(id=row_id, task=task, quadrant=quadrant_of(built), messages=built, **values | columns)
    check_row(row)
    return row


UNDERSTAND = make(
    "lc-00000001",
    "llava_cot",
    ("user", "*|What is this?"),
    ("assistant", "A red square."),
    pictures="jpg:red",
    roles="i",
    source="Xkev/LLaVA-CoT-100k",
    license="apache-2.0",
)
TEXT = make(
    "cc-00000001",
    "cot_collection",
    ("user", "Two and two?"),
    ("assistant", "Four."),
    rationale="2 + 2",
    provenance='{"row": 1}',
)
GENERATE = make(
    "ig-00000001",
    "image_generation",
    ("user", "Something warm."),
    ("assistant", "Fire is warm.|*"),
    pictures="jpg:orange",
    roles="o",
    image_captions=("a fire",),
    origin="generated",
)
EDIT = make(
    "ie-00000042",
    "image_editing",
    ("user", "*|Make it night."),
    ("assistant", "First the sky.|*|Then the stars.|*"),
    pictures="blue green black",
    roles="imo",
    image_captions=("", "sky", "night"),
    regions=(Region(0, (0.0, 0.25, 0.5, 1.0), "sky"), Region(2, (0.1, 0.2, 0.3, 0.4))),
    provenance=json.dumps({"row": 42}),
)
WEB = make(
    "mi-00000001",
    "mm_internet",
    ("user", "How is bread made?"),
    ("assistant", "*|Mix.|*|Bake.|*"),
    pictures="red webp:green gif:blue",
    roles="ooo",
)
REASON = make(
    "mrt-00000001",
    "mm_reasoning_t",
    ("user", "Which is larger?"),
    ("assistant", "Look:|*|The left."),
    pictures="cyan",
    roles="m",
)
EIGHT = make(
    "mrm-00000008",
    "mm_reasoning_mm",
    ("user", "*|*|a|*|*|b"),
    ("assistant", "*|c|*|*|*"),
    pictures="red green blue yellow cyan magenta white black",
    roles="iiiimmmm",
)
REUSED = make(
    "mro-00000001",
    "mm_reasoning_o",
    ("user", "*|Again?"),
    ("assistant", "See:|*|and|*"),
    pictures="red red red",
    roles="imm",
)
LITERAL = make(
    "lc-00000002",
    "llava_cot",
    ("user", "*|What does <image> or <\\image> or <video> mean?"),
    ("assistant", "A tag: <image>."),
    pictures="red",
    roles="i",
)
TURNS = make(
    "lc-00000003",
    "llava_cot",
    ("system", "Be brief."),
    ("user", "*|Colour?"),
    ("assistant", "Red."),
    ("user", "And this?|*"),
    ("assistant", "Blue."),
    pictures="red blue",
    roles="ii",
)
UNICODE = make(
    "lc-00000004",
    "llava_cot",
    ("user", "*|\u4f60\u597d \U0001f600 \u2028 e\u0301 \u0000 \r\n \\"),
    ("assistant", "\u062a\u0645"),
    pictures="red",
    roles="i",
)
TWO_EDITS = make(
    "ie-00000002",
    "image_editing",
    ("user", "*|Blue, please."),
    ("assistant", "Done.|*"),
    ("user", "And now black."),
    ("assistant", "*"),
    pictures="red blue black",
    roles="ioo",
)
TWO_DRAWINGS = make(
    "ig-00000002",
    "image_generation",
    ("user", "Draw a cat."),
    ("assistant", "*"),
    ("user", "Now draw a dog."),
    ("assistant", "Here.|*"),
    pictures="jpg:red jpg:blue",
    roles="oo",
)
EMPTY = make("cc-00000002", "cot_collection", ("user", ""), ("assistant", "||"))
SPECIAL = replace(
    TEXT,
    id="cc-00000005",
    messages=(
        Message("user", (Part("text", "What are <|image_pad|> and <|im_end|>?"),)),
        Message("assistant", (Part("text", "Tokens."),)),
    ),
)
LONG = make("cc-00000003", "cot_collection", ("user", "x" * 10_000), ("assistant", "y" * 10_000))
UNKNOWN_FORMAT = make(
    "lc-00000005",
    "llava_cot",
    ("user", "*"),
    ("assistant", "?"),
    pictures="red",
    roles="i",
    images=(EncodedImage(b"no picture at all", ""),),
)

ROWS = (
    UNDERSTAND,
    TEXT,
    GENERATE,
    EDIT,
    WEB,
    REASON,
    EIGHT,
    REUSED,
    LITERAL,
    TURNS,
    UNICODE,
    EMPTY,
    LONG,
    UNKNOWN_FORMAT,
)


class RowShard:
    """A shard that pickles."""

    def __init__(self, *rows: Row) -> None:
        self.rows = rows

    def __call__(self) -> tuple[Row, ...]:
        return self.rows


class SeededShard:
    """Rows made on the fly: every 3rd of text only, the others with one or two random-looking pictures of about
    `num_bytes` bytes.
    """

    def __init__(self, number: int, num_rows: int, num_bytes: int = 1000, num_images: int | None = None) -> None:
        self.number, self.num_rows, self.num_bytes, self.num_images = number, num_rows, num_bytes, num_images

    def __call__(self):
        block = zlib.compress(bytes(range(256))) + bytes(self.num_bytes)
        for position in range(self.num_rows):
            count = position % 3 if self.num_images is None else self.num_images
            images = tuple(
                EncodedImage(
                    b"\xff\xd8\xff" + f"{self.number} {position} {place}".encode() + block[: self.num_bytes], "x.jpg"
                )
                for place in range(count)
            )
            yield Row(
                id=f"lc-{self.number:04d}-{position:06d}",
                task="llava_cot",
                quadrant="mm-text" if count else "text-text",
                messages=(
                    Message("user", (IMAGE_PART,) * count + (Part("text", "What?"),)),
                    Message("assistant", (Part("text", "That."),)),
                ),
                images=images,
                image_roles=("input",) * count,
                image_captions=("",) * count,
            )


def convert_rows(to, out, *rows, on_unfit="error", **options):
    return convert_shards([RowShard(*rows)], out, to=to, options=options, on_unfit=on_unfit)


def refusal(to, out, row, **options):
    """The word by which a format refuses a row."""
    with pytest.raises(RowError) as caught:
        convert_rows(to, out, row, **options)
    return caught.value.kind


def tree(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
