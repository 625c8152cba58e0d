"""The layout as published: Parquet with text, archives or folders with the pictures the text names.

The columns were not seen by us, so all of it is looked at before anything is read:

survey    every row of every Parquet file -> facts of its columns, what paths say of tasks; kept by cache
holdings  the other files: archives, also in parts, folders of pictures, what is not read
plan      survey + mapping -> how each file is read, what is left out, what only a person can settle; telling: tasks
shapes/   values and records: what columns hold, a record -> turns, pictures put in their places
texts     Parquet rows + plan -> Sketch, a row without its pictures
archives  any archive -> members, safely
join      sketches + members -> Row, one pass over each archive, in bounded memory; matching: names, waiting: rows
"""
