"""What is published of UnifiedVisual-240K about each of its nine tasks. A claim about the published dataset is
made from here, and never covers rows or tasks that are not in it.

Sources: arXiv 2509.14738 (how each task is built), the file list and README of `fnlp-vision/UnifiedVisual-240K`
(archives, counts), and the Hub cards of the two imported sets (licences).
"""

from collections.abc import Iterable
from dataclasses import dataclass

UPSTREAM_REPOSITORY = "fnlp-vision/UnifiedVisual-240K"


@dataclass(frozen=True, kw_only=True)
class Published:
    """
    Attributes:
        archive: tarball under `images/`; "" when the task has no pictures.
        rows: as published.
        source: dataset the rows were drawn from; "" = not stated.
        license: of that source, as stated by it; "" = not stated.
        built: how the paper builds it, in one line.
    """

    archive: str
    rows: int
    source: str = ""
    license: str = ""
    built: str


PUBLISHED: dict[str, Published] = {
    "image_generation": Published(
        archive="Image_Generation.tar.gz",
        rows=22_755,
        built="topic and scene, or category and real picture -> implicit instruction -> rationale -> picture",
    ),
    "image_editing": Published(
        archive="Image_Editing.tar.gz",
        rows=9_024,
        built="simple edit prompts rewritten into nuanced instructions; rationales make the objective clear",
    ),
    "image_correction": Published(
        archive="Image_Correctionr.tar.gz",  # the typo is upstream's
        rows=20_000,
        built="find and fix what a picture and a description disagree on; counterfactuals and rationales synthesised",
    ),
    "mm_reasoning_o": Published(
        archive="MMReasoning_O.tar.gz",
        rows=21_000,
        built="the rationale refers back to details of the original input picture",
    ),
    "mm_reasoning_mm": Published(
        archive="MMReasoning_MM.tar.gz",
        rows=17_761,
        built="reasoning over picture and text; style-consistent pictures retrieved by keywords, filtered with CLIP",
    ),
    "mm_reasoning_t": Published(
        archive="MMReasoning_T.tar.gz",
        rows=7_276,
        built="text question whose reasoning needs pictures, synthesised from textual descriptions",
    ),
    "mm_internet": Published(
        archive="MMInternet.tar.gz",
        rows=29_399,
        built="interleaved web documents, filtered by strong VLLMs for coherence and answerability",
    ),
    "llava_cot": Published(
        archive="LLaVA_CoT_subset.tar.gz",
        rows=60_000,
        source="Xkev/LLaVA-CoT-100k",
        license="apache-2.0",
        built="60K rows of LLaVA-CoT-100k; answers carry SUMMARY / CAPTION / REASONING / CONCLUSION tags",
    ),
    "cot_collection": Published(
        archive="",
        rows=60_000,
        source="kaist-ai/CoT-Collection",
        license="conflicting: cc-by-4.0 on its Hub card, non-commercial use only in its repository",
        built="60K rows of CoT-Collection (source, target, rationale)",
    ),
}


def published_rows(tasks: Iterable[str]) -> int:
    """Rows of some tasks as published; a task that is not published has none."""
    return sum(PUBLISHED[task].rows for task in tasks if task in PUBLISHED)
