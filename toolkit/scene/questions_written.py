"""Questions about what is written on things: signs with a word or a number.

says        what the sign of a colour says
says_which  of which colour the sign is that says something
"""

from collections.abc import Callable, Mapping

from toolkit.scene.colours import COLOURS
from toolkit.scene.graph import Kind
from toolkit.scene.language import the
from toolkit.scene.questions import Question
from toolkit.scene.sampler import Fixed, Wish
from toolkit.scene.shapes import CONTAINERS
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES, styles_with

# None of them is asked for by the benchmark, `evaluation.drawing.WORDS`.
WORDS = ("BANK", "CAFE", "DESK", "EXIT", "FARM", "GATE", "OPEN", "PARK", "POST", "SHOP", "STOP", "TAXI")
NUMBERS = tuple(str(number) for number in range(10, 100))


def _signs(stream: Stream, shape: str, texts: list[str], colour: str = "") -> tuple[list[Kind], Wish]:
    """Signs of one shape, each of another colour, and a scene without other things of that shape."""
    style = stream.pick(styles_with(*([colour] if colour else [])))
    others = stream.sample([each for each in STYLES[style].fills if each != colour], len(texts))
    colours = [colour, *others] if colour else others
    signs = [
        Kind(size="large", pattern="plain", colour=colour, shape=shape, text=text)
        for colour, text in zip(colours, texts, strict=False)
    ]
    return signs, Wish(
        fixed=tuple(map(Fixed, signs)), avoid=(Kind(shape=shape),), num_places=3 + stream.below(3), style=style
    )


def _texts(stream: Stream) -> tuple[tuple[str, ...], int, list[str]]:
    """All that a sign may say, number of what the one asked for says, and what two or three say, that one first."""
    known = stream.pick((WORDS, NUMBERS))
    target = stream.below(len(known))
    others = [text for text in known if text != known[target]]
    return known, target, [known[target], *stream.sample(others, 1 + stream.below(2))]


def _says(stream: Stream) -> Question:
    choices, target, texts = _texts(stream)
    (sign, *_), wish = _signs(stream, stream.pick(CONTAINERS), texts)
    kind = Kind(colour=sign.colour, shape=sign.shape)
    text = stream.pick(
        ("What does {} say?", "What is written on {}?", "Read what {} says.", "What can you read on {}?")
    )
    return Question(
        kind="says",
        text=text.format(the(kind)),
        program=(("select", kind), ("unique",), ("query", "text")),
        choices=choices,
        target=target,
        wish=wish,
    )


def _says_which(stream: Stream) -> Question:
    target = stream.below(len(COLOURS))
    _, _, texts = _texts(stream)
    (sign, *_), wish = _signs(stream, stream.pick(CONTAINERS), texts, COLOURS[target])
    text = stream.pick(
        (
            "What colour is the {0} that says {1}?",
            "Which colour does the {0} with the writing {1} have?",
            "{1} is written on one {0}. Of which colour is it?",
        )
    )
    return Question(
        kind="says_which",
        text=text.format(sign.shape, sign.text),
        program=(("select", Kind(shape=sign.shape, text=sign.text)), ("unique",), ("query", "colour")),
        choices=COLOURS,
        target=target,
        wish=wish,
    )


WRITTEN_KINDS: Mapping[str, Callable[[Stream], Question]] = {"says": _says, "says_which": _says_which}
