"""What a browser would see in a preview, read by the standard library's parser."""

import base64
import io
from html.parser import HTMLParser

from PIL import Image

VOID = {"meta", "img", "input", "link", "br"}


class Page(HTMLParser):
    """Every element with its attributes, the pictures and texts of each row, scripts and styles."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.rows, self.meta = [], {}, {}
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._open, self._row = [], None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag == "meta":
            self.meta[attributes.get("http-equiv") or attributes.get("name")] = attributes.get("content")
        if tag == "article":
            self._row = self.rows.setdefault(
                attributes["id"].removeprefix("row-"),
                {"pictures": [], "text": "", "attributes": attributes, "rects": []},
            )
        if tag == "img" and self._row is not None:
            self._row["pictures"].append(attributes)
        if tag == "rect" and self._row is not None and not attributes.get("class"):
            self._row["rects"].append(tuple(attributes[name] for name in ("x", "y", "width", "height")))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert tag in self._open, f"</{tag}> without its beginning"
        while self._open.pop() != tag:
            pass
        if tag == "article":
            self._row = None

    def handle_data(self, text):
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]].append(text)
        elif self._row is not None:
            self._row["text"] += text


def picture_of(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(body, validate=True))).convert("RGB")


def colour_of(uri):
    picture = picture_of(uri)
    return picture.getpixel((picture.width // 2, picture.height // 2))
