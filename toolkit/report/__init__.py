"""Looking at rows before training on them.

stats    rows -> counts and distributions
"""
