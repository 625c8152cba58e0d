"""The nine tasks, one entry each, and what is published about them.

Sources: arXiv 2509.14738 (tasks, families, quadrants, how each is built), the file list and README of
`fnlp-vision/UnifiedVisual-240K` (archives, counts), and the Hub cards of the two imported sets (licences). Adding an
entry here adds its config.
"""

from dataclasses import dataclass
from typing import Literal

from toolkit.errors import UnknownName

UPSTREAM_REPOSITORY = "fnlp-vision/UnifiedVisual-240K"
NOT_STATED = "not stated"

# Input modality -> output modality; "mm" means that pictures take part.
QUADRANTS = ("mm-mm", "mm-text", "text-mm", "text-text")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the paper.

    Attributes:
        name: config name and value of the `task` column.
        prefix: start of every id of the task.
        family: the paper's grouping.
        quadrant: as published; a row's own `quadrant` column is computed from the row.
        archive: upstream tarball under `images/`; "" when the task has no pictures.
        published_rows: rows as published.
        source: dataset the rows were drawn from; "" = not stated.
        license: of that source, as stated by it; "" = not stated.
        outputs: which pictures of an answer are targets (`output`); the others are part of a rationale
            (`intermediate`).
        built: how the paper builds it, in one line.
    """

    name: str
    prefix: str
    family: str
    quadrant: str
    archive: str
    published_rows: int
    source: str = ""
    license: str = ""
    outputs: Literal["last", "all", "none"]
    built: str


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="image_generation",
            prefix="ig",
            family="visual_generation",
            quadrant="text-mm",
            archive="Image_Generation.tar.gz",
            published_rows=22_755,
            outputs="last",
            built="topic and scene, or category and real picture -> implicit instruction -> rationale -> picture",
        ),
        Task(
            name="image_editing",
            prefix="ie",
            family="visual_generation",
            quadrant="mm-mm",
            archive="Image_Editing.tar.gz",
            published_rows=9_024,
            outputs="last",
            built="simple edit prompts rewritten into nuanced instructions; rationales make the objective clear",
        ),
        Task(
            name="image_correction",
            prefix="ic",
            family="visual_generation",
            quadrant="mm-mm",
            archive="Image_Correctionr.tar.gz",  # the typo is upstream's
            published_rows=20_000,
            outputs="last",
            built=(
                "find and mend what a picture and a description disagree on; counterfactuals and rationales synthesised"
            ),
        ),
        Task(
            name="mm_reasoning_o",
            prefix="mro",
            family="multimodal_reasoning",
            quadrant="mm-mm",
            archive="MMReasoning_O.tar.gz",
            published_rows=21_000,
            outputs="none",
            built="the rationale refers back to details of the original input picture",
        ),
        Task(
            name="mm_reasoning_mm",
            prefix="mrm",
            family="multimodal_reasoning",
            quadrant="mm-mm",
            archive="MMReasoning_MM.tar.gz",
            published_rows=17_761,
            outputs="none",
            built=(
                "reasoning over picture and text; style-consistent pictures retrieved by keywords, filtered with CLIP"
            ),
        ),
        Task(
            name="mm_reasoning_t",
            prefix="mrt",
            family="multimodal_reasoning",
            quadrant="text-mm",
            archive="MMReasoning_T.tar.gz",
            published_rows=7_276,
            outputs="none",
            built="text question whose reasoning needs pictures, synthesised from textual descriptions",
        ),
        Task(
            name="mm_internet",
            prefix="mi",
            family="multimodal_internet",
            quadrant="text-mm",
            archive="MMInternet.tar.gz",
            published_rows=29_399,
            outputs="all",
            built="interleaved web documents, filtered by strong VLLMs for coherence and answerability",
        ),
        Task(
            name="llava_cot",
            prefix="lc",
            family="understanding",
            quadrant="mm-text",
            archive="LLaVA_CoT_subset.tar.gz",
            published_rows=60_000,
            source="Xkev/LLaVA-CoT-100k",
            license="apache-2.0",
            outputs="none",
            built="60K rows of LLaVA-CoT-100k; answers carry SUMMARY / CAPTION / REASONING / CONCLUSION tags",
        ),
        Task(
            name="cot_collection",
            prefix="cc",
            family="understanding",
            quadrant="text-text",
            archive="",
            published_rows=60_000,
            source="kaist-ai/CoT-Collection",
            license="conflicting: cc-by-4.0 on its Hub card, non-commercial use only in its repository",
            outputs="none",
            built="60K rows of CoT-Collection (source, target, rationale)",
        ),
    )
}

FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(t.name for t in TASKS.values() if t.family == family)
    for family in {t.family: None for t in TASKS.values()}
}

# Config name -> its tasks. A family of one task is that task's own config.
CONFIGS: dict[str, tuple[str, ...]] = {
    "all": tuple(TASKS),
    **{family: names for family, names in FAMILIES.items() if len(names) > 1},
    **{name: (name,) for name in TASKS},
}


def tasks_of(config: str) -> tuple[str, ...]:
    """Names of the tasks a config holds, in table order.

    Raises:
        UnknownName: no such config; lists the known ones.
    """
    if config not in CONFIGS:
        raise UnknownName("config", config, CONFIGS)
    return CONFIGS[config]
