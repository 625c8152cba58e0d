"""Answers of a model that draws: prompts in, text and pictures out.

    rows -> collator.encode_prompt -> one batch with a cache -> a grammar per row -> token ids -> text and pictures

answers     `sample_answers`, and the loop over the tokens of a batch
grammar     what a row may write next: text, the ids of a picture, or what frames one
vocabulary  Chameleon, Anole and Emu3, whose picture ids are part of the text vocabulary
janus       Janus, which has a head and embeddings of its own for them

    from unifiedvisual import sample_answers
    for answer in sample_answers(model, collate, rows, seed=0):
        print(answer.text, answer.images)

The `generate` of transformers cannot: Chameleon's forbids picture ids, Emu3's and Janus' write one kind at a time.
"""

from toolkit.registry import Registry

__all__ = ["SAMPLERS"]

# Model type, as config.json names it -> a `Sampler`. Adding a family is one file and one line here.
SAMPLERS = Registry(
    "samplers",
    {
        "chameleon": "toolkit.sampling.vocabulary:ChameleonSampler",
        "emu3": "toolkit.sampling.vocabulary:Emu3Sampler",
        "janus": "toolkit.sampling.janus:JanusSampler",
    },
)
