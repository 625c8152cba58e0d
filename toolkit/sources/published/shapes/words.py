"""What names say: the task, and the use of a column."""

import re
from functools import lru_cache

from toolkit.published import PUBLISHED

# Names under which published vision-language sets keep each thing. The first line of a use is telling: two such columns
# in one table are an ambiguity. The second line is taken only where nothing of the first is there.
COLUMN_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "id": (("id", "uid", "uuid", "sample_id", "question_id"), ("key", "index", "idx")),
    "system": (("system", "system_prompt"), ()),
    "context": (("context", "passage", "background"), ()),
    "prompt": (
        ("prompt", "instruction", "question", "query", "problem", "edit_prompt", "edit_instruction"),
        ("input", "source", "user", "request"),
    ),
    "input": (("input",), ()),
    "choices": (("choices", "options"), ()),
    "hint": (("hint", "hints"), ()),
    "rationale": (
        ("rationale", "reasoning", "cot", "chain_of_thought", "thought", "thoughts", "thinking"),
        ("reason", "explanation", "analysis"),
    ),
    "answer": (
        ("answer", "response", "completion", "solution"),
        ("output", "target", "reply", "conclusion", "assistant", "result"),
    ),
    "captions": (("image_captions", "captions", "image_prompts", "alt_texts"), ()),
}
# Keys of a turn, and of a question and its answer.
ROLE_KEYS, CONTENT_KEYS = ("from", "role"), ("value", "content", "text")
PAIR_KEYS = (
    ("user", "assistant"),
    ("question", "answer"),
    ("human", "gpt"),
    ("prompt", "response"),
    ("instruction", "output"),
)
TASK_COLUMNS = ("task", "task_name", "task_type", "type", "kind", "category", "subset", "config", "subtask")
PROMPT_SIDE = frozenset(
    (
        *("input", "source", "src", "original", "before", "question", "prompt", "query"),
        *("wrong", "incorrect", "reference", "user", "in"),
    )
)
ANSWER_SIDE = frozenset(
    (
        *("output", "target", "tgt", "edited", "result", "after", "answer", "response"),
        *("corrected", "correct", "generated", "assistant", "out"),
    )
)
IMAGE_WORDS = frozenset(("image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo", "photos"))
PATH_WORDS = frozenset(
    (
        *("path", "paths", "file", "files", "filename", "filenames", "name", "names", "list"),
        *("url", "urls", "bytes", "base64", "data"),
    )
)


@lru_cache(maxsize=4096)
@lru_cache(maxsize=4096)
def squash(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


# Every spelling of a task, squashed: its name and the stem of its archive.
ALIASES = {
    squash(alias): name
    for name, published in PUBLISHED.items()
    for alias in (name, published.archive.partition(".")[0])
    if alias
}
ALIASES["imagecorrection"] = "image_correction"
MAX_ALIAS_WORDS = 4


@lru_cache(maxsize=4096)
def task_named_in(text: str) -> str:
    """The task whose name, or whose archive's name, occurs as whole words in a path or a value; "" if none.

    The longest name wins: "MMReasoning_MM/3.png" is mm_reasoning_mm.
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    spans = (
        squash("".join(words[i:j]))
        for i in range(len(words))
        for j in range(i + 1, min(i + MAX_ALIAS_WORDS, len(words)) + 1)
    )
    return ALIASES.get(max((span for span in spans if span in ALIASES), key=len, default=""), "")


def words_of(column: str) -> list[str]:
    """ "data.sourceImage_1" -> ["source", "image"]: of the last name of a dotted column, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column.rpartition(".")[2])]


def side_of(column: str) -> str:
    """The use of a column of pictures: "prompt_images", "answer_images", or "images" where its name tells no side."""
    words = set(words_of(column))
    is_prompt, is_answer = bool(words & PROMPT_SIDE), bool(words & ANSWER_SIDE)
    if is_prompt == is_answer:
        return "images"
    return "prompt_images" if is_prompt else "answer_images"


def names_pictures(column: str) -> bool:
    """Whether a name is that of pictures, and not of something about them (image_width, image_caption)."""
    words = words_of(column)
    while words and words[-1] in PATH_WORDS:
        words.pop()
    return bool(words) and words[-1] in IMAGE_WORDS


def are_keys_of_turns(keys: frozenset[str]) -> bool:
    """Whether keys are those of turns, or of questions and answers."""
    is_turn = not keys.isdisjoint(ROLE_KEYS) and not keys.isdisjoint(CONTENT_KEYS)
    return is_turn or any(keys >= set(pair) for pair in PAIR_KEYS)


def stem_and_number(column: str) -> tuple[str, int]:
    """ "image_2" -> ("image_", 2); ("image", -1) where no number ends the name."""
    match = re.fullmatch(r"(.*?)(\d{1,4})", column)
    return (match[1], int(match[2])) if match else (column, -1)
