"""What belongs together: connected components of pairs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MissingExtra

if TYPE_CHECKING:
    import duckdb

Numbers = NDArray[np.int64]
BATCH_PAIRS = 100_000


def connected(db: "duckdb.DuckDBPyConnection", pairs: str) -> tuple[Numbers, Numbers]:
    """
    Args:
        pairs: a table of a database with the numbers `one` and `other`.

    Returns:
        The N numbers that occur, ascending, and the least number that each is connected to: both int64 (N,). Memory is
        24 bytes for each of them, however many pairs there are.

    Raises:
        MissingExtra: scipy is not installed.
    """
    occurring = f"SELECT one FROM {pairs} UNION SELECT other FROM {pairs}"
    [(count,)] = db.sql(f"SELECT count(*) FROM ({occurring})").fetchall()
    nodes, end = np.empty(count, np.int64), 0
    for batch in db.sql(f"{occurring} ORDER BY one").to_arrow_reader(BATCH_PAIRS):
        start, end = end, end + len(batch)
        nodes[start:end] = batch["one"].to_numpy()
    batches = db.sql(f"SELECT one, other FROM {pairs}").to_arrow_reader(BATCH_PAIRS)
    return nodes, components(nodes, (np.stack([batch[0].to_numpy(), batch[1].to_numpy()], axis=1) for batch in batches))


def components(nodes: Numbers, pairs: Iterable[Numbers]) -> Numbers:
    """
    Args:
        nodes: int64 (N,), ascending.
        pairs: of some of them, int64 (P, 2), a batch at a time.

    Returns:
        The least node that each is connected to, int64 (N,).
    """
    parents = np.arange(
        len(nodes), dtype=np.min_scalar_type(-max(len(nodes), 1))
    )  # of each place a lower one, or itself
    for batch in pairs:
        _join(parents, np.searchsorted(nodes, batch))
    while np.any((further := parents[parents]) != parents):
        parents = further
    return nodes[parents]


def _join(parents: Numbers, pairs: Numbers) -> None:
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError:
        raise MissingExtra("scipy", "curate") from None
    roots = pairs
    while np.any((further := parents[roots]) != roots):
        roots = further
    seen, places = np.unique(roots, return_inverse=True)
    one, other = places.reshape(-1, 2).T
    graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(len(seen), len(seen)))
    _, labels = connected_components(graph, directed=False)
    least = np.full(labels.max(initial=-1) + 1, len(parents))
    np.minimum.at(least, labels, seen)
    parents[seen] = least[labels]
    parents[pairs] = parents[roots]
