"""Parts that ask for a picture. The first six are those of GenEval (Ghosh et al., arXiv 2310.11513), with shapes in
place of COCO's classes; a picture is read exactly here, so "a blue house" asks for no detector's threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from toolkit.evaluation.checks import (
    Check,
    Expected,
    Verdict,
    check,
    same_things,
)
from toolkit.evaluation.items import VERSION, Item, Pixels, Reply
from toolkit.evaluation.wanted import Lies, Shows, expected, no_picture, told_to_others
from toolkit.scene.colours import COLOURS
from toolkit.scene.glyphs import write
from toolkit.scene.graph import PATTERNS, PLACES, RELATIONS, SIZES, Kind, Scene, centre_of
from toolkit.scene.heldout import HELD_OUT
from toolkit.scene.hints import COLOUR_HINTS, SHAPE_HINTS
from toolkit.scene.language import NUMBERS, RELATION_PHRASES, caption, noun, plural, spot, with_article
from toolkit.scene.render import render
from toolkit.scene.sampler import Fixed, Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES
from toolkit.scene.told.figure import sheet, style_for, text_colour
from toolkit.scene.verify.pixels import find_things
from toolkit.scene.verify.writing import read_word

WORDS = ("BOAT", "CLOCK", "FISH", "HOUSE", "JUMP", "LAZY", "MOON", "QUIET", "RIVER", "SEVEN", "TABLE", "WIND")
_MARKABLE = tuple(shape for shape in SHAPES if shape in ("circle", "square", "triangle", "diamond", "star", "heart"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt for a picture, what the picture must show, and a scene that does."""

    prompt: str
    wanted: tuple[Shows | Lies, ...]
    scene: Scene
    is_held_out: bool = False


def _scene(stream: Stream, *kinds: Kind, avoid: tuple[Kind, ...] = ()) -> Scene:
    """A scene with exactly these things."""
    wish = Wish(fixed=tuple(map(Fixed, kinds)), avoid=avoid, num_places=len(kinds), clusters=False, insets=False)
    return sample_scene(stream.child("scene"), wish)


def _pair(stream: Stream, number: int) -> tuple[str, str, bool]:
    """A colour and a shape; every other time a pair kept for the benchmark."""
    if number % 2:
        return (*stream.pick(sorted(HELD_OUT)), True)
    while True:
        colour, shape = stream.pick(COLOURS), stream.pick(SHAPES)
        if (colour, shape) not in HELD_OUT:
            return colour, shape, False


def _single(stream: Stream, number: int) -> Asked:
    kind = Kind(shape=stream.pick(SHAPES))
    prompt = stream.pick(("Draw {}.", "A picture of {}.", "Please draw {}.")).format(with_article(kind.shape))
    return Asked(prompt=prompt, wanted=(Shows(attribute="object", kind=kind),), scene=_scene(stream, kind))


def _two(stream: Stream, number: int) -> Asked:
    one, other = (Kind(shape=shape) for shape in stream.sample(SHAPES, 2))
    return Asked(
        prompt=f"Draw {with_article(one.shape)} and {with_article(other.shape)}.",
        wanted=(Shows(attribute="object", kind=one), Shows(attribute="object", kind=other)),
        scene=_scene(stream, one, other),
    )


def _counting(stream: Stream, number: int) -> Asked:
    shape, count = stream.pick(SHAPES), 2 + stream.below(5)
    return Asked(
        prompt=f"Draw exactly {NUMBERS[count]} {plural(shape)}.",
        wanted=(Shows(attribute="count", kind=Kind(shape=shape), low=count, high=count),),
        scene=_scene(stream, *(Kind(shape=shape),) * count),
    )


def _coloured(stream: Stream, number: int, prompt: Callable[[str, str], str]) -> Asked:
    colour, shape, held_out = _pair(stream, number)
    kind = Kind(colour=colour, shape=shape)
    return Asked(
        prompt=prompt(colour, shape),
        wanted=(Shows(attribute="object", kind=Kind(shape=shape)), Shows(attribute="colour", kind=kind)),
        scene=_scene(stream, kind),
        is_held_out=held_out,
    )


def _colours(stream: Stream, number: int) -> Asked:
    return _coloured(
        stream, number, lambda colour, shape: f"Draw {with_article(noun(Kind(colour=colour, shape=shape)))}."
    )


def _position(stream: Stream, number: int) -> Asked:
    (one, other), relation = (Kind(shape=shape) for shape in stream.sample(SHAPES, 2)), stream.pick(RELATIONS)
    axis, back = (0 if relation in ("left_of", "right_of") else 1), relation in ("right_of", "below")
    pairs = [(a, b) for a in PLACES for b in PLACES if centre_of(a)[axis] < centre_of(b)[axis]]
    first, second = reversed(stream.pick(pairs)) if back else stream.pick(pairs)
    return Asked(
        prompt=f"Draw {with_article(one.shape)} {RELATION_PHRASES[relation]} {with_article(other.shape)}.",
        wanted=(
            Shows(attribute="object", kind=one),
            Shows(attribute="object", kind=other),
            Lies(one=one, relation=relation, other=other),
        ),
        scene=_scene(stream, replace(one, place=first), replace(other, place=second)),
    )


def _binding(stream: Stream, number: int) -> Asked:
    colour, shape, held_out = _pair(stream, number)
    style = STYLES[stream.pick([name for name, each in STYLES.items() if colour in each.fills])]
    other_colour = stream.pick([each for each in style.fills if each != colour])
    other = stream.pick([each for each in SHAPES if each != shape and (other_colour, each) not in HELD_OUT])
    kinds = (Kind(colour=colour, shape=shape), Kind(colour=other_colour, shape=other))
    return Asked(
        prompt=f"Draw {with_article(noun(kinds[0]))} and {with_article(noun(kinds[1]))}.",
        wanted=(
            *(Shows(attribute="object", kind=Kind(shape=kind.shape)) for kind in kinds),
            *(Shows(attribute="binding", kind=kind) for kind in kinds),
        ),
        scene=_scene(stream, *kinds),
        is_held_out=held_out,
    )


def _negation(stream: Stream, number: int) -> Asked:
    shape, other = stream.sample(SHAPES, 2)
    kind = drawn = Kind(shape=shape)
    if stream.chance(0.5):
        avoid = Kind(shape=other)
        prompt = f"Draw {with_article(shape)} and anything else you like, but no {plural(other)}."
    else:
        style = STYLES[stream.pick(tuple(STYLES))]
        colour, other_colour = stream.sample(list(style.fills), 2)
        avoid, drawn = Kind(colour=colour), Kind(colour=other_colour, shape=shape)
        prompt = f"Draw {with_article(shape)}. Nothing in the picture may be {avoid.colour}."
    return Asked(
        prompt=prompt,
        wanted=(Shows(attribute="object", kind=kind), Shows(attribute="negation", kind=avoid, low=0, high=0)),
        scene=sample_scene(
            stream.child("scene"), Wish(fixed=(Fixed(drawn),), avoid=(avoid,), num_places=3, clusters=False)
        ),
    )


def _sizes(stream: Stream, number: int) -> Asked:
    shapes, sizes = stream.sample(SHAPES, 2), stream.sample(SIZES, 2)
    kinds = [Kind(size=size, shape=shape) for size, shape in zip(sizes, shapes, strict=True)]
    return Asked(
        prompt=f"Draw {with_article(noun(kinds[0]))} and {with_article(noun(kinds[1]))}.",
        wanted=(
            *(Shows(attribute="object", kind=Kind(shape=kind.shape)) for kind in kinds),
            *(Shows(attribute="size", kind=kind) for kind in kinds),
        ),
        scene=_scene(stream, *kinds),
    )


def _patterns(stream: Stream, number: int) -> Asked:
    kind = Kind(size="large", pattern=stream.pick(PATTERNS[1:]), shape=stream.pick(_MARKABLE))
    return Asked(
        prompt=f"Draw {with_article(noun(kind))}.",
        wanted=(
            Shows(attribute="object", kind=Kind(shape=kind.shape)),
            Shows(attribute="pattern", kind=Kind(pattern=kind.pattern, shape=kind.shape)),
        ),
        scene=_scene(stream, kind),
    )


def _places(stream: Stream, number: int) -> Asked:
    kind = Kind(shape=stream.pick(SHAPES), place=stream.pick(PLACES))
    return Asked(
        prompt=f"Draw {with_article(kind.shape)} {spot(kind.place)} of the picture, and nothing else.",
        wanted=(
            Shows(attribute="place", kind=kind),
            Shows(attribute="count", kind=Kind(), low=1, high=1),
        ),
        scene=_scene(stream, kind),
    )


def _implicit(stream: Stream, number: int) -> Asked:
    return _coloured(stream, number, lambda colour, shape: f"Draw {SHAPE_HINTS[shape]}, in {COLOUR_HINTS[colour]}.")


def _item(part: str, make: Callable[[Stream, int], Asked], id: str, number: int) -> Item:
    asked = make(Stream("benchmark", VERSION, part, number), number)
    return Item(
        id=id,
        part=part,
        task="image_generation",
        prompt=(asked.prompt,),
        answer=(render(asked.scene),),
        check=partial(_check, asked.wanted),
        is_held_out=asked.is_held_out,
        facts={"wanted": [told_to_others(each) for each in asked.wanted]},
    )


def _check(wanted: tuple[Shows | Lies, ...], reply: Reply) -> list[Check]:
    if not reply.pictures:
        return [no_picture()]
    seen = find_things(reply.pictures[-1])
    return [each.check(seen) for each in wanted]


def _composition(id: str, number: int) -> Item:
    """A whole caption; every thing it tells must be there, and no other."""
    stream = Stream("benchmark", VERSION, "composition", number)
    scene = sample_scene(stream.child("scene"), Wish(num_places=2 + stream.below(3), clusters=False))
    return Item(
        id=id,
        part="composition",
        task="image_generation",
        prompt=(f"Draw this: {caption(scene, stream)}",),
        answer=(render(scene),),
        check=partial(_check_all, expected(scene)),
    )


def _check_all(things: list[Expected], reply: Reply) -> list[Check]:
    if not reply.pictures:
        return [no_picture()]
    change, rest = same_things(find_things(reply.pictures[-1]), things)
    return [change._replace(attribute="things"), rest._replace(attribute="nothing else")]


def _writing(id: str, number: int) -> Item:
    stream = Stream("benchmark", VERSION, "writing", number)
    word, style = stream.pick(WORDS), style_for(stream)
    return Item(
        id=id,
        part="writing",
        task="image_generation",
        prompt=(f"Write the word {word} in large capital letters on an empty ground.",),
        answer=(_written(word, style.name),),
        check=partial(_check_word, word),
        facts={"word": word},
    )


def _written(word: str, style_name: str) -> Pixels:
    style = STYLES[style_name]
    pixels = sheet(style)
    write(pixels, word, 256, 256, 80, text_colour(style))
    return pixels


def _check_word(word: str, reply: Reply) -> list[Check]:
    if not reply.pictures:
        return [no_picture()]
    read = read_word(reply.pictures[-1])
    verdict = Verdict.UNSURE if read.unsure else Verdict.RIGHT if read.text == word else Verdict.WRONG
    return [check("text", verdict, f"reads {read.text!r} instead of {word!r}")]


_ASKED: dict[str, Callable[[Stream, int], Asked]] = {
    "single_object": _single,
    "two_objects": _two,
    "counting": _counting,
    "colours": _colours,
    "position": _position,
    "binding": _binding,
    "negation": _negation,
    "sizes": _sizes,
    "patterns": _patterns,
    "places": _places,
    "implicit": _implicit,
}
PARTS: dict[str, Callable[[str, int], Item]] = {
    **{part: partial(_item, part, make) for part, make in _ASKED.items()},
    "composition": _composition,
    "writing": _writing,
}
