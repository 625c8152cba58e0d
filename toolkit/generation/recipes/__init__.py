"""The framework's recipes, one folder each: recipe, its prompts, its script for the scene engine. The paper's own
prompts and thresholds were not seen by us; these are our reconstruction.

A recipe reads from top to bottom as its steps; each step is a prompt of `prompts/` or a check of `checks`, and may
reject the sample with a reason.
"""

from toolkit.errors import UnknownName, UsageError
from toolkit.generation.recipes.recipe import Recipe
from toolkit.registry import Registry

_HERE = "toolkit.generation.recipes"
RECIPES = Registry(
    "recipes",
    {
        "image_generation_topic": f"{_HERE}.image_generation_topic.recipe:RECIPE",
        "image_generation_category": f"{_HERE}.image_generation_category.recipe:RECIPE",
        "image_editing": f"{_HERE}.image_editing.recipe:RECIPE",
        "image_correction": f"{_HERE}.image_correction.recipe:RECIPE",
        "mm_reasoning_o": f"{_HERE}.mm_reasoning_o.recipe:RECIPE",
        "mm_reasoning_mm": f"{_HERE}.mm_reasoning_mm.recipe:RECIPE",
        "mm_reasoning_t": f"{_HERE}.mm_reasoning_t.recipe:RECIPE",
        "mm_internet": f"{_HERE}.mm_internet.recipe:RECIPE",
        "import_llava_cot": f"{_HERE}.import_llava_cot.recipe:RECIPE",
        "import_cot_collection": f"{_HERE}.import_cot_collection.recipe:RECIPE",
    },
)


def get_recipe(name: str) -> Recipe:
    """
    Raises:
        UnknownName: no such recipe. UsageError: it cannot be loaded, or is no recipe.
    """
    found = RECIPES.load(name)
    if not isinstance(found, Recipe):
        raise UsageError(f"recipe {name!r} is {type(found).__name__}; expected a toolkit.generation.recipes.Recipe")
    try:
        _ = found.row_task
    except UnknownName as error:
        raise UsageError(f"recipe {name!r}: {error}; or set its task to a toolkit.tasks.Task of its own") from error
    return found
