"""Similarity of pictures to texts and to pictures as a judge, and as a finder of pictures; by CLIP, SigLIP or their kin
in this process.

    judge: {kind: clip, model: openai/clip-vit-base-patch32, text_band: [0.25, 1.0], pair_band: [0.6, 0.97]}
    retrieve: {kind: clip, model: openai/clip-vit-base-patch32, text_band: [0.22, 1.0], pair_band: [0.5, 0.95], path:
        pictures.jsonl, top: 6}

Bands are cosines, lowest and highest accepted: `text_band` of a picture and words, `pair_band` of two pictures, whose
upper end keeps near-duplicates out. They
have no default: cosines of one model mean nothing for another, and the paper's thresholds were not seen by us. As a
judge it answers `picture_matches`, `edit_judge` and `pick_picture`; what it saw is in the journal's raw bodies, and in
the detail of what is rejected.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from toolkit.generation.backends.embedder import Embedder, TransformersEmbedder
from toolkit.generation.backends.local import LocalModel, LocalOptions, require
from toolkit.generation.backends.picture_index import PictureIndex, open_index
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import Backend, Fatal, Refused, Reply, Request

Band = tuple[float, float]


class ClipOptions(LocalOptions):
    """
    Attributes:
        text_band, pair_band: lowest and highest cosine that is accepted, as in [0.25, 1.0].
        path: JSON Lines of the pictures that are found; None = only judges.
        top: pictures that are found, at most.
    """

    text_band: Band
    pair_band: Band
    path: Path | None = None
    top: int = Field(6, ge=1)

    @field_validator("text_band", "pair_band")
    @classmethod
    def _ascends(cls, band: Band) -> Band:
        if not -1 <= band[0] < band[1] <= 1:
            raise ValueError("expected the lowest and highest cosine that is accepted, as in [0.25, 1.0]")
        return band


class Clip(Backend):
    """
    Args:
        load: gives the embedder; called once, in the thread that uses it.
        path: JSON Lines of the pictures that are found; None = only judges.
    """

    is_free = is_local = True
    options = ClipOptions

    def __init__(
        self,
        load: Callable[[], Embedder],
        *,
        name: str,
        text_band: Band,
        pair_band: Band,
        path: Path | None = None,
        top: int = 6,
    ) -> None:
        self._text_band, self._pair_band, self._path, self._top = text_band, pair_band, path, top
        self._model = LocalModel(name, partial(_load, load, path))

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return bool(options.get("path")) if kind == "retrieve" else kind == "chat" and step in JUDGES

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Clip":
        given = read_options(ClipOptions, options, "backends: 'clip'")
        require("transformers")
        return cls(
            partial(TransformersEmbedder, given.model_dump()),
            name=given.model,
            path=given.path,
            top=given.top,
            text_band=given.text_band,
            pair_band=given.pair_band,
        )

    async def send(self, request: Request) -> Reply:
        if request.kind == "retrieve" and self._path:
            return await self._model.run(partial(self._retrieve, request=request))
        if request.kind == "chat" and request.step in JUDGES:
            return await self._model.run(partial(self._judge, request=request))
        detail = (
            f"'clip' judges {', '.join(sorted(JUDGES))}, and retrieves where it has a path; {request.step!r} "
            f"wants {request.kind}"
        )
        raise Fatal("wrong_kind", detail=f"{detail}; set the role's own backend")

    def _judge(self, model: tuple[Embedder, PictureIndex | None], request: Request) -> Reply:
        verdict, scores = JUDGES[request.step](model[0], request, self._text_band, self._pair_band)
        return Reply(raw=json.dumps(scores), text=json.dumps(verdict))

    def _retrieve(self, model: tuple[Embedder, PictureIndex | None], request: Request) -> Reply:
        """Pictures in both bands, those nearest to the words first."""
        embedder, index = model
        assert index is not None
        by_text = index.vectors @ embedder.texts([request.user])[0]
        by_pair = (
            index.vectors @ embedder.images(request.images[:1])[0] if request.images else np.full(len(by_text), np.nan)
        )
        fits = _within(by_text, self._text_band) & (_within(by_pair, self._pair_band) | np.isnan(by_pair))
        scores = {
            "best_text": _round(by_text.max()),
            "in_text_band": int(_within(by_text, self._text_band).sum()),
            "in_both": int(fits.sum()),
        }
        if not fits.any():
            bands = f"text_band {list(self._text_band)}, pair_band {list(self._pair_band)}"
            raise Refused(
                "nothing_in_band",
                detail=f"{request.user!r} in {len(by_text)} pictures: {scores}; {bands}",
                raw=json.dumps(scores),
            )
        best = [int(number) for number in np.argsort(-by_text, kind="stable") if fits[number]][: self._top]
        found = [
            {
                "caption": index.entries[n].caption,
                "text": _round(by_text[n]),
                "pair": _round(by_pair[n]) if request.images else None,
            }
            for n in best
        ]
        return Reply(
            raw=json.dumps(scores), text=json.dumps(found), pictures=tuple(index.read(number) for number in best)
        )

    async def close(self) -> None:
        self._model.close()


def _load(load: Callable[[], Embedder], path: Path | None) -> tuple[Embedder, PictureIndex | None]:
    embedder = load()
    return embedder, open_index(path, embedder) if path else None


def _matches(
    embedder: Embedder, request: Request, text_band: Band, pair_band: Band
) -> tuple[dict[str, Any], dict[str, Any]]:
    score = float(embedder.images(request.images)[0] @ embedder.texts([str(request.origin.values["caption"])])[0])
    matches = bool(_within(np.array(score), text_band))
    return {"problem": "" if matches else _outside("picture and text", score, text_band), "matches": matches}, {
        "text": _round(score)
    }


def _edit(
    embedder: Embedder, request: Request, text_band: Band, pair_band: Band
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Too near: nothing was done; too far: more than was asked."""
    before, after = embedder.images(request.images)
    score = float(before @ after)
    is_done, is_near = score <= pair_band[1], score >= pair_band[0]
    problem = "" if is_done and is_near else _outside("the two pictures", score, pair_band)
    return {"problem": problem, "is_done": is_done, "rest_is_unchanged": is_near}, {"pair": _round(score)}


def _pick(
    embedder: Embedder, request: Request, text_band: Band, pair_band: Band
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the candidates in the style's band, the one nearest to the keyword."""
    vectors = embedder.images(request.images)
    by_pair, by_text = (
        vectors[1:] @ vectors[0],
        vectors[1:] @ embedder.texts([str(request.origin.values["keyword"])])[0],
    )
    fitting = np.flatnonzero(_within(by_pair, pair_band) & _within(by_text, text_band))
    choice = int(fitting[np.argmax(by_text[fitting])]) + 1 if len(fitting) else 0
    return {"choice": choice}, {"pair": [_round(each) for each in by_pair], "text": [_round(each) for each in by_text]}


Judge = Callable[[Embedder, Request, Band, Band], tuple[dict[str, Any], dict[str, Any]]]
JUDGES: dict[str, Judge] = {"picture_matches": _matches, "edit_judge": _edit, "pick_picture": _pick}


def _within(scores: Any, band: Band) -> Any:
    return (scores >= band[0]) & (scores <= band[1])


def _outside(what: str, score: float, band: Band) -> str:
    return f"similarity of {what} is {score:.4f}; expected {band[0]:g} to {band[1]:g}"


def _round(score: Any) -> float:
    return round(float(score), 4)
