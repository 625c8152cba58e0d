"""The dataset card and the Croissant metadata of a packed dataset.

    Manifest, one Row a task -> README.md (card.py, template.md)        Manifest -> JSON-LD (croissant.py)

columns     what each column holds, and its type as the card's YAML says it
metadata    the YAML at the top of the card: configs, features, counts
markdown    text that comes from data, made harmless

Numbers are computed from the manifest, never typed; what is published about a task comes from `toolkit.tasks`.
Everything here is a pure function.
"""
