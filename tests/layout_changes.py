"""Ways in which a published dataset may be laid out, or damaged."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

from tests.layouts import Layout, hashed, png, samples

TRUE_PICTURES = {data for each in samples() for _, data in each.pictures}
TAGS = (
    "<image>",
    "[IMG]",
    "<|image|>",
    "<ImageHere>",
    "{{image}}",
    "<image_placeholder>",
    "<imgslot>",
    "<pictureslot>",
)
COLUMNS = (
    *("id", "uid", "image", "images", "picture", "img_path", "conversations", "messages", "question", "prompt"),
    *(
        "answer",
        "response",
        "output",
        "input",
        "rationale",
        "reasoning",
        "task",
        "category",
        "source",
        "alpha",
        "caption",
    ),
)
LABELS = ("id", "uid", "key", "category", "source", "alpha", "task", "image", "model")

ANSWERS = ("answer", "response", "output")  # names under which a column may be the answer

Change = Callable[[Layout, random.Random], None]


def records_of(made: Layout, chance: random.Random, share: float = 0.3) -> list[dict[str, Any]]:
    """Some records of all tables, at least one."""
    every = [record for records in made.tables.values() for record in records]
    return [record for record in every if chance.random() < share] or [chance.choice(every)]


def rename_column(made: Layout, chance: random.Random) -> None:
    old = chance.choice(columns_of(made))
    new = chance.choice(LABELS if old in ("id", "task") else COLUMNS)  # an id called "system" would be a message
    if new in columns_of(made):  # it would take that one's place
        return
    for records in made.tables.values():
        records[:] = [{new if key == old else key: value for key, value in record.items()} for record in records]


def columns_of(made: Layout) -> list[str]:
    return list(next(iter(made.tables.values()))[0])


def drop_column(made: Layout, chance: random.Random) -> None:
    gone = chance.choice([each for each in columns_of(made) if each != "answer"])  # a picture alone is an answer too
    for records in made.tables.values():
        records[:] = [{key: value for key, value in record.items() if key != gone} for record in records]


def put_nulls(made: Layout, chance: random.Random) -> None:
    for record in records_of(made, chance):
        put_null(record, chance, kept=ANSWERS if made.tells_sides else ())


def put_null(value: Any, chance: random.Random, kept: tuple[str, ...] = ()) -> None:
    """At a random depth; but not an answer that pictures of its own stand for, which may be without words."""
    keys = [key for key in value if key not in kept] if isinstance(value, dict) else range(len(value))
    if not keys:
        return
    key = chance.choice(list(keys))
    if isinstance(value[key], (dict, list)) and chance.random() < 0.7:
        put_null(value[key], chance, kept)
    else:
        value[key] = None


def lose_archive(made: Layout, chance: random.Random) -> None:
    """And its double, if it has one: alone that would be the true one."""
    gone = {name for name, _ in made.archives[chance.choice(list(made.archives))]}
    made.archives = {path: kept for path, kept in made.archives.items() if not gone & {name for name, _ in kept}}


def lose_members(made: Layout, chance: random.Random) -> None:
    """From every archive alike: a name that only a false one still holds could not be told from a true one."""
    lost: dict[str, bool] = {}
    for members in made.archives.values():
        kept = next((member for member in members if member[1] in TRUE_PICTURES), None)  # or nothing says what is true
        members[:] = [
            member
            for member in members
            if member is kept or not lost.setdefault(member[0].rpartition("/")[2], chance.random() >= 0.8)
        ]


def split_archive(made: Layout, chance: random.Random) -> None:
    path = chance.choice(list(made.archives))
    members = made.archives.pop(path)
    first = chance.choice(["{}_part1{}", "{}-00001-of-00002{}", "{}.1{}", "{}_old{}"])
    stem, dot, suffix = path.partition(".")
    made.archives[first.format(stem, dot + suffix)] = members[::2]
    made.archives[first.replace("1", "2").replace("old", "new").format(stem, dot + suffix)] = members[1::2]


def double_archive(made: Layout, chance: random.Random) -> None:
    path = chance.choice(list(made.archives))
    other = chance.choice([path.replace(".tar", "_2.tar"), path.replace(".tar", "_thumbs.tar"), "images/more.tar.gz"])
    is_same = chance.random() < 0.5
    if other in made.archives:  # it would take the place of the true one
        return
    made.archives[other] = [(name, data if is_same else png(f"other {name}")) for name, data in made.archives[path]]


def rename_archive(made: Layout, chance: random.Random) -> None:
    path = chance.choice(list(made.archives))
    made.archives["images/pictures.tar.gz"] = made.archives.pop(path)


def add_thumbnails(made: Layout, chance: random.Random) -> None:
    """The same file names with other pictures in another folder, before or behind the true ones."""
    folder = chance.choice(["thumbs", "128px/x", "img", "small"])  # which no row names
    for members in made.archives.values():
        small = [(f"{folder}/{name.rpartition('/')[2]}", png(f"small {name}")) for name, _ in members]
        members[:] = small + members if chance.random() < 0.5 else members + small


def move_members(made: Layout, chance: random.Random) -> None:
    move = chance.choice(
        [
            lambda name: f"deep/er/{name}",
            lambda name: name.rpartition("/")[2],
            lambda name: f"images/{name}",
            lambda name: f"/{name}",
            lambda name: name.replace(".png", ".jpg"),
            str.upper,
        ]
    )
    for members in made.archives.values():
        members[:] = [(move(name), data) for name, data in members]


def shuffle_members(made: Layout, chance: random.Random) -> None:
    for members in made.archives.values():
        chance.shuffle(members)


def change_paths(made: Layout, chance: random.Random) -> None:
    """In all rows, or row by row."""
    changes: list[Callable[[str], str]] = [
        lambda path: f"/home/me/{path}",
        lambda path: f"images/{path}",
        lambda path: f"./{path}",
        lambda path: f"old/{path}",
        lambda path: path.rpartition("/")[2],
        lambda path: path.replace("/", "\\"),
        lambda path: f"https://host/{path}?w=1",
        lambda path: path.removesuffix(".png"),
    ]
    one, is_everywhere = chance.choice(changes), chance.random() < 0.5
    for record in records_of(made, chance, 1.0 if is_everywhere else 0.4):
        change_strings(record, one if is_everywhere else chance.choice(changes), only=(".png", ".jpg"))


def change_strings(value: Any, change: Callable[[str], str], only: tuple[str, ...] = ("",)) -> None:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        if isinstance(value[key], (dict, list)):
            change_strings(value[key], change, only)
        elif isinstance(value[key], str) and value[key].endswith(only):
            value[key] = change(value[key])


def change_tags(made: Layout, chance: random.Random) -> None:
    tag = chance.choice(TAGS)
    for record in records_of(made, chance, chance.choice([1.0, 0.3])):
        change_strings(record, lambda text: text.replace("<image>", tag))


def lose_tags(made: Layout, chance: random.Random) -> None:
    """Some placeholders of some rows, but not all of a row: where none is left, none of them can be missed."""
    for record in records_of(made, chance):
        change_strings(record, lambda text: text.replace("<image>", "", 1) if text.count("<image>") > 1 else text)


def add_column(made: Layout, chance: random.Random) -> None:
    name = chance.choice(COLUMNS)
    if chance.random() < 0.3:  # words under the name of a part of the row would be a part of it
        name = chance.choice(LABELS)
        words = chance.choice(["some words", "a"])
        for record in (record for records in made.tables.values() for record in records):
            record.setdefault(name, words)
        return
    values = [
        lambda: f"x/{chance.random()}.jpeg",
        lambda: [f"{chance.random()}.jpeg"],
        lambda: png("other"),
        lambda: None,
        lambda: chance.randrange(9),
        lambda: float("nan"),
    ]
    value = chance.choice(values)
    for record in (record for records in made.tables.values() for record in records):
        record.setdefault(name, value())


def write_as_json(made: Layout, chance: random.Random) -> None:
    column = chance.choice(columns_of(made))
    for record in (record for records in made.tables.values() for record in records):
        if isinstance(record.get(column), (list, dict)):
            record[column] = json.dumps(record[column], default=lambda data: base64.b64encode(data).decode())


def put_pictures_into_rows(made: Layout, chance: random.Random) -> None:
    held = {key: data for each in samples() for name, data in each.pictures for key in (name, hashed(name))}
    as_text = chance.random() < 0.5

    def hold(path: Any) -> Any:
        data = held.get(path.rpartition("/")[2]) if isinstance(path, str) else None
        return base64.b64encode(data).decode() if data and as_text else data or path

    for record in (record for records in made.tables.values() for record in records):
        for key in ("image", "images"):
            if isinstance(record.get(key), list):
                record[key] = [hold(path) for path in record[key]]


def name_a_split(made: Layout, chance: random.Random) -> None:
    path = chance.choice(list(made.tables))
    made.tables[path.replace("data/", f"data/{chance.choice(['test', 'validation', 'train'])}/")] = made.tables.pop(
        path
    )


def repeat_ids(made: Layout, chance: random.Random) -> None:
    for record in records_of(made, chance):
        record["id"] = "0000"


DAMAGES: tuple[Change, ...] = (
    *(rename_column, drop_column, put_nulls, lose_archive, lose_members, split_archive, double_archive, rename_archive),
    *(add_thumbnails, move_members, shuffle_members, change_paths, change_tags, lose_tags, add_column, write_as_json),
    *(put_pictures_into_rows, name_a_split, repeat_ids),
)
