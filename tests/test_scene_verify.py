"""The reader of pictures on what a model may draw: other encodings, sizes, grounds and tones."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageFilter

from toolkit.scene.graph import said
from toolkit.scene.render import render
from toolkit.scene.sampler import sample_scene
from toolkit.scene.streams import Stream
from toolkit.scene.verify.figures import read_board, read_chart, read_clock, read_row
from toolkit.scene.verify.pixels import find_things, read_picture

SCENES = [sample_scene(Stream("verify", index)) for index in range(8)]
PICTURES = [render(scene) for scene in SCENES]


def encoded(format, quality):
    def change(pixels):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format, quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))

    return change


def resized(side):
    return lambda pixels: np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def blurred(radius):
    return lambda pixels: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def noisy(deviation):
    return lambda pixels: add(pixels, np.random.default_rng(0).normal(0, deviation, pixels.shape))


def textured(pixels):
    """A slow, uneven brightness over the whole picture, as brushwork or paper has."""
    waves = np.random.default_rng(1).normal(0, 8, (48, 48)).astype(np.float32)
    return add(
        pixels, np.asarray(Image.fromarray(waves).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC))[..., None]
    )


def add(pixels, values):
    return np.clip(pixels + values, 0, 255).astype(np.uint8)


def shaded(pixels):
    """A soft shadow below and to the right of everything that is not ground."""
    ground = np.abs(pixels.astype(int) - np.median(pixels[:8].reshape(-1, 3), axis=0)).max(axis=2) < 40
    shadow = np.zeros(ground.shape)
    shadow[6:, 6:] = ~ground[:-6, :-6]
    soft = blurred(3)((shadow * 255).astype(np.uint8)) / 255 * ground
    return (pixels * (1 - 0.4 * soft[..., None])).astype(np.uint8)


def turned(pixels):
    ground = tuple(int(value) for value in pixels[2, 2])
    return np.asarray(Image.fromarray(pixels).rotate(3, Image.Resampling.BICUBIC, fillcolor=ground))


CHANGES = {
    "none": lambda pixels: pixels,
    "jpeg 50": encoded("JPEG", 50),
    "webp 60": encoded("WEBP", 60),
    "256 pixels": resized(256),
    "1024 pixels": resized(1024),
    "noise": noisy(10),
    "blur": blurred(1),
    "texture": textured,
    "turned": turned,
    "darker": lambda pixels: (pixels * 0.9).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_read_as_what_it_shows_or_unsure(change):
    sure = 0
    for scene, pixels in zip(SCENES, PICTURES, strict=True):
        found = find_things(CHANGES[change](pixels))
        told = Counter(tuple(said(scene, thing)) for thing in scene.things)
        read = Counter(tuple(each.thing) for each in found)
        assert read == told or any(each.unsure for each in found)
        sure += read == told and not any(each.unsure for each in found)
    assert sure == len(SCENES) if change == "none" else sure >= len(SCENES) - 2


def test_shadows_are_not_part_of_things():
    scene = next(scene for scene in SCENES if scene.style == "comic" or scene.style == "storybook")
    told = Counter(tuple(said(scene, thing)) for thing in scene.things)
    assert Counter(tuple(each.thing) for each in find_things(shaded(render(scene)))) == told


@pytest.mark.parametrize("degrees", [-5, 5])
def test_a_shifted_hue_is_unsure_rather_than_another_name(degrees):
    wrong = unsure = 0
    for scene, pixels in zip(SCENES, PICTURES, strict=True):
        tones = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(int)
        tones[..., 0] = (tones[..., 0] + round(degrees * 256 / 360)) % 256
        shifted = np.asarray(Image.fromarray(tones.astype(np.uint8), "HSV").convert("RGB"))
        told = [said(scene, thing).colour for thing in scene.things]
        for each, colour in zip(_in_order(find_things(shifted), scene), told, strict=True):
            unsure += "colour" in each.unsure
            wrong += each.thing.colour != colour and "colour" not in each.unsure
    assert wrong <= 1 <= unsure


def _in_order(found, scene):
    """The things read, in the order of the scene's."""

    def distance(each, thing):
        x, y = (each.box[0] + each.box[2]) / 2, (each.box[1] + each.box[3]) / 2
        return abs(x - thing.x) + abs(y - thing.y) + (bool(each.thing.inside) != bool(thing.inside))

    return [min(found, key=lambda each: distance(each, thing)) for thing in scene.things]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((512, 512, 3), np.uint8),
        np.full((512, 512, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8),
        np.full((64, 300, 3), 128, np.uint8),
    ],
    ids=["black", "white", "noise", "wide"],
)
def test_pictures_of_nothing_show_nothing(pixels):
    assert find_things(pixels) == []
    assert read_picture(pixels).things == ()
    assert (read_chart(pixels), read_clock(pixels), read_board(pixels)) == (None, None, None)
    assert read_row(pixels) == ["", "", "", ""]


def test_a_wide_picture_is_read_by_its_shorter_side():
    wide = np.concatenate([PICTURES[0], np.broadcast_to(PICTURES[0][:, -1:], (512, 200, 3))], axis=1)
    read = [each for each in find_things(wide) if not each.thing.inside]
    told = [thing for thing in SCENES[0].things if not thing.inside]
    assert Counter((each.thing.size, each.thing.shape) for each in read) == Counter((t.size, t.shape) for t in told)


def test_sizes_and_places_between_two_names_are_unsure():
    def read(rows, columns):
        pixels = np.full((512, 512, 3), 255, np.uint8)
        pixels[slice(*rows), slice(*columns)] = (228, 34, 38)
        ((thing, _, unsure, *_),) = find_things(pixels)
        return thing.size, thing.place, unsure

    assert read((50, 150), (60, 160)) == ("medium", "top left", frozenset())  # 100 pixels: 0.195 of the side
    assert read((50, 162), (50, 162))[2] == {"size"}  # 112 pixels: 0.219, medium or large
    assert read((50, 150), (121, 221))[2] == {"place"}  # its middle is 0.334 across: left or centre
