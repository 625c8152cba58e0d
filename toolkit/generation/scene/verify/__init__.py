"""A second opinion: reads texts and pixels back, with no code of the engine it checks.

text         caption -> graph
pixels       picture -> things
silhouettes  what each shape looks like, drawn by hand as 12 x 12 characters
locality     where two pictures differ
documents    which planted defects an interleaved document shows
"""
