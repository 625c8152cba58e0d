"""LLaVA: a conversation of strings with an <image> placeholder, and picture files beside it.

    v15   llava.json, one list; at most one picture a row; the key `image` is left out for text rows
    next  llava-<task>.jsonl and mixture.yaml; `image` is a list

Source: https://github.com/haotian-liu/LLaVA@c121f04 llava/train/train.py#L308 (preprocess_multimodal), #L655
(LazySupervisedDataset)
Source: https://github.com/LLaVA-VL/LLaVA-NeXT@df17966 llava/train/train.py#L381 (preprocess_multimodal), #L966 (yaml)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from conversion.conversations_import import reader
from conversion.formats import Format, Holds, LeftOut, check_options, choose
from conversion.importing import ReadOptions
from conversion.pairs import refuse
from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from conversion.text import IMAGE_TAG, count_strings, fold_system, has_special_token, turn_text
from toolkit.images import image_format
from toolkit.schema import Row
from toolkit.staging.files import write_whole

# LLaVA-NeXT deletes this text wherever it stands. Source: llava/train/train.py#L402 of the commit above
DELETED_BY_NEXT = "QA_GT_caption_based_noisy"
SPEAKERS = {"user": "human", "assistant": "gpt"}
# Between turns, as the template of LLaVA 1.5 writes them; by these its reader finds the answers, also inside of texts.
# Source: llava/conversation.py#L242 (conv_vicuna_v1), llava/train/train.py#L414 (preprocess_v1) of the first commit
ANSWER_STARTS, ANSWER_ENDS = " ASSISTANT: ", "</s>"


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "v15" or "next".
        output_images: what to do with a row whose answer has pictures, which LLaVA cannot be trained to draw: "error"
            stops, "context" keeps them as placeholders in the answer (no loss on them), "drop" leaves the row out; the
            last two are counted.
        root: put before the file names in mixture.yaml (profile next), which LLaVA-NeXT opens as they stand.
    """

    ONLY: ClassVar = {"root": ("next",)}
    profile: str = "v15"
    output_images: str = "error"
    root: str = ""

    def __post_init__(self) -> None:
        check_options(self, PROFILES)
        choose("output_images", self.output_images, ("error", "context", "drop"))


_KEPT = ("id", "task", "messages", "images")
_TRAINED = "the text of answers; not prompts, not pictures"
_NOTES = (
    "a picture that is alone in its turn is moved to the front of it by the trainer; counted as `images_moved`",
    "a system message is put in front of the first user turn; literal `<image>` in text is written `<\\image>`",
)
PROFILES = {
    "v15": Holds(
        consumers="LLaVA 1.5",
        use="`--data_path OUT/llava.json --image_folder OUT`",
        trained=_TRAINED,
        prompt_images="at most one picture a row",
        answer_images="one, as context, with `output_images=context`",
        trains_output_images=False,
        columns=_KEPT,
        notes=(
            *_NOTES,
            "a row whose text holds ` ASSISTANT: ` or `</s>`, or that has an empty turn, loses all its loss; counted "
            "under warned",
        ),
    ),
    "next": Holds(
        consumers="LLaVA-NeXT, LLaVA-OneVision",
        use="`--data_path OUT/mixture.yaml --image_folder OUT`",
        trained=_TRAINED,
        prompt_images="any number",
        answer_images="any number, as context, with `output_images=context`",
        trains_output_images=False,
        columns=_KEPT,
        notes=(
            *_NOTES,
            "JSON Lines are read through mixture.yaml only; run from OUT or pass root",
            f"the trainer deletes `{DELETED_BY_NEXT}` from any text; counted under warned",
            "the trainer takes the next row, in silence, for one whose picture cannot be opened; pictures of no known "
            "format are counted under warned",
            "special tokens in a text, such as `<|im_end|>`, are read as such; counted under warned",
        ),
    ),
}


class LlavaWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.options = shard, options

    def write(self, row: Row) -> None:
        answer_images = len(row.images) - row.image_roles.count("input")
        if answer_images and self.options.output_images != "context":
            if self.options.output_images == "drop":
                raise LeftOut(f"row {row.id!r}", kind="output_image")
            problem = (
                "its answer has pictures, which LLaVA cannot be trained to draw; pass output_images='context' or "
                "output_images='drop'"
            )
            raise refuse(row, "output_image", problem)
        if self.options.profile == "v15" and len(row.images) > 1:
            raise refuse(
                row, "several_images", f"has {len(row.images)} pictures; LLaVA 1.5 reads one; use profile='next'"
            )
        turns = [(SPEAKERS[message.role], turn_text(message.content)) for message in fold_system(row)]
        self._count(row, turns, answer_images)
        record: dict[str, Any] = {"id": row.id, "task": row.task}
        if names := [self.shard.image(row, number) for number in range(len(row.images))]:
            record["image"] = names[0] if self.options.profile == "v15" else names
        record["conversations"] = [{"from": speaker, "value": text} for speaker, text in turns]
        self.shard.line("llava.json" if self.options.profile == "v15" else f"llava-{row.task}.jsonl", record)

    def close(self) -> Notes:
        return {}

    def _count(self, row: Row, turns: list[tuple[str, str]], answer_images: int) -> None:
        tally = self.shard.tally
        tally.count(
            "images_moved",
            "to_front_of_turn",
            row.id,
            sum(text.count(IMAGE_TAG) == 1 and not text.startswith(IMAGE_TAG) for _, text in turns),
        )
        tally.count("images_without_loss", "context", row.id, answer_images)
        tally.count("flattened", "system_message", row.id, row.messages[0].role == "system")
        count_strings(tally, row)
        if self.options.profile == "v15":
            tally.count("warned", "loss_dropped_by_reader", row.id, loses_loss([text for _, text in turns]))
        else:
            tally.count("warned", "special_token", row.id, has_special_token(row))
            is_unreadable = not all(image_format(image.bytes) for image in row.images)
            tally.count("warned", "replaced_by_reader", row.id, is_unreadable)
            tally.count("warned", "text_deleted_by_reader", row.id, any(DELETED_BY_NEXT in text for _, text in turns))


def loses_loss(texts: list[str]) -> bool:
    """Whether LLaVA 1.5 finds other answers than the row has, and then puts no loss on any: a text holds what stands
    between turns, or a turn is empty.
    """
    rounds = [f"USER: {user}{ANSWER_STARTS}{answer}" for user, answer in zip(texts[::2], texts[1::2], strict=True)]
    return not all(texts) or any(ANSWER_ENDS in each or each.count(ANSWER_STARTS) != 1 for each in rounds)


def wraps(options: Options) -> dict[str, tuple[str, str]]:
    return {"llava.json": ("[\n", "\n]\n")} if options.profile == "v15" else {}


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    if options.profile == "next":
        names = sorted(path.name for path in out.glob("llava-*.jsonl"))
        mixture = {
            "datasets": [{"json_path": str(Path(options.root, name)), "sampling_strategy": "all"} for name in names]
        }
        write_whole(out / "mixture.yaml", [yaml.safe_dump(mixture, sort_keys=False).encode()])


FORMAT = Format(
    name="llava",
    options=Options,
    profiles=PROFILES,
    writer=LlavaWriter,
    wraps=wraps,
    finish=finish,
    read=reader("llava", "*.json", "*.jsonl"),
    read_options=ReadOptions,
)
