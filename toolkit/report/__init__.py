"""Looking at rows before training on them.

stats          rows -> counts and distributions, in one pass
plots          statistics -> SVG on light and on dark paper; figures draws them
contact_sheet  a few rows of a task -> one JPEG
sampling       source -> a few rows of every task, without reading all of it
rendering      row -> what a page shows of it (templates/row.html, style.css, page.js)
embedding      images -> data URIs under a budget
preview        sampled rows -> one HTML file
index          packed shards -> texts (index_rows) -> duckdb (index_file): which rows a filter keeps, where each lies
browse         index + rendering -> pages on this machine; guard: who may ask for them
"""
