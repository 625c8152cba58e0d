"""Looking at rows before training on them.

stats      rows -> counts and distributions, in one pass
rendering  row -> what a page shows of it (templates/row.html, style.css, zoom.js)
"""
