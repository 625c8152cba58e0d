"""Dialects: the ways in which others publish multimodal data, read as rows.

    files -> records (records.py) -> fields, by use (recognising.py) -> Draft (<dialect>.py) -> Row (rows.py)

records.py knows containers: Parquet, Arrow, JSON, CSV, WebDataset tars, folders of pictures. A dialect knows what a
record means, whatever it lay in: it names the uses of columns with the names they have in the wild, says whether a
record fits, and reads one. pictures.py finds what records name: beside them, in archives, in the record itself.

One file and one line here add a dialect; from outside, an entry point `unifiedvisual.dialects` does, or "module:NAME"
or "file.py:NAME" as `--format`. Of those that recognise themselves the first is taken, those from outside before ours.
"""

from toolkit.registry import Registry

DIALECTS = Registry(
    "dialects",
    {
        "zebra-cot": "toolkit.sources.dialects.zebra_cot:DIALECT",
        "thinkmorph": "toolkit.sources.dialects.thinkmorph:DIALECT",
        "llava-cot": "toolkit.sources.dialects.llava_cot:DIALECT",
        "conversations": "toolkit.sources.dialects.conversations:DIALECT",
        "chat": "toolkit.sources.dialects.chat:DIALECT",
        "cauldron": "toolkit.sources.dialects.cauldron:DIALECT",
        "obelics": "toolkit.sources.dialects.obelics:DIALECT",
        "mmc4": "toolkit.sources.dialects.mmc4:DIALECT",
        "documents": "toolkit.sources.dialects.documents:DIALECT",
        "cot-collection": "toolkit.sources.dialects.cot_collection:DIALECT",
        "edit-chains": "toolkit.sources.dialects.edit_chains:DIALECT",
        "edits": "toolkit.sources.dialects.edits:DIALECT",
        "vqa": "toolkit.sources.dialects.vqa:DIALECT",
        "pairs": "toolkit.sources.dialects.pairs:DIALECT",
        "captions": "toolkit.sources.dialects.captions:DIALECT",
    },
)
