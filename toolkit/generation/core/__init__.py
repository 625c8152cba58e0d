"""What a run is made of: its spec, what every model speaks, the journal, blobs, keys, prompts and replies."""
