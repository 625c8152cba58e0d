"""A row through a chat template: token ids, and which of them are answer.

    row -> conversation -> rendered text -> token ids, one image token per picture, answer flags

Neighbouring texts of a message are joined by a line break before a template sees them, whatever the family: templates
disagree (Chameleon's would glue them), and `convert` writes them so too.
A row that ends with a user turn is a prompt: it ends with what the template writes before an answer.

Two things are hard to get right here and are done once, for every family:

- What is answer. The template is rendered up to each assistant turn with the generation prompt, which is what the model
sees when it
  is asked; whatever the whole conversation adds to that is what it has to write.
- Text that looks like a control token. "<image>" in a user's sentence is text. Each control token found in a part is
replaced by a
  private mark before the template runs, and the mark by the ids that the tokenizer gives with special-token splitting
  off.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from toolkit.collate.literals import Literals
from toolkit.collate.thoughts import TAGS, thought_and_answer, with_tags
from toolkit.errors import ImageTokenMismatch, RowError, UsageError, shorten

_ANSWER = "\ufdd2"  # stands for an answer, to find where it is written; a Unicode noncharacter, which no text holds

Conversation = list[dict[str, Any]]

_TURNS = (("user", "a"), ("assistant", "b"))
SHORT_ROW: Mapping[str, Any] = {
    "id": "short",
    "messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in _TURNS],
    "images": [],
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as tokens, pictures not yet spliced in.

    Attributes:
        ids: token ids; each picture is one image token.
        is_answer: aligned with `ids`; True where the model has to write the token.
    """

    ids: list[int]
    is_answer: list[bool]


def token_id(tokenizer: Any, token: str) -> int:
    """Id of a control token.

    Raises:
        UsageError: the tokenizer has no such token.
    """
    found: int | None = tokenizer.convert_tokens_to_ids(token)
    if found is None or tokenizer.convert_ids_to_tokens(found) != token:
        raise UsageError(
            f"{type(tokenizer).__name__} has no token {token!r}; it has {shorten(tokenizer.all_special_tokens)}; pass "
            "the family's own processor"
        )
    return found


class ChatEncoder:
    """Encodes rows with the chat template of a processor.

    Args:
        processor: a transformers processor with a fast tokenizer and `apply_chat_template`.
        image_token: what the template writes for a picture.
        chat_template: Jinja text used instead of the processor's own.
        leading_ids: ids put before a row whose text does not begin with the tokenizer's bos; None = what the tokenizer
            itself adds.
        thoughts: render the rationale of a row as the thought of its last answer.

    Raises:
        UsageError: the tokenizer has no such image token, or gives no character offsets.
    """

    def __init__(
        self,
        processor: Any,
        *,
        image_token: str,
        chat_template: str | None = None,
        leading_ids: list[int] | None = None,
        thoughts: bool = False,
    ) -> None:
        self.processor, self.tokenizer, self.chat_template = processor, processor.tokenizer, chat_template
        self.image_token, self.thoughts = image_token, thoughts
        if not getattr(self.tokenizer, "is_fast", False):
            raise UsageError(
                f"{type(self.tokenizer).__name__} gives no character offsets; load the fast tokenizer (use_fast=True)"
            )
        self.image_id = token_id(self.tokenizer, image_token)
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        self.control_tokens = tuple(sorted(special | {image_token}, key=lambda token: (-len(token), token)))
        self.control_ids = frozenset(self.tokenizer.convert_tokens_to_ids(list(self.control_tokens)))
        self._closers = tuple(token for token in self.control_tokens if token != image_token)
        self._literals = Literals(self.control_tokens)
        self._newline: list[int] = self.tokenizer.encode("\n", add_special_tokens=False)
        self._leading = self._leading_ids() if leading_ids is None else leading_ids

    def encode(self, row: Mapping[str, Any]) -> Encoded:
        """The tokens of a row.

        Raises:
            ImageTokenMismatch: image parts, pictures and rendered placeholders differ; names the row and the counts.
            RowError: nothing comes before the first answer; the template loses or reorders parts of an answer, or an
                assistant turn cannot be found in what it renders.
        """
        conversation = self._conversation(row)
        if not conversation or conversation[0]["role"] == "assistant":
            found = "begins with an answer" if conversation else "has no messages"
            raise RowError(f"row {row['id']!r} {found}; expected a turn of the user first", kind="no_prompt")
        num_parts = sum(part["type"] == "image" for message in conversation for part in message["content"])
        if num_parts != (num_images := len(row["images"] or ())):
            raise ImageTokenMismatch(
                f"row {row['id']!r}: {num_parts} image parts and {num_images} images; expected equal",
                kind="image_token_mismatch",
            )
        is_prompt = conversation[-1]["role"] != "assistant"
        rendered = self._render(conversation, prompt_for_answer=is_prompt)
        if num_parts != (num_placeholders := rendered.count(self.image_token)):
            raise ImageTokenMismatch(
                f"row {row['id']!r}: {num_parts} image parts, but the chat template rendered {num_placeholders} "
                f"{self.image_token!r}; "
                "many templates drop pictures in assistant turns: leave such rows out, or pass chat_template=",
                kind="image_token_mismatch",
            )
        spans = list(self._answer_spans(row["id"], conversation, rendered))
        ids, is_answer = self._flagged_ids(rendered, [self._to_closer(rendered, *span) for _, *span in spans])
        closes = rendered.rstrip().endswith(self._closers)
        if spans and not is_prompt and not closes and self.tokenizer.eos_token_id is not None:
            # LLaVA's and Emu3's templates do not close a turn: the model would never learn to stop.
            ids, is_answer = [*ids, self.tokenizer.eos_token_id], [*is_answer, True]
        return Encoded(ids, is_answer)

    def closing_id(self) -> int | None:
        """The control token that ends an answer; None where there is none, so that answers never end by themselves."""
        last = self.encode(SHORT_ROW).ids[-1]
        return last if last in self.control_ids else None

    def keeps_answer_images(self) -> bool:
        """Whether the template renders a picture that stands in an assistant turn."""
        picture = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
        conversation = [
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "assistant", "content": picture},
        ]
        return self.image_token in self._render(conversation)

    def _leading_ids(self) -> list[int]:
        with_special, bare = (self.tokenizer("a", add_special_tokens=flag)["input_ids"] for flag in (True, False))
        return next(with_special[:n] for n in range(len(with_special)) if with_special[n : n + len(bare)] == bare)

    def _conversation(self, row: Mapping[str, Any]) -> Conversation:
        """Clean dicts: a text key on an image part, or an image key on a text part, is read as content by many
        templates.
        """
        made = [{"role": message["role"], "content": self._parts(message["content"])} for message in row["messages"]]
        if self.thoughts and (found := thought_and_answer(row)):
            thought, answer = (self._parts(parts) for parts in found)
            made[-1]["content"] = with_tags(thought, answer)
        return made

    def _parts(self, content: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        parts: list[dict[str, str]] = []
        for is_image, run in groupby(content, key=lambda part: part["type"] == "image"):
            if is_image:
                parts += [{"type": "image"} for _ in run]
            else:
                texts = [self._literals.protect(part["text"]) for part in run if part["text"]]
                parts.append({"type": "text", "text": "\n".join(texts)})
        return parts

    def _render(self, conversation: Conversation, *, prompt_for_answer: bool = False) -> str:
        rendered: str = self.processor.apply_chat_template(
            conversation, chat_template=self.chat_template, tokenize=False, add_generation_prompt=prompt_for_answer
        )
        return rendered

    def _answer_spans(
        self, row_id: str, conversation: Conversation, rendered: str
    ) -> Iterator[tuple[dict[str, Any], int, int]]:
        """Each assistant message with the characters that the model has to write for it."""
        for number, message in enumerate(conversation):
            if message["role"] != "assistant":
                continue
            is_last = number == len(conversation) - 1
            prompt = self._render(conversation[:number], prompt_for_answer=True)
            turn = rendered if is_last else self._render(conversation[: number + 1])
            span = (len(prompt), len(turn))
            if not turn.startswith(prompt) or not rendered.startswith(turn):
                span = self._span_where_written(row_id, conversation, number, rendered)
            self._check_answer(row_id, message, rendered[slice(*span)])
            yield message, *span

    def _span_where_written(
        self, row_id: str, conversation: Conversation, number: int, rendered: str
    ) -> tuple[int, int]:
        """Where the whole conversation has an answer, and the token that closes it.

        For templates that write an answer in another way once more turns follow: those of thinking models drop its
        thought.
        """
        marked = {"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]}
        before, found, after = self._render([*conversation[:number], marked, *conversation[number + 1 :]]).partition(
            _ANSWER
        )
        end = len(rendered) - len(after)
        if not found or not rendered.startswith(before) or not rendered.endswith(after) or end < len(before):
            raise RowError(
                f"row {row_id!r}: message {number} cannot be found in what the chat template renders, because the "
                "template writes other turns differently because of it; pass chat_template=",
                kind="template_rewrites_turns",
            )
        closer = next((token for token in self._closers if after.startswith(token)), "")
        return len(before), end + len(closer)

    def _check_answer(self, row_id: str, message: dict[str, Any], written: str) -> None:
        """Every part of an answer is rendered, in reading order: another order would show a picture before the text
        that leads to it.
        """
        at = 0
        for number, part in enumerate(message["content"]):
            pieces = [self.image_token] if part["type"] == "image" else [part["text"]]
            if self.thoughts and part["type"] == "text":  # blanks around tags are the template's
                pieces = TAGS.split(part["text"])
            for wanted in (piece.strip() for piece in pieces):
                found = written.find(wanted, at)
                if found < 0:
                    raise RowError(
                        f"row {row_id!r}: part {number} ({part['type']}) of an answer is lost or moved by the chat "
                        "template; "
                        "leave such rows out, or pass a chat_template= that renders answers in reading order",
                        kind="template_moves_parts",
                    )
                at = found + len(wanted)

    def _to_closer(self, rendered: str, start: int, end: int) -> tuple[int, int]:
        """The span up to the token that closes the turn; the line break many templates add is nobody's answer."""
        answer = rendered[start:end].rstrip()
        return (start, start + len(answer)) if answer.endswith(self._closers) else (start, end)

    def _flagged_ids(self, rendered: str, spans: list[tuple[int, int]]) -> tuple[list[int], list[bool]]:
        begins_with_bos = self.tokenizer.bos_token is not None and rendered.startswith(self.tokenizer.bos_token)
        ids = [] if begins_with_bos else list(self._leading)
        is_answer = [False] * len(ids)
        previous = 0
        for number, start, end in self._tokens(rendered):
            # Byte-level tokenizers leave the space before a word out of its offsets; it belongs to the token all the
            # same.
            start, previous = min(start, previous), end
            ids.append(number)
            is_answer.append(any(start < span_end and end > span_start for span_start, span_end in spans))
        return ids, is_answer

    def _tokens(self, rendered: str) -> Iterator[tuple[int, int, int]]:
        """Id, start and end of every token. Without literal control tokens this is one call, as the processor would
        make it.
        """
        at = 0
        for piece, is_literal, length in self._literals.pieces(rendered):
            if is_literal:
                yield from ((found, at, at + length) for found in self._literal_ids(piece))
            else:
                yield from (
                    (found, at + start, at + end) for found, start, end in self._piece_tokens(piece, is_first=at == 0)
                )
            at += length

    def _literal_ids(self, token: str) -> list[int]:
        ids = [found for found, *_ in self._piece_tokens(token, split_special_tokens=True)]
        if self.tokenizer.convert_tokens_to_ids(token) in ids:  # an added token that is not special is never split
            ids = [found for letter in token for found, *_ in self._piece_tokens(letter)]
        return ids

    def _piece_tokens(self, piece: str, *, is_first: bool = False, **options: bool) -> list[tuple[int, int, int]]:
        """Tokens of a piece of a text, as they are behind other text.

        SentencePiece puts a blank before whatever it is given: encode behind a line break and take that off again.
        Source: transformers 5.23, utils/chat_template_utils.py, _encode_chat_piece
        """
        for lead in ("",) if is_first else ("\n", ""):
            encoding = self.tokenizer(
                lead + piece, add_special_tokens=False, return_offsets_mapping=True, verbose=False, **options
            )
            ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
            skip = len(self._newline) if lead else 0
            if ids[:skip] == self._newline or not lead:
                break
        return [
            (found, max(start - len(lead), 0), max(end - len(lead), 0))
            for found, (start, end) in zip(ids[skip:], offsets[skip:], strict=True)
        ]
