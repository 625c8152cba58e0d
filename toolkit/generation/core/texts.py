"""Texts: half a character made whole, an address without its secrets."""

import re
from typing import Any
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"(://)(?:[^/\s'\"]*@)?([^?\s'\"]*)(?:\?[^\s'\"]*)?")


def whole_text(text: str) -> str:
    """A text in which a surrogate without its other half is U+FFFD, and two halves are one character; JSON may hold
    halves (RFC 8259, 8.2), UTF-8 cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def whole_texts(value: Any) -> Any:
    """The same for every text in a JSON value."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [whole_texts(each) for each in value]
    if isinstance(value, dict):
        return {whole_text(str(name)): whole_texts(each) for name, each in value.items()}
    return value


def public_url(url: str) -> str:
    """An address without user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return without_secrets(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl() if parts.netloc else url


def without_secrets(text: str) -> str:
    """A text whose addresses have no user, password and query."""
    return _ADDRESS.sub(r"\1\2", text)
