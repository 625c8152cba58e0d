"""A second opinion: reads texts and pixels back, with no code of the engine it checks.

text         caption -> graph
pixels       picture -> things, and which of their attributes are near another name
colours      pixels -> names of colours
overlaps     two things that touch -> which is in front, and what the other is
patterns     stripes, dots, or neither
writing      letters and digits -> a word
ground       what belongs to the background of a picture, and what stands on it
regions      connected regions of a mask
silhouettes  what each shape looks like, drawn by hand as 12 x 12 characters
locality     where two pictures differ
figures      drawings of told problems -> amounts, times, squares, orders
documents    which planted defects an interleaved document shows
"""
