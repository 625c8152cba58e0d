"""The layout as published: `data/*.parquet` with text, `images/*.tar.gz` with the pictures the text names.

The columns are not known to us, so reading starts by looking:

look      a Parquet file -> FilePlan: its shape, its columns, whose task it holds, and why we think so
mapping   a YAML file that overrides any of it
shapes    a raw record + FilePlan -> Draft: turns of text and image references
archives  tar.gz -> members, safely
join      drafts + members -> Row, one pass over each archive, in bounded memory
"""
