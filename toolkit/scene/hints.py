"""Ways to mean a shape, a colour or a style without naming it, for instructions that have to be thought about."""

SHAPE_HINTS = {
    "circle": "the shape that has no corners at all and rolls like a wheel",
    "square": "the shape with four equal sides and four right angles",
    "triangle": "the shape with three corners",
    "diamond": "the shape of a kite in the sky",
    "star": "the shape with five sharp points",
    "heart": "the sign people send on Valentine's Day",
    "cross": "the sign that stands for plus",
    "moon": "the light that waxes and wanes in the night sky",
    "flower": "what bees visit for nectar",
    "crown": "what a king wears on his head",
    "house": "a place people live in",
    "fish": "an animal that breathes through gills",
    "boat": "something that sails on water",
    "tree": "the plant that birds build nests in",
    "mushroom": "what grows with a cap and a stem on damp forest floors",
}
COLOUR_HINTS = {
    "red": "the colour of ripe tomatoes",
    "orange": "the colour of carrots",
    "yellow": "the colour of lemons",
    "green": "the colour of fresh grass",
    "blue": "the colour of a clear sky",
    "purple": "the colour of ripe plums",
    "pink": "the colour of flamingos",
    "brown": "the colour of milk chocolate",
}
STYLE_HINTS = {
    "storybook": "like a page in an old picture book",
    "comic": "like a panel in a newspaper strip, with bold black lines",
    "pastel": "in soft, pale colours",
    "chalkboard": "as if a teacher had drawn it at the front of a classroom",
    "neon": "glowing like shop signs at night",
    "blueprint": "like an engineer's plan, with light lines on dark paper",
    "sticker": "as if everything had been cut out with a white rim and stuck on",
}
# What a picture may be for; the paper's topics were not seen by us, these are ours.
OCCASIONS = (
    "a notebook cover",
    "a birthday invitation",
    "a memory game for toddlers",
    "a waiting room poster",
    "a bookmark",
    "a recipe card",
    "a page of a counting book",
    "a poster for a summer fair",
    "a luggage tag",
    "a toy box lid",
)
# Topics that have nothing to do with pictures, for passages planted in documents.
OFF_TOPIC = (
    "Bus fares will rise by ten cents in March, and weekly tickets will be sold online only.",
    "The committee approved the minutes of the last meeting and moved on to the budget.",
    "Rinse the lentils, cover them with cold water and simmer for twenty minutes.",
    "After a goalless first half, the visitors scored twice within five minutes.",
    "The printer driver must be updated before the new cartridges are recognised.",
    "Flights to the islands resume on Thursday if the wind drops as forecast.",
)
