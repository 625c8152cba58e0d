"""UnifiedVisual as a Hugging Face dataset: `load_dataset`, the builder, and the toolkit's public names.

    from unifiedvisual import load_dataset
    ds = load_dataset("fnlp-vision/UnifiedVisual-240K", "image_editing", split="train", streaming=True)

Both layouts are read: the one as published (text Parquet + tarballs) and the packed one, from a folder or the Hub,
streamed or not.
This file holds nothing but the builder: `datasets` patches file functions in the module of a builder, and on datasets
3.6 this file is also a loading script.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datasets

from toolkit import __version__ as __version__
from toolkit.errors import MissingExtra, UnifiedVisualError, UsageError
from toolkit.published import UPSTREAM_REPOSITORY
from toolkit.schema import ARROW_SCHEMA
from toolkit.schema import features as row_features
from toolkit.sources.layout import open_source
from toolkit.sources.packed import PackedSource, check_texts
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.repository import folder_in
from toolkit.sources.skips import MAX_IN_A_ROW
from toolkit.tasks import CONFIGS, in_order, tasks_of

# Public names that live elsewhere, loaded when they are first asked for. For type checkers they stand in
# unifiedvisual-stubs, which `python -m tests.stubs` writes.
_TOOLKIT = {
    "align": "toolkit.curation.align",
    "check_packing": "toolkit.collate.packing",
    "check_row": "toolkit.rules",
    "collate_images": "toolkit.streaming.batch",
    "Component": "toolkit.streaming.mixture",
    "convert": "conversion",
    "deduplicate": "toolkit.curation.deduplicate",
    "EncodedImage": "toolkit.schema",
    "Findings": "toolkit.sources.findings",
    "get_collator": "toolkit.collate",
    "get_tokenizer": "toolkit.collate",
    "import_source": "conversion",
    "janus_losses": "toolkit.collate.loss",
    "load_collator": "toolkit.collate",
    "load_tokenizer": "toolkit.collate",
    "measure_lengths": "toolkit.collate.lengths",
    "merge": "toolkit.curation.merge",
    "LossModel": "toolkit.collate.loss",
    "Message": "toolkit.schema",
    "open_foreign": "toolkit.sources.dialects.source",
    "open_source": "toolkit.sources.layout",
    "pack": "toolkit.packing.pack",
    "pack_rows": "toolkit.packing.rows",
    "PackOptions": "toolkit.packing.stage",
    "Part": "toolkit.schema",
    "push": "toolkit.packing.push",
    "read_card": "dataset_card",
    "Region": "toolkit.schema",
    "Row": "toolkit.schema",
    "RowDataset": "toolkit.streaming.indexed",
    "sample_answers": "toolkit.sampling.answers",
    "Sampling": "toolkit.sampling.answers",
    "select": "toolkit.curation.select",
    "StoredLengths": "toolkit.streaming.lengths",
    "StoredTokens": "toolkit.collate.tokens",
    "StreamingDataset": "toolkit.streaming.dataset",
    "Task": "toolkit.tasks",
    "tokenize": "toolkit.collate.tokenizing",
    "tokens_of_update": "toolkit.collate.loss",
    "train_only": "toolkit.training.freezing",
    "trained_parameters": "toolkit.training.freezing",
    "understanding_losses": "toolkit.collate.understanding_loss",
    "UnifiedTrainer": "toolkit.training.trainer",
    "verify": "conversion",
    "vocabulary_losses": "toolkit.collate.loss",
    "write_card": "dataset_card",
}
__all__ = sorted(["UnifiedVisual", "UnifiedVisualConfig", "__version__", "load_dataset", *_TOOLKIT])


@dataclass
class UnifiedVisualConfig(datasets.BuilderConfig):
    """One config: all rows, a family, or a task.

    Attributes:
        data_dir: what to read: a folder, `org/name` or `hf://datasets/org/name[@revision][/folder]`; default: the
            dataset as published.
        revision: branch, tag or commit of a Hub repository.
        mapping: YAML file that says how upstream's columns are read, where the plan is wrong.
        on_missing: "raise" or "skip" rows whose image is not in its archive.
        on_bad_row: "raise" or "skip" rows that break a rule.
        max_in_a_row: bad rows without a good one between that stop the reading all the same.
    """

    revision: str | None = None
    mapping: str | None = None
    on_missing: str = "raise"
    on_bad_row: str = "raise"
    max_in_a_row: int = MAX_IN_A_ROW


class UnifiedVisual(datasets.ArrowBasedBuilder):
    """Builder of every config, over both layouts.

        builder = UnifiedVisual(config_name="image_editing", data_dir="fnlp-vision/UnifiedVisual-240K")
        stream = builder.as_streaming_dataset(split="train")

    Streaming the layout as published reads each archive once, in order, and yields a row as soon as its last image
    has come; a shard is a task there, or all tasks where only the archives tell them apart, and a Parquet file in the
    packed layout. The cache key holds a fingerprint of the
    files' content, so changed data is never served from an old cache.
    """

    BUILDER_CONFIG_CLASS = UnifiedVisualConfig
    BUILDER_CONFIGS = [UnifiedVisualConfig(name=name, description=", ".join(tasks)) for name, tasks in CONFIGS.items()]  # noqa: RUF012
    DEFAULT_CONFIG_NAME = "all"

    def __init__(
        self, *, hash: str | None = None, token: str | bool | None = None, download: bool = False, **kwargs: Any
    ) -> None:
        settings = {
            name: kwargs.get(name) or getattr(UnifiedVisualConfig, name)
            for name in ("revision", "mapping", "on_missing", "on_bad_row", "max_in_a_row")
        }
        name = kwargs.get("config_name") or self.DEFAULT_CONFIG_NAME
        source = kwargs.get("data_dir")
        self.source: UpstreamSource | PackedSource = open_source(
            UPSTREAM_REPOSITORY if source is None else source, token=token, download=download, **settings
        )
        if name not in CONFIGS:  # of a task that is not of the nine: made on the fly, as builders without configs do
            self.BUILDER_CONFIGS = []
        if kwargs.get("features") is not None:
            kwargs["features"] = _as_features(kwargs["features"])
        super().__init__(hash=self.source.fingerprint(self._tasks(name)), token=token, **kwargs)

    def _tasks(self, config: str) -> tuple[str, ...]:
        return tasks_of(config, self.source.vocabulary)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=row_features(), homepage="https://arxiv.org/abs/2509.14738")

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        tasks = self._tasks(self.config.name)
        if not dl_manager.is_streaming:
            self.source = self.source.downloaded()
        by_split = {split: self.source.of_split(split).shards(tasks) for split in self.source.splits}
        found = [
            datasets.SplitGenerator(name=split, gen_kwargs={"shards": shards, "first": shards[0], "split": split})
            for split, shards in by_split.items()
            if shards
        ]
        if not found:
            there = {task for split in by_split for task in self.source.of_split(split).tasks}
            raise UnifiedVisualError(
                f"{self.source.repository.name} has no rows of config {self.config.name!r}; it has: "
                f"{', '.join(in_order(there))}"
            )
        return found

    def _generate_tables(self, shards: list[str], first: str, split: str) -> Any:
        source = self.source.of_split(split)
        for shard in shards:
            for number, table in enumerate(source.read_tables(shard, owns_unknown=shard == first)):
                check_texts(table, f"{source.repository.name}: {shard}")
                yield f"{shard}/{number}", self._cast(table)

    def _cast(self, table: Any) -> Any:
        wanted = self.info.features.arrow_schema
        if wanted.equals(ARROW_SCHEMA):
            return table
        try:
            return datasets.table.table_cast(table, wanted)
        except (ValueError, TypeError) as error:
            raise UsageError(f"features= does not fit the rows, which have those of row_features(): {error}") from error


def _as_features(given: Mapping[str, Any]) -> datasets.Features:
    """Features that were changed by | are a plain dict."""
    if not isinstance(given, Mapping):
        raise UsageError(f"features= is {given!r:.80}; expected row_features(), or a dict like it")
    return datasets.Features(given)


DATA_FILES = (
    "data_files is not supported: the layout tells which files hold which config; use mapping= for columns that are "
    "read wrong"
)


def load_dataset(
    path: str | os.PathLike[str],
    name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    data_files: Any = None,
    split: Any = None,
    cache_dir: str | None = None,
    features: Mapping[str, Any] | None = None,
    download_config: datasets.DownloadConfig | None = None,
    download_mode: Any = None,
    verification_mode: Any = None,
    keep_in_memory: bool | None = None,
    save_infos: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    storage_options: dict[str, Any] | None = None,
    **config_kwargs: Any,
) -> Any:
    """`datasets.load_dataset` for UnifiedVisual data in either layout; same arguments, same return types.

    Args:
        path: a folder, a Hub id or an hf:// URL.
        name: a config: "all" (default), a family or a task; `unifiedvisual info` lists them.
        data_dir: a folder inside `path`.
        data_files: not supported; a file whose columns are read wrong is described in a mapping.
        config_kwargs: mapping, on_missing, on_bad_row, max_in_a_row; see UnifiedVisualConfig.

    Raises:
        UnknownName: no such config. SourceError: nothing there, or it cannot be read. RowError: a bad row, unless
            skipped.
    """
    if data_files is not None:
        raise UsageError(DATA_FILES)
    builder = UnifiedVisual(
        cache_dir=cache_dir,
        config_name=name or UnifiedVisual.DEFAULT_CONFIG_NAME,
        data_dir=folder_in(path, data_dir) if data_dir else os.fsdecode(path),
        features=features,
        token=token,
        download=not streaming,
        storage_options=storage_options,
        **({"revision": revision} if revision else {}),
        **config_kwargs,
    )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    checks = "all_checks" if save_infos else verification_mode or "basic_checks"
    settings = {"download_config": download_config, "download_mode": download_mode, "num_proc": num_proc}
    _prepare(builder, verification_mode=checks, storage_options=storage_options, **settings)
    return builder.as_dataset(split=split, in_memory=bool(keep_in_memory))


def _prepare(builder: UnifiedVisual, *, verification_mode: Any, **settings: Any) -> None:
    """Raises what stopped it, which says what is wrong; the wrapper that `datasets` puts around says only that
    something is.
    """
    try:
        builder.download_and_prepare(verification_mode=datasets.VerificationMode(verification_mode), **settings)
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, UnifiedVisualError):
            raise error.__cause__ from None
        raise


def __getattr__(name: str) -> Any:
    if name not in _TOOLKIT:
        raise AttributeError(f"module 'unifiedvisual' has no attribute {name!r}; it has: {', '.join(__all__)}")
    try:
        return getattr(importlib.import_module(_TOOLKIT[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra("torch", "train") from error
