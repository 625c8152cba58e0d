"""Packed datasets -> one packed dataset: joined, chosen from, without what comes twice, scored.

merge         several datasets -> one; shards are linked or copied, not written anew
select        rows that a condition, a sample or a split chooses -> shards; pictures stay as they are, undecoded
deduplicate   rows that say and show the same, or what a benchmark does -> counted, shown, left out
align         how well pictures fit their texts -> a table of scores, for `select --where`

Each is a job in the folder of its output (`staging.jobs`), in phases: units of a phase do not depend on one another,
those of the next begin when all are done.
"""
