"""Rows of the demo as the records that recipes import, and a spec over every recipe: what `unifiedvisual generate run`
starts from.
"""

import json
from pathlib import Path

import yaml

from toolkit.demo.rows import demo_rows
from toolkit.generation.recipes import RECIPES
from toolkit.schema import Row
from toolkit.staging.files import write_whole

FOLDER, SPEC = "sources", "spec.yaml"


def write_spec(out: Path, samples: int) -> Path:
    """Write a spec of so many samples of every recipe, answered by the scene engine, and the files that the importing
    recipes read.

    Returns:
        The spec: `out`/spec.yaml.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "llava_cot.jsonl", [_llava_cot(row, folder) for row in demo_rows("llava_cot", samples)])
    _write_lines(
        folder / "cot_collection.jsonl", [_cot_collection(row) for row in demo_rows("cot_collection", samples)]
    )
    imports = {
        f"import_{path.stem}": {"n": samples, "source": f"{FOLDER}/{path.name}"}
        for path in sorted(folder.glob("*.jsonl"))
    }
    spec = {
        "name": "demo",
        "backends": {"all": {"kind": "procedural"}},
        "recipes": {name: imports.get(name, {"n": samples}) for name in RECIPES},
    }
    write_whole(out / SPEC, yaml.safe_dump(spec, sort_keys=False))
    return out / SPEC


def _write_lines(path: Path, records: list[dict[str, object]]) -> None:
    write_whole(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _llava_cot(row: Row, folder: Path) -> dict[str, object]:
    """As Xkev/LLaVA-CoT-100k has it."""
    picture = row.images[0]
    (folder / picture.path).write_bytes(picture.bytes)
    turns = [{"from": "human", "value": f"<image>\n{row.instruction.strip()}"}, {"from": "gpt", "value": row.answer}]
    return {"id": row.id, "image": picture.path, "conversations": turns}


def _cot_collection(row: Row) -> dict[str, object]:
    """As kaist-ai/CoT-Collection has it."""
    return {"source": row.instruction, "target": row.answer, "rationale": row.rationale, "task": "demo", "type": "CoT"}
