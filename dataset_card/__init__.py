"""The dataset card and the Croissant metadata of a packed dataset.

    Manifest, one Row a task -> README.md (card.py, template.md)        Manifest -> JSON-LD (croissant.py)

files       both, read from and written beside a packed dataset
claims      what a card says about the published dataset, from `toolkit.published` alone
columns     what each column holds, and its type as the card's YAML says it
metadata    the YAML at the top of the card: configs, features, counts
markdown    text that comes from data, made harmless

Numbers are computed from the manifest, never typed. But for `files`, everything here is a pure function.
"""

from dataset_card.files import read_card, read_croissant, write_card

__all__ = ["read_card", "read_croissant", "write_card"]
