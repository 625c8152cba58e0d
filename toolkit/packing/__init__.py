"""Rows -> the packed layout, checked, published.

pack     a source -> sharded Parquet and MANIFEST.json; a killed run is resumed
shards   how one Parquet file is written
verify   a packed dataset against its manifest and the record's rules
push     a packed dataset -> a Hub repository, re-read and verified there
"""
