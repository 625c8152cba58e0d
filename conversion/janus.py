"""Janus-4o: the JSON list that ShareGPT-4o-Image's train_janus.py reads; a text, input pictures, one picture to make.

Source: https://github.com/FreedomIntelligence/ShareGPT-4o-Image@19ac7d7 train_janus.py#L98 (SftDataset)
"""

import re
from dataclasses import dataclass

from conversion.formats import Format, Holds, check_options
from conversion.importing import ReadOptions
from conversion.pairs import Edit, refuse
from conversion.shard import ShardFolder
from conversion.triples import Keys, TripleWriter, reader
from toolkit.schema import Row

KEYS = Keys("janus.json", "input_prompt", "output_image", "input_image", "list", fewest=0)
# By these the trainer finds where pictures are. Source: deepseek-ai/Janus, janus/models/processing_vlm.py
SPECIAL = re.compile(r"<image_placeholder>|<(begin|end)_of_image>")


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "sft".
    """

    profile: str = "sft"

    def __post_init__(self) -> None:
        check_options(self, PROFILES)


PROFILES = {
    "sft": Holds(
        consumers="Janus-4o, train_janus.py of ShareGPT-4o-Image",
        use="`--data_path OUT/janus.json`",
        trained="the picture; not its text, not the pictures before",
        prompt_images="any number, in front of the text",
        answer_images="one output a turn",
        trains_output_images=True,
        columns=("id", "task", "instruction", "images"),
        notes=(
            "a chain of edits becomes one record per edit",
            "a text that holds `<image_placeholder>`, `<begin_of_image>` or `<end_of_image>` is refused: the trainer "
            "finds pictures by them",
        ),
    )
}


def check(shard: ShardFolder, row: Row, steps: list[Edit]) -> None:
    if any(SPECIAL.search(step.instruction) for step in steps):
        raise refuse(row, "special_token", "its text holds a token by which the trainer finds pictures")


FORMAT = Format(
    name="janus",
    options=Options,
    profiles=PROFILES,
    writer=lambda shard, options: TripleWriter(shard, KEYS, check=check),
    wraps=lambda options: {KEYS.file: ("[\n", "\n]\n")},
    read=reader("janus", KEYS),
    read_options=ReadOptions,
)
