"""What the verifier makes of pictures that a model may draw: shares of pictures read rightly, unsure and wrongly under
corruptions that grow.

    python benchmarks/verifier.py                              60 scenes, about 3 minutes on one core
    python benchmarks/verifier.py --plot docs/verifier.png     also draw the curves

A picture is right where every thing in it is read as drawn, and surely; unsure where no attribute is read as another
name but one is near it; else wrong. Exit code 1 if an unchanged picture is not right.
"""

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from toolkit.scene.graph import Scene, said
from toolkit.scene.render import render
from toolkit.scene.sampler import sample_scene
from toolkit.scene.streams import Stream
from toolkit.scene.verify.pixels import Found, find_things

Pixels: TypeAlias = npt.NDArray[np.uint8]
ATTRIBUTES = ("size", "pattern", "colour", "shape", "place")


def array(image: Any) -> Pixels:
    return np.asarray(image, np.uint8)


def encoded(pixels: Pixels, format: str, quality: float) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, quality=int(quality))
    return array(Image.open(buffer).convert("RGB"))


def added(pixels: Pixels, values: npt.NDArray[Any]) -> Pixels:
    return array(np.clip(pixels + values, 0, 255))


def noise(pixels: Pixels, deviation: float) -> Pixels:
    return added(pixels, np.random.default_rng(0).normal(0, deviation, pixels.shape))


def texture(pixels: Pixels, deviation: float) -> Pixels:
    """Uneven brightness over the whole picture, in waves of about ten pixels."""
    waves = np.random.default_rng(1).normal(0, deviation, (64, 64)).astype(np.float32)
    return added(
        pixels, np.asarray(Image.fromarray(waves).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC))[..., None]
    )


def blur(pixels: Pixels, radius: float) -> Pixels:
    return array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def resized(pixels: Pixels, side: float) -> Pixels:
    return array(Image.fromarray(pixels).resize((int(side), int(side)), Image.Resampling.LANCZOS))


def brightness(pixels: Pixels, percent: float) -> Pixels:
    return array(np.clip(pixels * (1 + percent / 100), 0, 255))


def hue(pixels: Pixels, degrees: float) -> Pixels:
    tones = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(np.int64)
    tones[..., 0] = (tones[..., 0] + round(degrees * 256 / 360)) % 256
    return array(Image.fromarray(tones.astype(np.uint8), "HSV").convert("RGB"))


def rotated(pixels: Pixels, degrees: float) -> Pixels:
    ground = tuple(int(value) for value in pixels[2, 2])
    return array(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=ground))


def shadow(pixels: Pixels, percent: float) -> Pixels:
    """A soft shadow, 8 pixels below and to the right of what is clearly not ground."""
    ground = np.abs(pixels.astype(np.int64) - np.median(pixels[:8].reshape(-1, 3), axis=0)).max(axis=2) < 40
    moved = np.zeros(ground.shape, dtype=np.uint8)
    moved[8:, 8:] = 255 * ~ground[:-8, :-8]
    soft = np.asarray(Image.fromarray(moved).filter(ImageFilter.GaussianBlur(3))) / 255 * ground
    return array(pixels * (1 - percent / 100 * soft[..., None]))


CORRUPTIONS: dict[str, tuple[Callable[[Pixels, float], Pixels], tuple[float, ...]]] = {
    "JPEG quality": (lambda pixels, quality: encoded(pixels, "JPEG", quality), (95, 85, 75, 60, 50, 30)),
    "WebP quality": (lambda pixels, quality: encoded(pixels, "WEBP", quality), (90, 75, 50, 30)),
    "noise, levels": (noise, (2, 5, 10, 15)),
    "texture, levels": (texture, (3, 6, 12, 18)),
    "blur, pixels": (blur, (0.5, 1, 1.5, 2)),
    "side, pixels": (resized, (192, 256, 384, 768, 1024)),
    "brightness, %": (brightness, (-20, -10, 10, 20)),
    "hue, degrees": (hue, (-10, -5, -2, 2, 5, 10)),
    "rotation, degrees": (rotated, (1, 3, 5)),
    "shadow, %": (shadow, (20, 40, 60)),
}


def verdict(scene: Scene, found: list[Found]) -> str:
    left, is_unsure = list(found), False
    for thing in scene.things:
        wanted = said(scene, thing)
        near = [each for each in left if distance(each, thing.x, thing.y, bool(thing.inside)) < 0.1]
        if not near:
            return "wrong"
        each = min(near, key=lambda one: distance(one, thing.x, thing.y, bool(thing.inside)))
        left.remove(each)
        for name in ATTRIBUTES:
            is_unsure |= name in each.unsure
            if name not in each.unsure and getattr(each.thing, name) != getattr(wanted, name):
                return "wrong"
    return "wrong" if left else "unsure" if is_unsure else "right"


def distance(found: Found, x: float, y: float, is_inside: bool) -> float:
    middle = (found.box[0] + found.box[2]) / 2, (found.box[1] + found.box[3]) / 2
    return abs(middle[0] - x) + abs(middle[1] - y) + (bool(found.thing.inside) != is_inside)


def measure(scenes: list[Scene], pictures: list[Pixels], change: Callable[[Pixels], Pixels]) -> dict[str, float]:
    counts = Counter(
        verdict(*each) for each in zip(scenes, [find_things(change(each)) for each in pictures], strict=True)
    )
    return {name: counts[name] / len(scenes) for name in ("right", "unsure", "wrong")}


def plot(found: dict[str, list[tuple[float, dict[str, float]]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 5, figsize=(14, 5), sharey=True, layout="constrained")
    for axis, (name, points) in zip(axes.flat, found.items(), strict=True):
        at = [str(value) for value, _ in points]
        bottom = np.zeros(len(points))
        for part, colour in (("right", "#17694f"), ("unsure", "#c9a227"), ("wrong", "#a33b20")):
            height = np.array([shares[part] for _, shares in points])
            axis.bar(at, height, bottom=bottom, color=colour, label=part)
            bottom += height
        axis.set_title(name, fontsize=10)
        axis.tick_params(labelsize=8)
    axes[0, 0].set_ylabel("share of pictures")
    axes[0, 0].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    scenes = [sample_scene(Stream("verifier", index)) for index in range(args.scenes)]
    pictures = [render(scene) for scene in scenes]
    started = time.process_time()
    unchanged = measure(scenes, pictures, lambda pixels: pixels)
    took = 1000 * (time.process_time() - started) / len(scenes)
    print(f"{'':20} {'':>7} {'right':>6} {'unsure':>7} {'wrong':>6}")
    print(
        f"{'unchanged':20} {'':>7} {unchanged['right']:6.2f} {unchanged['unsure']:7.2f} {unchanged['wrong']:6.2f}"
        f"   {took:.0f} ms of CPU a picture"
    )
    found: dict[str, list[tuple[float, dict[str, float]]]] = {}
    for name, (change, values) in CORRUPTIONS.items():
        for value in values:
            shares = measure(scenes, pictures, lambda pixels, change=change, value=value: change(pixels, value))  # type: ignore[misc]
            found.setdefault(name, []).append((value, shares))
            print(
                f"{name:20} {value:7} {shares['right']:6.2f} {shares['unsure']:7.2f} {shares['wrong']:6.2f}", flush=True
            )
    if args.plot:
        plot(found, args.plot)
    return 0 if unchanged["right"] == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
