"""What commands write where the terminal is not UTF-8, or would obey what it is given; and Ctrl-C in their workers."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.packed import pack_demo
from tests.replicas import truth
from toolkit.cli import terminal
from toolkit.cli.app import main
from toolkit.cli.plain import in_words, visible
from toolkit.cli.terminal import byte_progress, item_progress, print_json, print_problems, say, table
from toolkit.demo.replica import write_replica

ROOT = Path(__file__).parent.parent


@pytest.fixture
def written(monkeypatch):
    """Standard output of an encoding; what was written to it."""

    def of(encoding):
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding, write_through=True))
        return buffer

    return of


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A source whose problems are told with characters of their own."""
    folder = tmp_path_factory.mktemp("source")
    write_replica(folder, {"llava_cot": truth()["llava_cot"][:2]}, shape="columns")
    import pyarrow.parquet as pq

    path = next(folder.rglob("*.parquet"))
    table = pq.read_table(path)
    images = [[f"\u56fe{number}.png"] for number in range(len(table))]
    column = table.column_names.index("images")
    pq.write_table(table.set_column(column, "images", [images]), path)
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "gbk", "utf-8"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_verify_writes_to_a_console_of_any_encoding(written, broken, encoding, options):
    buffer = written(encoding)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(broken), *options])
    assert ended.value.code == 1
    text = buffer.getvalue().decode(encoding)
    assert (
        "\u56fe0.png" if encoding in ("gbk", "utf-8") and not (options and encoding == "gbk") else "\\u56fe0.png"
    ) in text
    if options:
        assert "\u56fe" in json.loads(text)["examples"]["missing_image"][0]


def test_json_of_half_a_character_is_json(written):
    buffer = written("utf-8")
    sys.stdout.reconfigure(errors="backslashreplace")
    print_json({"text": "\ud83d"})
    assert json.loads(buffer.getvalue()) == {"text": "\ud83d"}


def test_control_characters_are_shown_and_not_obeyed(written):
    hostile = "\x1b[31mred\x1b]0;title\x07 \x9b2J \r over\n\tnext"
    assert visible(hostile) == "\\x1b[31mred\\x1b]0;title\\x07 \\x9b2J \\x0d over\n\tnext"
    buffer = written("utf-8")
    say(hostile)
    table(hostile, ["a"], [[hostile]])
    print_problems({"kind": 1}, {"kind": [hostile]})
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(buffer.getvalue().decode())


def test_what_is_too_wide_for_a_table_is_a_paragraph_a_row_and_nothing_is_lost(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "console", Console(width=35, highlight=False))
    table("Wide", ("task", "first measure", "second"), [["image_editing", 12_000, "one two"], ["llava_cot", "-"]])
    assert capsys.readouterr().out.splitlines() == [
        "Wide",
        "image_editing",
        "  first measure: 12,000; second:",
        "  one two",
        "llava_cot",
        "  first measure: -",
    ]
    table("Narrow", ("task", "rows"), [["llava_cot", 3]], right=("rows",))
    assert "llava_cot \u2502    3 \u2502" in capsys.readouterr().out


def test_the_list_of_commands_is_cut_off_nowhere_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for group in ([], ["generate"], ["evaluate"]):
        with pytest.raises(SystemExit):
            main([*group, "--help"])
        listed = capsys.readouterr().out.partition("Commands:")[2].splitlines()
        assert len(listed) > 4
        assert [line for line in listed if line.endswith("...") or len(line) > 80] == []


def test_errors_of_the_system_are_words():
    assert in_words(FileNotFoundError(2, "No such file or directory", "a.txt")) == "a.txt: No such file or directory"
    assert in_words(OSError(24, "Too many open files")).startswith("too many open files; raise the limit (`ulimit -n`)")
    assert in_words(OSError("no number")) == "no number"


def workers_of(process):
    """What the system says of each worker of a process."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        folders = [Path("/proc", child) for child in children]
        return [(each / "status").read_text() for each in folders if "spawn_main" in (each / "cmdline").read_text()]
    except OSError:
        pytest.skip("the children of a process cannot be listed here")


def test_ctrl_c_while_workers_import_is_told_once(tmp_path):
    packed = pack_demo(tmp_path / "packed", ["cot_collection", "llava_cot"])
    command = [sys.executable, "-m", "toolkit.cli.app", "verify", str(packed), "--workers", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (workers := workers_of(process)) and process.poll() is None:
        time.sleep(0.005)
    for status in workers:
        masks = [int(re.search(rf"{name}:\s*(\w+)", status)[1], 16) for name in ("SigBlk", "SigIgn")]
        assert any(mask & 1 << (signal.SIGINT - 1) for mask in masks)  # from its first moment on
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (
        130,
        "interrupted; run the same command again to resume\n",
    )


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


def test_progress_without_a_terminal_is_a_line_every_so_often(monkeypatch, capsys):
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    with item_progress("metadata", 400) as advance:
        for _ in range(100):
            clock.now += 1
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r", .* left", "", line) for line in lines] == [
        "metadata: 30 of 400 (8 %)",
        "metadata: 60 of 400 (15 %)",
        "metadata: 90 of 400 (22 %)",
    ]


def test_bytes_are_counted_in_units_of_people(monkeypatch, capsys):
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    with byte_progress({"a.tar": 2_000_000_000}) as on_read:
        clock.now += 31
        on_read("a.tar", 500_000_000)
    assert capsys.readouterr().err.startswith("a.tar: 500 MB of 2.00 GB (25 %), ")


@pytest.mark.parametrize(("flag", "lines"), [("--quiet", 0), ("-q", 0), ("--verbose", 20), ("", 3)])
def test_how_much_is_said_is_an_option_of_every_command(monkeypatch, capsys, flag, lines):
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    with pytest.raises(SystemExit):
        main(["info", "--json", *[flag][: bool(flag)]])
    capsys.readouterr()
    with item_progress("rows", 100) as advance:
        for _ in range(100):
            clock.now += 1
            advance(1)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_verbose_says_where_in_the_code_an_error_came_up(capsys, tmp_path):
    for flags, is_shown in (([], False), (["-v"], True)):
        with pytest.raises(SystemExit) as ended:
            main(["stats", str(tmp_path / "nothing"), *flags])
        err = capsys.readouterr().err
        assert ended.value.code == 1
        assert ("Traceback" in err) is is_shown
        assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("typed", "offered"), [("unifiedvisual br", "browse"), ("unifiedvisual pack --shard", "--shard-size")]
)
def test_a_shell_completes_commands_and_options(typed, offered):
    asked = {"_UNIFIEDVISUAL_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'unifiedvisual'; from toolkit.cli.app import main; main()",
    ]
    environment = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [offered]


def test_no_color_and_pipes_get_no_escapes(monkeypatch, tmp_path):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    command = [sys.executable, "-X", "utf8=0", "-m", "toolkit.cli.app", "info"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"\x1b" not in done.stdout
    assert done.stdout.decode("ascii")
