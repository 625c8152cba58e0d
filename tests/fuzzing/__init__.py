"""Inputs that nobody had in mind, for everything that reads: files with bytes changed, structures with values changed.

    python -m tests.fuzzing --inputs 100000 --surfaces tar images --ledger counts.json    # by hand; a table of outcomes

`mutations` makes an input of a good one, by dice; each file beside it adds surfaces: what makes their inputs, and what
reads them. `runs` holds one input to its time and memory, and many to a ledger, in which no input stands twice.

The oracle: what a surface gives is equal to the truth, or it says what is wrong in one of our errors, or it gives what
nobody can tell from good data (a colour, a letter); within SECONDS and MEMORY_BYTES. Anything else is a fault.
"""

from tests.fuzzing import archives, dialects, formats, hub_answers, images, mutations, packed, rows, texts
from tests.fuzzing.surface import SURFACES, Surface

__all__ = [
    "SURFACES",
    "Surface",
    "archives",
    "dialects",
    "formats",
    "hub_answers",
    "images",
    "mutations",
    "packed",
    "rows",
    "texts",
]
