"""A micro-world in which a mixture of data is tried out before it is paid for: four cells, 96 things, a tiny Chameleon.

    split -> items -> rows of a regime -> pack -> StreamingDataset -> collator -> LossModel -> sampled answers -> scores

world      pictures of four cells as 16 lossless codes, and a reader of pixels that knows no codes
split      what either side of the data shows, and what only the other
items      questions and drawings, each with its thoughts
regimes    which rows a model is given: text answers, pictures, both apart, thoughts as rows of their own, coupled
model      a real ChameleonForConditionalGeneration of 0.1 M parameters, a word tokenizer, codes as an image tokenizer
training   one run: regime, seed -> scores along the way
study      all runs, their table and figure, and tests over seeds
"""
