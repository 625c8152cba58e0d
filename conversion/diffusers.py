"""Image folders for diffusers' training scripts and `load_dataset("imagefolder")`: train/metadata.jsonl beside the
pictures.

    text-to-image  columns image, text                               (train_text_to_image)
    edit           columns input_image, edit_prompt, edited_image    (train_instruct_pix2pix); one record per edit

Source: https://github.com/huggingface/diffusers examples/text_to_image, examples/instruct_pix2pix (column names);
datasets 5.2 packaged_modules/folder_based_builder#L223 ("<column>_file_name")
"""

from dataclasses import dataclass
from typing import ClassVar

from conversion.formats import Format, Holds
from conversion.pairs import check_pair_options, count_pairs, count_steps, edit_steps, output_pairs, refuse
from conversion.shard import Notes, ShardFolder
from toolkit.images import image_format
from toolkit.schema import Row


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "text-to-image" or "edit".
        text: profile text-to-image: "instruction" or "caption".
        input_images: profile text-to-image: "error" or "drop", for pictures in the prompt.
    """

    ONLY: ClassVar = {"text": ("text-to-image",), "input_images": ("text-to-image",)}
    profile: str = "text-to-image"
    text: str = "instruction"
    input_images: str = "error"

    def __post_init__(self) -> None:
        check_pair_options(self, PROFILES)


_KEPT = ("id", "instruction", "images")
PROFILES = {
    "text-to-image": Holds(
        consumers="diffusers train_text_to_image",
        use="`train_text_to_image.py --train_data_dir OUT --image_column image --caption_column text`",
        trained="the picture; not its text",
        prompt_images="none",
        answer_images="one a record",
        trains_output_images=True,
        columns=_KEPT,
    ),
    "edit": Holds(
        consumers="diffusers train_instruct_pix2pix",
        use="`train_instruct_pix2pix.py --train_data_dir OUT --original_image_column input_image --edit_prompt_column "
        "edit_prompt --edited_image_column edited_image`",
        trained="the edited picture; not its text, not the picture before",
        prompt_images="exactly one, in the first turn",
        answer_images="one output a turn",
        trains_output_images=True,
        columns=_KEPT,
        notes=("a chain of edits becomes one record per edit",),
    ),
}
METADATA = "train/metadata.jsonl"


class FolderWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.options = shard, options

    def write(self, row: Row) -> None:
        if self.options.profile == "edit":
            self._edits(row)
        else:
            self._pairs(row)

    def close(self) -> Notes:
        return {}

    def _pairs(self, row: Row) -> None:
        pairs = output_pairs(row, text=self.options.text, input_images=self.options.input_images)
        _check_formats(row, {pair.image for pair in pairs})
        count_pairs(self.shard.tally, row, pairs)
        for pair in pairs:
            self.shard.line(
                METADATA, {"file_name": self._image(row, pair.image), "text": pair.text, "id": f"{row.id}-{pair.image}"}
            )

    def _edits(self, row: Row) -> None:
        steps = edit_steps(row)
        used = {number for step in steps for number in (*step.before, step.after)}
        _check_formats(row, used)
        count_steps(self.shard.tally, row, steps)
        names = {number: self._image(row, number) for number in sorted(used)}
        for step in steps:
            record = {
                "input_image_file_name": names[step.before[0]],
                "edit_prompt": step.instruction,
                "edited_image_file_name": names[step.after],
            }
            self.shard.line(METADATA, {**record, "id": f"{row.id}-{step.after}"})

    def _image(self, row: Row, number: int) -> str:
        """Name relative to the metadata file."""
        return self.shard.image(row, number, "train").removeprefix("train/")


def _check_formats(row: Row, used: set[int]) -> None:
    for number in used:
        if not image_format(row.images[number].bytes):
            raise refuse(
                row,
                "picture_format",
                f"images[{number}] is in no format we know; imagefolder finds pictures by their suffix",
            )


FORMAT = Format(name="diffusers", options=Options, profiles=PROFILES, writer=FolderWriter)
