"""What happened, per shard, in SQLite: every call before it is sent, every body that came back, every sample that was
finished. All SQL of the package is in this folder.

tables   the tables, and every statement that is written
writer   the one writer of a shard
reading  every question that is asked of the journals of a run, also while they are written
"""

from toolkit.generation.journal.reading import finished, journal_paths
from toolkit.generation.journal.tables import Call, Finished, insert_sample
from toolkit.generation.journal.writer import Journal

__all__ = ["Call", "Finished", "Journal", "finished", "insert_sample", "journal_paths"]
