"""Sketch: everything of a row but the bytes of its pictures. Sketch + pictures -> Row."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from toolkit.errors import RowError, UnifiedVisualError
from toolkit.published import PUBLISHED
from toolkit.rules import check_row
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, image_roles, quadrant_of, text_of
from toolkit.sources.published.shapes import Draft, assumed
from toolkit.sources.published.shapes.pictures import Reference
from toolkit.sources.published.shapes.placeholders import Placeholders, placeholders_of
from toolkit.sources.published.shapes.placing import Pools, Turn, place
from toolkit.sources.skips import Skips
from toolkit.tasks import Task, find_task

MAX_ID = 64
SAFE_ID = re.compile(rf"[a-z0-9_](?:[a-z0-9_-]{{0,{MAX_ID - 2}}}[a-z0-9_])?")
# Source: Xkev/LLaVA-CoT-100k, whose answers are these four sections.
COT_SECTIONS = re.compile(
    r"\s*<SUMMARY>(.*?)</SUMMARY>\s*<CAPTION>(.*?)</CAPTION>\s*<REASONING>(.*?)</REASONING>\s*<CONCLUSION>(.*?)</CONCLUSION>\s*",
    re.DOTALL,
)


class Sketch(NamedTuple):
    """A row without its pictures.

    Attributes:
        where: how messages call it: file and row number.
        task, id: "" until the archives have told the task.
        own_id: upstream's; "" = none.
        draft: its turns; pictures in place once `pools` is None.
        pools: pictures of columns of their own, which the task helps to place.
        names: path of each picture as rows give it -> the name it is looked up by.
        placeholders: kinds that count; None = all known.
        sides: of the pictures of one list, as a mapping says; task ("" = any) -> "prompt" or "answer" for each.
        assumed: what was taken from an order or a position.
        origin: file, row number and kept columns, for provenance.
    """

    where: str
    task: str
    id: str
    own_id: str
    draft: Draft
    pools: Pools | None
    names: dict[str, str]
    placeholders: tuple[str, ...] | None
    origin: dict[str, Any]
    sides: Mapping[str, tuple[str, ...]] | None = None
    assumed: tuple[str, ...] = ()


class Placed(NamedTuple):
    """A picture that was found: archive and member, for provenance, and its bytes."""

    archive: str
    name: str
    data: bytes


def settle(sketch: Sketch, task: str) -> Sketch:
    """The same row with its pictures in place, now that its task is known.

    Raises:
        RowError: they cannot be placed, or a message is left empty.
    """
    if sketch.pools is None:
        return sketch
    known, placeholders = find_task(task), placeholders_of(sketch.placeholders)
    draft, quadrant = sketch.draft, known.quadrant
    given = sketch.sides or {}
    turns, taken = place(
        draft.turns,
        sketch.pools,
        placeholders=placeholders,
        quadrant=quadrant,
        is_interleaved=known.outputs != "last",
        sides=given.get(task) or given.get("", ()),
    )
    _check_filled(turns, draft.answer)
    _check_targets(turns, known)
    rationale, answer = draft.rationale, draft.answer
    if quadrant != "text-text":  # there, tags are the writer's own words
        rationale = rationale and _without_placeholders(rationale, placeholders)
        answer = answer and _without_placeholders(answer, placeholders)
    draft = _split_cot(Draft(turns, rationale, answer))
    needed = {each.path for each in draft.references() if not each.bytes}
    names = {path: name for path, name in sketch.names.items() if path in needed}
    taken += (assumed.LAST,) if known.outputs == "last" and _has_several(turns) else ()
    return sketch._replace(task=task, draft=draft, pools=None, names=names, assumed=taken)


def _check_filled(turns: Iterable[Turn], answer: str | None) -> None:
    """No message is left empty, and no answer is rationale alone."""
    for turn in turns:
        if not any(not isinstance(piece, str) or piece.strip() for piece in turn.content):
            kind = "null_answer" if turn.role == "assistant" else "null_prompt"
            raise RowError(f"the {turn.role} message is null or blank; expected text or a picture", kind=kind)
    if answer == "" and not _has_picture(turns, "assistant"):
        raise RowError("the answer is null or blank; expected text or a picture", kind="null_answer")


def _check_targets(turns: Iterable[Turn], task: Task) -> None:
    """A task that makes pictures, or changes them, has no row without: its picture was null."""
    if task.outputs != "last" or not task.quadrant.endswith("-mm"):
        return
    for role, is_due in (("user", task.quadrant.startswith("mm-")), ("assistant", True)):
        if is_due and not _has_picture(turns, role):
            raise RowError(f"the {role} message has no picture, which rows of this task have", kind="null_picture")


def _has_picture(turns: Iterable[Turn], role: str) -> bool:
    return any(isinstance(piece, Reference) for turn in turns if turn.role == role for piece in turn.content)


def _has_several(turns: Iterable[Turn]) -> bool:
    """Whether an answer has several pictures."""
    answers = (turn.content for turn in turns if turn.role == "assistant")
    return any(sum(isinstance(piece, Reference) for piece in content) > 1 for content in answers)


def _split_cot(draft: Draft) -> Draft:
    """LLaVA-CoT's sections tell the rationale from the answer; the turns keep the tagged text as it was."""
    replies = [turn for turn in draft.turns if turn.role == "assistant"]
    text = _text(replies[0].content) if len(replies) == 1 and not draft.rationale else ""
    if not text.startswith("<SUMMARY>") or not (match := COT_SECTIONS.fullmatch(text)):
        return draft
    *reasons, conclusion = (section.strip() for section in match.groups())
    return draft._replace(rationale="\n\n".join(filter(None, reasons)), answer=conclusion)


def _without_placeholders(text: str, placeholders: Placeholders) -> str:
    pieces, end = [], 0
    for tag in placeholders.find(text):
        pieces.append(text[end : tag.start])
        end = tag.end
    return _text([*pieces, text[end:]])


def _text(content: Iterable[object]) -> str:
    return "\n".join(text for piece in content if isinstance(piece, str) and (text := piece.strip()))


class RowBuilder:
    """Sketch + pictures -> Row; knows the ids it has given, so that none occurs twice."""

    def __init__(self, skips: Skips) -> None:
        self._skips = skips
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}  # id -> where to look for the next number behind it

    def build(self, sketch: Sketch, task: str, here: Mapping[str, Placed]) -> Row:
        """A row that keeps every rule.

        Args:
            here: name of each picture -> it.

        Raises:
            RowError: it breaks one; `kind` says which.
        """
        try:
            row = self.unchecked(sketch, task, here)
            check_row(row)
            return row
        except RowError as error:
            known = str(error)
            raise type(error)(
                known if sketch.where in known else f"{sketch.where}: {known}", kind=error.kind
            ) from error
        except UnifiedVisualError:
            raise
        except Exception as error:
            raise RowError(
                f"{sketch.where}: cannot be read ({type(error).__name__}: {error!s:.200})", kind="unreadable_row"
            ) from error

    def unchecked(self, sketch: Sketch, task: str, here: Mapping[str, Placed]) -> Row:
        if not task:
            raise RowError("its pictures lie in archives of several tasks, or of none", kind="ambiguous_task")
        return _row(self.identify(settle(sketch, task)), find_task(task), here)

    def identify(self, sketch: Sketch) -> Sketch:
        """A settled row with its id: upstream's own where there is one that is safe as a file name, else a digest of
        the content: the same in every version that has the row.
        """
        if sketch.id:
            return sketch
        task = find_task(sketch.task)
        own = sketch.own_id
        slug = own if SAFE_ID.fullmatch(own) else re.sub(r"[^a-z0-9_-]+", "-", own.lower()).strip("-")[:MAX_ID]
        if slug and slug == own:
            found = f"{task.prefix}-{slug}"
        else:
            content = own or repr(sketch.draft.turns)
            digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
            found = f"{task.prefix}-{slug}-{digest[:8]}" if slug else f"{task.prefix}-{digest[:16]}"
        if found in self._taken:
            self._skips.note("duplicate_id", f"{sketch.where}: id {found!r} again; a number was appended")
            again = next(n for n in count(self._numbers.get(found, 2)) if f"{found}-{n}" not in self._taken)
            self._numbers[found] = again + 1
            found = f"{found}-{again}"
        self._taken.add(found)
        self._skips.assumed.update(sketch.assumed)
        return sketch._replace(id=found)


def _row(sketch: Sketch, task: Task, here: Mapping[str, Placed]) -> Row:
    published = PUBLISHED.get(task.name)
    messages = tuple(_message(turn.role, turn.content) for turn in sketch.draft.turns)
    references = sketch.draft.references()
    found = [None if each.bytes else here[sketch.names[each.path]] for each in references]
    images = [
        EncodedImage(each.bytes, _last(each.path)) if placed is None else EncodedImage(placed.data, _last(placed.name))
        for each, placed in zip(references, found, strict=True)
    ]
    places = [placed and {"archive": placed.archive, "member": placed.name} for placed in found]
    return Row(
        id=sketch.id,
        task=task.name,
        quadrant=quadrant_of(messages),
        source=published.source if published else "",
        license=published.license if published else "",
        messages=messages,
        images=tuple(images),
        image_roles=image_roles(messages, task),
        image_captions=tuple(reference.caption for reference in references),
        instruction=text_of(messages, "user"),
        rationale=sketch.draft.rationale,
        answer=text_of(messages, "assistant") if sketch.draft.answer is None else sketch.draft.answer,
        provenance=_provenance(sketch.origin | ({"images": places} if places else {})),
    )


def _last(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _message(role: str, content: Iterable[object]) -> Message:
    return Message(
        role, tuple(IMAGE_PART if isinstance(piece, Reference) else Part("text", str(piece)) for piece in content)
    )


def _provenance(origin: dict[str, Any]) -> str:
    try:
        return _JSON.encode(origin)
    except (TypeError, ValueError):  # what is not finite, keys of other types
        return json.dumps(_plain(origin), ensure_ascii=False)


def _as_text(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_as_text)


def _plain(value: Any) -> Any:
    """What JSON can hold: bytes by their number, what is not finite as text, other types as text."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, int, float)) else _as_text(value)
