"""Implicit instructions: a scene asked for without naming any shape, colour or style, and the reasoning that names
them.
"""

from dataclasses import dataclass

from toolkit.scene.graph import PLACES, Scene, Thing
from toolkit.scene.hints import COLOUR_HINTS, OCCASIONS, SHAPE_HINTS, STYLE_HINTS
from toolkit.scene.language import sentence, with_article
from toolkit.scene.sampler import PLAIN, Look, Wish, sample_scene
from toolkit.scene.steps import Step, full, where
from toolkit.scene.streams import Stream

_SIZES = {"small": ("quite small", "on the small side"), "medium": ("",), "large": ("nice and large", "really big")}
_PATTERNS = {"plain": "", "striped": "with stripes", "spotted": "with spots"}
_OPENINGS = (
    "I need a picture for {occasion}, drawn {style}, on {ground} background.",
    "Could you draw something for {occasion}? It should be on {ground} background, drawn {style}.",
    "Please design {occasion}. Draw it {style}, on {ground} background.",
)
_WISHES = (
    "{Place}, put {shape}, {looks}.",
    "{Place} I would like to see {shape}, {looks}.",
    "{Place} there should be {shape}, {looks}.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What somebody asks for, what they mean, and how one gets from the one to the other."""

    scene: Scene
    occasion: str
    instruction: str
    steps: tuple[Step, ...]


def sample_brief(stream: Stream, look: Look = PLAIN) -> Brief:
    wish = Wish(num_places=2 + stream.below(3), clusters=False, insets=False, look=look)
    scene = sample_scene(stream.child("scene"), wish)
    occasion = stream.pick(OCCASIONS)
    opening = stream.pick(_OPENINGS).format(
        occasion=occasion, style=STYLE_HINTS[scene.style], ground=with_article(scene.background)
    )
    things = sorted(scene.things, key=lambda thing: PLACES.index(thing.place))
    return Brief(
        scene=scene,
        occasion=occasion,
        instruction=" ".join([opening, *(_wish(thing, stream) for thing in things)]),
        steps=(
            Step(text=f"Drawn {STYLE_HINTS[scene.style]}: that is the {scene.style} style."),
            *(_meaning(thing) for thing in things),
        ),
    )


def _wish(thing: Thing, stream: Stream) -> str:
    looks = [stream.pick(_SIZES[thing.size]), _PATTERNS[thing.pattern], f"in {COLOUR_HINTS[thing.colour]}"]
    return stream.pick(_WISHES).format(
        Place=sentence(where(thing)), shape=SHAPE_HINTS[thing.shape], looks=", ".join(look for look in looks if look)
    )


def _meaning(thing: Thing) -> Step:
    shape, colour = sentence(SHAPE_HINTS[thing.shape]), COLOUR_HINTS[thing.colour]
    return Step(
        text=(
            f"{shape} is {with_article(thing.shape)}, and {colour} is {thing.colour}: so {full(thing)} goes "
            f"{where(thing)}."
        ),
        ids=(thing.id,),
    )
