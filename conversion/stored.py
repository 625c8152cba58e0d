"""The ids of pictures that `unifiedvisual tokenize` wrote, for formats of tokens."""

from typing import TYPE_CHECKING

from toolkit.errors import MissingExtra

if TYPE_CHECKING:
    from toolkit.collate.tokens import StoredTokens


def stored_tokens(folder: str) -> "StoredTokens":
    """
    Raises:
        MissingExtra: torch is not installed. SourceError: nothing there, or ids of several tokenizers.
    """
    try:
        from toolkit.collate.tokens import StoredTokens
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    return StoredTokens(folder)
