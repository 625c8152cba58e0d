"""Encoded bytes -> pictures and tensors; Pillow is the oracle."""

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

from toolkit.demo.rows import demo_row
from toolkit.errors import ImageError, MissingExtra, UsageError
from toolkit.images import DecodePolicy
from toolkit.streaming import decode as module
from toolkit.streaming.batch import collate_images
from toolkit.streaming.decode import PictureDecoder, RowDecoder, Target, crop_box, plain_jpeg_size

SIZES = [(64, 64), (97, 61), (61, 97), (333, 200)]


def noise(width: int, height: int) -> Image.Image:
    """Smooth with some grain, so that both chroma and edges matter."""
    chance = np.random.default_rng(width * height)
    small = Image.fromarray(chance.integers(0, 256, (9, 9, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return Image.fromarray(
        (np.asarray(small, int) + chance.integers(-20, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)
    )


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pillow(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def pillow_crop(data: bytes, size: int) -> np.ndarray:
    picture = pillow(data)
    return np.asarray(picture.crop(crop_box(*picture.size, size, size)).resize((size, size), Image.Resampling.BILINEAR))


JPEGS = {
    "420": {"quality": 85},
    "444": {"subsampling": 0, "quality": 95},
    "422": {"subsampling": 1},
    "progressive": {"progressive": True, "quality": 60},
    "low quality": {"quality": 5},
    "restart markers": {"restart_marker_blocks": 2},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", JPEGS)
def test_exact_decodes_jpeg_as_pillow_does(kind, size):
    data = encoded(noise(*size), **JPEGS[kind])
    assert plain_jpeg_size(data) == size
    assert np.array_equal(PictureDecoder().decode(data, ""), pillow(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpegs_of_other_colours_are_left_to_pillow(mode):
    data = encoded(noise(64, 48).convert(mode))
    assert plain_jpeg_size(data) is None
    assert np.array_equal(PictureDecoder().decode(data, ""), pillow(data))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP"])
def test_other_formats_decode_as_pillow_does(kind):
    data = encoded(noise(64, 48), kind)
    assert np.array_equal(PictureDecoder().decode(data, ""), pillow(data))


@pytest.mark.parametrize("mode", ["exact", "fused", "scaled"])
def test_a_turned_jpeg_comes_upright(mode):
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(noise(64, 48), exif=exif)
    decoder = PictureDecoder(mode, Target(size=(64, 48), image_type="uint8"))
    upright = np.asarray(pillow(data).transpose(Image.Transpose.ROTATE_270), int)
    assert np.abs(decoder.decode(data, "").permute(1, 2, 0).numpy() - upright).max() <= 1


def test_exif_that_turns_nothing_keeps_the_fast_way():
    exif = Image.Exif()
    exif[271] = "A camera"
    assert plain_jpeg_size(encoded(noise(64, 48), exif=exif)) == (64, 48)


@pytest.mark.parametrize("mode", ["exact", "fused", "scaled"])
def test_a_jpeg_of_many_scans_is_refused_in_every_mode(mode):
    data = encoded(noise(64, 48), progressive=True)
    many = data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 100 + data[-2:]
    with pytest.raises(ImageError, match="a JPEG of 110 scans"):
        PictureDecoder(mode, Target(size=(8, 8))).decode(many, "")


def test_many_segments_of_metadata_take_no_time():
    data = encoded(noise(64, 48))
    began = time.perf_counter()
    assert plain_jpeg_size(data[:2] + b"\xff\xe1\0\2" * 20_000 + data[2:]) == (64, 48)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("size", SIZES)
def test_exact_resizes_as_pillow_does(size):
    data = encoded(noise(*size))
    decoded = PictureDecoder("exact", Target(size=(32, 32))).decode(data, "")
    assert decoded.dtype == torch.uint8
    assert np.array_equal(decoded.permute(1, 2, 0), pillow_crop(data, 32))


@pytest.mark.parametrize("target", [16, 50, 128])
@pytest.mark.parametrize("size", SIZES)
def test_fused_is_at_most_one_level_off(size, target):
    data = encoded(noise(*size))
    decoded = (
        PictureDecoder("fused", Target(size=(target, target))).decode(data, "").permute(1, 2, 0).numpy().astype(int)
    )
    assert np.abs(decoded - pillow_crop(data, target)).max() <= 1


def test_scaled_is_near_on_average():
    data = encoded(pillow(demo_row("llava_cot", 0).images[0].bytes))
    decoded = PictureDecoder("scaled", Target(size=(48, 48))).decode(data, "").permute(1, 2, 0).numpy().astype(int)
    assert np.abs(decoded - pillow_crop(data, 48)).mean() < 5


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_scaled_never_decodes_under_the_target(fit, monkeypatch):
    made = []
    decode_jpeg = module.simplejpeg.decode_jpeg
    monkeypatch.setattr(module.simplejpeg, "decode_jpeg", lambda *a, **b: made.append(decode_jpeg(*a, **b)) or made[-1])
    PictureDecoder("scaled", Target(size=(50, 40), fit=fit)).decode(encoded(noise(400, 300)), "")
    height, width = made[0].shape[:2]
    assert {"crop": (50, 67), "pad": (30, 40), "stretch": (50, 40)}[fit] <= (height, width) < (300, 400)


def test_pad_puts_the_whole_picture_on_the_background():
    data = encoded(Image.new("RGB", (40, 20), (0, 0, 0)), "PNG")
    padded = PictureDecoder("exact", Target(size=(20, 20), fit="pad"), DecodePolicy(background=(1, 2, 3))).decode(
        data, ""
    )
    assert padded[:, 0, 0].tolist() == padded[:, 19, 19].tolist() == [1, 2, 3]
    assert padded[:, 5:15].max() == 0


def test_stretch_keeps_no_proportions():
    data = encoded(noise(40, 20), "PNG")
    stretched = PictureDecoder("exact", Target(size=(8, 16), fit="stretch", image_type="pil")).decode(data, "")
    assert np.array_equal(stretched, pillow(data).resize((16, 8), Image.Resampling.BILINEAR))


def test_floats_are_fractions_of_255():
    data = encoded(Image.new("RGB", (4, 4), (0, 51, 255)), "PNG")
    assert PictureDecoder("exact", Target(image_type="float32")).decode(data, "")[:, 0, 0].tolist() == pytest.approx(
        [0, 0.2, 1]
    )


def test_a_cut_off_jpeg_names_its_row():
    row = {
        "task": "llava_cot",
        "id": "lc-1",
        "images": [{"bytes": encoded(noise(64, 64)), "path": ""}, {"bytes": encoded(noise(64, 64))[:900], "path": ""}],
    }
    with pytest.raises(ImageError, match=r"^llava_cot: row 'lc-1': images\[1\]: 900 bytes") as error:
        RowDecoder.make("exact", None, fit="crop", image_type=None, policy=None).decode(row, str)
    assert error.value.kind == "truncated"


def test_the_policy_on_size_holds_for_the_fast_way():
    with pytest.raises(ImageError, match="64 x 64 pixels; expected at most 100"):
        PictureDecoder("fused", Target(size=(8, 8)), DecodePolicy(max_pixels=100)).decode(
            encoded(noise(64, 64)), "here"
        )


def test_a_placeholder_has_the_size_of_the_others():
    decoder = PictureDecoder("fused", Target(size=(8, 8)), DecodePolicy(on_bad="placeholder", background=(9, 9, 9)))
    assert decoder.decode(b"no picture", "").tolist() == torch.full((3, 8, 8), 9).tolist()
    assert decoder.counts == {"not_an_image": 1}


def test_a_skipped_picture_takes_its_row_with_it():
    row = {"task": "llava_cot", "id": "lc-1", "images": [{"bytes": b"", "path": ""}]}
    decoder = RowDecoder.make("exact", None, fit="crop", image_type=None, policy=DecodePolicy(on_bad="skip"))
    assert decoder.decode(row, str) is None


def test_exact_gives_the_same_without_simplejpeg(monkeypatch):
    data = encoded(noise(97, 61))
    with_it = PictureDecoder("exact", Target(size=(32, 32))).decode(data, "")
    monkeypatch.setattr(module, "simplejpeg", None)
    assert torch.equal(PictureDecoder("exact", Target(size=(32, 32))).decode(data, ""), with_it)


@pytest.mark.parametrize("mode", ["fused", "scaled"])
def test_faster_modes_name_the_extra_they_need(mode, monkeypatch):
    monkeypatch.setattr(module, "simplejpeg", None)
    with pytest.raises(MissingExtra, match=r"pip install .* '\.\[train\]'"):
        PictureDecoder(mode, Target(size=(8, 8)))


def test_unknown_options_are_refused():
    for wrong in ({"fit": "squash"}, {"image_type": "numpy"}, {"size": (0, 4)}):
        with pytest.raises(UsageError):
            Target(**wrong)
    with pytest.raises(UsageError, match="decode is 'best'"):
        PictureDecoder("best")
    with pytest.raises(UsageError, match="needs image_size"):
        PictureDecoder("scaled")


@pytest.mark.parametrize("end", range(0, 700, 7))
def test_a_jpeg_cut_anywhere_is_an_image_error(end):
    data = encoded(noise(16, 16))[:end]
    with pytest.raises(ImageError):
        PictureDecoder().decode(data, "here")


def test_collate_images_puts_pictures_in_reading_order():
    rows = [
        {"id": "a", "images": [torch.full((3, 2, 2), 1), torch.full((3, 2, 2), 2)]},
        {"id": "b", "images": []},
        {"id": "c", "images": [torch.full((3, 2, 2), 3)]},
    ]
    batch = collate_images(rows)
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert batch["num_images"] == [2, 0, 1]
    assert batch["id"] == ["a", "b", "c"]


def test_collate_images_refuses_pictures_of_several_sizes():
    with pytest.raises(UsageError, match="pass image_size"):
        collate_images([{"images": [torch.zeros(3, 2, 2), torch.zeros(3, 2, 3)]}])
