"""Rows as their publishers lay them out -> rows with the keys of a record. A shape of one's own: "module:NAME" or
"./mine.py:NAME", a function from one to the other; None = this row is none.
"""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from toolkit.registry import Registry

Row: TypeAlias = dict[str, Any]
Shape: TypeAlias = Callable[[Row], Row | None]
_HERE = "toolkit.generation.sources.shapes"
SHAPES = Registry(
    "source_shapes",
    {
        "rows": f"{_HERE}:rows",
        "obelics": f"{_HERE}:obelics",
        "mmc4": f"{_HERE}:mmc4",
        "llava_cot": f"{_HERE}:llava_cot",
        "cot_collection": f"{_HERE}:cot_collection",
    },
)


def rows(row: Row) -> Row:
    """As they are."""
    return row


def obelics(row: Row) -> Row:
    """HuggingFaceM4/OBELICS: parallel `images` (addresses) and `texts` with nulls; `metadata`, a JSON list parallel to
    them, has `alt_text`; `general_metadata`, JSON, has the page's `url`.
    """
    images, metadata = list(row["images"]), _parsed(row.get("metadata")) or []
    captions = [
        (metadata[number] or {}).get("alt_text") if number < len(metadata) else None
        for number, image in enumerate(images)
        if image
    ]
    page = (_parsed(row.get("general_metadata")) or {}).get("url")
    return {
        "texts": row["texts"],
        "images": images,
        "captions": captions,
        "id": page,
        "source": "HuggingFaceM4/OBELICS",
    }


def mmc4(row: Row) -> Row | None:
    """allenai/mmc4: sentences in `text_list`; `image_info` has `raw_url` and `matched_text_index`. A picture follows
    the sentence it is matched to, and sentences between pictures are one text.
    """
    matched: dict[int, list[Row]] = {}
    for each in row["image_info"]:
        matched.setdefault(int(each["matched_text_index"]), []).append(each)
    texts: list[str | None] = []
    images: list[str | None] = []
    for number, sentence in enumerate(row["text_list"]):
        if texts and texts[-1] is not None:
            texts[-1] = f"{texts[-1]} {sentence}"
        else:
            texts.append(sentence)
            images.append(None)
        for each in matched.get(number, ()):
            texts.append(None)
            images.append(each.get("raw_url") or each.get("image_name"))
    if not matched:
        return None
    return {"texts": texts, "images": images, "id": row.get("url"), "source": "mmc4"}


def llava_cot(row: Row) -> Row:
    """Xkev/LLaVA-CoT-100k: `{id, image, conversations}`; pictures lie in a split zip beside train.jsonl."""
    return {name: row[name] for name in ("id", "image", "conversations")}


def cot_collection(row: Row) -> Row:
    """kaist-ai/CoT-Collection: `source, target, rationale, task, type`, and keys that are of no use here."""
    return {name: row.get(name) for name in ("source", "target", "rationale", "task", "type")}


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None
