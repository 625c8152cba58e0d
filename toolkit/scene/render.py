"""Scenes -> pixels -> PNG. Pixels are the truth: `digest` hashes them, because encoded bytes may change with Pillow's
zlib.
"""

import hashlib
import io
from functools import lru_cache

import numpy as np
from PIL import Image

from toolkit.scene.colours import Rgb, lab
from toolkit.scene.glyphs import write
from toolkit.scene.graph import Box, Scene, Thing, extent
from toolkit.scene.raster import Pixels, Polygons, blank, disc, paint, polygon, stroke
from toolkit.scene.shapes import details, outline
from toolkit.scene.styles import Style, style_named

SIDE = 512  # pixels
LETTER = 0.46  # height of letters on a thing, as a share of half its longer side
_DARK_BELOW = 60.0  # CIELAB lightness: darker fills get light marks


def render(scene: Scene, side: int = 0) -> Pixels:
    """The picture, uint8 (height, width, 3).

    Args:
        side: the shorter one, in pixels; 0 = as the scene has it.
    """
    style, side = style_named(scene.style), side or min(scene.canvas)
    width, height = (round(each * side) for each in scene.sides)
    pixels = background(style.name, scene.background, width, height).copy()
    for thing in scene.things:
        draw_thing(pixels, thing, style, side)
    return pixels


def draw_thing(pixels: Pixels, thing: Thing, style: Style, side: int) -> None:
    """Fill, marks, inner lines, outline and writing of one thing, in place."""
    centre, radius = np.array([thing.x, thing.y]) * side, thing.r * side
    body = polygon(outline(thing.shape) * radius + centre)
    width = min(style.line_width, 0.2 * thing.r) * side  # a wide line would drown a small thing
    paint(pixels, [body], thing.rgb)
    if thing.pattern != "plain":
        paint(pixels, _marks(thing.pattern, centre[0], centre[1], radius), mark_colour(thing.rgb, style), clip=[body])
    for path in details(thing.shape):
        paint(pixels, stroke(path * radius + centre, max(width * 0.6, radius * 0.06)), style.line)
    paint(pixels, stroke(body[0], width, closed=True), style.line)
    if thing.text:
        write(pixels, thing.text, centre[0], centre[1], LETTER * radius, mark_colour(thing.rgb, style))


def mark_colour(fill: Rgb, style: Style) -> Rgb:
    return style.paper if lab(fill)[0] < _DARK_BELOW else style.ink


def _marks(pattern: str, x: float, y: float, radius: float) -> list[Polygons]:
    """Stripes that fall to the right, or dots on a honeycomb, over the square around a thing."""
    if pattern == "striped":
        pitch = 0.36 * radius
        lines = [(k * pitch, half) for k in range(-6, 7) for half in (0.25 * pitch,)]
        return [
            np.array(
                [
                    [
                        (x + d - h - radius, y - radius),
                        (x + d + h - radius, y - radius),
                        (x + d + h + radius, y + radius),
                        (x + d - h + radius, y + radius),
                    ]
                    for d, h in lines
                ]
            )
        ]
    pitch = 0.42 * radius
    centres = [
        (x + (k + 0.5 * (row % 2)) * pitch, y + row * 0.87 * pitch) for row in range(-3, 4) for k in range(-3, 4)
    ]
    return [np.concatenate([disc(cx, cy, 0.27 * pitch, 16) for cx, cy in centres])]


@lru_cache(maxsize=64)
def background(style_name: str, kind: str, width: int, height: int) -> Pixels:
    """The ground of a style with one of `graph.BACKGROUNDS` on it. Shared: copy before drawing."""
    style = style_named(style_name)
    pixels = blank(width, height, style.ground)
    side = min(width, height)
    step = side / 20
    across = [step * (k + 0.5) for k in range(round(width / step))]
    down = [step * (k + 0.5) for k in range(round(height / step))]
    thin = 1.6 / SIDE * side
    if kind == "dotted":
        paint(pixels, [np.concatenate([disc(x, y, 3.2 / SIDE * side, 12) for x in across for y in down])], style.tint)
    if kind in ("grid", "lined"):
        paint(pixels, [shape for y in down for shape in stroke([(-9, y), (width + 9, y)], thin)], style.tint)
    if kind == "grid":
        paint(pixels, [shape for x in across for shape in stroke([(x, -9), (x, height + 9)], thin)], style.tint)
    if kind == "shaded":
        share = np.arange(height, dtype=np.int64)[:, None] * 256 // height
        ground, tint = np.array(style.ground), np.array(style.tint)
        pixels[:] = (ground + ((tint - ground) * share >> 8))[:, None].astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def footprint(scene: Scene, thing: Thing) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 in whole pixels: nothing drawn for the thing lies outside."""
    (width, height), side = scene.canvas, min(scene.canvas)
    x0, y0, x1, y1 = (value * side for value in extent(thing, scene.style))
    return max(int(x0) - 2, 0), max(int(y0) - 2, 0), min(int(x1) + 3, width), min(int(y1) + 3, height)


def crop_box(scene: Scene, thing: Thing, pad: float = 0.02, least: float = 0.2) -> Box:
    """A box around a thing for a close-up, at least `least` wide and high, inside the picture, on whole pixels; as
    fractions of width and height.
    """
    box, side, fractions = extent(thing, scene.style), min(scene.canvas), list[float]()
    for axis, length in enumerate(scene.canvas):
        low, high = box[axis], box[axis + 2]
        half = max(high - low + 2 * pad, least) / 2
        middle = min(max((low + high) / 2, half), length / side - half)
        first = int((middle - half) * side)
        fractions += (first / length, (first + int(2 * half * side)) / length)
    left, right, top, bottom = fractions
    return left, top, right, bottom


def crop(pixels: Pixels, box: Box) -> Pixels:
    """The part of a picture in a box, unscaled."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height)
    return np.ascontiguousarray(pixels[y0:y1, x0:x1])


def encode(pixels: Pixels) -> bytes:
    """PNG bytes; equal pixels give equal bytes under one Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def digest(pixels: Pixels) -> str:
    """sha256 of shape and decoded pixels."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
