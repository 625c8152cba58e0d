"""Other ways to write the same: containers, writers, spellings, columns."""

import random
import re
import unicodedata
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from tests.layout_changes import ANSWERS, Change, change_strings, records_of
from tests.layout_writers import WRITERS
from tests.layouts import Layout, samples


def choose_writer(made: Layout, chance: random.Random) -> None:
    made.writer = chance.choice(list(WRITERS))


def change_container(made: Layout, chance: random.Random) -> None:
    """Other kinds of archives, folders, and archives cut into pieces."""
    kind = chance.choice([".tar", ".zip", "/", ".TAR.GZ", ".tgz"])
    made.suffix = chance.choice([".part-a{1}", ".part{0}", ".00{0}", ".a{1}"])
    for path in list(made.archives):
        if chance.random() < 0.7:
            other = path.replace(".tar.gz", kind)
            made.archives[other] = made.archives.pop(path)
            if not other.endswith("/") and chance.random() < 0.4:
                made.pieces[other] = chance.choice([2, 3])


def split_files(made: Layout, chance: random.Random) -> None:
    """More files, and some without rows that count."""
    for path in list(made.tables):
        records = made.tables.pop(path)
        size = chance.choice([1, 2, 5])
        for number in range(0, len(records), size):
            made.tables[path.replace(".parquet", f"-{number}.parquet")] = records[number : number + size]


def respell_tasks(made: Layout, chance: random.Random) -> None:
    spellings: list[Callable[[str], Any]] = [
        lambda task: task.replace("_", " "),
        lambda task: task.replace("_", "-").upper(),
        lambda task: f"UnifiedVisual/{task}",
        lambda task: f"{task}.tar.gz",
        lambda task: f" {task}\n",
        lambda task: None,
        lambda task: "some other task",
        lambda task: [task],
        lambda task: {"name": task},
    ]
    one, is_everywhere = chance.choice(spellings), chance.random() < 0.6
    for record in records_of(made, chance, 1.0 if is_everywhere else 0.4):
        if isinstance(record.get("task"), str):
            record["task"] = one(record["task"])


def name_pictures_twice(made: Layout, chance: random.Random) -> None:
    """In a second column: all of them, the first, or others."""
    name, kind = chance.choice(["image", "images", "img", "image_path"]), chance.choice(["all", "first", "others"])
    for record in (record for records in made.tables.values() for record in records):
        listed = record.get("image", record.get("images"))
        if isinstance(listed, list) and name not in record and all(isinstance(each, str) for each in listed):
            others = [f"thumbs/{each}" for each in listed] if kind == "others" else listed
            record[name] = (others[0] if others else None) if kind == "first" else list(others)


def tell_sides(made: Layout, chance: random.Random) -> None:
    """Pictures of the prompt and of the answer in columns of their own; not where they would stand for null answers."""
    records = [record for records in made.tables.values() for record in records]
    if any(record.get(name, "") is None for record in records for name in ANSWERS):
        return
    made.tells_sides = True
    names = chance.choice(
        [("input_image", "output_image"), ("source_images", "target_images"), ("image", "edited_image")]
    )
    held = {
        piece[0]: side
        for each in samples()
        for side in (0, 1)
        for piece in (each.prompt, each.answer)[side]
        if isinstance(piece, tuple)
    }
    for record in records:
        key = next((key for key in ("image", "images") if isinstance(record.get(key), list)), None)
        if key and all(isinstance(path, str) and path.rpartition("/")[2] in held for path in record[key]):
            paths = record.pop(key)
            for side, name in enumerate(names):
                record[name] = [path for path in paths if held[path.rpartition("/")[2]] == side]


def write_as_structs(made: Layout, chance: random.Random) -> None:
    wraps: list[Callable[[str], Any]] = [
        lambda path: {"bytes": None, "path": path},
        lambda path: {"path": path, "caption": "c"},
        lambda path: {"image_path": path, "width": 2, "height": 2},
        lambda path: {"meta": {"path": path}},
        lambda path: {"path": path, "note": "n"},
        lambda path: [path],
    ]
    wrap = chance.choice(wraps)
    for record in (record for records in made.tables.values() for record in records):
        for key in ("image", "images"):
            if isinstance(record.get(key), list):
                record[key] = [wrap(path) for path in record[key]]


def join_paths(made: Layout, chance: random.Random) -> None:
    """A list of paths as one text."""
    glue = chance.choice([",", ", ", ";", "\n", "|", " "])
    for record in (record for records in made.tables.values() for record in records):
        for key in ("image", "images"):
            if isinstance(record.get(key), list) and all(isinstance(path, str) for path in record[key]):
                record[key] = glue.join(record[key])


def list_by_turn(made: Layout, chance: random.Random) -> None:
    """conversations[].images, in rows whose tags say in which turn each picture is."""
    for record in (record for records in made.tables.values() for record in records):
        listed, said = record.get("image"), record.get("conversations")
        if not isinstance(listed, list) or not isinstance(said, list) or str(said).count("<image>") != len(listed):
            continue
        coming = iter(listed)
        for turn in filter(None, said):
            turn["images"] = [next(coming) for _ in range(str(turn["value"]).count("<image>"))]
        if chance.random() < 0.9:
            del record["image"]


def number_tags(made: Layout, chance: random.Random) -> None:
    """Numbers as they come, from 0 or from 1."""
    tag = chance.choice(["<image_{}>", "<|image_{}|>", "<image-{}>", "[image{}]", "<pic{}>"])
    first = chance.choice([0, 1])
    for record in records_of(made, chance, chance.choice([1.0, 0.3])):
        coming = count(first)
        change_strings(record, partial(re.sub, "<image>", lambda match, coming=coming: tag.format(next(coming))))


def add_tag(made: Layout, chance: random.Random) -> None:
    """Placeholders for no picture, in rows that have some; two, as another change may take one away."""
    for record in records_of(made, chance):
        change_strings(record, lambda text: text + "<image>" * 2 if "<image>" in text else text)


def give_numbers_for_names(made: Layout, chance: random.Random) -> None:
    """The same file names in every archive: 0000_1.png."""

    def plain(name: str) -> str:
        return re.sub(r"(?<=[/])[a-z]+-(?=\d)|^[a-z]+-(?=\d)", "", name)

    for members in made.archives.values():
        members[:] = [(plain(name), data) for name, data in members]
    for record in (record for records in made.tables.values() for record in records):
        change_strings(record, plain, only=(".png",))


def write_accents(made: Layout, chance: random.Random) -> None:
    """Names beyond ASCII, composed in rows and decomposed in archives."""
    for members in made.archives.values():
        members[:] = [(unicodedata.normalize("NFD", name.replace("_", "\u00e9")), data) for name, data in members]
    for record in (record for records in made.tables.values() for record in records):
        change_strings(
            record,
            lambda path: (
                path.rpartition("_")[0] + "\u00e9" + path.rpartition("_")[2] if "_" in path.rpartition("/")[2] else path
            ),
            only=(".png",),
        )


def add_junk(made: Layout, chance: random.Random) -> None:
    """What macOS and people put into archives."""
    for members in made.archives.values():
        pairs = [name.rpartition("/")[::2] for name, _ in members]
        junk = [(f"{place}{folder}/._{name}", b"junk") for folder, name in pairs for place in ("", "__MACOSX/")]
        junk += [(".DS_Store", b"junk"), ("a.txt", b"text")]
        members[:] = junk + members if chance.random() < 0.5 else members + junk


FORMS: tuple[Change, ...] = (
    *(choose_writer, change_container, split_files, respell_tasks, name_pictures_twice, tell_sides, write_as_structs),
    *(join_paths, list_by_turn, number_tags, add_tag, give_numbers_for_names, write_accents, add_junk),
)
