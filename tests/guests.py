"""A package that is not of this project: it declares what it adds by entry points, as an installed one does."""

import json
import sys
import textwrap
from pathlib import Path

import pytest

from conversion import FORMATS
from tests.planted import picture
from toolkit.collate import COLLATORS, TOKENIZERS
from toolkit.executors import EXECUTORS
from toolkit.generation.recipes import RECIPES
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.published.shapes import COLUMN_SHAPES
from toolkit.tasks import KNOWN_TASKS

REGISTRIES = (KNOWN_TASKS, FORMATS, COLLATORS, TOKENIZERS, EXECUTORS, RECIPES, COLUMN_SHAPES, DIALECTS)

MODULES = {
    "guest_tasks": """
        from toolkit.tasks import Task

        SKETCHING = Task(
            name="sketching",
            prefix="sk",
            family="drawing",
            quadrant="text-mm",
            description="a sketch, | and how it was drawn",
        )
        RIDDLES = Task(name="riddles", quadrant="text-text")
    """,
    "guest_formats": """
        import json
        from dataclasses import dataclass
        from functools import partial

        from conversion.formats import Format, Holds
        from conversion.importing import ReadOptions, foreign_row, record_shards
        from toolkit.errors import UsageError
        from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part

        PROFILES = {
            "hex": Holds(
                consumers="nobody", use="`cat OUT/hex.jsonl`", trained="all", prompt_images="any", answer_images="any",
                trains_output_images=True, columns=("id", "messages", "images"),
            )
        }

        @dataclass(frozen=True, kw_only=True)
        class Options:
            profile: str = "hex"
            greeting: str = "hello"

            def __post_init__(self):
                if self.profile not in PROFILES:
                    raise UsageError(f"profile is {self.profile!r}")

        class HexWriter:
            def __init__(self, shard, options):
                self.shard, self.options = shard, options

            def write(self, row):
                images = [image.bytes.hex() for image in row.images]
                turns = [[m.role, [part.text or None for part in m.content]] for m in row.messages]
                record = {"id": row.id, "task": row.task, "turns": turns, "images": images}
                self.shard.line("hex.jsonl", {**record, "greeting": self.options.greeting})
                self.shard.tally.images_out += len(images)

            def close(self):
                return {}

        def read(src, options):
            return record_shards(src, options, ("*.jsonl",), partial(to_row, options=options))

        def to_row(record, folder, name, *, options):
            parts = lambda texts: tuple(IMAGE_PART if text is None else Part("text", text) for text in texts)
            messages = [Message(role, parts(texts)) for role, texts in record["turns"]]
            images = [EncodedImage(bytes.fromhex(image), "picture.png") for image in record["images"]]
            return foreign_row(record, messages, images, options, name, "hex")

        FORMAT = Format(
            name="hex", options=Options, profiles=PROFILES, writer=HexWriter, read=read, read_options=ReadOptions
        )
    """,
    "guest_collators": """
        from toolkit.collate.common import Collator, Sample, pad_id_of, splice
        from toolkit.collate.template import ChatEncoder

        class ShortCollator(Collator):
            # A picture is one token, whatever it shows.
            def __init__(self, processor, *, max_length=None, on_bad_row="raise"):
                super().__init__(
                    pad_id=pad_id_of(processor.tokenizer), max_length=max_length, on_bad_row=on_bad_row
                )
                self.encoder = ChatEncoder(processor, image_token=processor.image_token)

            def encode(self, row):
                encoded = self.encoder.encode(row)
                pictures = [{"input_ids": [7], "labels": [7]} for _ in row["images"] or ()]
                columns = splice(encoded, self.encoder.image_id, pictures, row_id=row["id"])
                return Sample(columns=columns)
    """,
    "guest_shapes": """
        from toolkit.errors import RowError
        from toolkit.sources.published.shapes import Draft, Guess
        from toolkit.sources.published.shapes.placing import Turn

        class Dialogue:
            # One column holds what is said, user and assistant in turn.
            uses = ("dialogue",)

            def recognise(self, table, given):
                found = tuple(name for name in table.columns if name == "dialogue")
                if not found and "dialogue" not in given:
                    return None
                return Guess({} if "dialogue" in given else {"dialogue": found})

            def read(self, record, columns):
                (column,) = columns["dialogue"]
                if len(record[column]) % 2:
                    raise RowError("the last question has no answer", kind="no_answer")
                roles = ("user", "assistant") * len(record[column])
                return Draft(tuple(Turn(role, (text,)) for role, text in zip(roles, record[column])))

            def problems(self, columns):
                if len(columns.get("dialogue", ())) != 1:
                    yield "shape 'dialogue' needs its one column"

        DIALOGUE = Dialogue()
    """,
    "guest_dialects": """
        from toolkit.sources.dialects.dialect import Dialect, Draft, Turn, Use, text_in
        from toolkit.tasks import Task

        def read(fields, options):
            question, murmur = text_in(fields, "question"), text_in(fields, "murmur")
            return Draft((Turn("user", (question,)), Turn("assistant", (murmur,))))

        MURMURS = Dialect(
            name="murmurs", reads="nobody's", sign="a question and a murmur", fits=lambda fields: True, read=read,
            task=Task(name="murmuring", quadrant="text-text"),
            uses={"question": Use(("question",)), "murmur": Use(("murmur",))},
        )
    """,
    "guest_recipes": """
        from pathlib import Path

        from toolkit.generation.procedural.script import Script
        from toolkit.generation.recipes.recipe import Made, Recipe, Turn

        async def make(context):
            reply = await context.ask("riddle@1", animal="cat")
            turn = Turn(user=(reply["question"],), assistant=(reply["answer"],))
            return Made(turns=(turn,), answer=reply["answer"])

        SCRIPT = Script(answers={
            "riddle": lambda request: {"question": f"Who, {request.origin.index}?", "answer": "A cat."}
        })
        RIDDLES = Recipe(
            name="riddles", task="guest_tasks:RIDDLES", version=1, prompts=("riddle@1",), make=make,
            folder=Path(__file__).parent, script="guest_recipes:SCRIPT",
        )
    """,
}
PROMPT = """
role: text
user: A riddle about a {animal}.
schema:
  type: object
  properties: {question: {type: string}, answer: {type: string}}
"""
ENTRY_POINTS = {
    "tasks": {"sketching": "guest_tasks:SKETCHING"},
    "formats": {"hex": "guest_formats:FORMAT"},
    "collators": {"short": "guest_collators:ShortCollator"},
    "dialects": {"murmurs": "guest_dialects:MURMURS"},
    "column_shapes": {"dialogue": "guest_shapes:DIALOGUE"},
    "recipes": {"riddles": "guest_recipes:RIDDLES"},
}


def write_guest(folder: Path) -> Path:
    """The modules of the guest, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts/riddle@1.yaml").write_text(PROMPT)
    return folder


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """The guest, installed: importable, and declared."""
    folder = write_guest(tmp_path / "site")
    info = folder / "uv_guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: uv-guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[unifiedvisual.{kind}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for kind, entries in ENTRY_POINTS.items()
        )
    )
    monkeypatch.syspath_prepend(folder)
    _forget()
    yield folder
    for name in MODULES:
        sys.modules.pop(name, None)
    _forget()


def _forget() -> None:
    """Registries look at installed packages once per process."""
    for registry in REGISTRIES:
        registry.__dict__.pop("_foreign", None)


def write_llava(folder: Path, task: str = "", count: int = 3) -> Path:
    """A file of LLaVA conversations of two turns, a picture in each answer; `task` "" = the records name none."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(count):
        names = [f"{number}-{turn}.png" for turn in range(2)]
        for name, colour in zip(names, ("red", "blue"), strict=True):
            (folder / name).write_bytes(picture(colour, size=(8, 8)).bytes)
        turns = [
            *({"from": "human", "value": f"Draw {number}."}, {"from": "gpt", "value": "Here:\n<image>"}),
            *({"from": "human", "value": "Now in blue."}, {"from": "gpt", "value": "<image>\nDone."}),
        ]
        records.append({"id": f"r{number}", "image": names, "conversations": turns, **({"task": task} if task else {})})
    path = folder / "train.json"
    path.write_text(json.dumps(records))
    return path
