"""Pixels -> names of colours, by bands of hue, saturation and value."""

from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Labels: TypeAlias = npt.NDArray[np.int64]
Tone: TypeAlias = npt.NDArray[np.float64]

COLOURS = ("", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
# How near to the border between two names a colour is too near to be sure of either.
_HUE_ROOM, _TONE_ROOM = 2.5, 0.03  # degrees; saturation and value


def most(channels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The largest of the three values of each pixel; along so short an axis `max` takes several times as long."""
    largest: npt.NDArray[Any] = np.maximum(np.maximum(channels[..., 0], channels[..., 1]), channels[..., 2])
    return largest


def colour_labels(pixels: npt.NDArray[Any]) -> Labels:
    """Number of the colour name (index of `COLOURS`) of each pixel; 0 = white, grey or dark."""
    return _named(*_tone(pixels))


def _tone(pixels: npt.NDArray[Any]) -> tuple[Tone, Tone, Tone]:
    """Hue from -15 to 345 degrees, saturation and value of each pixel."""
    rgb = pixels.astype(np.float64)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    high, low = most(rgb), np.minimum(np.minimum(red, green), blue)
    spread = np.maximum(high - low, 1e-9)
    hue = (
        np.where(
            high == red,
            (green - blue) / spread % 6,
            np.where(high == green, (blue - red) / spread + 2, (red - green) / spread + 4),
        )
        * 60
    )
    return np.where(hue >= 345, hue - 360, hue), (high - low) / np.maximum(high, 1), high / 255


def _named(hue: Tone, saturation: Tone, value: Tone) -> Labels:
    """Bands of hue, saturation and value."""
    names = np.select(
        [
            (hue < 16) & (value > 0.62),
            (hue < 66) & (value < 0.68),
            hue < 38.6,
            hue < 80,
            hue < 170,
            hue < 240,
            hue < 300,
        ],
        [1, 8, 2, 3, 4, 5, 6],
        7,
    )
    names = np.where((names == 1) & (saturation < 0.5), 7, names)
    return np.where((saturation < 0.22) | (value < 0.36), 0, names)


def is_clear_colour(colour: npt.NDArray[np.float64]) -> bool:
    """Whether a little more or less of hue, saturation or value leaves a colour its name."""
    hue, saturation, value = (float(each) for each in _tone(colour))
    near = np.array(
        list(product((-_HUE_ROOM, 0, _HUE_ROOM), (-_TONE_ROOM, 0, _TONE_ROOM), (-_TONE_ROOM, 0, _TONE_ROOM)))
    )
    hues = hue + near[:, 0]
    hues = np.where(hues >= 345, hues - 360, np.where(hues < -15, hues + 360, hues))
    return len(set(_named(hues, saturation + near[:, 1], value + near[:, 2]).tolist())) == 1
