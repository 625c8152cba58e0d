"""The benchmark's drawing prompts in the form of GenEval's evaluation_metadata.jsonl, for detectors.

Source: github.com/djghosh13/geneval, prompts/evaluation_metadata.jsonl and evaluation/evaluate_images.py, in which
`include` are objects that must be there (`position` relates one to another by its number), and `exclude` is what must
not: here also one more than was asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

TAGS = {
    "single_object": "single_object",
    "two_objects": "two_object",
    "counting": "counting",
    "colours": "colors",
    "position": "position",
    "binding": "color_attr",
    "negation": "negation",
    "implicit": "implicit",
}


def metadata(part: str, prompt: str, wanted: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A line of it; None = what GenEval's terms cannot say, as "nothing red".

    Args:
        wanted: of a line of prompts.jsonl.
    """
    if part not in TAGS or any("shape" not in each for each in wanted if "relation" not in each):
        return None
    include: dict[str, dict[str, Any]] = {}
    exclude = []
    for each in wanted:
        if "relation" in each:
            one, other = each["one"]["shape"], each["other"]["shape"]
            include = {name: include[name] for name in (other, one)}  # positions refer to earlier objects
            include[one]["position"] = [each["relation"].replace("_", " "), 0]
            continue
        name = each["shape"]
        if each["from"]:
            include[name] = {"class": name, "count": each["from"]} | (
                {"color": each["colour"]} if "colour" in each else {}
            )
        if part in ("counting", "negation") and each["attribute"] in ("count", "negation"):
            exclude.append({"class": name, "count": each["to"] + 1})
    found: dict[str, Any] = {"tag": TAGS[part], "include": list(include.values()), "prompt": prompt}
    return found | ({"exclude": exclude} if exclude else {})
