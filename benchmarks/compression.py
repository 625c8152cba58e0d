"""Which Parquet compression for which column: size, write and read speed of demo rows, images and text apart.

Every picture is turned by an angle of its own: the demo's few photographs would otherwise look compressible, because
they repeat.

    python benchmarks/compression.py
"""

import argparse
import io
import statistics
import time
import zlib
from dataclasses import replace

import pyarrow.parquet as pq
from PIL import Image

from toolkit.demo.rows import demo_row
from toolkit.schema import COLUMNS, EncodedImage, Row, rows_to_table
from toolkit.tasks import TASKS

CHOICES = (("none", None), ("snappy", None), ("lz4", None), ("zstd", 1), ("zstd", 3), ("zstd", 9))


def _with_own_pictures(row: Row) -> Row:
    images = []
    for place, image in enumerate(row.images):
        picture, buffer = Image.open(io.BytesIO(image.bytes)), io.BytesIO()
        picture.rotate(zlib.crc32(f"{row.id} {place}".encode()) / 2**32 * 360).save(buffer, picture.format)
        images.append(EncodedImage(buffer.getvalue(), image.path))
    return replace(row, images=tuple(images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60, help="of each task")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    table = rows_to_table(
        _with_own_pictures(demo_row(task, number)) for number in range(arguments.rows) for task in TASKS
    )
    print(
        f"{table.num_rows} rows, {table.nbytes / 1e6:.0f} MB\n{'columns':8} {'compression':12} {'size':>6} "
        f"{'write MB/s':>11} {'read MB/s':>10}"
    )
    for name, columns in (("images", ["images"]), ("text", [column for column in COLUMNS if column != "images"])):
        part = table.select(columns)
        for compression, level in CHOICES:
            writes, reads = [], []
            for _ in range(arguments.repeats):
                buffer = io.BytesIO()
                started = time.perf_counter()
                pq.write_table(part, buffer, compression=compression, compression_level=level, use_dictionary=False)
                writes.append(time.perf_counter() - started)
                started = time.perf_counter()
                pq.read_table(io.BytesIO(buffer.getvalue()))
                reads.append(time.perf_counter() - started)
            size, write, read = (
                len(buffer.getvalue()) / part.nbytes,
                *(part.nbytes / 1e6 / statistics.median(times) for times in (writes, reads)),
            )
            print(f"{name:8} {compression + (f' {level}' if level else ''):12} {size:6.1%} {write:11.0f} {read:10.0f}")


if __name__ == "__main__":
    main()
