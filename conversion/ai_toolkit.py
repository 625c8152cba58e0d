"""ai-toolkit's folders: target/<name>.jpg with target/<name>.txt, and control_1/<name>.png and so on beside it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from conversion.formats import Shard
from conversion.importing import ReadOptions, checked
from conversion.pairs import count_steps
from conversion.shard import Notes, ShardFolder, suffix_of
from conversion.triples import edit_row, steps_of
from toolkit.errors import RowError, SourceError
from toolkit.schema import Row

SUFFIXES = ("jpg", "png", "webp")  # and jpeg. Source: toolkit/dataloader_mixins.py#L71
MOST = 3  # inputs. Source: config/examples/train_lora_qwen_image_edit_2509_32gb.yaml


class AiToolkitWriter:
    def __init__(self, shard: ShardFolder) -> None:
        self.shard = shard
        self.controls: set[str] = set()

    def write(self, row: Row) -> None:
        steps = steps_of(row, fewest=1, most=MOST, suffixes=SUFFIXES)
        count_steps(self.shard.tally, row, steps)
        used = {number for step in steps for number in (*step.before, step.after)}
        self.shard.tally.images_out += len(used)
        for step in steps:
            name = f"{row.id}-{step.after}"
            self._save("target", name, row, step.after)
            self.shard.path(f"target/{name}.txt").write_text(step.instruction, encoding="utf-8", newline="")
            for place, number in enumerate(step.before, start=1):
                self._save(f"control_{place}", name, row, number)
                self.controls.add(f"control_{place}")
            self.shard.tally.records_out += 1

    def close(self) -> Notes:
        return {"controls": sorted(self.controls)}

    def _save(self, folder: str, name: str, row: Row, number: int) -> None:
        image = row.images[number]
        self.shard.path(f"{folder}/{name}.{suffix_of(image)}").write_bytes(image.bytes)


def read_folders(src: Path, options: ReadOptions) -> list[Shard]:
    """One shard: every text of target, with the pictures of its name."""
    texts = sorted((src / "target").glob("*.txt"))
    if not texts:
        raise SourceError(f"{src / 'target'} has no *.txt")
    return [partial(_rows_of, src, texts, options)]


def _rows_of(src: Path, texts: list[Path], options: ReadOptions) -> Iterator[Row | RowError]:
    controls = sorted(path.name for path in src.glob("control_*") if path.is_dir())
    for path in texts:
        try:
            yield checked(partial(_row_of, folders=(*controls, "target"), options=options), {}, src, path.stem)
        except RowError as error:
            yield RowError(f"{path}: {error}", kind=error.kind)


def _row_of(record: dict[str, object], src: Path, name: str, *, folders: tuple[str, ...], options: ReadOptions) -> Row:
    names = [
        f"{folder}/{name}.{suffix}"
        for folder in folders
        for suffix in (*SUFFIXES, "jpeg")
        if (src / folder / f"{name}.{suffix}").is_file()
    ]
    text = (src / "target" / f"{name}.txt").read_text(encoding="utf-8")
    return edit_row({"id": name}, text, names, src, name, options, "edit-triples")
