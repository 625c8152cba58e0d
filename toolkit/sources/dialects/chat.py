"""Messages {role, content}: OpenAI, Hugging Face, TRL, ms-swift, LLaMA-Factory. The content is a text, with <image> for
pictures of a list beside it, or a list of blocks that hold or stand for pictures; also prompt and completion, and query
and response.

Source: transformers docs/source/en/chat_templating_multimodal.md; trl docs/source/dataset_formats.md; ms-swift
docs/source_en/Customization/Custom-dataset.md; OpenAI's reference of the chat completions API
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from toolkit.errors import RowError, shorten, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Piece, Turn, Use, is_text
from toolkit.sources.dialects.fields import IMAGES, are_words, pool
from toolkit.sources.dialects.placing import filled, place, place_in
from toolkit.sources.dialects.tasks import CONVERSATION
from toolkit.sources.dialects.turns import TurnOptions, role_of, settle
from toolkit.sources.published.shapes.pictures import Reference, parse_text, pictures_in

TEXT_BLOCKS = ("text", "input_text", "output_text")
IMAGE_BLOCKS = ("image", "image_url", "input_image", "output_image")
IMAGE_KEYS = ("image", "image_url", "url", "path", "base64", "bytes", "data", "source")
SLOT = Reference("")  # a block that stands for the next picture of the list


def fits(fields: Fields) -> bool:
    for use in ("messages", "prompt"):
        value = parse_text(fields.get(use))
        if isinstance(value, list) and value:
            return all(
                isinstance(each, dict) and "role" in each and ("content" in each or "tool_calls" in each)
                for each in value
            )
    answer = parse_text(fields.get("completion"))
    is_answer = are_words(answer) or (isinstance(answer, list) and all(isinstance(each, dict) for each in answer))
    return are_words(fields.get("prompt")) and is_answer


def read(fields: Fields, options: TurnOptions) -> Draft:
    turns = list(_turns(fields, options))
    pictures = pool(fields)
    slots = sum(piece is SLOT for turn in turns for piece in turn.content)
    own = sum(isinstance(piece, Reference) for turn in turns for piece in turn.content) - slots
    if own and pictures and len(pictures) != own + slots:
        raise RowError(
            f"messages hold {own} pictures, and a list beside them {len(pictures)}; expected as many, or none",
            kind="picture_conflict",
        )
    if slots and len(pictures) != own + slots:
        raise RowError(
            f"{slots} image blocks stand for {len(pictures)} pictures; expected as many", kind="count_mismatch"
        )
    if not (slots or own):
        turns = list(place(turns, pictures, options.placeholder))
    elif pictures:
        turns = _filled_in(turns, pictures)
    settled, facts = settle(turns, options)
    return Draft(settled, facts=facts)


def _filled_in(turns: Sequence[Turn], pictures: Sequence[Reference]) -> list[Turn]:
    """Blocks that stand for pictures have those of the list; others keep their own, which the list repeats, unless the
    list has the bytes.
    """
    coming = iter(pictures)

    def chosen(piece: Piece) -> Piece:
        if not isinstance(piece, Reference):
            return piece
        listed = next(coming)
        return listed if piece is SLOT or (listed.bytes and not piece.bytes) else piece

    return [Turn(turn.role, tuple(map(chosen, turn.content))) for turn in turns]


def _turns(fields: Fields, options: TurnOptions) -> Iterator[Turn]:
    if isinstance(system := fields.get("system"), str) and system.strip():
        yield Turn("system", (system,))
    if fields.get("messages") is not None:
        yield from _messages(fields["messages"], "user", options)
        return
    for question, answer in _history(parse_text(fields.get("history")) or []):
        yield from (Turn("user", filled([question])), Turn("assistant", filled([answer])))
    prompt, more = fields.get("prompt"), fields.get("input")
    if isinstance(prompt, str) and is_text(more):
        prompt = f"{prompt}\n{more}"
    yield from _messages(prompt, "user", options)
    yield from _messages(fields.get("completion"), "assistant", options)


def _history(value: Any) -> list[list[str]]:
    """
    Raises:
        RowError: it is no list of pairs of texts.
    """
    pairs = value if isinstance(value, list) else [value]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, str) for each in pair)):
            raise RowError(f"history holds {shown(pair)}; expected a question and its answer", kind="bad_record")
    return pairs


def _messages(value: Any, role: str, options: TurnOptions) -> Iterator[Turn]:
    """A list of messages, or one text of a role."""
    value = parse_text(value)
    if isinstance(value, str):
        yield Turn(role, filled([value]))
        return
    if not isinstance(value, list) or not value:
        raise RowError(f"messages are {shown(value)}; expected a list of role and content", kind="bad_record")
    for message in value:
        if not isinstance(message, dict) or "role" not in message:
            raise RowError(f"a message is {shown(message)}; expected role and content", kind="bad_record")
        turn = Turn(role_of(message["role"], options), filled(list(_pieces(message))))
        yield place_in(turn, message.get("images") or message.get("image"), options.placeholder)


def _pieces(message: dict[str, Any]) -> Iterator[Piece]:
    content = parse_blocks(message.get("content"))
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            yield _block(block)
    elif content is not None or not message.get("tool_calls"):
        raise RowError(f"the content of a message is {shown(content)}; expected text or blocks", kind="bad_text")
    if calls := message.get("tool_calls"):
        yield json.dumps(calls, ensure_ascii=False)


def parse_blocks(content: Any) -> Any:
    """JSON text of a list of blocks as what it says; other text as it is."""
    found = parse_text(content)
    is_blocks = (
        isinstance(found, list)
        and found
        and all(isinstance(each, dict) and each.keys() & {"type", "text", "image"} for each in found)
    )
    return found if is_blocks else content


def _block(block: Any) -> Piece:
    if isinstance(block, str):
        return block
    kind = _kind(block) if isinstance(block, dict) else None
    if kind in TEXT_BLOCKS:
        if not isinstance(block.get("text"), str):
            raise RowError(f"a text block holds {shown(block.get('text'))}; expected text", kind="bad_text")
        return str(block["text"])
    if kind in IMAGE_BLOCKS:
        held = next((block[key] for key in IMAGE_KEYS if block.get(key) is not None), None)
        if held is None:
            return SLOT
        found = pictures_in(_address(held), "image block")
        if len(found) != 1:
            raise RowError(f"an image block holds {len(found)} pictures; expected one", kind="bad_part")
        return found[0]
    about = f"type {kind!r}" if kind else shown(block)
    raise RowError(f"a block has {about}; expected {shorten((*TEXT_BLOCKS, *IMAGE_BLOCKS))}", kind="bad_part")


def _kind(block: dict[str, Any]) -> Any:
    """The type of a block; Qwen's {"image": ...} and {"text": ...} have none but their key."""
    return block.get("type", next((key for key in ("image", "text") if block.keys() == {key}), None))


def _address(held: Any) -> Any:
    """Anthropic's {type: base64, data} and OpenAI's {url, detail} as what they hold."""
    if isinstance(held, dict) and "detail" in held:
        return {key: value for key, value in held.items() if key != "detail"}
    if isinstance(held, dict) and "data" in held:
        return held["data"]
    return held


DIALECT = Dialect(
    name="chat",
    reads="rows of OpenAI, Hugging Face, TRL, ms-swift and LLaMA-Factory",
    sign="messages {role, content}, or prompt and completion",
    task=CONVERSATION,
    uses={
        "messages": Use(("messages", "conversations?", "chat", "dialog(ue)?"), needed=False),
        "prompt": Use(("prompt", "query", "instruction"), needed=False),
        "input": Use(("input",), needed=False),
        "completion": Use(("completion", "response", "chosen", "output"), needed=False),
        "history": Use(("history",), needed=False),
        "images": IMAGES,
        "system": Use(("system(_prompt)?",), needed=False),
    },
    fits=fits,
    read=read,
    options=TurnOptions,
)
