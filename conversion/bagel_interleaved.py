"""Interleaved answers for two trainers made of BAGEL: text and pictures in turn, all of them trained, each seen by what
follows.

    thinkmorph   thinkmorph-*.parquet: `image_list`, `instruction_list`, `output_text_list` (both lists of strings), and
                 parquet_info.json; bagel_thinkmorph.py
    zebra-cot    zebra_cot.jsonl: "Question", "Text Reasoning Trace", "Final Answer" and a key for each picture's file;
                 bagel_zebra.py

bagel_config.py writes what points the trainers here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from conversion.bagel_config import EDIT_TRANSFORMS, USE, USES_GROUPS, USES_LINES, write_config, write_parquet_info
from conversion.bagel_interleaved_import import read
from conversion.bagel_thinkmorph import MAX_TOKENS, ThinkMorphWriter
from conversion.bagel_zebra import ZebraWriter
from conversion.formats import Format, Holds, Writer, check_options, choose
from conversion.importing import ReadOptions
from conversion.report import Report
from conversion.shard import Notes, ShardFolder

# Source: data/configs/example.yaml of Bagel-Zebra-CoT
ZEBRA_TRANSFORMS = {
    "image_transform_args": {"image_stride": 16, "max_image_size": 512, "min_image_size": 512},
    "vit_image_transform_args": {"image_stride": 14, "max_image_size": 512, "min_image_size": 512},
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "thinkmorph" or "zebra-cot".
        markers: profile thinkmorph: "yes" puts <think>, <answer>, <image_start> and <image_end> around the texts of
            answers, as ThinkMorph's own data has them; without them ("no") its inference never draws.
        root: the folder as the trainer will see it; "" = where it is written. BAGEL compares paths letter by letter.
    """

    ONLY: ClassVar = {"markers": ("thinkmorph",)}
    profile: str = "thinkmorph"
    markers: str = "yes"
    root: str = ""

    def __post_init__(self) -> None:
        check_options(self, PROFILES)
        choose("markers", self.markers, ("yes", "no"))


PROFILES = {
    "thinkmorph": Holds(
        consumers="ThinkMorph, unified_edit",
        use=USE,
        trained="the text and the pictures of answers; not prompts",
        prompt_images="exactly one, first, in one user turn",
        answer_images="any number, each after a text; what follows sees them",
        trains_output_images=True,
        columns=("id", "task", "messages", "images"),
        notes=(
            *USES_GROUPS,
            f"a sample of more than `--max_num_tokens_per_sample` ({MAX_TOKENS:,}) is skipped: 1024 x 1024 pixels are "
            "5,465 tokens in a prompt, 9,561 in an answer; rows whose pictures alone are more are counted under warned",
            "texts of answers get `<think>`, `<answer>`, `<image_start>` and `<image_end>`: inference draws where it "
            "reads `<image_start>`; `markers=no` leaves them out",
            "an answer that opens with a picture, or has two side by side, is refused: each needs a text before it",
        ),
    ),
    "zebra-cot": Holds(
        consumers="Bagel-Zebra-CoT, think_trace",
        use=USE,
        trained="the text and the pictures of answers; not questions",
        prompt_images="any number, anywhere, in one user turn",
        answer_images="any number, anywhere before the final answer; what follows sees them",
        trains_output_images=True,
        columns=("id", "task", "messages", "images"),
        notes=(
            *USES_LINES,
            "the final answer is the last text, after all pictures; an answer that ends with a picture, or has nothing "
            "before its final answer, is refused: the reader would train an empty answer, or skip the row",
            "the reader wraps each text in `<think>` itself, strips it, and deletes `THOUGHT 1:` and the like from it; "
            "counted under warned",
            "a picture that opens the answer or follows another is trained, but nothing is trained to begin it; "
            "counted under warned",
            "a text that holds what reads as a reference to a picture is refused: the reader would skip the row",
        ),
    ),
}


def writer(shard: ShardFolder, options: Options) -> Writer:
    if options.profile == "zebra-cot":
        return ZebraWriter(shard)
    return ThinkMorphWriter(shard, has_markers=options.markers == "yes")


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    root = Path(options.root) if options.root else out.absolute()
    entry: dict[str, Any] = {"data_dir": str(root), "num_total_samples": report.records_out}
    reader: Mapping[str, Any] = EDIT_TRANSFORMS
    if options.profile == "thinkmorph":
        entry["num_files"] = sum(note["row_groups"] > 0 for note in notes)
        entry["parquet_info_path"] = str(root / "parquet_info.json")
        write_parquet_info(out, root, notes)
    else:
        reader = ZEBRA_TRANSFORMS
        # Not also in bagel.yaml, as in the trainer's own example: then every line is read twice.
        entry |= {"jsonl_path": str(root / "zebra_cot.jsonl"), "image_prefix_dir": str(root)}
    group = "unified_edit" if options.profile == "thinkmorph" else "think_trace"
    write_config(out, group, entry, reader)


FORMAT = Format(
    name="bagel-interleaved",
    options=Options,
    profiles=PROFILES,
    writer=writer,
    finish=finish,
    read=read,
    read_options=ReadOptions,
)
