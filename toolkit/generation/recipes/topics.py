"""Topics and scenes that recipes start from where no picture is given. The paper's lists were not seen by us; these are
ours, 24 x 12.
"""

from toolkit.generation.recipes.recipe import Context

TOPICS = (
    *(
        "breakfast",
        "gardening",
        "a birthday",
        "travel by train",
        "a rainy day",
        "the sea",
        "a market",
        "music",
        "winter sports",
        "a school day",
    ),
    *(
        "astronomy",
        "a farm",
        "cooking",
        "a picnic",
        "a workshop",
        "city traffic",
        "a harbour",
        "a forest walk",
        "reading",
        "pets",
    ),
    *("a museum", "a wedding", "harvest", "the desert"),
)
SCENES = (
    *(
        "seen from above",
        "early in the morning",
        "at night under lamps",
        "in a small room",
        "on a table",
        "through a window",
    ),
    *(
        "as a child would draw it",
        "in heavy snow",
        "just before it begins",
        "when everybody has left",
        "close up",
        "from far away",
    ),
)
NUM_TOPICS = len(TOPICS) * len(SCENES)


def topic_and_scene(context: Context) -> dict[str, str]:
    """A pair for this sample; every pair comes once before one comes again."""
    number = (context.index * 127 + context.seed) % NUM_TOPICS  # 127 is coprime to 288
    return {"topic": TOPICS[number % len(TOPICS)], "scene": SCENES[number // len(TOPICS)]}
