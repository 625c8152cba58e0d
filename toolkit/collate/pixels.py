"""Pictures that an image processor refuses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL import Image

from toolkit.errors import ImageError, UnifiedVisualError


@contextmanager
def refusals(images: Sequence[Image.Image], *, where: str = "") -> Iterator[None]:
    """What a processor of transformers says of pictures, of their shape as a rule, is said of their row.

    Raises:
        ImageError: in place of a ValueError.
    """
    try:
        yield
    except UnifiedVisualError:
        raise
    except ValueError as error:
        sizes = ", ".join(f"{image.width} x {image.height}" for image in images)
        raise ImageError(
            f"{where}the image processor refuses a picture ({error}); found {sizes} pixels", kind="refused_picture"
        ) from error
