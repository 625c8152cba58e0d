"""Pictures a second that `unifiedvisual tokenize` turns into ids, beside the encoder alone, in one run on a CPU.

    python benchmarks/encode.py --folder /tmp/encode-benchmark

The tiny Chameleon of the examples over the photographs of the demo, one thread.

    encoder        the VQ encoder over pixel values that are in memory
    with pixels    decoding and the image processor before it
    tokenize       all of the command: reading, hashing, decoding, encoding, writing; without loading the model

A published encoder takes some hundred times as long for a picture, and the rest does not.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import transformers

from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.common import open_image
from toolkit.collate.token_jobs import Checkpoint, tokenize_source
from toolkit.demo.data import pack_demo
from toolkit.demo.tiny_models import tiny_chameleon
from toolkit.sources.layout import choose_tasks, open_source
from toolkit.streaming.dataset import StreamingDataset


class Clock:
    """Pictures a second between the first and the last that were noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[float, int]] = []

    def __call__(self, more: int) -> None:
        self.noted.append((time.perf_counter(), more))

    @property
    def rate(self) -> float:
        return sum(more for _, more in self.noted[1:]) / (self.noted[-1][0] - self.noted[0][0])


def encoder(pixels: Iterable[torch.Tensor], tokenizer: Any) -> float:
    clock = Clock()
    for each in pixels:
        tokenizer._encode_alike([each])
        clock(1)
    return clock.rate


def with_pixels(images: Iterable[Any], tokenizer: Any) -> float:
    clock = Clock()
    for image in images:
        tokenizer.encode([open_image(image)])
        clock(1)
    return clock.rate


def tokenized(packed: Path, checkpoint: Path) -> float:
    source, clock = open_source(packed), Clock()
    out = Path(tempfile.mkdtemp(dir=packed.parent))
    tokenize_source(source, out, Checkpoint(checkpoint=str(checkpoint)), choose_tasks(source, ["all"]), on_images=clock)
    shutil.rmtree(out)
    return clock.rate


def main(folder: Path, rows: int, repeats: int) -> None:
    tiny = tiny_chameleon()
    tiny.model.save_pretrained(folder / "model")
    tiny.processor.save_pretrained(folder / "model")
    packed = pack_demo(folder / "packed", rows=rows)
    rows_of_all = StreamingDataset(packed, decode=None, shuffle=False)
    images = list({image["bytes"]: image for row in rows_of_all for image in row["images"]}.values())
    tokenizer = chameleon_tokenizer(tiny.model, tiny.processor)
    pixels = [tokenizer._pixels_of(open_image(image)) for image in images]
    ways: dict[str, Callable[[], float]] = {
        "encoder": lambda: encoder(pixels, tokenizer),
        "with pixels": lambda: with_pixels(images, tokenizer),
        "tokenize": lambda: tokenized(packed, folder / "model"),
    }
    best = dict.fromkeys(ways, 0.0)
    for _ in range(repeats):
        for name, measure in ways.items():
            best[name] = max(best[name], measure())
    print(f"{len(images)} distinct pictures, best of {repeats}")
    for name, rate in best.items():
        print(f"{name:12} {rate:8,.0f} pictures/s {rate / best['encoder']:6.0%} of the encoder")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=60, help="of each task")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    main(args.folder, args.rows, args.repeats)
