"""WebDataset tars in Megatron-Energon: its own `prepare`, as the documentation writes it, and its own loader."""

import importlib.util
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import unifiedvisual
from conversion import convert_shards, describe
from conversion.energon import PREPARE
from tests.conversion_rows import EDIT, ROWS, RowShard, color_of
from tests.test_conversion_webdataset import PICTURED

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("megatron") is None,
        reason="megatron-energon is not installed: pip install megatron-energon",
    ),
    pytest.mark.timeout(300),
]

# In one process, which imports it once: (words of its command | None, ...) -> what can be read after each.
ENERGON = """
import contextlib, importlib.util, io, json, sys
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location("cooker_of_the_output", folder + "/cooker.py")
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
from megatron.energon import DefaultTaskEncoder, WorkerConfig, get_loader, get_train_dataset
from megatron.energon.cli.main import main

class Encoder(DefaultTaskEncoder):
    cookers = module.COOKERS
    def encode_sample(self, sample):
        return sample
    def batch(self, samples):
        return samples

def prepare(words):
    with contextlib.redirect_stdout(io.StringIO()):
        main([*words, "--num-workers", "1", "--no-progress"], standalone_mode=False)

def read():
    workers = WorkerConfig(rank=0, world_size=1, num_workers=0)
    dataset = get_train_dataset(folder, batch_size=1, shuffle_buffer_size=None, max_samples_per_sequence=None,
                                worker_config=workers, task_encoder=Encoder(), repeat=False)
    rows = {}
    for (sample,) in get_loader(dataset):
        parts = [p if isinstance(p, str) else [round(float(x) * 255) for x in p[:, 2, 2]] for p in sample.parts]
        rows[sample.__key__] = {"parts": parts, "roles": sample.roles, "image_roles": sample.image_roles}
    return rows

found = []
for words in json.loads(sys.argv[2]):
    try:
        prepare(words)
    except Exception as error:
        found.append("prepare: " + str(error))
        continue
    try:
        found.append(read())
    except Exception as error:
        found.append(str(error))
print(json.dumps(found))
"""


def after(folder, *lines):
    """What energon reads after each command line, or why it reads nothing."""
    words = [shlex.split(line.replace("OUT", str(folder)))[1:] for line in lines]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENERGON, str(folder), json.dumps(words)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def folder(tmp_path):
    convert_shards([RowShard(*ROWS[:7]), RowShard(*ROWS[7:-1])], tmp_path / "out", to="webdataset")
    return tmp_path / "out"


def test_the_line_of_the_documentation_is_that_of_the_guide():
    page = (Path(unifiedvisual.__file__).parent / "docs/formats.md").read_text(encoding="utf-8")
    assert PREPARE.replace("OUT", "converted/webdataset") in re.findall(
        r"^energon prepare .*", page, flags=re.MULTILINE
    )
    (guide,) = (entry["guide"] for entry in describe() if entry["profile"] == "rows")
    assert f"`{PREPARE}`" in guide


def test_energon_prepares_and_loads_every_picture_in_its_place_and_not_after_other_choices(folder):
    crude = PREPARE.replace("--skip-dataset-yaml", "--sample-type CrudeWebdataset --force-overwrite")
    only_index, rows, no_cooker, failed = after(
        folder,
        "energon prepare OUT --non-interactive --tar-index-only",
        PREPARE,
        crude,
        crude.replace("CrudeWebdataset", "InterleavedSample"),
    )
    assert {
        key: [part if isinstance(part, str) else color_of(one_pixel(part)) for part in row["parts"]]
        for key, row in rows.items()
    } == PICTURED
    assert rows[EDIT.id]["roles"] == ["user", "user", *["assistant"] * 4]
    assert rows[EDIT.id]["image_roles"] == ["input", "intermediate", "output"]
    assert json.loads((folder / ".nv-meta" / ".info.json").read_text())["shard_counts"] == {
        "train-00000-000.tar": 7,
        "train-00001-000.tar": 6,
    }
    # the choices that PREPARE_NOTES warn of
    assert "No info config file" in only_index or "Invalid dataset" in only_index
    assert "No cooker found" in no_cooker
    assert failed == {}


def one_pixel(color):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 4), tuple(color)).save(file, "png")
    return file.getvalue()


def test_energon_files_are_crude_with_a_stateless_cooker_and_a_split(folder):
    assert yaml.safe_load((folder / ".nv-meta" / "dataset.yaml").read_text())["__class__"] == "CrudeWebdataset"
    assert yaml.safe_load((folder / ".nv-meta" / "split.yaml").read_text())["split_parts"]["train"] == [
        "train-00000-000.tar",
        "train-00001-000.tar",
    ]
    assert "@stateless" in (folder / "cooker.py").read_text()
