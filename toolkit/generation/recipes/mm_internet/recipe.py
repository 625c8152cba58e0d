"""A page with texts and pictures -> cheap rules -> the question it answers -> judges of coherence, topic, fit, answer,
and need of pictures.

Records: `texts` and `images`, parallel lists with a null in one of the two at each place (as OBELICS has them);
`captions` and `question` if there are any.
"""

from pathlib import Path

from pydantic import Field

from toolkit.generation.core.records import Picture, Record, RecordModel
from toolkit.generation.recipes.checks import DocumentOptions, good_document
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject


class Page(RecordModel):
    """
    Attributes:
        texts, images: parallel, with a null in one of the two at each place.
        captions: of the pictures.
        question: that the page answers, where there is one already.
    """

    texts: list[str | None] = Field(min_length=1)
    images: list[Picture | None] = Field(min_length=1)
    captions: list[str | None] | None = None
    question: str | None = None


VERDICTS = {
    "is_coherent": "incoherent",
    "is_on_topic": "off_topic",
    "pictures_fit": "pictures_do_not_fit",
    "answers_question": "question_not_answered",
}


def passages(record: Record) -> list[str | bytes]:
    """Texts and encoded pictures in reading order."""
    texts = list(record.values.get("texts") or [])
    return [
        text if isinstance(text, str) and text.strip() else record.image(f"images/{number}")
        for number, text in enumerate(texts)
    ]


def written(parts: list[str | bytes], *, with_pictures: bool) -> str:
    """The page as a prompt has it: pictures are numbered in brackets, or left out."""
    lines, pictures = [], 0
    for part in parts:
        pictures += isinstance(part, bytes)
        if isinstance(part, str):
            lines.append(part)
        elif with_pictures:
            lines.append(f"[picture {pictures}]")
    return "\n".join(lines)


async def make(context: Context) -> Made:
    record = context.record
    parts = passages(record)
    texts, pictures = (
        [part for part in parts if isinstance(part, str)],
        [part for part in parts if isinstance(part, bytes)],
    )
    # Galleries of the scene engine list places by template: 65 of 200 of its pages pass 0.1 (median 0, highest 0.15),
    # and all are sound by design.
    options: DocumentOptions = context.options
    good_document(
        "rules", texts, pictures, options if record.sha256 else options.model_copy(update={"max_repetition": 1.0})
    )
    blobs = [await context.keep(picture) for picture in pictures]
    if len(set(blobs)) < len(blobs):
        reject("rules", "duplicate_image")
    page = written(parts, with_pictures=True)
    question = record.text("question") or (await context.ask("internet_question@1", page=page))["question"]
    verdict = await context.ask("internet_judge@1", *blobs, question=question, page=page)
    for name, reason in VERDICTS.items():
        if not verdict[name]:
            reject("internet_judge", reason, verdict["problem"])
    blind = await context.ask("internet_blind@1", question=question, page=written(parts, with_pictures=False))
    if not blind["needs_pictures"]:
        reject("internet_blind", "needs_no_pictures")
    captions = list(record.values.get("captions") or [""] * len(blobs))
    shown = iter(
        Shown(blob=blob, role="output", caption=caption or "") for blob, caption in zip(blobs, captions, strict=True)
    )
    return Made(
        turns=(
            Turn(user=(question,), assistant=tuple(part if isinstance(part, str) else next(shown) for part in parts)),
        ),
        instruction=question,
        answer="\n".join(texts),
        source=record.text("source"),
        license=record.text("license"),
    )


RECIPE = Recipe(
    name="mm_internet",
    task="mm_internet",
    version=1,
    folder=Path(__file__).parent,
    prompts=("internet_question@1", "internet_judge@1", "internet_blind@1"),
    make=make,
    script="toolkit.generation.recipes.mm_internet.script:SCRIPT",
    record=Page,
    options=DocumentOptions,
)
