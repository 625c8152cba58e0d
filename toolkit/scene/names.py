"""Names that rows of the scene engine carry."""

ENGINE = 4  # raise it when rows change for the same seed and index
SOURCE, LICENSE = "UnifiedVisual scene engine", "Apache-2.0"
