"""Edits: one or several input pictures, an instruction, the edited picture.

Source: the cards of osunlp/MagicBrush, BleachNick/UltraEdit_500k, timbrooks/instructpix2pix-clip-filtered,
OmniGen2/X2I2, apple/pico-banana-400k, Bin1117/AnyEdit, FreedomIntelligence/ShareGPT-4o-Image and
TIGER-Lab/OmniEdit-Filtered-1.2M; datasets docs/source/image_dataset.mdx (columns *_file_name)
"""

from toolkit.errors import RowError
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Turn, Use, text_in
from toolkit.sources.dialects.fields import PICTURE, are_pictures, pool
from toolkit.sources.dialects.pairs import texts_in
from toolkit.sources.dialects.placing import PlaceOptions, place
from toolkit.sources.dialects.tasks import EDIT

INPUT = "(local_)?(source|src|input|original|before|in|control|cond(ition(ing)?)?|reference|ref)"
TEXT_TO_IMAGE = ("t2i", "text_to_image", "text2image")
OUTPUT = "(local_)?(target|tgt|output|edited|result|after|out)"


def fits(fields: Fields) -> bool:
    inputs, outputs = pool(fields, "inputs"), pool(fields, "output")
    has_inputs = bool(inputs) or _needs_none(fields)
    return (
        bool(texts_in(fields["instruction"])) and has_inputs and len(outputs) == 1 and are_pictures([*inputs, *outputs])
    )


def _needs_none(fields: Fields) -> bool:
    """Whether a record says itself that it is of text to image: by a list of no pictures, or by its kind."""
    return fields.get("kind") in TEXT_TO_IMAGE or any(value == [] for value in fields["inputs"].values())


def read(fields: Fields, options: PlaceOptions) -> Draft:
    inputs, outputs = pool(fields, "inputs"), pool(fields, "output")
    if not inputs and not _needs_none(fields):
        raise RowError("has no input picture; expected one or more", kind="null_picture")
    if len(outputs) != 1:
        raise RowError(f"has {len(outputs)} edited pictures; expected one", kind="null_picture")
    texts = texts_in(fields["instruction"]) or [text_in(fields, "instruction")]
    asked = place([Turn("user", (texts[0],))], inputs, options.placeholder)
    return Draft((*asked, Turn("assistant", tuple(outputs))), facts={"instructions": texts} if len(texts) > 1 else {})


DIALECT = Dialect(
    name="edits",
    reads="MagicBrush, UltraEdit, InstructPix2Pix, HQ-Edit, OmniEdit, AnyEdit, OmniGen's X2I and X2I2, Pico-Banana, "
    "ShareGPT-4o-Image's edits; several instructions: the first",
    sign="input pictures, an instruction and one edited picture",
    task=EDIT,
    uses={
        "instruction": Use(
            (
                "edit(ing|ed)?_?(prompt|instruction)(s|_list)?",
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
                rf"{INPUT}_file(_?names?)?|image_files?|visual_inputs?",
                rf"{PICTURE}|file_?names?",
                f"{INPUT}s?",
            ),
            many=True,
        ),
        "kind": Use(("task_type",), needed=False),
        "output": Use(
            (
                rf"{OUTPUT}_?{PICTURE}",
                rf"{OUTPUT}\.(jpe?g|png|webp)",
                rf"{OUTPUT}_file(_?names?)?",
                PICTURE,
                f"{OUTPUT}s?",
            ),
            many=True,
        ),
    },
    fits=fits,
    read=read,
    options=PlaceOptions,
)
