"""The record and everything that reads, packs, streams and makes rows.

Rows flow one way:  source -> Row -> messages -> a format, a shard, a batch

schema, tasks, errors   the record, the nine tasks, what can go wrong; nothing here imports anything above it
images                  encoded bytes -> picture, under a policy
collate                 rows -> batches for a model family; needs torch
sources                 where rows come from: the layout as published, or the packed one, in a folder or on the Hub
"""
