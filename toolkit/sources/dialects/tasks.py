"""Tasks of what is imported: none of them is of the nine of the paper, or counts as such."""

from typing import Literal

from toolkit.errors import UsageError
from toolkit.tasks import KNOWN_TASKS, TASK_NAME, Task, find_task

CONVERSATION = Task(name="conversation", outputs="last", description="a conversation, also about images")
CAPTIONING = Task(name="captioning", quadrant="mm-text", outputs="none", description="an image and a text about it")
COT_TEXT = Task(
    name="cot_text", quadrant="text-text", outputs="none", description="a text question, reasoning, an answer"
)
COT_VISUAL = Task(
    name="cot_visual", quadrant="mm-text", outputs="none", description="a question about an image, reasoning, an answer"
)
EDIT = Task(name="edit", outputs="last", description="images, an instruction, the edited image")
INTERLEAVED = Task(name="interleaved", outputs="all", description="a document of text and images in turn")
INTERLEAVED_COT = Task(
    name="interleaved_cot", outputs="none", description="a question, reasoning of text and images in turn, an answer"
)
QUESTION_ANSWERING = Task(
    name="question_answering", outputs="none", description="questions, also about images, and answers"
)
TEXT_TO_IMAGE = Task(name="text_to_image", quadrant="text-mm", outputs="all", description="a text and its image")

IMPORTED_TASKS = {
    task.name: task
    for task in (
        CONVERSATION,
        CAPTIONING,
        COT_TEXT,
        COT_VISUAL,
        EDIT,
        INTERLEAVED,
        INTERLEAVED_COT,
        QUESTION_ANSWERING,
        TEXT_TO_IMAGE,
    )
}
Outputs = Literal["last", "all", "none", ""]


def imported_task(name: str, outputs: Outputs = "") -> Task:
    """The task of a name: one that is known or "module:NAME", or else a new one, whose quadrant may differ from row to
    row.

    Args:
        outputs: of a new task: which pictures of an answer are targets; "" = the last.

    Raises:
        UsageError: no name of a task. UnknownName: no such object.
    """
    if name in IMPORTED_TASKS or name in KNOWN_TASKS or ":" in name:
        return IMPORTED_TASKS.get(name) or find_task(name)
    if not TASK_NAME.fullmatch(name):
        raise UsageError(f"task is {name!r}; expected {TASK_NAME.pattern}, or 'module:NAME'")
    return Task(name=name, outputs=outputs or "last")
