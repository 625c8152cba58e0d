"""FineVision and The Cauldron: images, and texts of {user, assistant} about them; also turns {human, assistant}.

Source: https://huggingface.co/datasets/HuggingFaceM4/the_cauldron, https://huggingface.co/datasets/HuggingFaceM4/FineVision
"""

from typing import Any

from toolkit.errors import RowError, shorten, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Turn, Use
from toolkit.sources.dialects.fields import IMAGES, pool
from toolkit.sources.dialects.placing import PlaceOptions, filled, place
from toolkit.sources.dialects.tasks import QUESTION_ANSWERING
from toolkit.sources.published.shapes.pictures import parse_text

QUESTIONS, ANSWERS = ("user", "human", "question"), ("assistant", "gpt", "answer")


def fits(fields: Fields) -> bool:
    texts = parse_text(fields["texts"])
    return isinstance(texts, list) and bool(texts) and all(None not in _both(text) for text in texts)


def _both(text: Any) -> tuple[Any, Any]:
    if not isinstance(text, dict):
        raise RowError(f"a text is {shown(text)}; expected user and assistant", kind="bad_record")
    question, answer = (
        next((text[key] for key in keys if text.get(key) is not None), None) for keys in (QUESTIONS, ANSWERS)
    )
    return question, answer


def read(fields: Fields, options: PlaceOptions) -> Draft:
    texts = parse_text(fields["texts"])
    if not isinstance(texts, list) or not texts:
        raise RowError(f"texts are {shown(texts)}; expected a list of user and assistant", kind="bad_record")
    turns = []
    for text in texts:
        question, answer = _both(text)
        if not isinstance(question, str) or not isinstance(answer, str):
            raise RowError(
                f"a text has {shorten(text)}, user {shown(question)}, assistant {shown(answer)}", kind="bad_text"
            )
        turns += [Turn("user", filled([question])), Turn("assistant", filled([answer]))]
    if isinstance(system := fields.get("system"), str) and system.strip():
        turns.insert(0, Turn("system", (system,)))
    return Draft(place(turns, pool(fields), options.placeholder))


DIALECT = Dialect(
    name="cauldron",
    reads="FineVision, The Cauldron, LLaVA rows of ms-swift with {human, assistant}",
    sign="texts of {user, assistant}",
    task=QUESTION_ANSWERING,
    uses={
        "texts": Use(
            ("texts", "conversations?", "qas?", "qa_pairs", "turns"),
        ),
        "images": IMAGES,
        "system": Use(("system(_prompt)?",), needed=False),
    },
    fits=fits,
    read=read,
    options=PlaceOptions,
)
