"""The record and everything that reads, packs, streams and makes rows.

Rows flow one way:  source -> Row -> messages -> a format, a shard, a batch

schema, tasks, errors   the record, the nine tasks, what can go wrong; nothing here imports anything above it
images                  encoded bytes -> picture, under a policy
executors, staging      units of a job, here, in processes or on a cluster; what keeps a folder whole however they end
sources                 where rows come from: the layout as published, or the packed one, in a folder or on the Hub
packing                 rows -> the packed layout, verified, published
streaming               packed shards -> a seeded order, decoded, exactly resumable; needs torch
collate, training       rows -> batches for a model family; what training loops share; both need torch
sampling                prompts -> answers of a model that draws; needs torch
generation              rows that are made: recipes over models, or over the procedural scene engine
scene, photos           the scene engine and its independent verifier; twelve photographs
curation                packed datasets -> one: merged, selected, without duplicates, scored
evaluation              answers of a model -> exact scores
report                  what is in the rows
demo                    a small dataset that is always at hand
cli                     the command line; the one place that may import everything
"""

__version__ = "0.1.0"  # the one place: setup.cfg reads it from here
