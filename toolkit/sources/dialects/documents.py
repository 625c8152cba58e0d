"""Documents of text and pictures in turn: steps or typed parts, as CoMM and its like have; stories.

A document with a title, or a question, is the answer to it. One without is begun by its first pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from toolkit.errors import RowError, UsageError, shorten, shown
from toolkit.sources.dialects.chat import IMAGE_BLOCKS, TEXT_BLOCKS
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Piece, Turn, Use, is_text, text_in
from toolkit.sources.dialects.placing import IMAGE, filled, place
from toolkit.sources.dialects.tasks import INTERLEAVED
from toolkit.sources.dialects.turns import check_word
from toolkit.sources.published.shapes.pictures import parse_text, pictures_in

TEXT_KEYS = ("text", "caption", "description", "content", "step", "sentence", "headline", "title")
IMAGE_KEYS = ("image", "images", "image_path", "image_paths", "image_name", "img", "image_url", "url", "path")
Side = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True)
class DocumentOptions:
    """
    Attributes:
        lead: pieces at the start of a document without a title that are the prompt; the rest is the answer.
        prompt: a text that is the prompt of every document, which is then the answer, whole.
    """

    lead: int = 1
    prompt: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.lead, int) or self.lead < 1:
            raise UsageError(
                f"lead is {self.lead!r}; expected a number from 1; with prompt= documents are answers, whole"
            )


@dataclass(frozen=True, kw_only=True)
class StepOptions(DocumentOptions):
    """
    Attributes:
        image: whether a picture stands "before" or "after" the text it belongs to, where the record only says which.
    """

    image: Side = "after"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_word("image", self.image, get_args(Side))


def document(pieces: Sequence[Piece], options: DocumentOptions, title: str = "") -> Draft:
    """
    Raises:
        RowError: kind "short_document".
    """
    pieces = filled(pieces)
    title = options.prompt or title
    lead = 0 if title else options.lead
    if len(pieces) <= lead:
        raise RowError(f"a document of {len(pieces)} pieces; expected over {lead}, the prompt", kind="short_document")
    prompt: tuple[Piece, ...] = (title,) if title else tuple(pieces[:lead])
    return Draft((Turn("user", prompt), Turn("assistant", tuple(pieces[lead:]))))


def fits(fields: Fields) -> bool:
    if _tagged(fields):
        return True
    steps = parse_text(fields.get("steps"))
    if steps is None:
        pictures, texts = parse_text(fields.get("images")), parse_text(fields.get("texts"))
        return isinstance(pictures, list) and isinstance(texts, list) and len(pictures) == len(texts) > 0
    return isinstance(steps, list) and bool(steps) and all(list(_step(step, "after")) for step in steps)


def read(fields: Fields, options: StepOptions) -> Draft:
    if tagged := _tagged(fields):
        return document(tagged, options, text_in(fields, "title", default=""))
    steps = parse_text(fields.get("steps"))
    if steps is None:
        steps = _told(parse_text(fields.get("images")), parse_text(fields.get("texts")))
    if not isinstance(steps, list) or not steps:
        raise RowError(f"the document is {shown(steps)}; expected a list of steps", kind="bad_record")
    pieces = [piece for step in steps for piece in _step(step, options.image)]
    return document(pieces, options, text_in(fields, "title", default=""))


def _tagged(fields: Fields) -> Sequence[Piece]:
    """Pieces of one text with an <image> for each of a list of pictures; none where it is something else."""
    text = next((each for use in ("steps", "texts") if isinstance(each := fields.get(use), str) and IMAGE in each), "")
    return place([Turn("user", (text,))], pictures_in(fields.get("images"), "images"))[0].content if text else ()


def _told(pictures: Any, texts: Any) -> list[dict[str, Any]]:
    if not isinstance(pictures, list) or not isinstance(texts, list) or len(pictures) != len(texts):
        raise RowError(f"pictures {shown(pictures)} and texts {shown(texts)}; expected as many", kind="count_mismatch")
    return [{"text": text, "image": picture} for picture, text in zip(pictures, texts, strict=True)]


def _step(step: Any, side: Side) -> Iterator[Piece]:
    """Pieces of a text, a typed part, or a step with texts and pictures."""
    if isinstance(step, str):
        yield step
        return
    if not isinstance(step, dict):
        raise RowError(f"a step is {shown(step)}; expected text and image", kind="bad_record")
    kind = step.get("type")
    texts = [step[key] for key in TEXT_KEYS if is_text(step.get(key)) and kind not in IMAGE_BLOCKS]
    texts += [step["value"]] if kind in TEXT_BLOCKS and not texts and is_text(step.get("value")) else []
    named = next((step[key] for key in IMAGE_KEYS if step.get(key)), None) if kind not in TEXT_BLOCKS else None
    if kind in IMAGE_BLOCKS and named is None:
        named = step.get("content") or step.get("value")
    pictures = pictures_in(named, "image") if named is not None else []
    if not texts and not pictures:
        raise RowError(f"a step has {shorten(step)}; expected text and image", kind="bad_record")
    yield from (*pictures, *texts) if side == "before" else (*texts, *pictures)


DIALECT = Dialect(
    name="documents",
    reads="CoMM and documents like its; VIST as Show-o2 has it; typed parts in turn",
    sign="steps of text and image, typed parts, as many images as captions, or a text with <image> for each of several",
    task=INTERLEAVED,
    uses={
        "steps": Use(
            (
                "steps",
                "sections",
                "content",
                "contents",
                "document",
                "interleaved.*",
                "paragraphs",
                "sequence",
                "pages",
            ),
            needed=False,
        ),
        "images": Use(("images", "image_list"), needed=False),
        "texts": Use(("captions", "texts", "sentences", "text_list", "text"), needed=False),
        "title": Use(("title", "query", "question", "instruction", "task_title"), needed=False),
    },
    fits=fits,
    read=read,
    options=StepOptions,
)
