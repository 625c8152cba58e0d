"""`unifiedvisual tokenize`: what is stored are the model's own ids, once each, however often the command was killed."""

import hashlib
import json
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tests.damage import Stopped, changed_to
from tests.packed import pack_demo, split, write_packed
from tests.processes import Command
from tests.replicas import replica, truth
from tests.test_pack import content
from toolkit.cli.app import main
from toolkit.collate import token_jobs
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.common import open_image
from toolkit.collate.emu3 import emu3_tokenizer
from toolkit.collate.janus import janus_tokenizer
from toolkit.collate.token_jobs import Checkpoint, tokenize_source
from toolkit.collate.tokens import StoredTokens, VQTokenizer
from toolkit.demo.tiny_models import tiny_chameleon, tiny_emu3, tiny_janus, tiny_llava
from toolkit.sources.layout import open_source
from toolkit.staging.locks import hold

FAMILIES = {
    "chameleon": (tiny_chameleon, chameleon_tokenizer),
    "emu3": (tiny_emu3, emu3_tokenizer),
    "janus": (tiny_janus, janus_tokenizer),
}
TASKS = ("image_editing", "mm_reasoning_mm", "cot_collection")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Family -> a folder with a tiny random model and its processor, as transformers saves them."""
    folder = tmp_path_factory.mktemp("models")
    for name, build in {**{name: build for name, (build, _) in FAMILIES.items()}, "llava": tiny_llava}.items():
        tiny = build()
        tiny.model.save_pretrained(folder / name)
        tiny.processor.save_pretrained(folder / name)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return pack_demo(tmp_path_factory.mktemp("source") / "packed", TASKS)


@pytest.fixture
def run(capsys):
    """Call the command; gives its exit code, standard output and standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["tokenize", *map(str, arguments)])
        return ended.value.code or 0, *capsys.readouterr()

    return call


def images(*, answers_only=False):
    """Every distinct picture of the packed rows."""
    found = {}
    for row in (row for task in TASKS for row in truth()[task]):
        roles = [message.role for message in row.messages for part in message.content if part.type == "image"]
        found |= {
            image.bytes: image
            for role, image in zip(roles, row.images, strict=True)
            if role == "assistant" or not answers_only
        }
    return [{"bytes": image.bytes, "path": image.path} for image in found.values()]


def stored(folder):
    return [entry for path in folder.glob("*.parquet") for entry in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("source", ["packed", "published"])
@pytest.mark.parametrize("family", FAMILIES)
def test_stored_ids_are_the_models_own_from_either_layout(run, checkpoints, packed, tmp_path, family, source):
    folder = packed if source == "packed" else replica(tmp_path / "source", "columns", tasks=TASKS)
    code, out, _ = run(folder, tmp_path / "tokens", "--model", checkpoints[family], "--batch-size", 3, "--json")
    assert code == 0
    tiny = FAMILIES[family][0]()
    tokenizer = FAMILIES[family][1](tiny.model, tiny.processor)
    expected = images(answers_only=family == "janus")
    tokens = StoredTokens(tmp_path / "tokens", revision=tokenizer.revision)
    assert len(tokens) == len(expected)
    for image in expected:
        assert tokens.find(image).tolist() == tokenizer.encode([open_image(image)])[0].tolist()
    report = json.loads(out)
    assert (report["family"], report["revision"], report["encoded"], report["left_out"]) == (
        family,
        tokenizer.revision,
        len(expected),
        {},
    )


def test_a_second_run_encodes_nothing_and_one_of_more_tasks_only_what_is_new(run, checkpoints, packed, tmp_path):
    arguments = (packed, tmp_path, "--model", checkpoints["chameleon"], "--json")
    first = json.loads(run(*arguments, "--tasks", "image_editing")[1])
    again = json.loads(run(*arguments, "--tasks", "image_editing")[1])
    rest = json.loads(run(*arguments)[1])
    assert (first["encoded"], again["encoded"]) == (14, 0)  # 7 rows: a photograph and its edit
    assert first["encoded"] + rest["encoded"] == len(images())
    assert sorted({entry["sha256"] for entry in stored(tmp_path)}) == sorted(
        hashlib.sha256(image["bytes"]).hexdigest() for image in images()
    )
    assert len(stored(tmp_path)) == len(images())


def two_images_a_file_slowly():
    encode = VQTokenizer.encode
    token_jobs.tokenize_source.__kwdefaults__["images_per_file"] = 2
    VQTokenizer.encode = lambda self, images: (time.sleep(0.1), encode(self, images))[1]


def test_a_killed_run_goes_on_where_it_was(run, checkpoints, packed, tmp_path):
    options = ["--model", str(checkpoints["emu3"])]
    process = Command("tokenize", packed, tmp_path / "killed", *options, before=two_images_a_file_slowly)
    while process.poll() is None and len(list((tmp_path / "killed").glob(".staging/*/*.done"))) < 3:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL  # it was not done yet
    assert not stored(tmp_path / "killed")
    whole = [path.with_suffix(".parquet") for path in (tmp_path / "killed").glob(".staging/*/*.done")]
    kept = {path: path.stat().st_mtime_ns for path in whole}
    with patched_publish() as made:
        code, out, _ = run(packed, tmp_path / "killed", *options, "--json")
    assert code == 0
    assert {path: made[path] for path in kept} == kept  # not made again
    assert json.loads(out)["encoded"] == len(images())
    run(packed, tmp_path / "whole", *options)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.fixture(scope="module")
def tokenized(checkpoints, packed):
    """Tokenizes one task into a folder, two pictures a file; gives the result and the files. It may be stopped once
    there are more than `last` of them.
    """

    def tokenize(out, last=None):
        def on_images(more):
            if last and len(list(out.glob(".staging/*/*.parquet"))) > last:
                raise Stopped

        given = Checkpoint(checkpoint=str(checkpoints["chameleon"]))
        options = {"images_per_file": 2, "on_images": on_images}
        return tokenize_source(open_source(packed), out, given, TASKS[:1], **options), content(out)

    return tokenize


@pytest.fixture(scope="module")
def undisturbed(tokenized, tmp_path_factory):
    return tokenized(tmp_path_factory.mktemp("undisturbed") / "whole")


@pytest.mark.parametrize("what", ["one bit", "half", "removed", "folder"])
@pytest.mark.parametrize("pattern", ["*/00001.parquet", "*/00000.done"])
def test_a_file_of_ids_that_is_damaged_between_runs_is_made_again(tokenized, undisturbed, tmp_path, pattern, what):
    with pytest.raises(Stopped):
        tokenized(tmp_path / "out", last=3)
    changed_to(next((tmp_path / "out/.staging").glob(pattern)), what)
    assert tokenized(tmp_path / "out") == undisturbed


@contextmanager
def patched_publish():
    """Times of the files of all units, when they are put together."""
    made, publish = {}, token_jobs._publish

    def noted(job, *arguments):
        made.update({path: path.stat().st_mtime_ns for path in job.folder.glob("*/*.parquet")})
        return publish(job, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(token_jobs, "_publish", noted)
        yield made


def test_workers_and_parts_make_the_same_bytes(run, checkpoints, packed, tmp_path):
    options = ["--model", checkpoints["chameleon"]]
    run(packed, tmp_path / "one", *options)
    assert run(packed, tmp_path / "two", *options, "--workers", "2")[0] == 0
    for part in ("1/2", "0/2"):
        code, _, err = run(packed, tmp_path / "parts", *options, "--part", part)
        assert (code, f"part {part[0]} of 2 is done" in err) == (0, True)
    run(packed, tmp_path / "parts", *options)
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(tmp_path / "parts")


def test_a_second_process_says_so_and_other_unfinished_work_is_refused(run, checkpoints, packed, tmp_path):
    out, arguments = tmp_path / "out", (packed, tmp_path / "out", "--model", checkpoints["chameleon"])
    with hold(out / ".staging/LOCK", busy=""):
        code, _, err = run(*arguments)
    assert (code, err) == (2, f"error: {out}: another process is at work here; wait for it, or choose another folder\n")
    run(*arguments, "--part", "0/2")
    code, _, err = run(*arguments, "--tasks", "image_editing")
    assert (code, "holds unfinished work of another command: tokenize is" in err) == (2, True)


def test_image_size_bounds_pictures_of_emu3_and_is_refused_where_pictures_have_one_size(
    run, checkpoints, packed, tmp_path
):
    run(packed, tmp_path / "small", "--model", checkpoints["emu3"], "--image-size", 16, "--tasks", "image_editing")
    run(packed, tmp_path / "large", "--model", checkpoints["emu3"], "--tasks", "image_editing")
    longest = [max(len(entry["ids"]) for entry in stored(tmp_path / name)) for name in ("small", "large")]
    assert longest[0] <= 2 * 3 < longest[1]  # 16 x 16 pixels are 2 rows of 2 ids and an end of line
    code, _, err = run(packed, tmp_path, "--model", checkpoints["janus"], "--image-size", 16)
    assert (code, "pictures of janus have one size" in err) == (2, True)


def test_a_picture_that_cannot_be_decoded_stops_or_is_counted(run, checkpoints, tmp_path):
    rows = truth()["image_editing"]
    broken = rows[2].images[0]._replace(bytes=rows[2].images[0].bytes[:200])
    rows = [*rows[:2], replace(rows[2], images=(broken, *rows[2].images[1:])), *rows[3:]]
    source = write_packed(tmp_path / "packed", {"image_editing": split(rows, 2, 2)})
    arguments = (source, tmp_path / "tokens", "--model", checkpoints["chameleon"])
    code, _, err = run(*arguments)
    assert (code, f"row {rows[2].id!r}" in err, "pass --on-bad-image skip" in err) == (1, True, True)
    code, out, _ = run(*arguments, "--on-bad-image", "skip", "--json")
    assert (code, json.loads(out)["left_out"]) == (0, {"bad_image": 1})
    assert len(StoredTokens(tmp_path / "tokens")) == 12  # the other six rows


def test_a_model_that_is_not_there_or_draws_nothing_is_named(run, checkpoints, packed, tmp_path):
    code, _, err = run(packed, tmp_path, "--model", checkpoints["llava"])
    assert (code, "is of type 'llava'; expected one that writes pictures as VQ ids: chameleon, emu3, janus" in err) == (
        2,
        True,
    )
    code, _, err = run(packed, tmp_path, "--model", tmp_path / "nothing")
    assert (code, "cannot be opened" in err, "Traceback" in err) == (1, True, False)


def test_a_missing_extra_is_named_with_its_pip_line(run, packed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    code, _, err = run(packed, tmp_path, "--model", "org/name")
    assert (code, "pip install -c constraints.txt -e '.[train]'" in err) == (2, True)
