"""Construction: where new rows come from.

scene   the procedural engine: seed -> scene graph -> pictures, texts and exact answers; needs no key and no network
"""
