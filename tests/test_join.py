import io
import tarfile

import pytest
from isal import igzip

from toolkit.errors import ArchiveError, RowError, TooManyBadRows
from toolkit.sources.ahead import read_ahead
from toolkit.sources.published.join import PathRule, join, learn_rule
from toolkit.sources.published.placing import Reference, Turn
from toolkit.sources.published.shapes import Draft
from toolkit.sources.published.sketches import Place, Sketch
from toolkit.sources.published.spool import Spool
from toolkit.sources.skips import Skips

ARCHIVE = "images/Image_Editing.tar.gz"


def sketch(identifier: str, *names: str, archive: str = ARCHIVE) -> Sketch:
    references = tuple(Reference(name) for name in names)
    turns = (Turn("user", references[:1]), Turn("assistant", ("done", *references[1:])))
    return Sketch(identifier, "image_editing", Draft(turns), tuple(Place(archive, name) for name in names), {})


def archive_of(*names: str, data=lambda name: f"bytes of {name}".encode()) -> bytes:
    buffer = io.BytesIO()
    with igzip.open(buffer, "wb") as inflated, tarfile.open(fileobj=inflated, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data(name))
            tar.addfile(info, io.BytesIO(data(name)))
    return buffer.getvalue()


def run(sketches, members, *, skips=None, **options):
    rows = join(
        sketches,
        lambda path: io.BytesIO(members if isinstance(members, bytes) else archive_of(*members)),
        skips or Skips(),
        **options,
    )
    return [(row.id, [image.bytes.decode().removeprefix("bytes of ") for image in row.images]) for row in rows]


ROWS = [sketch("r0", "a", "b"), sketch("r1", "b", "c"), sketch("r2"), sketch("r3", "c", "a", "a"), sketch("r4", "d")]
TRUTH = {"r0": ["a", "b"], "r1": ["b", "c"], "r2": [], "r3": ["c", "a", "a"], "r4": ["d"]}


@pytest.mark.parametrize("order", ["abcd", "dcba", "bdac", "cadb"])
@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
@pytest.mark.parametrize("in_order", [False, True])
def test_every_row_gets_its_pictures_in_reading_order_whatever_the_archives_order(order, memory_bytes, in_order):
    found = run(ROWS, list(order), memory_bytes=memory_bytes, in_order=in_order)
    assert dict(found) == TRUTH
    assert len(found) == len(TRUTH)
    if in_order:
        assert [identifier for identifier, _ in found] == list(TRUTH)


def test_a_row_comes_out_as_soon_as_its_last_picture_has_come():
    read: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size=-1):
            data = super().read(size)
            read.append(len(data))
            return data

    noise = {f"{n}": bytes((n * 7 + i * i) % 251 for i in range(1 << 18)) for n in range(200)}
    packed = archive_of(*noise, data=lambda name: noise[name] + name.encode() * 1000)
    rows = join([sketch(f"r{n}", f"{n}") for n in range(200)], lambda path: Watched(packed), Skips())
    assert next(rows).id == "r0"
    assert sum(read) < len(packed)
    rows.close()


def test_rows_without_pictures_come_first_and_need_no_archive():
    def no_archive(path):
        raise AssertionError("opened")

    assert [row.id for row in join([sketch("r0"), sketch("r1")], no_archive, Skips())] == ["r0", "r1"]


def test_the_first_member_of_a_name_counts_in_every_mode_and_the_others_are_counted():
    contents = iter([b"first", b"second", b"third"])
    packed = archive_of("a", "./a", "a", data=lambda name: b"")  # sizes do not matter here
    buffer = io.BytesIO()
    with igzip.open(buffer, "wb") as inflated, tarfile.open(fileobj=inflated, mode="w") as tar:
        for name in ("a", "./a", "a"):
            data = next(contents)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    packed = buffer.getvalue()
    for in_order in (False, True):
        skips = Skips()
        assert run([sketch("r0", "a")], packed, skips=skips, in_order=in_order) == [("r0", ["first"])]
        assert skips.counts == {"duplicate_member": 2}


def test_a_missing_picture_stops_by_default_after_all_whole_rows_came():
    rows = join(ROWS, lambda path: io.BytesIO(archive_of("a", "b", "c")), Skips())
    came = []
    with pytest.raises(
        RowError, match=r"row 'r4': picture 'd' is not in 'images/Image_Editing.tar.gz'; .*on_missing=\"skip\""
    ) as caught:
        came.extend(row.id for row in rows)
    assert caught.value.kind == "missing_image"


@pytest.mark.parametrize("in_order", [False, True])
def test_a_missing_picture_can_be_skipped_and_is_counted(in_order):
    skips = Skips(on_missing="skip")
    assert dict(run(ROWS, ["a", "b", "d"], skips=skips, in_order=in_order)) == {
        key: TRUTH[key] for key in ("r0", "r2", "r4")
    }
    assert skips.counts == {"missing_image": 2}


def test_a_hundred_bad_rows_in_a_row_stop_even_when_skipped():
    with pytest.raises(TooManyBadRows, match="100 bad rows in a row"):
        run([sketch(f"r{n}", f"x{n}") for n in range(150)], ["a"], skips=Skips(on_missing="skip"))


def test_an_empty_picture_is_a_bad_row():
    with pytest.raises(RowError, match=r"images\[0\] \('a'\) has no bytes"):
        run([sketch("r0", "a")], archive_of("a", data=lambda name: b""))


def test_a_cut_archive_raises_whatever_the_policy():
    packed = archive_of(*"abcd", data=lambda name: name.encode() * 100_000)
    with pytest.raises(ArchiveError, match="damaged or cut off"):
        run(ROWS, packed[: len(packed) // 2], skips=Skips(on_missing="skip", on_bad_row="skip"))


@pytest.mark.parametrize(
    ("names", "members", "rule"),
    [
        (["a/1.png", "a/2.png"], ["a/1.png", "a/2.png"], PathRule()),
        (["1.png", "2.png"], ["deep/er/1.png", "deep/er/2.png"], PathRule("", "deep/er/")),
        (["home/me/E/s/1.png", "home/me/E/t/1.png"], ["E/s/1.png", "E/t/1.png"], PathRule("home/me/", "")),
        (["old/s/1.png", "old/t/1.png"], ["new/t/1.png", "new/s/1.png", "new/readme.txt"], PathRule("old/", "new/")),
        (["a/1.png"], ["b.png"], PathRule()),
    ],
)
def test_one_rule_for_an_archive_is_learned_from_its_first_members(names, members, rule):
    assert learn_rule(names, members) == rule


def test_same_file_names_in_two_folders_are_never_taken_for_each_other():
    rows = [sketch("r0", "home/s/1.png"), sketch("r1", "home/t/1.png")]
    assert dict(run(rows, ["E/t/1.png", "E/s/1.png"])) == {"r0": ["E/s/1.png"], "r1": ["E/t/1.png"]}


def test_a_spool_gives_back_what_was_put_and_shrinks_when_empty():
    with Spool(memory_bytes=5) as spool:
        kept, written, more = spool.put(b"12345"), spool.put(b"67890"), spool.put(b"x" * 1000)
        assert [spool.get(ticket) for ticket in (more, kept, written)] == [b"x" * 1000, b"12345", b"67890"]
        assert spool.peak_file_bytes == 1005
        spool.drop(written)
        spool.drop(more)
        assert spool.get(spool.put(b"again, long")) == b"again, long"
        assert spool.peak_file_bytes == 1005
        assert spool.get(kept) == b"12345"


def test_reading_ahead_keeps_order_hands_over_errors_and_stops_when_left():
    def source():
        yield from range(5)
        raise ValueError("broken")

    ahead = read_ahead(source(), size_of=lambda item: 1, max_bytes=2)
    assert [next(ahead) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="broken"):
        next(ahead)

    asked = []
    endless = read_ahead((asked.append(n) or n for n in range(1 << 30)), size_of=lambda item: 1, max_bytes=3)
    assert next(endless) == 0
    endless.close()
    assert len(asked) <= 6
