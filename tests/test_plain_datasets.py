"""What `pack` and `push` make is read by plain `datasets`, with none of our code: every config, streamed and not, from
the Hub.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from tests.replicas import replica, truth
from toolkit.cli.app import main
from toolkit.tasks import CONFIGS

# Streams are read to their end, and the process leaves without the interpreter's shutdown: datasets' own Parquet reader
# may abort there.
READER = """
import hashlib, json, os, sys
import datasets

found = {}
for config in json.loads(sys.argv[2]):
    for streaming in (True, False):
        rows = datasets.load_dataset(sys.argv[1], config, split="train", streaming=streaming)
        pictures = [type(image).__module__ for row in rows.take(1) for image in row["images"]]
        many = getattr(datasets, "List", None) or (lambda feature: [feature])
        undecoded = rows.cast_column("images", many(datasets.Image(decode=False)))
        digests = {}
        for row in undecoded:
            digest = hashlib.sha256(json.dumps([row["messages"], row["image_roles"], row["instruction"]]).encode())
            for image in row["images"]:
                digest.update(image["bytes"])
            digests[row["id"]] = digest.hexdigest()
        found[f"{config} {streaming}"] = [digests, all(name.startswith("PIL.") for name in pictures)]
print(json.dumps(found))
print([name for name in ("toolkit", "unifiedvisual") if name in sys.modules], file=sys.stderr)
sys.stdout.flush(); sys.stderr.flush()
os._exit(0)
"""


def digest(row):
    columns = row.to_dict()
    made = hashlib.sha256(json.dumps([columns["messages"], columns["image_roles"], columns["instruction"]]).encode())
    for image in row.images:
        made.update(image.bytes)
    return made.hexdigest()


@pytest.mark.timeout(180)
def test_plain_datasets_reads_every_config_of_what_was_pushed(hub, tmp_path):
    source = replica(tmp_path / "source", "messages")
    for arguments in (
        ["pack", source, tmp_path / "packed", "--shard-size", 30_000],
        ["push", tmp_path / "packed", "loopback/uv", "--token", hub.token],
    ):
        main_exits_with_zero([str(argument) for argument in arguments])
    script = tmp_path / "reader.py"
    script.write_text(READER)
    done = subprocess.run(
        [sys.executable, script, "loopback/uv", json.dumps(list(CONFIGS))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "USE_TORCH": "0"},  # datasets would import it for streams
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for config, tasks in CONFIGS.items():
        expected = {row.id: digest(row) for task in tasks for row in truth()[task]}
        for streaming in (True, False):
            assert found[f"{config} {streaming}"] == [expected, True]
    assert done.stderr.splitlines()[-1] == "[]"


def main_exits_with_zero(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code


def test_a_packed_folder_holds_no_script_so_that_any_name_of_it_loads(tmp_path):
    """`datasets` takes `<folder>/<folder>.py` for a loading script, and refuses."""
    import datasets

    source, folder = replica(tmp_path / "source", "messages", tasks=("image_editing",)), tmp_path / "unifiedvisual"
    main_exits_with_zero(["pack", str(source), str(folder)])
    assert not list(folder.rglob("*.py"))
    assert len(datasets.load_dataset(str(folder), "image_editing", split="train")) == len(truth()["image_editing"])
