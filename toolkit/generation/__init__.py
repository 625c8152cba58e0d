"""Construction: where new rows come from. Imports point down.

    spec -> samples -> a recipe's steps -> calls -> journal and blobs -> rows -> the packed layout

reports      summary, report, explain, estimate
runs         engine (one shard: samples that are not there yet -> recipe -> journal), shards, plans, finalize, retry
backends     models: OpenAI-compatible servers, batches, diffusers, CLIP, a folder, safety
recipes      what recipes are written in, their records and checks; one folder a recipe: recipe, prompts, script
procedural   the scene engine (toolkit.scene) behind the protocol of models; needs no key and no network
calls        the one place that calls models: calls, budget, replay
journal      the SQLite file of a shard: its tables, its one writer, and every question asked of it
core         spec, protocol, records, blobs, keys, prompting, replies
"""
