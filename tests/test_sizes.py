"""Sizes and times as people write and read them."""

import pytest

from tests.command_line import commands
from toolkit.cli.app import main
from toolkit.errors import UsageError
from toolkit.sizes import read_bytes, show_bytes, show_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("1.5GiB", 1_610_612_736), ("20000000", 20_000_000), ("64 kib", 65_536), ("7 B", 7)],
)
def test_sizes_are_read_as_datasets_reads_max_shard_size(text, size):
    assert read_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-5MB", "5 apples", "MB", "1e6", "5 MBit", "9" * 30, "9" * 5_000 + "TB", "5000000TB"]
)
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="as in 500MB"):
        read_bytes(text)


def test_sizes_are_shown_with_three_digits():
    sizes = [0, 999, 1000, 1_710_000, 24_000_000_000, 999_960, 5e15]
    assert [show_bytes(size) for size in sizes] == [
        "0 B",
        "999 B",
        "1.00 KB",
        "1.71 MB",
        "24.0 GB",
        "1.00 MB",
        "5,000 TB",
    ]


def test_times_are_shown_in_two_units_at_most():
    times = [0.41, 9.96, 59.6, 200, 3599.4, 7_500]
    assert [show_seconds(each) for each in times] == [
        "0.4 s",
        "10 s",
        "1 min 0 s",
        "3 min 20 s",
        "59 min 59 s",
        "2 h 5 min",
    ]


def test_every_option_in_bytes_takes_a_size(capsys):
    sized = [
        (name, option.opts[0])
        for name, command in commands()
        for option in command.params
        if any(word in option.name for word in ("bytes", "size", "larger"))
        and option.name not in ("batch_size", "image_size", "size")
    ]
    assert ("unifiedvisual pack", "--shard-size") in sized
    for name, option in sized:
        with pytest.raises(SystemExit) as ended:
            main([*name.split()[1:], option, "5 apples"])
        assert ended.value.code == 2
        assert "as in 500MB" in " ".join(capsys.readouterr().err.split())
