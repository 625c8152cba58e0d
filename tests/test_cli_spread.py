"""`--workers`, `--executor` and `--part`: one machine, several, a Slurm array; always the same bytes."""

import json

import pytest

from tests.fake_slurm import run_script
from tests.replicas import replica
from tests.test_pack import content
from toolkit.cli.app import main

TASKS = ("image_editing", "cot_collection", "mm_internet")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return replica(tmp_path_factory.mktemp("source") / "r", "columns", tasks=TASKS)


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return ended.value.code or 0, *capsys.readouterr()

    return call


def test_a_slurm_array_packs_what_one_process_packs(run, source, tmp_path):
    code, script, _ = run("pack", source, tmp_path / "out", "--executor", "slurm", "--workers=2")
    assert code == 0
    assert not (tmp_path / "out").exists()
    assert "#SBATCH --array=0-1\n" in script
    assert f"#SBATCH --output={tmp_path}/out.slurm-%a.log\n" in script
    log = run_script(script, tmp_path)
    assert "part 0 of 2 is done" in log
    assert "--dependency=afterany:7 --kill-on-invalid-dep=yes" in log
    run("pack", source, tmp_path / "whole")
    found, expected = content(tmp_path / "out"), content(tmp_path / "whole")
    assert json.loads(found["croissant.json"]) == json.loads(expected["croissant.json"])
    assert found == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--part", "4/4"), "--part is '4/4'; expected I/N with I from 0 to N - 1, as in 0/4"),
        (("--part", "0/2", "--workers", "2"), "give one of the two"),
        (("--executor", "slurm", "--token", "hf_secret"), "--token would be written into the script"),
        (("--executor", "spark", "--workers", "2"), "unknown executor 'spark'; known: local, ray"),
    ],
)
def test_a_wrong_spread_is_an_error_that_says_so(run, source, tmp_path, options, message):
    code, out, err = run("pack", source, tmp_path / "out", *options)
    assert (code, message in err, out) == (2, True, "")
    assert "hf_secret" not in err


def test_a_check_on_slurm_needs_a_folder_for_what_it_finds(run, source, tmp_path):
    code, _, err = run("verify", source, "--executor", "slurm", "--workers", "2")
    assert (code, "--executor slurm needs a folder that all jobs see" in err) == (2, True)
    code, script, _ = run("verify", source, "--executor", "slurm", "--workers", "2", "--findings", tmp_path / "found")
    log = run_script(script, tmp_path)
    assert (code, "Every row keeps every rule." in log) == (0, True)
    assert not list((tmp_path / "found").iterdir())
