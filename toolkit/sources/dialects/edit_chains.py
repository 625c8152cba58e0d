"""Chains of edits: pictures in sequence, and an instruction between each and the next.

Source: apple/pico-banana-400k (multi-turn); ByteDance-Seed/Bagel data/interleave_datasets/edit_dataset.py
"""

from toolkit.errors import RowError, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, NoOptions, Turn, Use
from toolkit.sources.dialects.tasks import EDIT
from toolkit.sources.published.shapes.pictures import parse_text, pictures_in


def fits(fields: Fields) -> bool:
    images, instructions = parse_text(fields["images"]), parse_text(fields["instructions"])
    return isinstance(images, list) and isinstance(instructions, list) and len(images) == len(instructions) + 1 > 1


def read(fields: Fields, options: NoOptions) -> Draft:
    given = parse_text(fields["instructions"])
    pictures = pictures_in(fields["images"], "images")
    if not isinstance(given, list) or len(pictures) != len(given) + 1:
        raise RowError(
            f"{len(pictures)} pictures and instructions {shown(given)}; expected one less than pictures",
            kind="count_mismatch",
        )
    turns: list[Turn] = []
    for number, each in enumerate(given):
        text = each[0] if isinstance(each, list) and each else each  # paraphrases
        if not isinstance(text, str):
            raise RowError(f"instruction {number} is {shown(each)}; expected text", kind="bad_text")
        before = () if number else (pictures[0],)
        turns += [Turn("user", (*before, text)), Turn("assistant", (pictures[number + 1],))]
    paraphrased = any(isinstance(each, list) and len(each) > 1 for each in given)
    return Draft(tuple(turns), facts={"instructions": given} if paraphrased else {})


DIALECT = Dialect(
    name="edit-chains",
    reads="Pico-Banana's multi-turn edits, BAGEL's unified_edit",
    sign="a list of pictures, and of instructions, one less",
    task=EDIT,
    uses={
        "images": Use(("image_list", "images", "files", "turns_images")),
        "instructions": Use(
            ("metadata_edit_turn_prompts", "instruction_list", "instructions", "edit_prompts", "prompts")
        ),
    },
    fits=fits,
    read=read,
)
