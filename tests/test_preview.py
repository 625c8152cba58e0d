"""A page is read by another parser, its pictures decoded by Pillow, and compared with rows written by hand."""

import base64
import hashlib
import io
import json
import re
import sys
import tarfile
import zlib
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.packed_folder import write_packed
from tests.pages import Page, colour_of, picture_of
from tests.planted import colour, picture, planted_row, text_row
from toolkit.cli.app import main
from toolkit.demo.replica import write_archive, write_replica
from toolkit.report.embedding import embedded
from toolkit.report.preview import write_preview
from toolkit.report.rendering import LONG, Shown, readable, view_row
from toolkit.report.sampling import Sampled, sample
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Region
from toolkit.sources.layout import open_source
from toolkit.sources.skips import Skips


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


@pytest.fixture
def page_of(tmp_path, monkeypatch):
    """The page of some rows, parsed; without plots, which take longer than all the rest and are tested elsewhere."""
    monkeypatch.setattr("toolkit.report.preview.inline_plots", lambda stats, totals: [])

    def make(*rows):
        out = tmp_path / "page.html"
        by_task = {
            task: tuple(row for row in rows if row.task == task) for task in dict.fromkeys(row.task for row in rows)
        }
        sampled = {task: Sampled(rows=listed, total=len(listed), is_uniform=True) for task, listed in by_task.items()}
        make.written = write_preview(out, sampled, source="made <b>by</b> hand", seed=0, per_task=8)
        return Page(out.read_text(encoding="utf-8"))

    return make


def shown(row):
    """The view of a row whose pictures need not be decoded."""
    return view_row(
        row, lambda row, number: Shown(thumbnail=f"t{number}", full=f"f{number}", width_px=64, height_px=48)
    )


def near(found, expected):
    return all(abs(a - b) <= 6 for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("layout", ["packed", "upstream"])
def test_every_picture_is_shown_in_its_own_row_and_place(run, tmp_path, layout):
    rows = [planted_row(number) for number in range(10)]
    if layout == "packed":
        write_packed(tmp_path / "source", {"mm_reasoning_mm": rows})
    else:
        write_replica(tmp_path / "source", {"mm_reasoning_mm": rows}, shape="columns", archive_order="shuffled")
    assert run("preview", tmp_path / "source", tmp_path / "page.html", "--rows", 10)[0] == 0
    page = Page((tmp_path / "page.html").read_text())
    assert sorted(page.rows) == sorted(row.id for row in rows)
    for number in range(10):
        found = [colour_of(picture["src"]) for picture in page.rows[f"mrm-{number}"]["pictures"]]
        assert len(found) == 4
        assert all(near(found[place], colour(number, place)) for place in range(4)), number


def test_texts_and_pictures_follow_each_other_as_in_the_row():
    view = shown(planted_row(3))
    order = [
        piece.lead if piece.kind == "text" else piece.number
        for message in view.messages
        for piece in (*message.rationale, *message.content)
    ]
    assert order == [1, "first of 3", 2, "second, which?", "Let me think.", 3, "That was it.", "The answer:", 4]
    assert [picture.role for picture in view.pictures] == ["input", "input", "intermediate", "output"]
    assert [picture.alt for picture in view.pictures][2] == "intermediate image 3 of row mrm-3"


def test_a_rationale_is_folded_with_its_pictures_where_it_is_found_in_the_reply():
    reply = shown(planted_row(3)).messages[-1]
    assert [piece.kind for piece in reply.rationale] == ["text", "picture", "text"]
    assert [piece.kind for piece in reply.content] == ["text", "picture"]
    assert shown(planted_row(3)).rationale is None


def test_a_rationale_that_is_not_in_the_reply_is_shown_beside_it():
    view = shown(planted_row(3, rationale="Something else."))
    assert view.rationale.lead == "Something else."
    assert view.messages[-1].rationale == ()


def test_regions_are_drawn_in_percent_and_told_in_words(page_of):
    row = planted_row(
        0, regions=(Region(1, (0.0, 0.25, 0.5, 1.0), "left | half"), Region(1, (0.5, 0.0, 1.0, 0.75), "x" * 60))
    )
    found = page_of(row).rows["mrm-0"]
    assert found["rects"] == [("0.0%", "25.0%", "50.0%", "75.0%"), ("50.0%", "0.0%", "50.0%", "75.0%")]
    assert "left | half" in found["text"]
    assert "x" * 60 in found["text"]


def test_a_caption_is_what_a_screen_reader_hears(page_of):
    row = planted_row(0, image_captions=("a red barn", "", "", ""))
    assert [image["alt"] for image in page_of(row).rows["mrm-0"]["pictures"]][:2] == [
        "a red barn",
        "input image 2 of row mrm-0",
    ]


HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of script": "</script></style></article></main><script src=//evil.example/x.js></script>",
    "attribute": '" onload="alert(1)" x="',
    "handler": "<img src=x onerror=alert(1)>",
    "link": '<a href="javascript:alert(1)">click</a> javascript:alert(1)',
    "template": "{{ 7 * 7 }}{% include 'row.html' %}",
    "svg": "<svg onload=alert(1)><foreignObject>",
    "comment": "<!-- never closed",
    "entity": "&lt;b&gt; &amp;#60;",
    "override": "invoice\u202egnp.exe",
    "isolate": "a\u2066b\u2069c",
    "nul": "a\x00b\x1b[31m",
    "surrogate": "half \ud83d of a pair",
    "combining": "Z" + "\u0351" * 200,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_row_says_is_text(page_of, kind):
    text = HOSTILE[kind]
    everywhere = {
        "image_captions": (text, "", "", ""),
        "source": text,
        "license": text,
        "provenance": json.dumps({"why": text}),
        "rationale": text,
    }
    messages = (
        Message("user", (Part("text", text), IMAGE_PART, IMAGE_PART)),
        Message("assistant", (IMAGE_PART, IMAGE_PART, Part("text", text))),
    )
    row = planted_row(0, messages=messages, regions=(Region(0, (0, 0, 1, 1), text),), **everywhere)
    harmless, page = page_of(planted_row(0, regions=(Region(0, (0, 0, 1, 1), "x"),))), page_of(row)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in harmless.tags} | {
        "pre",
        "bdi",
        "p",
        "span",
        "details",
        "summary",
    }
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("href", "src") and not re.match(r"#|data:image/", value)
    ]
    assert page.rows["mrm-0"]["text"].count(readable(text)) >= 6
    assert all(
        near(colour_of(image["src"]), colour(0, place)) for place, image in enumerate(page.rows["mrm-0"]["pictures"])
    )


def test_what_turns_the_reading_order_or_cannot_be_written_is_spelt_out():
    assert readable("a\u202eb\x00\ud83d\tc\n") == "a[U+202E]b[U+0000][U+D83D]\tc\n"
    assert readable("\u05d0\u200f\u0301\U0001f600") == "\u05d0\u200f\u0301\U0001f600"


def test_a_hostile_id_or_role_breaks_nothing(page_of):
    row = replace(planted_row(0), id='"><script>', image_roles=('"><script>',) * 4, origin="<i>", quadrant="'\"")
    page = page_of(row)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert page.rows['"><script>']["attributes"]["data-quadrant"] == "'\""


def test_a_long_text_is_folded_and_whole(page_of):
    text = "word " * 4000
    page = page_of(text_row(0, text))
    view = shown(text_row(0, text)).messages[0].content[0]
    assert len(view.lead) < LONG < len(view.rest)
    assert view.lead + view.rest == text
    assert "Show the other 19,100 characters" in page.rows["cc-0"]["text"]


def bomb():
    """A PNG that says it is 60,000 x 60,000."""
    data = bytearray(picture("red").bytes)
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return EncodedImage(bytes(data), "bomb.png")


UNSHOWABLE = {
    "svg": (EncodedImage(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "x.svg"), "XML beginning"),
    "html": (EncodedImage(b"<html><script>alert(1)</script>", "x.png"), "an HTML page"),
    "nothing": (EncodedImage(b"", "gone.png"), "no bytes"),
    "noise": (EncodedImage(bytes(range(256)), "x.jpg"), "unknown bytes"),
    "cut off": (EncodedImage(picture("red", "JPEG", (300, 300)).bytes[:400], "cut.jpg"), "cannot be decoded"),
    "bomb": (bomb(), "pixels"),
}


@pytest.mark.parametrize("kind", UNSHOWABLE)
def test_a_picture_that_cannot_be_shown_is_told_in_its_place_and_counted(page_of, kind):
    bad, message = UNSHOWABLE[kind]
    row = planted_row(5)
    page = page_of(replace(row, images=(row.images[0], bad, *row.images[2:])))
    found = [colour_of(image["src"]) for image in page.rows["mrm-5"]["pictures"]]
    assert all(near(found[at], colour(5, place)) for at, place in enumerate((0, 2, 3)))
    assert message in page.rows["mrm-5"]["text"]
    assert len(page_of.written.problems) == 1
    assert page_of.written.images == 4


def test_pictures_and_parts_that_differ_in_number_are_all_told(page_of):
    row = planted_row(0)
    fewer = page_of(replace(row, images=row.images[:2], image_roles=row.image_roles[:2], image_captions=()))
    assert fewer.rows["mrm-0"]["text"].count("No image.") == 2
    more = page_of(replace(row, images=(*row.images, picture((250, 250, 250)))))
    assert near(colour_of(more.rows["mrm-0"]["pictures"][4]["src"]), (250, 250, 250))
    assert "left over" in more.rows["mrm-0"]["text"]


def save(mode, kind, size=(40, 30), **options):
    buffer = io.BytesIO()
    Image.new(mode, size, {"CMYK": (0, 255, 255, 0), "I;16": 0x8000, "P": 1}.get(mode, 128)).save(
        buffer, kind, **options
    )
    return EncodedImage(buffer.getvalue(), f"x.{kind.lower()}")


@pytest.mark.parametrize(
    ("image", "expected"),
    [(save("CMYK", "JPEG"), (255, 0, 0)), (save("I;16", "PNG"), (128, 128, 128)), (save("L", "TIFF"), (128,) * 3)],
)
def test_unusual_pictures_are_shown_as_browsers_can(page_of, image, expected):
    page = page_of(planted_row(0, images=(image,) * 4))
    assert all(near(colour_of(each["src"]), expected) for each in page.rows["mrm-0"]["pictures"])


def test_an_animation_is_shown_by_its_first_frame(page_of):
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=50)
    page = page_of(planted_row(0, images=(EncodedImage(buffer.getvalue(), "x.gif"),) * 4))
    assert near(colour_of(page.rows["mrm-0"]["pictures"][0]["src"]), (255, 0, 0))


def test_the_policy_of_the_page_lets_exactly_its_own_script_and_style_through(page_of):
    page = page_of(planted_row(0))
    policy = dict(part.strip().partition(" ")[::2] for part in page.meta["Content-Security-Policy"].split(";"))
    for kind in ("script", "style"):
        digest = hashlib.sha256("".join(page.raw[kind]).encode()).digest()
        assert policy[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert (policy["default-src"], policy["img-src"], policy["base-uri"], policy["form-action"]) == (
        "'none'",
        "data:",
        "'none'",
        "'none'",
    )
    assert not [attributes for _, attributes in page.tags if "style" in attributes]


def test_a_page_needs_nothing_else(page_of, tmp_path):
    page = page_of(planted_row(0))
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "iframe", "object", "embed", "base"})
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", (tmp_path / "page.html").read_text())


def test_every_control_has_a_name_and_every_picture_a_text(page_of):
    page = page_of(planted_row(0), text_row(1, "hello"))
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in page.tags}
    assert dict(page.tags)["html"] == {"lang": "en"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_keeps_its_contrast_in_light_and_dark(page_of, theme):
    style = page_of(text_row(0, "x")).raw["style"][0]
    colours = dict(
        re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6})", style.split(f" color-scheme: {theme};")[-1].partition("}")[0])
    )
    for text in ("ink", "soft", "accent", "user", "assistant"):
        for paper in ("page", "card", "sunk"):
            assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)
    assert contrast(colours["warn"], colours["warn-back"]) >= 4.5


def contrast(one, other):
    """WCAG 2.2, relative luminance."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def noise(seed, size=(300, 200)):
    import random

    picture = Image.frombytes("RGB", size, random.Random(seed).randbytes(size[0] * size[1] * 3))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return EncodedImage(buffer.getvalue(), "noise.jpg")


def test_pictures_keep_to_the_budget_of_the_page_and_say_that_they_are_smaller():
    rows = [planted_row(number, images=tuple(noise(4 * number + place) for place in range(4))) for number in range(3)]
    with embedded(rows, 12 * 6000) as pictures:
        made = [future.result() for row in pictures for future in row]
    sizes = [len(base64.b64decode(each.full.partition(",")[2])) for each in made]
    assert max(sizes) <= 6000
    for each in made:
        width, height = picture_of(each.full).size
        assert each.note == f"shown at {width} x {height} of 300 x 200 pixels"
        assert (each.width_px, each.height_px) == (300, 200)


def test_a_drawing_is_kept_to_the_pixel():
    drawing = Image.new("RGB", (80, 60), "white")
    drawing.paste((200, 10, 10), (20, 20, 21, 60))
    buffer = io.BytesIO()
    drawing.save(buffer, "PNG")
    with embedded([planted_row(0, images=(EncodedImage(buffer.getvalue(), "x.png"),))]) as pictures:
        made = pictures[0][0].result()
    assert picture_of(made.full).tobytes() == drawing.tobytes()
    assert made.note == ""


def many(task, count):
    return [text_row(number, f"text {number}", task) for number in range(count)]


def test_a_packed_source_is_sampled_from_no_more_row_groups_than_needed(tmp_path, monkeypatch):
    write_packed(tmp_path / "packed", {"cot_collection": many("cot_collection", 60)})  # row groups of 2
    read, real = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, number, **options: read.append(number) or real(self, number, **options),
    )
    found = sample(open_source(tmp_path / "packed"), ["cot_collection"], rows=8, seed=0, skips=Skips())[
        "cot_collection"
    ]
    assert (len(found.rows), found.total, len(read)) == (8, 60, 4)


def test_a_sample_is_drawn_by_its_seed_in_the_order_of_the_source(tmp_path):
    write_packed(tmp_path / "packed", {"cot_collection": many("cot_collection", 60)})
    source = open_source(tmp_path / "packed")
    drawn = [
        [
            int(row.id.partition("-")[2])
            for row in sample(source, ["cot_collection"], rows=12, seed=seed, skips=Skips())["cot_collection"].rows
        ]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(numbers == sorted(set(numbers)) for numbers in drawn)
    whole = sample(source, ["cot_collection"], rows=99, seed=0, skips=Skips())["cot_collection"]
    assert [row.id for row in whole.rows] == [f"cc-{number}" for number in range(60)]


def test_every_row_of_a_packed_source_is_as_likely(tmp_path):
    write_packed(tmp_path / "packed", {"cot_collection": many("cot_collection", 12)})
    source = open_source(tmp_path / "packed")
    seen = {
        row.id
        for seed in range(40)
        for row in sample(source, ["cot_collection"], rows=2, seed=seed, skips=Skips())["cot_collection"].rows
    }
    assert len(seen) == 12


def test_a_packed_folder_without_a_manifest_is_sampled_by_its_footers(tmp_path):
    write_packed(tmp_path / "packed", {"cot_collection": many("cot_collection", 10)})
    (tmp_path / "packed/MANIFEST.json").unlink()
    found = sample(open_source(tmp_path / "packed"), ["cot_collection"], rows=4, seed=0, skips=Skips())[
        "cot_collection"
    ]
    assert (len(found.rows), found.total) == (4, 10)


def test_of_a_long_archive_only_the_front_is_read(tmp_path):
    write_replica(tmp_path / "source", {"image_generation": [one_picture(number) for number in range(40)]})
    found = sample(open_source(tmp_path / "source"), ["image_generation"], rows=2, seed=0, skips=Skips())[
        "image_generation"
    ]
    assert (len(found.rows), found.total, found.is_uniform) == (2, None, False)
    assert all(int(row.id.partition("-")[2].partition("-")[0]) < 16 for row in found.rows)


def one_picture(number):
    messages = (Message("user", (Part("text", f"draw {number}"),)), Message("assistant", (IMAGE_PART,)))
    return planted_row(
        number,
        "image_generation",
        messages=messages,
        image_roles=("output",),
        rationale="",
        images=(picture(colour(number, 0)),),
    )


def test_a_row_whose_picture_is_not_in_the_archive_is_kept_and_counted(run, tmp_path):
    rows = [planted_row(number) for number in range(3)]
    write_replica(tmp_path / "source", {"mm_reasoning_mm": rows}, shape="columns")
    archive = tmp_path / "source/images/MMReasoning_MM.tar.gz"
    with tarfile.open(archive) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    write_archive(archive, [member for member in members if "mrm-1_2" not in member[0]])
    code, out, _ = run("preview", tmp_path / "source", tmp_path / "page.html")
    assert code == 0
    assert "3 rows of 1 tasks with 12 images; 1 cannot be shown" in " ".join(out.split())
    found = Page((tmp_path / "page.html").read_text()).rows["mrm-1"]
    assert [
        near(colour_of(image["src"]), colour(1, place))
        for image, place in zip(found["pictures"], (0, 1, 3), strict=True)
    ] == [True] * 3
    assert "No image." in found["text"]
    code, out, _ = run("preview", tmp_path / "source", tmp_path / "page.html", "--json")
    told = json.loads(out)
    assert (told["rows"], told["images"], len(told["problems"]), told["found"]) == (
        {"mm_reasoning_mm": 3},
        12,
        1,
        {"missing_image": 1},
    )


def test_a_hub_dataset_is_previewed_by_name_and_by_url(run, hub, tmp_path):
    write_packed(
        tmp_path / "packed", {"mm_reasoning_mm": [planted_row(0)], "cot_collection": many("cot_collection", 3)}
    )
    hub.add_folder("org/uv", tmp_path / "packed")
    for source in ("org/uv", "hf://datasets/org/uv"):
        assert run("preview", source, tmp_path / "page.html")[0] == 0
        assert set(Page((tmp_path / "page.html").read_text()).rows) == {"mrm-0", "cc-0", "cc-1", "cc-2"}
    assert run("preview", "org/uv", tmp_path / "page.html", "--tasks", "understanding")[0] == 0
    assert set(Page((tmp_path / "page.html").read_text()).rows) == {"cc-0", "cc-1", "cc-2"}


def test_a_page_that_is_not_finished_leaves_the_old_one(tmp_path):
    out = tmp_path / "page.html"
    out.write_text("the old one")
    with pytest.raises(KeyboardInterrupt):
        write_preview(
            out,
            {"mm_reasoning_mm": Sampled(rows=(planted_row(0),), total=1, is_uniform=True)},
            source="x",
            seed=0,
            per_task=1,
            on_row=interrupted,
        )
    assert out.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [out]


def interrupted():
    raise KeyboardInterrupt


def test_an_empty_task_list_still_makes_a_page(tmp_path):
    write_preview(tmp_path / "page.html", {}, source="nothing", seed=0, per_task=8)
    assert Page((tmp_path / "page.html").read_text()).rows == {}


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_told_before_anything_is_read(run, tmp_path, monkeypatch, package):
    from toolkit.report.rendering import templates

    templates.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = run("preview", tmp_path / "not-there", tmp_path / "page.html")
    templates.cache_clear()
    assert code == 2
    assert f"{package} is not installed; run in the clone: pip install -c constraints.txt -e '.[report]'" in err


def test_a_folder_as_the_file_to_write_is_refused(run, tmp_path):
    code, _, err = run("preview", tmp_path, tmp_path)
    assert code == 2
    assert "is a folder; expected a file" in err


def test_the_pool_stops_when_the_page_is_given_up(tmp_path):
    rows = [planted_row(number) for number in range(50)]
    with pytest.raises(RuntimeError, match="given up"), embedded(rows) as pictures:
        raise RuntimeError("given up")
    assert all(future.done() for row in pictures for future in row)
