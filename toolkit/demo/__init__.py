"""A small dataset that is always at hand: rows of all nine tasks made from twelve public-domain and CC0 photographs.

rows     photographs -> Row of every task: true sentences about the photographs, and edits that were really made
replica  rows -> the layout as published (text Parquet + tar.gz), in several column shapes
"""
