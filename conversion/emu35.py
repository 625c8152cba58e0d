"""Emu3.5: one `Story` protobuf per row. Emu3.5 published no training code; Story is the interleaved file its own
inference writes and views.

Source: https://github.com/baaivision/Emu3.5@8fcf1da src/proto/emu_pb.py (field numbers),
src/utils/painting_utils.py#L16 (ProtoWriter). The encoding is the six lines of protobuf's wire format that these
messages need, so no protobuf package is.
"""

from dataclasses import dataclass

from conversion.formats import Format, Holds, check_options
from conversion.pairs import refuse
from conversion.shard import Notes, ShardFolder
from toolkit.errors import ImageError
from toolkit.images import image_format, image_size
from toolkit.schema import Message, Row, text_of

# Field numbers and the enum. Source: emu_pb.py of the commit above
STORY_ID, STORY_CLIPS, STORY_QUESTION, STORY_REFERENCE_IMAGES = 1, 2, 12, 17
CLIP_ID, CLIP_SEGMENTS, SEGMENT_ASR, SEGMENT_IMAGES = 1, 101, 2, 101
META_CAPTION, META_IMAGE = 3, 11
IMAGE_WIDTH, IMAGE_HEIGHT, IMAGE_FORMAT, IMAGE_DATA = 1, 2, 3, 4
FORMATS = {"jpg": 1, "png": 2, "webp": 3, "bmp": 4}


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "story".
    """

    profile: str = "story"

    def __post_init__(self) -> None:
        check_options(self, PROFILES)


PROFILES = {
    "story": Holds(
        consumers="Emu3.5's viewer src/utils/vis_proto.py; no published trainer",
        use="`python src/utils/vis_proto.py --input OUT/stories/00000/ID.pb --output FOLDER` shows one row",
        trained="nothing: no trainer is published",
        prompt_images="any number, beside the question, not inside it",
        answer_images="any number, in order",
        trains_output_images=False,
        columns=("id", "messages", "images", "image_captions", "instruction"),
        notes=("one question and one answer a row", "the viewer shows the first picture of a question only"),
    )
}


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that more follow."""
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def block(field: int, content: bytes | str) -> bytes:
    """A string, bytes or message field."""
    encoded = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(encoded)) + encoded


def image_meta(data: bytes, caption: str) -> bytes:
    width, height = image_size(data)
    image = (
        number(IMAGE_WIDTH, width)
        + number(IMAGE_HEIGHT, height)
        + number(IMAGE_FORMAT, FORMATS.get(image_format(data), 0))
        + block(IMAGE_DATA, data)
    )
    return (block(META_CAPTION, caption) if caption else b"") + block(META_IMAGE, image)


def clips(answer: Message, metas: list[bytes]) -> bytes:
    """A clip per text, with the pictures that follow it; pictures before any text get a clip of empty text."""
    segments: list[bytes] = []
    for part in answer.content:
        if part.type == "text" or not segments:
            segments.append(block(SEGMENT_ASR, part.text))
        if part.type == "image":
            segments[-1] += block(SEGMENT_IMAGES, metas.pop(0))
    return b"".join(
        block(STORY_CLIPS, block(CLIP_ID, f"clip_{place:04d}") + block(CLIP_SEGMENTS, segment))
        for place, segment in enumerate(segments)
    )


def story(row: Row) -> bytes:
    """
    Raises:
        RowError: kinds "several_turns", "picture_format".
    """
    *prompt, answer = row.messages
    if len([message for message in prompt if message.role != "system"]) != 1:
        raise refuse(
            row, "several_turns", f"has {len(row.messages)} messages; a Story holds one question and one answer"
        )
    try:
        metas = [
            image_meta(image.bytes, caption) for image, caption in zip(row.images, row.image_captions, strict=True)
        ]
    except ImageError as error:
        raise refuse(
            row, "picture_format", f"a picture cannot be opened, and a Story states its size: {error}"
        ) from error
    asked = row.image_roles.count("input")
    references = b"".join(block(STORY_REFERENCE_IMAGES, meta) for meta in metas[:asked])
    answered = clips(answer, metas[asked:])
    return block(STORY_ID, row.id) + answered + block(STORY_QUESTION, text_of(prompt, "system", "user")) + references


class StoryWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard = shard

    def write(self, row: Row) -> None:
        encoded = story(row)
        self.shard.path(f"stories/{self.shard.number:05d}/{row.id}.pb").write_bytes(encoded)
        tally = self.shard.tally
        tally.records_out += 1
        tally.images_out += len(row.images)
        asked = row.image_roles.count("input")
        tally.count("images_moved", "out_of_the_question", row.id, asked)
        tally.count("images_without_loss", "no_trainer", row.id, len(row.images) - asked)
        tally.count("flattened", "system_message", row.id, row.messages[0].role == "system")

    def close(self) -> Notes:
        return {}


FORMAT = Format(name="emu35", options=Options, profiles=PROFILES, writer=StoryWriter)
