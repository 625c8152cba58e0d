"""The scene engine as a judge: what it says is read off the pictures and texts it is sent, by the verifier, which
shares no code with what drew them.
"""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.generation.core.protocol import Request
from toolkit.images import decode_image
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import read_caption


def pixels(image: bytes) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3)."""
    return np.asarray(decode_image(image, "picture"))


def picture_matches(request: Request) -> dict[str, Any]:
    """Whether a picture shows what its caption says, and nothing else."""
    text, seen = read_caption(request.origin.values["caption"]), read_picture(pixels(request.images[0]))
    told, shown = Counter(text.things), Counter(seen.things)
    missing, surplus = list(told - shown), list(shown - told)
    problem = f"missing {missing[:2]}, not told {surplus[:2]}" if missing or surplus else ""
    if (text.background, text.style) != (seen.background, seen.style):
        problem = problem or f"drawn {seen.style} on {seen.background}"
    return {"problem": problem, "matches": not problem}
