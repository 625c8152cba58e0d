"""Packed shards -> a seeded order -> encoded rows -> decoded pictures -> batches.

1. order     the row counts of the manifest (groups), a seed and an epoch fix one global sequence of rows, which has
             every task all the time (lanes); nothing is read for that
2. mixture   the same for several sources, drawn by weight
3. share     who of all ranks and workers takes which positions of the sequence; where a run stopped, as a few integers
4. reading   positions -> rows, row group by row group, read ahead in threads
5. decode    encoded bytes -> pictures or tensors of one size; batch puts them together
dataset      all of it as a torch IterableDataset (StreamingDataset); indexed: map-style (RowDataset). Only these,
             decode and batch import torch.
"""
