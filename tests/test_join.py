"""Which member a path means, and rows that wait for it. Members are told by their bytes: "bytes of NAME"."""

import io
import random
import tarfile
import threading
from itertools import count

import pytest
from isal import igzip

from toolkit.errors import ArchiveError, LayoutError, RowError, TooManyBadRows
from toolkit.sources.ahead import read_ahead
from toolkit.sources.published import matching
from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.join import join
from toolkit.sources.published.matching import EXACT, NEAR, RULE, WRAPPED, Names
from toolkit.sources.published.shapes import Draft
from toolkit.sources.published.shapes.pictures import Reference
from toolkit.sources.published.shapes.placing import Turn
from toolkit.sources.published.sketches import RowBuilder, Sketch
from toolkit.sources.published.spool import Spool
from toolkit.sources.published.tars import read_tar
from toolkit.sources.skips import Skips

ARCHIVE = "images/Image_Editing.tar.gz"


def sketch(identifier: str, *names: str, task: str = "image_editing") -> Sketch:
    references = tuple(Reference(name) for name in names)
    turns = (Turn("user", ("go", *references[:1])), Turn("assistant", ("done", *references[1:])))
    return Sketch(
        where=f"t.parquet: row {identifier}",
        task=task,
        id=f"ie-{identifier}" if task else "",
        own_id=identifier,
        draft=Draft(turns),
        pools=None if task else ([], [], []),  # type: ignore[arg-type]
        names={name: name for name in names},
        placeholders=None,
        origin={},
    )


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def archive_of(*members, data=lambda name: f"bytes of {name}".encode()) -> bytes:
    buffer = io.BytesIO()
    with igzip.open(buffer, "wb") as inflated, tarfile.open(fileobj=inflated, mode="w") as tar:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            content = b"" if isinstance(member, tarfile.TarInfo) else data(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive(name: str, task: str = "image_editing", series: str = "") -> Archive:
    return Archive(name=name, files=(name,), task=task, kind="tar", series=series or name)


def run(sketches, contents, *, skips=None, archives=(), **options):
    """Rows as (id, where each picture came from); every picture may be in every archive."""
    skips = skips or Skips()
    archives = list(archives) or [archive(ARCHIVE)]
    given = contents if isinstance(contents, dict) else {ARCHIVE: contents}
    packed = {name: each if isinstance(each, bytes) else archive_of(*each) for name, each in given.items()}
    rows = join(
        sketches,
        archives,
        lambda each, watch: read_tar(io.BytesIO(packed[each.name]), each.name, watch),
        skips,
        places=lambda each: [(name, tuple(range(len(archives)))) for name in dict.fromkeys(each.names.values())],
        build=RowBuilder(skips).build,
        **options,
    )
    return [
        (row.id.partition("-")[2], [image.bytes.decode().removeprefix("bytes of ") for image in row.images])
        for row in rows
    ]


ROWS = [sketch("r0", "a", "b"), sketch("r1", "b", "c"), sketch("r2"), sketch("r3", "c", "a", "a"), sketch("r4", "d")]
TRUTH = {"r0": ["a", "b"], "r1": ["b", "c"], "r2": [], "r3": ["c", "a", "a"], "r4": ["d"]}


@pytest.mark.parametrize("order", ["abcd", "dcba", "bdac", "cadb"])
@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
@pytest.mark.parametrize("kind", ["", "rows", "tasks"])
def test_every_row_gets_its_pictures_in_reading_order_whatever_the_archives_order(order, memory_bytes, kind):
    found = run(ROWS, list(order), memory_bytes=memory_bytes, order=kind)
    assert dict(found) == TRUTH
    assert len(found) == len(TRUTH)
    if kind:
        assert [identifier for identifier, _ in found] == list(TRUTH)


def test_a_row_comes_out_as_soon_as_its_last_picture_has_come():
    read: list[int] = []

    class Watched(io.BytesIO):
        def readinto(self, buffer):
            read.append(super().readinto(buffer))
            return read[-1]

    noise = {f"{n}": random.Random(n).randbytes(1 << 18) for n in range(200)}
    packed = archive_of(*noise, data=lambda name: noise[name] + name.encode() * 1000)
    rows = join(
        [sketch(f"r{n}", f"{n}") for n in range(200)],
        [archive(ARCHIVE)],
        lambda each, watch: read_tar(Watched(packed), each.name, watch),
        Skips(),
        places=lambda each: [(name, (0,)) for name in each.names],
        build=RowBuilder(Skips()).build,
    )
    assert next(rows).id == "ie-r0"
    assert sum(read) < len(packed)
    rows.close()


def test_rows_without_pictures_come_first_and_need_no_archive():
    assert run([sketch("r0"), sketch("r1")], b"opened, this would raise") == [("r0", []), ("r1", [])]


@pytest.mark.parametrize("kind", ["", "rows"])
def test_the_first_member_of_a_name_counts_in_every_mode_and_the_others_are_counted(kind):
    contents = iter([b"bytes of first", b"bytes of second", b"bytes of third"])
    skips = Skips()
    packed = archive_of("a", "./a", "a", data=lambda name: next(contents))
    assert run([sketch("r0", "a")], packed, skips=skips, order=kind) == [("r0", ["first"])]
    assert skips.counts == {"duplicate_member": 2}


def test_a_missing_picture_stops_by_default_after_all_whole_rows_came():
    rows = iter(run_lazily(ROWS, archive_of("a", "b", "c")))
    came = []
    with pytest.raises(
        RowError, match=r"t.parquet: row r4: picture 'd' is not in 'images/Image_Editing.tar.gz'; .*on_missing=\"skip\""
    ) as caught:
        came.extend(rows)
    assert (came, caught.value.kind) == (["ie-r2", "ie-r0", "ie-r1", "ie-r3"], "missing_image")


def test_a_missing_picture_whose_member_is_refused_is_told_so():
    pipe = tarfile.TarInfo("images/d")
    pipe.type = tarfile.FIFOTYPE
    with pytest.raises(RowError, match=r"picture 'd' is not in '[^']+'; member 'images/d' is refused: device; .*skip"):
        run([sketch("r4", "d")], archive_of(pipe))


def run_lazily(sketches, packed):
    rows = join(
        sketches,
        [archive(ARCHIVE)],
        lambda each, watch: read_tar(io.BytesIO(packed), each.name, watch),
        Skips(),
        places=lambda each: [(name, (0,)) for name in dict.fromkeys(each.names)],
        build=RowBuilder(Skips()).build,
    )
    for row in rows:
        yield row.id


@pytest.mark.parametrize("kind", ["", "rows"])
def test_a_missing_picture_can_be_skipped_and_is_counted(kind):
    skips = Skips(on_missing="skip")
    found = run(ROWS, ["a", "b", "d"], skips=skips, order=kind)
    assert dict(found) == {key: TRUTH[key] for key in ("r0", "r2", "r4")}
    assert skips.counts == {"missing_image": 2}


def test_a_hundred_rows_of_which_no_picture_is_there_stop_even_when_skipped():
    with pytest.raises(TooManyBadRows, match="100 bad rows in a row"):
        run([sketch(f"r{n}", f"x{n}") for n in range(150)], ["a"], skips=Skips(on_missing="skip"))


def test_rows_of_one_missing_folder_do_not_stop_where_others_are_found():
    skips = Skips(on_missing="skip")
    rows = [sketch(f"r{n}", f"gone/{n}") for n in range(150)] + [sketch("good", "here/1")]
    assert run(rows, ["here/1"], skips=skips) == [("good", ["here/1"])]
    assert skips.counts == {"missing_image": 150}


def test_an_empty_picture_is_a_bad_row():
    with pytest.raises(RowError, match=r"images\[0\] \('a'\) has no bytes"):
        run([sketch("r0", "a")], archive_of("a", data=lambda name: b""))


def test_a_cut_archive_raises_whatever_the_policy():
    packed = archive_of(*"abcd", data=lambda name: name.encode() * 100_000)
    with pytest.raises(ArchiveError, match="damaged or cut off"):
        run(ROWS, packed[: len(packed) // 2], skips=Skips(on_missing="skip", on_bad_row="skip"))


@pytest.mark.parametrize(
    ("path", "member", "how"),
    [
        ("s/1.png", "s/1.png", EXACT),
        ("Image_Editing/s/1.png", "s/1.png", NEAR),
        ("s/1.png", "Image_Editing/s/1.png", NEAR),
        ("images/Image_Editing/s/1.png", "s/1.png", NEAR),
        ("/home/me/image_editing/1.png".lstrip("/"), "Image-Editing/1.png", NEAR),
        ("images/1.png", "1.png", WRAPPED),
        ("images/1.png", "Image_Editing/images/1.png", NEAR),
        ("1.png", "Image_Editing/images/1.png", WRAPPED),
        ("https:/host/Image_Editing/1.png?size=2", "1.png", NEAR),
        ("a%20b.png", "a b.png", NEAR),
        ("home/me/s/1.png", "s/1.png", RULE),
        ("1.png", "deep/er/1.png", RULE),
        ("1", "1.png", RULE),
        ("old/1.png", "new/1.png", 0),
        ("11.png", "1.png", 0),
        ("a/b.png", "b.png/a", 0),
    ],
)
@pytest.mark.parametrize("few", [0, 8])
def test_a_member_is_what_a_path_means(path, member, how, few, monkeypatch):
    monkeypatch.setattr(matching, "FEW", few)  # 0: they are looked up by their ends
    found = Names(ARCHIVE, "image_editing", [(7, path)]).find(member)[1]
    assert [(each.picture, each.how) for each in found] == ([(7, how)] if how else [])


def test_members_of_one_file_name_are_not_compared_with_every_picture(monkeypatch):
    """As where each row has a folder of its own: 000042/input.png."""
    compared = []
    compare = matching._compare
    monkeypatch.setattr(matching, "_compare", lambda *pieces: compared.append(1) or compare(*pieces))
    paths = [f"Image_Editing/{number:06d}/input.png" for number in range(1000)]
    names = Names(ARCHIVE, "image_editing", enumerate(paths))
    for number, path in enumerate(paths):
        for member, how in ((path, EXACT), (path.removeprefix("Image_Editing/"), NEAR), (f"x/{path[14:]}", RULE)):
            assert [found[:2] for found in names.find(member)[1]] == [(number, how)]
    assert len(compared) == 3000
    assert [found[:2] for found in names.find("input.png")[1]] == [(number, RULE) for number in range(1000)]


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("images/Image_Editing/s/1.png", EXACT),
        ("Image_Editing/s/1.png", EXACT),
        ("s/1.png", EXACT),
        ("images/s/1.png", WRAPPED),
        ("1.png", RULE),
    ],
)
def test_files_of_a_folder_are_named_from_it_or_from_the_one_it_lies_in(path, how):
    names = Names("images/Image_Editing", "image_editing", [(7, path)], is_folder=True)
    assert [found[:2] for found in names.find("images/Image_Editing/s/1.png")[1]] == [(7, how)]


@pytest.mark.parametrize("members", [["mask/1.png", "s/1.png", "t/1.png"], ["t/1.png", "mask/1.png", "s/1.png"]])
def test_an_exact_name_wins_over_other_folders_with_the_same_file_names(members):
    assert run([sketch("r0", "s/1.png", "t/1.png")], members) == [("r0", ["s/1.png", "t/1.png"])]


@pytest.mark.parametrize("members", [["thumbs/1.png", "1.png"], ["1.png", "thumbs/1.png"]])
def test_an_exact_name_wins_over_a_rule_whichever_comes_first(members):
    assert run([sketch("r0", "1.png")], members) == [("r0", ["1.png"])]


def test_several_spellings_of_a_path_are_the_same_member():
    spelled = ["1.png", "Image_Editing/1.png", "images/1.png", "images/Image_Editing/1.png"]
    rows = [sketch(f"r{n}", name) for n, name in enumerate(spelled)]
    assert run(rows, ["Image_Editing/1.png"]) == [(f"r{n}", ["Image_Editing/1.png"]) for n in (1, 0, 2, 3)]


def test_a_rule_that_fits_two_members_is_an_error_that_shows_both():
    with pytest.raises(RowError, match=r"picture '1.png' may be 'a/1.png' of .* or 'b/1.png' of ") as caught:
        run([sketch("r0", "1.png")], ["a/1.png", "b/1.png"])
    assert caught.value.kind == "ambiguous_picture"


def test_of_two_rules_the_one_that_has_more_in_common_is_taken():
    assert run([sketch("r0", "home/s/1.png")], ["1.png", "s/1.png"]) == [("r0", ["s/1.png"])]


@pytest.mark.parametrize("members", [["images/1.png", "deep/er/1.png"], ["deep/er/1.png", "images/1.png"]])
def test_a_picture_below_images_is_not_preferred_to_one_in_another_folder(members):
    with pytest.raises(
        (RowError, LayoutError), match=r"'images/1\.png' of .*'deep/er/1\.png' of|'deep/er/1.*'images/1"
    ):
        run([sketch("r0", "1.png")], members)


@pytest.mark.parametrize("members", [["images/a/1.png", "1.png"], ["1.png", "images/a/1.png"]])
def test_a_whole_path_below_images_is_preferred_to_a_file_name_alone(members):
    assert run([sketch("r0", "a/1.png")], members) == [("r0", ["images/a/1.png"])]


def test_two_pictures_are_never_one_member():
    skips = Skips(on_bad_row="skip")
    assert run([sketch("r0", "gqa/1.png"), sketch("r1", "coco/1.png")], ["1.png"], skips=skips) == []
    assert skips.counts == {"ambiguous_picture": 2}


def test_a_rule_is_not_taken_where_others_of_the_folder_have_their_own_names():
    rows = [sketch("r0", "full/1.png"), sketch("r1", "full/2.png")]
    with pytest.raises(
        RowError, match=r"'full/2.png' is not in .*; 'old/full/2.png' ends alike, but others of its fold"
    ):
        run(rows, ["full/1.png", "old/full/2.png"])


def test_a_rule_is_not_taken_where_others_of_the_folder_fit_several_members():
    skips = Skips(on_bad_row="skip")
    rows = [sketch("r0", "1.png"), sketch("r1", "2.png")]
    assert run(rows, ["a/1.png", "a/2.png", "b/1.png"], skips=skips) == []
    assert skips.counts == {"ambiguous_picture": 2}


@pytest.mark.parametrize("backwards", [False, True])
def test_where_a_rule_does_not_hold_a_member_of_another_archive_is_not_taken_instead(backwards):
    contents = {ARCHIVE: ["Image_Editing/1.png", "Image_Editing/2.png"], "more.tar": ["Image_Editing/2.png"]}
    archives = [archive(name) for name in sorted(contents, reverse=backwards)]
    skips = Skips(on_bad_row="skip")
    rows = run([sketch("r0", "1.png"), sketch("r1", "2")], contents, archives=archives, skips=skips)
    assert (rows, skips.counts) == ([("r0", ["Image_Editing/1.png"])], {"ambiguous_picture": 1})


def test_another_folder_with_the_same_file_name_is_not_taken():
    with pytest.raises(RowError, match=r"picture 'gqa/1.png' is not in"):
        run([sketch("r0", "gqa/1.png")], ["coco/1.png"])


def test_a_picture_found_again_by_a_name_as_good_stops():
    with pytest.raises(LayoutError, match=r"'1.png' is 'images/1.png' of .* and 'Image_Editing/1.png' of "):
        run([sketch("r0", "1.png")], ["images/1.png", "Image_Editing/1.png"])


TWO = [archive("A.tar", series="A"), archive("B.tar", series="A")]


def test_numbered_pieces_are_all_read():
    assert run([sketch("r0", "a", "b")], {"A.tar": ["a"], "B.tar": ["b"]}, archives=TWO) == [("r0", ["a", "b"])]


def test_a_rule_that_fits_in_a_second_archive_too_stops_rows_whose_task_archives_tell():
    archives = [archive("A.tar", "image_editing"), archive("B.tar", "image_correction")]
    rows, contents = [sketch("r0", "1.png", "2.png", task="")], {"A.tar": ["a/1.png", "a/2.png"]}
    message = r"picture '1.png' is 'a/1.png' of 'A.tar', which rows that are out have, and 'b/1.png' of 'B.tar' as well"
    with pytest.raises(LayoutError, match=message):
        run(rows, {**contents, "B.tar": ["b/1.png", "b/2.png"]}, archives=archives)


def test_two_archives_that_hold_the_same_names_are_ambiguous_and_named():
    archives = [archive("A.tar"), archive("B.tar")]
    with pytest.raises(RowError, match=r"may be 'a' of 'A.tar' or 'a' of 'B.tar'"):
        run([sketch("r0", "a")], {"A.tar": ["a"], "B.tar": ["a"]}, archives=archives)
    rows = [sketch("r0", "a"), sketch("r1", "b")]
    assert run(rows, {"A.tar": ["a"], "B.tar": ["b"]}, archives=archives) == [("r1", ["b"]), ("r0", ["a"])]


TOLD = [archive("E.tar", "llava_cot"), archive("I.tar", "mm_internet")]


@pytest.mark.parametrize("kind", ["", "tasks"])
def test_the_archive_that_brings_a_rows_pictures_tells_its_task(kind):
    rows = [sketch("0", "i1", task=""), sketch("1", "e1", "e2", task=""), sketch("2", "e2", task="")]
    found = run(rows, {"E.tar": ["e2", "e1"], "I.tar": ["i1"]}, archives=TOLD, order=kind)
    assert found == ([("2", ["e2"]), ("1", ["e1", "e2"])] if not kind else [("1", ["e1", "e2"]), ("2", ["e2"])]) + [
        ("0", ["i1"])
    ]


def test_a_row_whose_pictures_lie_in_archives_of_two_tasks_is_refused():
    with pytest.raises(RowError, match="archives of several tasks") as caught:
        run([sketch("0", "e1", "i1", task="")], {"E.tar": ["e1"], "I.tar": ["i1"]}, archives=TOLD)
    assert caught.value.kind == "ambiguous_task"


def test_a_name_that_two_tasks_have_stops():
    with pytest.raises(
        LayoutError, match=r"picture 'x' is 'x' of 'E.tar', which rows that are out have, and 'x' of 'I"
    ):
        run([sketch("0", "x", task="")], {"E.tar": ["x"], "I.tar": ["x"]}, archives=TOLD)


@pytest.mark.parametrize("is_all", [True, False])
def test_a_row_in_no_archive_is_missing_only_if_all_were_read(is_all):
    skips = Skips(on_missing="skip")
    rows = [sketch("0", "other", task=""), sketch("1", "e1", task="")]
    found = run(rows, {"E.tar": ["e1"]}, archives=TOLD[:1], is_all=is_all, skips=skips)
    assert (found, dict(skips.counts)) == ([("1", ["e1"])], {"missing_image": 1} if is_all else {})


def test_links_are_followed_within_the_archive():
    members = ["in/1.png", link("out/1.png", "../in/1.png"), link("again", "out"), link("x.png", "out/1.png")]
    rows = [sketch("r0", "out/1.png"), sketch("r1", "again/1.png"), sketch("r2", "x.png"), sketch("r3", "in/1.png")]
    assert run(rows, members) == [(key, ["in/1.png"]) for key in ("r3", "r0", "r2", "r1")]


def test_a_link_that_leads_nowhere_or_in_a_circle_is_a_missing_picture_and_counted():
    skips = Skips(on_missing="skip")
    members = [link("a.png", "gone.png"), link("b.png", "c.png"), link("c.png", "b.png")]
    assert run([sketch("r0", "a.png"), sketch("r1", "b.png")], members, skips=skips) == []
    assert skips.counts["missing_image"] == 2
    assert skips.counts["broken_link"] >= 1


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


def test_what_is_read_ahead_is_closed_when_left_in_the_thread_that_reads_it():
    threads = []

    def source():
        threads.append(threading.current_thread())
        try:
            yield from count()
        finally:
            threads.append(threading.current_thread())

    items = source()  # which somebody else holds too, such as a traceback
    ahead = read_ahead(items, size_of=lambda item: 1, max_bytes=1)
    assert next(ahead) == 0
    ahead.close()
    assert threads[0] is threads[1] is not threading.current_thread()


def test_ids_that_come_again_get_numbers_that_none_has_without_trying_all_of_them():
    class Counted(set):
        tried = 0

        def __contains__(self, item):
            Counted.tried += 1
            return super().__contains__(item)

    builder = RowBuilder(Skips())
    builder._taken = Counted()
    rows = [sketch(name)._replace(id="") for name in ("a-3", *["a"] * 500)]
    ids = [builder.identify(each).id for each in rows]
    assert ids[:5] == ["ie-a-3", "ie-a", "ie-a-2", "ie-a-4", "ie-a-5"]
    assert len({*ids}) == 501
    assert Counted.tried < 4 * 501
