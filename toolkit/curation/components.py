"""What belongs together: connected components of pairs."""

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MissingExtra

Numbers = NDArray[np.int64]


def components(pairs: Numbers) -> tuple[Numbers, Numbers]:
    """
    Args:
        pairs: int64 (P, 2), any numbers.

    Returns:
        The N numbers that occur, ascending, and the least number that each is connected to: both int64 (N,). Memory is
        in proportion to P.

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError:
        raise MissingExtra("scipy", "curate") from None
    nodes, places = np.unique(pairs, return_inverse=True)
    if not len(nodes):
        return nodes, nodes
    one, other = places.reshape(-1, 2).T
    graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(len(nodes), len(nodes)))
    _, labels = connected_components(graph, directed=False)
    least = np.full(labels.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(least, labels, nodes)
    return nodes, least[labels]
