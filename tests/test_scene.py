"""The scene engine against an independent reader, at small numbers; benchmarks/scene_truth.py has the large ones."""

import ast
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import UnknownName
from toolkit.scene.colours import FOCAL, MIN_MARGIN, Rgb, difference, lab, margin
from toolkit.scene.gates import flaws
from toolkit.scene.graph import Kind, Scene, Thing, said
from toolkit.scene.language import caption, refer, referring, the, with_article
from toolkit.scene.programs import run
from toolkit.scene.raster import FULL, coverage, rectangle
from toolkit.scene.render import digest, render
from toolkit.scene.sampler import Fixed, Wish, sample_scene
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES
from toolkit.scene.verify.colours import COLOURS, colour_labels
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import ReadThing, read_caption, read_phrase, read_things

SCENES = [sample_scene(Stream("test", index)) for index in range(40)]


def thing(id, shape, colour, x, y, *, size="medium", place="centre", **more):
    return Thing(
        id=id,
        shape=shape,
        colour=colour,
        size=size,
        pattern="plain",
        place=place,
        x=x,
        y=y,
        r=0.08,
        rgb=STYLES["storybook"].fills[colour],
        **more,
    )


TWO = Scene(
    things=(
        thing("t1", "star", "red", 0.19, 0.19, place="top left"),
        thing("t2", "star", "blue", 0.81, 0.5, place="right"),
    ),
    background="plain",
    style="storybook",
)


def told(scene):
    return sorted(tuple(said(scene, thing)) for thing in scene.things)


def test_stream_is_blake2b_in_counter_mode():
    key = hashlib.blake2b(b'["a", 1]', digest_size=32).digest()
    block = hashlib.blake2b((1).to_bytes(8, "little"), key=key, digest_size=8).digest()
    assert Stream("a", 1).bits() == int.from_bytes(block, "little")


def test_streams_of_different_purpose_are_independent_of_what_was_drawn():
    one, other = Stream(0, "a"), Stream(0, "a")
    other.bits()
    assert one.child("b").bits() == other.child("b").bits() != one.child("c").bits()


def test_shuffled_keeps_every_item():
    assert sorted(Stream(0).shuffled(range(20))) == list(range(20))


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [((255, 255, 255), (100, 0, 0)), ((255, 0, 0), (53.24, 80.09, 67.20)), ((0, 0, 255), (32.30, 79.19, -107.86))],
)
def test_lab_of_known_colours(rgb, expected):
    assert lab(Rgb(*rgb)) == pytest.approx(expected, abs=0.02)


def test_every_style_draws_its_colours_clearly():
    assert all(
        margin(fill, name) >= MIN_MARGIN and difference(fill, style.ground) >= 25
        for style in STYLES.values()
        for name, fill in style.fills.items()
    )


def test_margin_is_negative_for_a_wrong_name():
    assert margin(FOCAL["red"][0], "blue") < 0


def test_coverage_of_a_rectangle_is_its_area():
    cover = coverage([rectangle(1.5, 0.25, 3.0, 2.0)], 4, 3)
    assert cover.tolist() == [[0, 24, 48, 0], [0, 32, 64, 0], [0, 0, 0, 0]]


def test_coverage_of_overlapping_polygons_is_their_union():
    assert coverage([rectangle(0, 0, 2, 2), rectangle(0, 0, 2, 2)], 2, 2).tolist() == [[FULL, FULL]] * 2


def test_scenes_pass_every_gate():
    assert [list(flaws(scene)) for scene in SCENES] == [[]] * len(SCENES)


def test_gates_name_what_is_wrong():
    spoilt = replace(TWO, things=(replace(TWO.things[0], rgb=Rgb(120, 120, 120)), replace(TWO.things[1], x=0.99)))
    assert list(flaws(spoilt))[:3] == [
        "t1 is not clearly red",
        "t2 is too near the edge",
        "t2 is not clearly in its place",
    ]


def test_scene_survives_json():
    assert Scene.from_dict(json.loads(json.dumps(SCENES[0].to_dict()))) == SCENES[0]


def test_captions_read_back_to_the_graph():
    for number, scene in enumerate(SCENES * 10):
        read = read_caption(caption(scene, Stream("caption", number)))
        assert ([tuple(found) for found in read.things], read.background, read.style) == (
            told(scene),
            scene.background,
            scene.style,
        )


def test_pictures_read_back_to_the_graph():
    for scene in SCENES:
        read = read_picture(render(scene))
        assert ([tuple(found) for found in read.things], read.background, read.style) == (
            told(scene),
            scene.background,
            scene.style,
        )


def test_reader_understands_a_caption_written_by_hand():
    text = (
        "A neon picture on a dotted background, with two small red fish in the top left and a big blue circle "
        "with a little green moon inside on the right."
    )
    assert read_caption(text).things == (
        ReadThing("large", "plain", "blue", "circle", "right", ""),
        ReadThing("small", "plain", "green", "moon", "right", "blue circle"),
        ReadThing("small", "plain", "red", "fish", "top left", ""),
        ReadThing("small", "plain", "red", "fish", "top left", ""),
    )


def test_reader_places_rows():
    assert [
        thing.place
        for thing in read_things("The bottom row shows a red star on the left and a big blue boat in the middle.")
    ] == ["bottom left", "bottom"]


def test_reader_refuses_a_thing_without_place():
    with pytest.raises(ValueError, match="no place"):
        read_things("There is a red star.")


def test_reader_sees_a_picture_drawn_by_hand():
    pixels = np.full((512, 512, 3), (255, 255, 255), np.uint8)
    pixels[60:142, 60:142] = (30, 30, 30)
    pixels[64:138, 64:138] = (220, 40, 40)
    assert read_picture(pixels) == ((ReadThing("medium", "plain", "red", "square", "top left", ""),), "plain", "comic")


def test_pixels_are_the_same_every_time():
    assert digest(render(TWO)) == digest(render(TWO)) != digest(render(TWO, 256))


def test_pixels_have_not_changed():
    # Raise names.ENGINE when this has to change: rows of the same seed and index are different rows then.
    assert digest(render(TWO)) == "8fc517cd9b3bcce6f86894e03c380cf55e31362299083dfe85e4bef247cc18d0"


def test_referring_phrase_is_the_shortest_that_fits_one_thing():
    assert refer(TWO, TWO.things[0]) == "the red star"
    alone = replace(TWO, things=TWO.things[:1])
    assert refer(alone, alone.things[0]) == "the star"


def test_referring_phrase_refuses_equals():
    twins = replace(TWO, things=(TWO.things[0], replace(TWO.things[0], id="t2")))
    assert referring(twins, twins.things[0]) is None
    with pytest.raises(ValueError, match="no phrase fits t1 alone"):
        refer(twins, twins.things[0])


def test_referring_phrases_fit_one_thing_seen_in_the_picture():
    for scene in SCENES[:20]:
        seen = read_picture(render(scene)).things
        for kind in (referring(scene, thing) for thing in scene.things):
            if kind is not None:
                named = read_phrase(the(kind))
                assert sum(all(getattr(found, name) == value for name, value in named.items()) for found in seen) == 1


def test_program_refuses_an_ambiguous_question():
    with pytest.raises(ValueError, match="'the star' fits 2 things"):
        run((("select", Kind(shape="star")), ("unique",), ("query", "colour")), TWO)


def test_program_counts_and_cites():
    outcome = run((("select", Kind(shape="star")), ("count",)), TWO)
    assert (outcome.answer, [step.ids for step in outcome.steps]) == ("2", [("t1",), ("t2",), ("t1", "t2")])
    assert (
        " ".join(step.text for step in outcome.steps)
        == "In the top left there is a red star. On the right there is a blue star. That makes two stars."
    )


def test_wish_is_granted():
    wish = Wish(
        fixed=(Fixed(Kind(shape="circle", place="left"), Kind(shape="fish")),),
        avoid=(Kind(shape="circle"),),
        style="neon",
        background="grid",
    )
    for index in range(20):
        scene = sample_scene(Stream("wish", index), wish)
        circles = [thing for thing in scene.things if thing.shape == "circle" and not thing.inside]
        assert [(thing.place, thing.size) for thing in circles] == [("left", "large")]
        assert any(thing.shape == "fish" and thing.inside == circles[0].id for thing in scene.things)
        assert (scene.style, scene.background) == ("neon", "grid")


def test_impossible_wish_says_so():
    with pytest.raises(RuntimeError, match="loosen it"):
        sample_scene(Stream(0), Wish(fixed=(Fixed(Kind(place="top", size="large")),) * 2))


def test_article_follows_the_sound():
    assert [with_article(word) for word in ("orange star", "house")] == ["an orange star", "a house"]


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownName, match="known: blueprint, chalkboard"):
        sample_scene(Stream(0), Wish(style="oil"))


def test_verifier_shares_no_code_with_the_engine():
    room = Path(__file__).parent.parent / "toolkit" / "scene" / "verify"
    trees = [ast.parse(file.read_text()) for file in room.glob("*.py")]
    imported = {node.module for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert len(trees) == 13
    assert all(name.startswith("toolkit.scene.verify") for name in imported if name.startswith("toolkit"))


@pytest.mark.parametrize("style", STYLES.values(), ids=list(STYLES))
def test_reader_names_every_colour_that_a_style_can_paint(style):
    # All variations the sampler may draw, not a sample of them: 10 either way per channel.
    steps = np.stack(np.meshgrid(*[np.arange(-10, 11)] * 3), axis=-1).reshape(1, -1, 3)
    for name, fill in style.fills.items():
        painted = np.clip(steps + np.array(fill), 0, 255).astype(np.uint8)
        assert {COLOURS[label] for label in np.unique(colour_labels(painted))} == {name}
