"""Edits: one or several input pictures, an instruction, the edited picture.

Source: the cards of osunlp/MagicBrush, BleachNick/UltraEdit_500k, timbrooks/instructpix2pix-clip-filtered,
OmniGen2/X2I2, apple/pico-banana-400k and FreedomIntelligence/ShareGPT-4o-Image
"""

from toolkit.errors import RowError
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, NoOptions, Turn, Use, is_text, text_in
from toolkit.sources.dialects.fields import PICTURE, are_pictures, pool
from toolkit.sources.dialects.tasks import EDIT

INPUT = "(local_)?(source|src|input|original|before|in|control|cond(ition(ing)?)?|reference|ref)"
TEXT_TO_IMAGE = ("t2i", "text_to_image", "text2image")
OUTPUT = "(local_)?(target|tgt|output|edited|result|after|out)"


def fits(fields: Fields) -> bool:
    inputs, outputs = pool(fields, "inputs"), pool(fields, "output")
    has_inputs = bool(inputs) or _needs_none(fields)
    return is_text(fields["instruction"]) and has_inputs and len(outputs) == 1 and are_pictures([*inputs, *outputs])


def _needs_none(fields: Fields) -> bool:
    """Whether a record says itself that it is of text to image: by a list of no pictures, or by its kind."""
    return fields.get("kind") in TEXT_TO_IMAGE or any(value == [] for value in fields["inputs"].values())


def read(fields: Fields, options: NoOptions) -> Draft:
    inputs, outputs = pool(fields, "inputs"), pool(fields, "output")
    if not inputs and not _needs_none(fields):
        raise RowError("has no input picture; expected one or more", kind="null_picture")
    if len(outputs) != 1:
        raise RowError(f"has {len(outputs)} edited pictures; expected one", kind="null_picture")
    return Draft((Turn("user", (*inputs, text_in(fields, "instruction"))), Turn("assistant", tuple(outputs))))


DIALECT = Dialect(
    name="edits",
    reads="MagicBrush, UltraEdit, InstructPix2Pix, HQ-Edit, OmniGen2's X2I2, Pico-Banana, ShareGPT-4o-Image's edits",
    sign="input pictures, an instruction and one edited picture",
    task=EDIT,
    uses={
        "instruction": Use(
            (
                "edit(ing)?_?(prompt|instruction)",
                "instructions?",
                "edit",
                "(input_)?prompt",
                "text|txt|caption",
                "command",
            )
        ),
        "inputs": Use(
            (
                rf"{INPUT}_?{PICTURE}",
                rf"{INPUT}_?(image|img)?_?\d+",
                rf"{INPUT}(_?\d+)?\.(jpe?g|png|webp)",
                "edit_images?|kontext_images",
                "(open_)?image_input_url|control_path(_\\d+)?",
            ),
            many=True,
        ),
        "kind": Use(("task_type",), needed=False),
        "output": Use((rf"{OUTPUT}_?{PICTURE}", rf"{OUTPUT}\.(jpe?g|png|webp)", PICTURE), many=True),
    },
    fits=fits,
    read=read,
)
