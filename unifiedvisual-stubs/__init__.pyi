# Written by `python -m tests.stubs`, compared by tests/test_architecture.py.
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datasets

from conversion import convert as convert
from conversion import import_source as import_source
from conversion import verify as verify
from dataset_card import read_card as read_card
from dataset_card import write_card as write_card
from toolkit.collate import get_collator as get_collator
from toolkit.collate import get_tokenizer as get_tokenizer
from toolkit.collate import load_collator as load_collator
from toolkit.collate import load_tokenizer as load_tokenizer
from toolkit.collate.lengths import measure_lengths as measure_lengths
from toolkit.collate.loss import LossModel as LossModel
from toolkit.collate.loss import janus_losses as janus_losses
from toolkit.collate.loss import tokens_of_update as tokens_of_update
from toolkit.collate.loss import vocabulary_losses as vocabulary_losses
from toolkit.collate.packing import check_packing as check_packing
from toolkit.collate.tokenizing import tokenize as tokenize
from toolkit.collate.tokens import StoredTokens as StoredTokens
from toolkit.collate.understanding_loss import understanding_losses as understanding_losses
from toolkit.curation.align import align as align
from toolkit.curation.deduplicate import deduplicate as deduplicate
from toolkit.curation.merge import merge as merge
from toolkit.curation.select import select as select
from toolkit.packing.pack import pack as pack
from toolkit.packing.push import push as push
from toolkit.packing.rows import pack_rows as pack_rows
from toolkit.packing.stage import PackOptions as PackOptions
from toolkit.rules import check_row as check_row
from toolkit.sampling.answers import Sampling as Sampling
from toolkit.sampling.answers import sample_answers as sample_answers
from toolkit.schema import EncodedImage as EncodedImage
from toolkit.schema import Message as Message
from toolkit.schema import Part as Part
from toolkit.schema import Region as Region
from toolkit.schema import Row as Row
from toolkit.sources.dialects.source import open_foreign as open_foreign
from toolkit.sources.findings import Findings as Findings
from toolkit.sources.layout import open_source as open_source
from toolkit.sources.skips import MAX_IN_A_ROW
from toolkit.streaming.batch import collate_images as collate_images
from toolkit.streaming.dataset import StreamingDataset as StreamingDataset
from toolkit.streaming.indexed import RowDataset as RowDataset
from toolkit.streaming.lengths import StoredLengths as StoredLengths
from toolkit.streaming.mixture import Component as Component
from toolkit.tasks import Task as Task
from toolkit.training.freezing import train_only as train_only
from toolkit.training.freezing import trained_parameters as trained_parameters
from toolkit.training.trainer import UnifiedTrainer as UnifiedTrainer

__all__ = [
    "Component",
    "EncodedImage",
    "Findings",
    "LossModel",
    "Message",
    "PackOptions",
    "Part",
    "Region",
    "Row",
    "RowDataset",
    "Sampling",
    "StoredLengths",
    "StoredTokens",
    "StreamingDataset",
    "Task",
    "UnifiedTrainer",
    "UnifiedVisual",
    "UnifiedVisualConfig",
    "__version__",
    "align",
    "check_packing",
    "check_row",
    "collate_images",
    "convert",
    "deduplicate",
    "get_collator",
    "get_tokenizer",
    "import_source",
    "janus_losses",
    "load_collator",
    "load_dataset",
    "load_tokenizer",
    "measure_lengths",
    "merge",
    "open_foreign",
    "open_source",
    "pack",
    "pack_rows",
    "push",
    "read_card",
    "sample_answers",
    "select",
    "tokenize",
    "tokens_of_update",
    "train_only",
    "trained_parameters",
    "understanding_losses",
    "verify",
    "vocabulary_losses",
    "write_card",
]
__version__: str

@dataclass
class UnifiedVisualConfig(datasets.BuilderConfig):
    revision: str | None = None
    mapping: str | None = None
    on_missing: str = "raise"
    on_bad_row: str = "raise"
    max_in_a_row: int = MAX_IN_A_ROW

class UnifiedVisual(datasets.ArrowBasedBuilder):
    def __init__(
        self, *, hash: str | None = None, token: str | bool | None = None, download: bool = False, **kwargs: Any
    ) -> None: ...

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
) -> Any: ...
