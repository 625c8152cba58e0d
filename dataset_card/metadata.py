"""The YAML at the top of the card: what `datasets` and the Hub read."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dataset_card.claims import is_published, source_of
from dataset_card.columns import yaml_features
from toolkit.published import UPSTREAM_REPOSITORY, published_rows
from toolkit.schema import Row
from toolkit.sources.manifest import Manifest
from toolkit.sources.repository import REPO_ID
from toolkit.sources.splits import DEFAULT_SPLIT
from toolkit.tasks import QUADRANTS, TASKS, configs_of

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

# Quadrant -> categories of the Hub. The Hub's page of the published dataset names image-text-to-text and text-to-image;
# the others follow from the rows.
CATEGORIES = {
    "mm-mm": ("image-text-to-text", "image-to-image"),
    "mm-text": ("image-text-to-text",),
    "text-mm": ("text-to-image",),
    "text-text": ("text-generation",),
}
TAGS = [
    "any-to-any",
    "interleaved",
    "chain-of-thought",
    "image-generation",
    "image-editing",
    "visual-reasoning",
    "synthetic",
    "arxiv:2509.14738",
]
# The Hub's word where no licence is stated. "other" would say that there is a licence to look up.
# Source: huggingface.co/docs/hub/repositories-licenses
LICENSE = "unknown"
THOUSANDS = ("", "K", "M", "B", "T")


def card_data(manifest: Manifest, examples: Mapping[str, Row], *, title: str) -> "DatasetCardData":
    """Metadata of a packed dataset.

    Args:
        examples: task -> a row of it; the published dataset is a source where one of them is as published.
    """
    from huggingface_hub import DatasetCardData  # takes half a second, and most commands need no card

    configs = {
        config: present
        for config, tasks in configs_of((*TASKS.values(), *manifest.vocabulary.values())).items()
        if (present := [task for task in tasks if task in manifest.tasks])
    }
    quadrants = {quadrant for task in manifest.tasks for quadrant in manifest.quadrants(task)}
    upstream = [UPSTREAM_REPOSITORY] if any(map(is_published, examples.values())) else []
    sources = (*upstream, *(source for row in examples.values() if REPO_ID.fullmatch(source := source_of(row)[0])))
    about_published = bool(published_rows(manifest.tasks))
    return DatasetCardData(
        pretty_name=title,
        language=["en"] if about_published else None,
        license=LICENSE,
        size_categories=[size_category(manifest.total("rows"))],
        source_datasets=list(dict.fromkeys(sources)) or ["original"],
        task_categories=list(
            dict.fromkeys(
                category for quadrant in QUADRANTS if quadrant in quadrants for category in CATEGORIES[quadrant]
            )
        ),
        tags=TAGS if about_published else None,
        configs=[_config(manifest, config, tasks) for config, tasks in configs.items()],
        dataset_info=[_info(manifest, config, tasks) for config, tasks in configs.items()],
    )


def size_category(rows: int) -> str:
    """The Hub's word for a number of rows: "n<1K", "1K<n<10K", ..., "n>1T"."""
    if rows < 1000:
        return "n<1K"
    power = len(str(rows)) - 1
    return f"{_power(power)}<n<{_power(power + 1)}" if power < 12 else "n>1T"


def _power(exponent: int) -> str:
    return f"{10 ** (exponent % 3)}{THOUSANDS[exponent // 3]}"


def split_of(manifest: Manifest) -> str:
    """The first split of a packed dataset, train if it has that."""
    return next(iter(manifest.splits), DEFAULT_SPLIT)


def _config(manifest: Manifest, config: str, tasks: list[str]) -> dict[str, Any]:
    files = [
        {"split": split, "path": _paths(manifest, split, here)}
        for split, here in _tasks_by_split(manifest, tasks).items()
    ]
    return {"config_name": config, "data_files": files, **({"default": True} if config == "all" else {})}


def _paths(manifest: Manifest, split: str, tasks: list[str]) -> list[str]:
    """Patterns of the shards of a split; each shard itself, where some are in other repositories."""
    listed = [shard.path for task in tasks for shard in manifest.tasks[task] if shard in manifest.splits[split]]
    if any(path.startswith("hf://") for path in listed):
        return listed
    names = "*" if len(manifest.splits) == 1 else f"{split}-*"
    return [f"data/{task}/{names}.parquet" for task in tasks]


def _info(manifest: Manifest, config: str, tasks: list[str]) -> dict[str, Any]:
    """Sizes are those of the files: images make up nearly all of them and are stored as they are, so memory needs
    about the same.
    """
    size = manifest.total("bytes", tasks)
    splits = []
    for split in _tasks_by_split(manifest, tasks):
        shards = [shard for shard in manifest.splits[split] if shard.task in tasks]
        totals = {"num_bytes": sum(s.bytes for s in shards), "num_examples": sum(s.rows for s in shards)}
        splits.append({"name": split, **totals})
    return {
        "config_name": config,
        "features": yaml_features(),
        "splits": splits,
        "download_size": size,
        "dataset_size": size,
    }


def _tasks_by_split(manifest: Manifest, tasks: list[str]) -> dict[str, list[str]]:
    """Split -> those of the tasks that have rows in it, of splits that have any."""
    found = {
        split: [task for task in tasks if any(shard.task == task for shard in shards)]
        for split, shards in manifest.splits.items()
    }
    return {split: here for split, here in found.items() if here}
