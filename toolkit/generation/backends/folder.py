"""Pictures of this machine found by the words of their captions, for recipes that retrieve. No scores; `clip` has them.

retrieve: {kind: folder, path: pictures.jsonl, top: 6}      lines are {"image": path, "caption": text}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from toolkit.errors import SourceError, reason_of
from toolkit.generation.core.options import Options, read_options
from toolkit.generation.core.protocol import Backend, Fatal, Reply, Request


class FolderOptions(Options):
    """
    Attributes:
        path: JSON Lines of image and caption; top: pictures that are found, at most.
    """

    path: Path
    top: int = Field(6, ge=1)


class Folder(Backend):
    is_free = is_local = True
    options = FolderOptions

    def __init__(self, path: Path, top: int = 6) -> None:
        self._folder, self._top = path.parent, top
        try:
            self._entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{path}: cannot be read as JSON Lines of image and caption: {reason_of(error)}"
            ) from error

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return kind == "retrieve"

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Folder":
        given = read_options(FolderOptions, options, "backends: 'folder'")
        return cls(given.path, given.top)

    async def send(self, request: Request) -> Reply:
        if request.kind != "retrieve":
            raise Fatal("wrong_kind", detail=f"'folder' finds pictures; {request.step!r} wants {request.kind}")
        wanted = set(request.user.lower().split())
        scored = [
            (-len(wanted & set(entry["caption"].lower().split())), number) for number, entry in enumerate(self._entries)
        ]
        best = [self._entries[number] for score, number in sorted(scored)[: self._top] if score]
        pictures = tuple((self._folder / entry["image"]).read_bytes() for entry in best)
        return Reply(raw="", text=json.dumps([entry["caption"] for entry in best]), pictures=pictures)
