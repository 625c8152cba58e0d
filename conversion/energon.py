"""What Megatron-Energon wants beside the tars of the webdataset format.

`energon prepare` (PREPARE) once indexes the tars.
Source: megatron-energon 7.4.1, docs/source/advanced/custom_sample_loader.md and crude datasets; its InterleavedSample
has no roles, so samples stay crude and a cooker makes what the model wants.
"""

from collections.abc import Sequence

import yaml

PREPARE = "energon prepare OUT --non-interactive --split-ratio 1,0,0 --skip-dataset-yaml"
# Tried with 7.4.1; tests/test_conversion_energon.py tries again.
PREPARE_NOTES = (
    "`energon prepare` with `--sample-type` replaces dataset.yaml, and then nothing can be read: as `CrudeWebdataset` "
    "it finds no cooker, as another type every sample fails",
    "`energon prepare` with `--tar-index-only` alone leaves a dataset that energon calls invalid",
)
DATASET_YAML = """\
__module__: megatron.energon
__class__: CrudeWebdataset
subflavors:
  format: unifiedvisual
"""

COOKER = '''\
"""A cooker for these tars: crude sample -> interleaved pictures and texts with the role of each. Copy it and change
what it returns.
"""

from dataclasses import dataclass

from megatron.energon import Cooker, Sample, basic_sample_keys, stateless


@dataclass
class ChatSample(Sample):
    parts: list  # str, or the picture as the task encoder's decoder gives it; in reading order
    roles: list  # "system", "user" or "assistant", one per part
    image_roles: list  # "input", "intermediate" or "output", one per picture


@stateless  # without it energon refuses every sample
def cook(sample: dict) -> ChatSample:
    row = sample["json"]
    parts, roles = [], []
    for message in row["messages"]:
        for part in message["content"]:
            parts.append(part["text"] if part["type"] == "text" else sample[part["image"]])
            roles.append(message["role"])
    return ChatSample(**basic_sample_keys(sample), parts=parts, roles=roles, image_roles=row["image_roles"])


COOKERS = [Cooker(cook, has_subflavors={"format": "unifiedvisual"})]
'''


def split_yaml(tars: Sequence[str]) -> str:
    return yaml.safe_dump({"split_parts": {"train": list(tars), "val": [], "test": []}, "exclude": []}, sort_keys=False)
