"""Which way up an image is stored, and the image the right way up.

Source: EXIF 2.32, tag 274.
"""

from typing import Any

from PIL import Image

ORIENTATION_TAG = 274
UPRIGHT = {  # how an image that is stored with this orientation is brought upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(picture: Image.Image) -> int:
    try:
        value: Any = Image.Image.getexif(picture).get(ORIENTATION_TAG, 1)  # a PNG's own would load the pixels
    except Exception:  # a broken EXIF block is no reason to lose the picture
        return 1
    return value if isinstance(value, int) else 1


def turned(picture: Image.Image) -> Image.Image:
    """Loaded and upright, in its own mode; one that was not is closed, so that there are not three copies later on."""
    picture.load()
    stored = orientation(picture)  # now: some readers turn the picture while loading, and say so here
    if stored not in UPRIGHT:
        return picture
    upright = picture.transpose(UPRIGHT[stored])
    picture.close()
    return upright
