"""A packed dataset as pages on this machine: a list with filters and search, single rows, their images, and a row in
a training format.

    GET /                              the rows a filter keeps, a page at a time
    GET /row/<id>                      one row
    GET /row/<id>/download/<format>    the row in a format, as a zip
    GET /compare/<id>?with=<id>        two rows side by side, the second of the other dataset if there is one
    GET /image/<id>/<number>[?w=]      an image as it is in the row, or at most so many pixels wide, as JPEG

Nothing in an address is ever a path: ids are looked up in the index, style and scripts are a fixed list. Who may ask is
for `guard`.
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from toolkit.errors import RowError, UnifiedVisualError, UsageError
from toolkit.images import decode_image, image_format, image_size
from toolkit.report.guard import Guard
from toolkit.report.index import FACETS, Filter, Index, Known
from toolkit.report.opening import Rows
from toolkit.report.rendering import RowView, Shown, readable, templates, view_row
from toolkit.schema import Row
from toolkit.streaming.groups import Place
from toolkit.tasks import NOT_STATED

PAGE_ROWS = 24
CODE = "from unifiedvisual import RowDataset\n\nrow = RowDataset({address!r})[{position}]  # {id}\n"
WORDS = ("task", "quadrant", "origin", "source", "license", "text")  # of a filter
OTHER = "/other"  # before addresses of the dataset that is compared
THUMBNAIL_PX, ROW_PX, LARGEST_PX, THUMBNAILS_KEPT = 160, 640, 4096, 512
ASSETS = {
    "style.css": "text/css",
    "browse.css": "text/css",
    "page.js": "text/javascript",
    "browse.js": "text/javascript",
}
TYPES = {"jpg": "image/jpeg"} | {name: f"image/{name}" for name in ("png", "webp", "gif", "bmp", "tiff", "avif")}
NOT_IN_BROWSERS = ("tiff",)
PICTURE_POLICY = "default-src 'none'; sandbox"

# (row, format, options by name) -> a zip. Raises UnifiedVisualError where the format cannot hold the row.
Convert = Callable[[Row, str, Mapping[str, str]], bytes]


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is shown.

    Attributes:
        name: of the dataset, as a person knows it.
        address: by which code opens it.
        version: changes when the dataset's files do; browsers keep images as long as it stays.
        formats: a row can be downloaded in.
        other: a dataset whose rows are compared with this one's.
    """

    name: str
    address: str
    version: str
    index: Index
    rows: Rows
    formats: tuple[str, ...]
    convert: Convert
    other: "Site | None" = None


def make_app(site: Site, hosts: Callable[[str], bool]) -> Starlette:
    """The pages.

    Args:
        hosts: whether a Host header names this server.
    """
    pages = _Pages(site)
    routes = [
        *([Route(OTHER + "/image/{id}/{number}", pages.other.image)] if site.other else []),
        Route("/compare/{id}", pages.compare),
        Route("/", pages.list_rows),
        Route("/row/{id}", pages.show_row),
        Route("/row/{id}/download/{format}", pages.download),
        Route("/image/{id}/{number}", pages.image),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        *(Route(f"/{name}", _asset(name, kind)) for name, kind in ASSETS.items()),
    ]
    handlers: Any = {HTTPException: pages.refuse, UnifiedVisualError: pages.fail}
    return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Guard, hosts=hosts)])


def _asset(name: str, kind: str) -> Callable[[Request], Response]:
    content = files("toolkit.report").joinpath("templates", name).read_bytes()
    return lambda request: Response(content, media_type=kind)


class _Pages:
    """One method for each kind of address. They run in threads."""

    def __init__(self, site: Site, prefix: str = "") -> None:
        self._site, self._prefix, self._template = site, prefix, templates().get_template("browse.html")
        self.other = _Pages(site.other, OTHER) if site.other else self
        self._thumbnail = lru_cache(THUMBNAILS_KEPT)(self._make_thumbnail)

    def list_rows(self, request: Request) -> Response:
        wanted, page = _filter(request), _whole(request, "page", 1)
        matches = self._site.index.matches(wanted)
        last = max(1, -(-len(matches) // PAGE_ROWS))
        page = min(max(page or 1, 1), last)
        first = (page - 1) * PAGE_ROWS
        return self._page(
            wanted=wanted,
            num_matches=len(matches),
            summaries=self._site.index.summaries(matches[first : first + PAGE_ROWS], wanted.text),
            first=first,
            page=page,
            last=last,
            previous=_list_link(wanted, page - 1) if page > 1 else "",
            next=_list_link(wanted, page + 1) if page < last else "",
        )

    def show_row(self, request: Request) -> Response:
        wanted = _filter(request)
        position, place = self._find(request)
        row = self._site.rows.read(place)
        matches = self._site.index.matches(wanted)
        at = int(matches.searchsorted(position))
        is_match = at < len(matches) and matches[at] == position
        beside = [int(matches[near]) for near in (at - 1, at + is_match) if 0 <= near < len(matches)]
        ids = {
            near: summary.id for near, summary in zip(sorted(beside), self._site.index.summaries(beside), strict=True)
        }
        before, behind = (
            next((ids[near] for near in beside if (near < position) == is_before and near != position), "")
            for is_before in (True, False)
        )
        return self._page(
            row=self.view(row, place),
            code=CODE.format(address=self._site.address, position=position, id=row.id),
            wanted=wanted,
            up=_list_link(wanted, at // PAGE_ROWS + 1) + (f"#row-{row.id}" if is_match else ""),
            number=at + 1 if is_match else 0,
            num_matches=len(matches),
            previous=_row_link(before, wanted) if before else "",
            next=_row_link(behind, wanted) if behind else "",
            formats=self._site.formats,
        )

    def view(self, row: Row, place: Place) -> RowView:
        return view_row(row, lambda row, number: self._links(place, row, number))

    def compare(self, request: Request) -> Response:
        left = self._find(request)[1]
        right = self.other._look_up(request.query_params.get("with") or request.path_params["id"])[1]
        both = ((self, left), (self.other, right))
        return self._page(pair=[(pages._site.name, pages.view(pages._site.rows.read(at), at)) for pages, at in both])

    def image(self, request: Request) -> Response:
        place, number, width = self._find(request)[1], request.path_params["number"], _whole(request, "w", None)
        if not re.fullmatch("[0-9]{1,6}", number):
            raise HTTPException(404, f"Images are numbered from 0, not {readable(number[:40])!r}.")
        tag = f'"{self._site.version[:16]}-{place.group.shard}-{place.group.number}-{place.row}-{number}-{width}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Content-Security-Policy": PICTURE_POLICY}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        images = self._site.rows.read(place).images
        if int(number) >= len(images):
            raise HTTPException(404, f"There is no image {number} in this row; it has {len(images)}, counted from 0.")
        if width is not None:
            return Response(
                self._thumbnail(place, int(number), min(max(width, 16), LARGEST_PX)),
                media_type="image/jpeg",
                headers=headers,
            )
        data = images[int(number)].bytes
        return Response(data, media_type=TYPES.get(image_format(data), "application/octet-stream"), headers=headers)

    def download(self, request: Request) -> Response:
        format = request.path_params["format"]
        if format not in self._site.formats:
            raise HTTPException(
                404, f"There is no format {readable(format[:40])!r}; known: {', '.join(self._site.formats)}."
            )
        row = self._site.rows.read(self._find(request)[1])
        try:
            content = self._site.convert(row, format, dict(request.query_params))
        except RowError as error:
            raise HTTPException(422, f"{error}. Options go behind the address, as in ?output_images=context") from error
        name = re.sub("[^a-z0-9_-]", "-", f"{row.id[:100]}-{format}")
        return Response(
            content, media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{name}.zip"'}
        )

    def refuse(self, request: Request, error: HTTPException) -> Response:
        return self._page(
            status=error.status_code, message=error.detail if error.detail != "Not Found" else "There is no such page."
        )

    def fail(self, request: Request, error: UnifiedVisualError) -> Response:
        """The row, the image or the call is wrong (422), or what was read is damaged or gone (500)."""
        return self._page(status=422 if isinstance(error, RowError | UsageError) else 500, message=str(error))

    def _find(self, request: Request) -> tuple[int, Place]:
        return self._look_up(request.path_params["id"])

    def _look_up(self, row_id: str) -> tuple[int, Place]:
        found = self._site.index.find(row_id)
        if found is None:
            known = self._site.index.known
            where = self._site.name + ("" if known.is_whole else f", among the {known.num_rows:,} rows read so far")
            raise HTTPException(404, f"There is no row {readable(row_id[:80])!r} in {where}.")
        return found

    def _links(self, place: Place, row: Row, number: int) -> Shown:
        data = row.images[number].bytes
        width, height = image_size(data, f"images[{number}]")
        self._thumbnail(place, number, ROW_PX)  # now, for the page to say so where the image is damaged
        address = f"{self._prefix}/image/{quote(row.id, safe='')}/{number}"
        format = image_format(data)
        is_shown = format not in NOT_IN_BROWSERS
        note = "" if is_shown else f"the row holds {format.upper()}, which browsers do not show; this is a JPEG of it"
        return Shown(
            thumbnail=f"{address}?w={ROW_PX}",
            full=address if is_shown else f"{address}?w={LARGEST_PX}",
            width_px=width,
            height_px=height,
            note=note,
        )

    def _make_thumbnail(self, place: Place, number: int, width: int) -> bytes:
        row = self._site.rows.read(place)
        picture = decode_image(row.images[number].bytes, f"row {row.id!r}: images[{number}]")
        picture.thumbnail((width, 4 * width))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=85)
        return file.getvalue()

    def _known(self) -> Known:
        try:
            return self._site.index.known
        except UnifiedVisualError:  # which the page tells of
            return Known(facets=dict.fromkeys(FACETS, ()), num_rows=0, num_repeated=0, is_whole=True)

    def _page(self, *, status: int = 200, **shown: Any) -> Response:
        known = {
            "site": self._site,
            "known": self._known(),
            "wanted": Filter(),
            "row": None,
            "pair": None,
            "code": "",
            "summaries": None,
            "message": "",
        }
        links = {
            "row_link": _row_link,
            "list_link": _list_link,
            "without": _without,
            "readable": readable,
            "thumbnail_px": THUMBNAIL_PX,
            "not_stated": NOT_STATED,
        }
        self._site.index.is_shown.set()
        return HTMLResponse(self._template.render({**known, **links, **shown}), status)


def _filter(request: Request) -> Filter:
    words = {name: request.query_params.get(name) or None for name in WORDS}
    return Filter(**words, images=_whole(request, "images", None))


def _whole(request: Request, name: str, default: int | None) -> int | None:
    value = request.query_params.get(name, "")
    if not value:
        return default
    if not re.fullmatch("[0-9]{1,9}", value):
        raise HTTPException(400, f"{name}={readable(value[:40])} in the address: expected a whole number.")
    return int(value)


def _list_link(wanted: Filter, page: int = 1) -> str:
    return "/?" + urlencode({**wanted.given, **({"page": page} if page > 1 else {})})


def _row_link(row_id: str, wanted: Filter) -> str:
    return f"/row/{quote(row_id, safe='')}" + (f"?{urlencode(wanted.given)}" if wanted.given else "")


def _without(wanted: Filter, name: str) -> Filter:
    return replace(wanted, **{name: None})
