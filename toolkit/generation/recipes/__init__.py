"""The framework's recipes, one file each: name -> `module:RECIPE`. The paper's own prompts and thresholds are not
published; these are our reconstruction.

A recipe reads from top to bottom as its steps; each step is a prompt of `prompts/` or a check of `checks`, and may
reject the sample with a reason.
"""

from importlib import import_module
from typing import Any

from toolkit.errors import UnknownName
from toolkit.generation.recipes.recipe import Recipe

RECIPES: dict[str, str] = {
    "image_generation_topic": "toolkit.generation.recipes.image_generation_topic:RECIPE",
    "image_generation_category": "toolkit.generation.recipes.image_generation_category:RECIPE",
    "image_editing": "toolkit.generation.recipes.image_editing:RECIPE",
    "image_correction": "toolkit.generation.recipes.image_correction:RECIPE",
    "mm_reasoning_o": "toolkit.generation.recipes.mm_reasoning_o:RECIPE",
    "mm_reasoning_mm": "toolkit.generation.recipes.mm_reasoning_mm:RECIPE",
    "mm_reasoning_t": "toolkit.generation.recipes.mm_reasoning_t:RECIPE",
    "mm_internet": "toolkit.generation.recipes.mm_internet:RECIPE",
    "import_llava_cot": "toolkit.generation.recipes.import_llava_cot:RECIPE",
    "import_cot_collection": "toolkit.generation.recipes.import_cot_collection:RECIPE",
}


def get_recipe(name: str) -> Recipe:
    """
    Raises:
        UnknownName: no such recipe.
    """
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    module, _, attribute = RECIPES[name].partition(":")
    recipe: Any = getattr(import_module(module), attribute)
    found: Recipe = recipe
    return found
