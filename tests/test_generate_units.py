"""The small parts of generation: replies, checks, prices, waits, journal, prompts."""

import asyncio
import hashlib
import sqlite3

import pytest

from tests.generation_runs import picture, prompt_files
from toolkit.cli import generate_app
from toolkit.errors import RunStopped, UsageError
from toolkit.generation import backends
from toolkit.generation.backends import BACKENDS, open_backend
from toolkit.generation.calls.sending import pause_s
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.prompting import read_prompt
from toolkit.generation.core.replies import KEYWORDS, ReplyProblem, parse_reply
from toolkit.generation.core.spec import BackendSpec
from toolkit.generation.core.topics import Topics, read_topics
from toolkit.generation.journal import Journal
from toolkit.generation.recipes import RECIPES, checks, get_recipe
from toolkit.generation.recipes.answers import same_answer
from toolkit.generation.recipes.recipe import SAFETY_PROMPT, Rejected
from toolkit.generation.runs.topics import PROMPT as EXPAND_PROMPT
from toolkit.generation.runs.topics import all_of
from toolkit.tasks import TASKS

# A released prompt is never changed: add name@2 instead. (Rows and cached calls name prompts by these hashes.)
PROMPTS = {
    "blind_answer@1": "866b5e6979664d5c",
    "category_brief@1": "519a6d5642462f8f",
    "correction_counterfactual@1": "144abe49c555d4c8",
    "correction_description@1": "13d8357b8e41d6d4",
    "correction_find@1": "1ed8fe3f5606c637",
    "draw_correction@1": "515f7647d3dcd7ec",
    "draw_edit@1": "812120b14b97cf6d",
    "draw_mistake@1": "3ec1e31fc3c0f7d8",
    "draw_picture@1": "97dc1284fcd08595",
    "edit_instruction@1": "f743e4cbfeb9cdf2",
    "edit_judge@1": "53db4725ff689595",
    "edit_proposal@1": "82bb4dd71612255b",
    "edit_rationale@1": "6eb7fc08695a735d",
    "expand_topic@1": "bdd7923c5a25814f",
    "find_pictures@1": "12243fe7f79d3fbf",
    "hint_guess@1": "2a55564eb51b64b6",
    "hint_same@1": "24909ca14ba8aa10",
    "internet_blind@1": "0b1d4fcc49cb0f84",
    "internet_judge@1": "102bdc7f6f89635b",
    "internet_question@1": "e8485ac2656cb175",
    "mm_question@1": "06b5d91943489e95",
    "mm_reason@2": "0b8f9e5fc9c71401",
    "o_question@1": "031ae5a3b6793bb0",
    "o_reason@2": "bfe45461a8df147a",
    "pick_picture@1": "f86bcc07f28795f2",
    "picture_matches@1": "7db320931c1949f7",
    "picture_rationale@1": "c75022f70f2bd4b5",
    "safety@1": "714f01800ff97adb",
    "second_answer@1": "7d81334dbffb4a92",
    "t_blind@1": "c91d989160fbdcc1",
    "t_choices@1": "ca6ad856b1cf6172",
    "t_question@2": "6c2fb539d00ba3fc",
    "t_reason@1": "7f80a7f8948dad9f",
    "topic_brief@1": "67aae7e6bfc174ac",
}

SCHEMA = {
    "type": "object",
    "required": ["answer", "boxes"],
    "additionalProperties": False,
    "properties": {
        "answer": {"type": "string", "minLength": 1},
        "boxes": {"type": "array", "maxItems": 2, "items": {"type": "number", "minimum": 0, "maximum": 1}},
    },
}


@pytest.mark.parametrize("text", ['{"answer": "a", "boxes": [0, 1]}', '```json\n{"answer": "a", "boxes": [0, 1]}\n```'])
def test_replies_that_fit_are_read(text):
    assert parse_reply(text, SCHEMA) == {"answer": "a", "boxes": [0, 1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"answer": "a", "bo', "not JSON"),
        ("[1]", r"reply is \[1\]; expected object"),
        ('{"answer": "a"}', "reply has no 'boxes'"),
        ('{"answer": " ", "boxes": []}', "reply.answer has 0 characters; expected at least 1"),
        ('{"answer": "a", "boxes": [true]}', r"reply.boxes\[0\] is True; expected number"),
        ('{"answer": "a", "boxes": [1.5]}', r"reply.boxes\[0\] is 1.5; expected 0 to 1"),
        ('{"answer": "a", "boxes": [0, 0, 0]}', "reply.boxes has 3 items; expected 0 to 2"),
        ('{"answer": "a", "boxes": [], "more": 1}', "'more', which is not asked for"),
    ],
)
def test_replies_that_do_not_fit_say_where(text, message):
    with pytest.raises(ReplyProblem, match=message):
        parse_reply(text, SCHEMA)


def test_released_prompts_do_not_change():
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in prompt_files().items()}
    assert found == PROMPTS


@pytest.mark.parametrize("name", PROMPTS)
def test_prompt_schemas_use_known_keywords_only(name):
    def walk(schema):
        assert set(schema) <= KEYWORDS
        for value in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            walk(value)

    prompt = read_prompt(prompt_files()[name])
    if prompt.kind == "chat":
        walk(prompt.schema)


def test_every_prompt_is_used_and_every_recipe_is_what_its_entry_says():
    recipes = {name: get_recipe(name) for name in RECIPES.own}
    assert {asked for recipe in recipes.values() for asked in recipe.prompts} == set(PROMPTS) - {
        SAFETY_PROMPT,
        EXPAND_PROMPT,
    }
    assert all(recipe.name == name and recipe.task in TASKS for name, recipe in recipes.items())
    assert {recipe.task for recipe in recipes.values()} == set(TASKS)


@pytest.mark.parametrize("kind", BACKENDS.own)
def test_backends_are_described_and_refuse_options_they_do_not_know(kind, tmp_path):
    assert f"\n{kind} " in (backends.__doc__ or "")
    assert kind in " ".join((generate_app.run.__doc__ or "").split())
    with pytest.raises(UsageError, match="nonsense"):
        open_backend(BackendSpec(kind=kind, options={"nonsense": 1}), tmp_path)


def test_a_prompt_without_a_value_says_so():
    with pytest.raises(ValueError, match=r"draw_edit@1: no value for \['edit'\]"):
        read_prompt(prompt_files()["draw_edit@1"]).fill({})


def test_values_with_braces_are_put_in_as_they_are():
    assert read_prompt(prompt_files()["draw_edit@1"]).fill({"edit": "Add {x}."}) == "Add {x}. Change nothing else."


@pytest.mark.parametrize("topics", [Topics(), Topics(topics=("a", "b", "c"), scenes=("d",)), Topics(topics=("a",))])
def test_every_pair_of_topic_and_scene_comes_once_before_one_comes_again(topics):
    pairs = {tuple(topics.pair(index, 7).values()) for index in range(len(topics))}
    assert len(pairs) == len(topics) == len(topics.topics) * len(topics.scenes)


def test_a_tree_of_topics_is_read_as_its_leaves(tmp_path):
    path = tmp_path / "topics.yaml"
    path.write_text("{topics: {sport: {on ice: [curling, hockey]}, cooking: null}, scenes: [at dawn]}")
    found = read_topics(path)
    assert found.topics == ("sport: on ice: curling", "sport: on ice: hockey", "cooking")
    assert found.scenes == ("at dawn",)
    path.with_suffix(".txt").write_text("\ufeffmoss\n\nold ponds\n", encoding="utf-8")
    assert read_topics(path.with_suffix(".txt")).topics == ("moss", "old ponds")
    path.write_text("moss\nold ponds")
    with pytest.raises(UsageError, match="is one text, 'moss old ponds'; expected a list or a tree"):
        read_topics(path)
    path.write_text("[1, '']")
    with pytest.raises(UsageError, match="'' is no topic"):
        read_topics(path)


def test_pauses_double_under_full_jitter_and_obey_the_server():
    assert [pause_s(attempt, None, lambda: 1.0) for attempt in (1, 2, 3, 20)] == [1.0, 2.0, 4.0, 60.0]
    assert pause_s(3, None, lambda: 0.0) == 0
    assert pause_s(1, 7.5, lambda: 1.0) == 7.5
    assert pause_s(1, 100.0, lambda: 1.0) == 100.0
    assert [pause_s(attempt, 0.0, lambda: 1.0) for attempt in (1, 3, 4, 20)] == [
        0.0,
        0.0,
        8.0,
        60.0,
    ]  # believed for a while


def good_page(texts, pictures, **bounds):
    checks.good_document("s", texts, pictures, checks.DocumentOptions(**bounds))


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (lambda: checks.names_none_of("s", "leaks", "Show the Red-Pyramid now", ["red pyramid"]), "leaks"),
        (lambda: checks.names_one_of("s", "missing", "three stars", ["moon"]), "missing"),
        (lambda: checks.agree("s", "The star.", "a moon"), "answers_disagree"),
        (lambda: checks.good_box("s", {"x0": 0.5, "y0": 0, "x1": 0.4, "y1": 1}, picture(1)), "box_too_small"),
        (lambda: good_page(["one two three four five six seven eight nine ten"], []), "too_few_images"),
        (lambda: good_page(["too short"], [picture(1)]), "short_text"),
        (lambda: good_page(["one two three four five", "six seven eight nine ten"], [b"<html>"]), "bad_image"),
        (lambda: good_page(["again and again " * 30], [picture(1)]), "repeats_itself"),
        (lambda: good_page(["A page says a good many things."] * 2, [picture(1)], max_words=13), "long_document"),
        (lambda: good_page(["A page says a good many things."] * 2, [picture(1)], min_side_px=161), "small_image"),
    ],
)
def test_checks_reject_with_their_reason(check, reason):
    with pytest.raises(Rejected) as error:
        check()
    assert (error.value.step, error.value.reason) == ("s", reason)


def test_checks_pass_what_is_good():
    checks.names_none_of("s", "leaks", "a reddish pyramid", ["red pyramid"])
    checks.names_one_of("s", "missing", "three stars", ["star"])
    plurals = [("stars", "star"), ("berries", "berry"), ("crosses", "cross"), ("boxes", "box"), ("glass", "glass")]
    plurals += [("wolves", "wolf"), ("mice", "mouse"), ("children", "child"), ("geese", "goose"), ("ran", "running")]
    for many, one in plurals:
        assert checks.has_phrase(f"Two red {many} here", f"red {one}")
        assert checks.has_phrase(f"A red {one} here", f"red {many}")
    checks.agree("s", "The star.", "a Star")
    good_page(["A page says a good many things.", "And here it ends."], [picture(1)])
    assert checks.same_pixels(picture(1), picture(1))
    assert not checks.same_pixels(picture(1), picture(2))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Five.", "5", True),
        ("-5", "5", False),
        ("minus five", "-5", True),
        ("1,000 g", "1000 grams", True),
        ("5 cm", "5 m", False),
        ("5 cm", "5", True),
        ("0.5", "1/2", True),
        ("$3.50", "3.5 dollars", True),
        ("50 %", "50 percent", True),
        ("50%", "50", True),
        ("(B)", "B. A blue star", True),
        ("B", "C. A blue star", False),
        ("Answer: A", "a", True),
        ("option B", "(b)", True),
        ("Yes, it is.", "yes", True),
        ("No", "yes", False),
        ("no", "0", False),
        ("9:05", "9:50", False),
        ("three stars", "3 stars", True),
        ("three stars", "three moons", False),
        ("a blue star", "The blue star!", True),
        ("A", "a star", False),
        ("the first from the left", "the last", False),
    ],
)
def test_answers_are_compared_as_answers(one, other, is_same):
    assert same_answer(one, other) is same_answer(other, one) is is_same


def test_repetition_by_hand():
    assert checks.repetition("abcdefghijkl") == 0
    assert checks.repetition("a" * 20) == 1


def test_blobs_are_named_by_their_sha256_and_written_once(tmp_path):
    blobs, content = Blobs(tmp_path), picture(1)
    blob = blobs.put(content)
    assert blob == Blob(hashlib.sha256(content).hexdigest(), "png")
    path = tmp_path / blob.sha256[:2] / f"{blob.sha256}.png"
    before = path.stat().st_mtime_ns
    assert blobs.put(content) == blob
    assert path.stat().st_mtime_ns == before
    assert blobs.read(blob) == content


def test_writers_share_commits_and_each_is_all_or_nothing(tmp_path):
    insert = "INSERT INTO samples (id, recipe, idx, state) VALUES (?, 'r', ?, 'ok')"

    async def write():
        journal = Journal(tmp_path / "j.sqlite3")
        await asyncio.gather(*(journal.write((insert, (str(number), number))) for number in range(200)))
        journal.close()

    asyncio.run(write())
    db = sqlite3.connect(tmp_path / "j.sqlite3")
    assert db.execute("SELECT count(*), sum(idx) FROM samples").fetchone() == (200, 19900)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_where_one_question_about_topics_fails_the_others_have_ended():
    ended = []

    async def answer():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)
        return ["never"]

    async def fail():
        await asyncio.sleep(0.01)
        raise RunStopped("no")

    with pytest.raises(RunStopped, match="no"):
        asyncio.run(all_of([answer(), fail(), answer()]))
    assert ended == [True, True]
    assert asyncio.run(all_of([asyncio.sleep(0.01, ["a"]), asyncio.sleep(0, ["b"])])) == [["a"], ["b"]]
