"""The scene engine: seed and index -> pictures, texts and answers that are true by construction. Pure; no key, no
network, no font.

1. streams     (seed, purpose) -> numbers; nothing else is random
2. sampler     a Stream and a Wish -> a Scene of Things (graph) that passes every gate (gates), in one of the styles
               (styles, colours, shapes)
3. render      a Scene -> pixels by our own rasteriser (raster, glyphs) -> PNG, digest
4. language    a Scene -> a caption that reads back to the same graph; phrases that fit one thing only; briefs and hints
               name nothing outright
5. programs    operations on the graph -> exact answer and its trace (steps, comparisons); questions draws what is
               asked, then the answer, then the scene; charts asks about bars; difficulty says how hard it is
6. edits, defects, documents, retrieval, told    what each task needs; samples turns them into rows
7. verify      a second opinion from texts and pixels, sharing no code with any of the above

    sample("mm_reasoning_o", seed=0, index=7) -> toolkit.schema.Row
"""
