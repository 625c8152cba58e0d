"""Specs and sources for tests of generation, made at run time."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

import yaml
from PIL import Image

from tests.openai_server import KEY
from toolkit.generation.recipes import RECIPES, get_recipe

GENERATING = (
    *("image_generation_topic", "image_generation_category", "image_editing", "image_correction"),
    *("mm_reasoning_o", "mm_reasoning_mm", "mm_reasoning_t", "mm_internet"),
)
IMPORTS = ("import_llava_cot", "import_cot_collection")  # they ask no model
SOURCED = ("image_generation_category", "image_editing", "mm_reasoning_o", "mm_reasoning_mm", "mm_internet", *IMPORTS)
_TAGGED = "<SUMMARY>s</SUMMARY> <CAPTION>c</CAPTION> <REASONING>r</REASONING> <CONCLUSION>B</CONCLUSION>"
_TURNS = [{"from": "human", "value": "<image>\nA or B?"}, {"from": "gpt", "value": _TAGGED}]
PRICES = {"chat": {"input_per_mtok": 2.0, "output_per_mtok": 8.0}, "draw": {"per_image": 0.04}}


def prompt_files() -> dict[str, Path]:
    """Name -> file, of the prompts of every recipe of this package."""
    folders = {folder for name in RECIPES.own for folder in get_recipe(name).prompt_folders}
    return {path.stem: path for folder in folders for path in folder.glob("*.yaml")}


def write_spec(folder: Path, content: dict[str, object]) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def http_spec(folder: Path, url: str, recipes: dict[str, int], **rest: object) -> Path:
    """A spec in which every recipe is answered over HTTP, from sources in the same folder."""
    write_sources(folder, max(recipes.values()))
    server = {"base_url": url, "api_key_env": "TEST_API_KEY"}
    return write_spec(
        folder,
        {
            "name": "http",
            "backends": {
                "all": {"kind": "openai_chat", "model": "chat", **server},
                "image": {"kind": "openai_images", "model": "draw", **server, "params": {"size": "96x96"}},
                "retrieve": {"kind": "folder", "path": str(folder / "pool.jsonl")},
            },
            "recipes": {
                name: {"n": n, **({"source": f"{name}.jsonl"} if name in SOURCED else {})}
                for name, n in recipes.items()
            },
            "prices": PRICES,
            "concurrency": 4,
            **rest,
        },
    )


def write_sources(folder: Path, count: int, names: Iterable[str] = SOURCED) -> None:
    for number in range(count + 3):
        (folder / f"{number}.png").write_bytes(picture(number))
    records = {
        "image_generation_category": lambda n: {"image": f"{n}.png", "label": "koala", "license": "CC0-1.0"},
        "image_editing": lambda n: {"image": f"{n}.png", "edit": f"Make it {n} times brighter."},
        "image_correction": lambda n: {
            "image": f"{n}.png",
            "caption": f"Wall {n} with a yellow patch.",
            "license": "CC0-1.0",
        },
        "mm_reasoning_o": lambda n: {"image": f"{n}.png"},
        "mm_reasoning_mm": lambda n: {"image": f"{n}.png"},
        "mm_internet": lambda n: {
            "texts": [f"Page {n} says a good many things.", None, "And it ends here, in short."],
            "images": [None, f"{n}.png", None],
        },
        "import_llava_cot": lambda n: {"id": str(n), "image": f"{n}.png", "conversations": _TURNS},
        "import_cot_collection": lambda n: {
            "source": f"{n} + 1?",
            "target": str(n + 1),
            "rationale": f"One more than {n}.",
            "task": "sum",
            "type": "CoT",
        },
    }
    for name in names:
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(records[name](number)) + "\n" for number in range(count))
        )
    (folder / "pool.jsonl").write_text(
        "".join(json.dumps({"image": f"{number}.png", "caption": f"a text {number}"}) + "\n" for number in range(3))
    )


def picture(number: int) -> bytes:
    made = Image.new("RGB", (160, 200), (number % 256, 80, 160))
    made.paste((250, 250, number % 250), (30, 40, 90, 120))
    buffer = io.BytesIO()
    made.save(buffer, format="PNG")
    return buffer.getvalue()


__all__ = [
    "GENERATING",
    "IMPORTS",
    "KEY",
    "PRICES",
    "SOURCED",
    "http_spec",
    "picture",
    "prompt_files",
    "write_sources",
    "write_spec",
]
