"""Pairs of a picture and a text about it, read as captioning: an empty question, or one that is given, and the text."""

from dataclasses import dataclass, replace

from toolkit.sources.dialects import pairs
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Turn
from toolkit.sources.dialects.placing import filled
from toolkit.sources.dialects.tasks import CAPTIONING


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        prompt: a question that stands beside every picture.
    """

    prompt: str = ""


def read(fields: Fields, options: Options) -> Draft:
    text, picture, facts = pairs.both(fields)
    return Draft((Turn("user", filled([picture, options.prompt])), Turn("assistant", (text,))), facts=facts)


DIALECT: Dialect = replace(
    pairs.DIALECT,
    name="captions",
    reads="the same as pairs, only where it is named",
    task=CAPTIONING,
    read=read,
    options=Options,
)
