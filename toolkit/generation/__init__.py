"""Construction: where new rows come from.

    spec -> samples -> a recipe's steps -> calls -> journal and blobs -> rows -> the packed layout

spec       what to make, from YAML; plans: with recipes and records; keys: what makes a call, a sample, a recipe the
           same
engine     one shard: samples that are not there yet -> recipe -> journal; killed at any moment, it goes on
calls      the one place that calls models: cache, limits, budget, retries, repair; journal, blobs, budget: what it
           writes down
recipe     what recipes are written in; recipes: one file each; prompts: versioned files; records: what they start from
backends   who answers: the scene engine, OpenAI-compatible servers, a folder, an earlier run
finalize   journal -> rows -> the packed layout; summary (funnel, cost, report), explain, audit, retry, estimate
scene      the procedural engine: seed -> scene graph -> pictures, texts and exact answers; needs no key and no network
"""
