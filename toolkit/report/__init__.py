"""Looking at rows before training on them.

stats      rows -> counts and distributions, in one pass
rendering  row -> what a page shows of it (templates/row.html, style.css, zoom.js)
index      packed shards -> their metadata in duckdb: which rows a filter keeps, where each lies; trigrams: where not to search
browse     index + rendering -> pages on this machine; guard: who may ask for them
"""
