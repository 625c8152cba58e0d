"""What recipes make of replies, step by step, over HTTP: images that are found, drawn, judged and shown again; hints,
and questions that nobody may answer blind.
"""

import hashlib
import json

import pytest
import yaml

from tests.generation_runs import KEY, http_spec, picture, write_sources, write_spec
from tests.openai_server import OpenAIServer, drawing
from toolkit.errors import UsageError
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.spec_file import parse_spec, read_spec
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.plans import plan, warnings
from toolkit.generation.runs.rows import accepted
from toolkit.generation.runs.samples import row_from_json

SOURCED = ("mm_reasoning_o", "mm_reasoning_mm", "image_generation_category")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    yield server
    server.close()


def scripted(replies, path, body):
    """The reply that a test sets for a step; else the server's own."""
    name = json.loads(body)["response_format"]["json_schema"]["name"] if path == "chat/completions" else ""
    if name not in replies:
        return None
    message = {"role": "assistant", "content": json.dumps(replies[name])}
    return 200, {"choices": [{"message": message}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@pytest.fixture
def make(server, tmp_path):
    """Make the first sample of a recipe: its row and the steps asked, or why there is none."""

    def call(recipe, *, options=None, sourced=False, **replies):
        server.dialect = lambda path, body: scripted(replies, path, body)
        path = http_spec(tmp_path, server.url, {recipe: 1})
        entry = {"n": 1, "options": options or {}}
        if sourced or recipe in SOURCED:
            write_sources(tmp_path, 1, [recipe])
            entry["source"] = f"{recipe}.jsonl"
        spec = read_spec(write_spec(tmp_path, {**yaml.safe_load(path.read_text()), "recipes": {recipe: entry}}))
        folder = tmp_path / hashlib.sha256(repr((entry, replies)).encode()).hexdigest()[:8]
        engine.run(spec, folder)
        (planned,) = plan(spec)
        found = list(accepted(planned, folder, with_rows=True))
        if not found:
            (reason,) = summarise(spec, folder).recipes[recipe].reasons
            return reason
        return row_from_json(found[0].row, Blobs(folder / "blobs"))

    return call


def shape(row):
    """The answer as texts, and "#" for an image."""
    return [part.text or "#" for part in row.messages[-1].content]


def thought(*steps, **last):
    names = {"answer": "blue", "closing": "It is blue."}
    return {"steps": list(steps), **names, **last}


SLOTS = thought(
    {"text": "Look at it.", "keyword": "text 1"},
    {"text": "Think.", "keyword": ""},
    {"text": "Compare.", "keyword": "nowhere"},
)


def test_an_ordinary_question_is_answered_with_images_found_by_keyword(make):
    row = make("mm_reasoning_mm", mm_reason=SLOTS)
    assert shape(row) == ["Look at it.", "#", "Think.", "Compare.", "It is blue."]
    assert row.image_roles == ("input", "intermediate")
    assert row.image_captions[1] == "text 1"
    assert row.images[1].bytes != row.images[0].bytes
    told = json.loads(row.provenance)
    assert (told["keywords"], told["empty"]) == (["text 1", "nowhere"], ["find_pictures: nothing_found"])


@pytest.mark.parametrize(
    ("options", "replies", "reason"),
    [
        ({"min_pictures": 2}, {"mm_reason": SLOTS}, "find_pictures: nothing_found"),
        ({}, {"mm_reason": thought({"text": "Think.", "keyword": " "})}, "mm_reason: no_keyword"),
        ({}, {"mm_reason": SLOTS, "pick_picture": {"choice": 0}}, "pick_picture: none_fits"),
        ({}, {"mm_reason": SLOTS, "second_answer": {"answer": "red"}}, "second_answer: answers_disagree"),
        ({"min_pictures": 2, "max_pictures": 2}, {"mm_reason": thought(SLOTS["steps"][0])}, "mm_reason: few_keywords"),
    ],
)
def test_a_rationale_without_enough_images_is_rejected(make, options, replies, reason):
    assert make("mm_reasoning_mm", options=options, **replies) == reason


def test_an_image_is_shown_once_however_many_keywords_find_it(make):
    twice = thought({"text": "One.", "keyword": "text"}, {"text": "Two.", "keyword": "text"})
    row = make("mm_reasoning_mm", mm_reason=twice)
    assert shape(row) == ["One.", "#", "Two.", "#", "It is blue."]
    assert len({image.bytes for image in row.images}) == 3


def test_a_correction_may_start_from_a_real_image_and_its_caption(make, server):
    row = make("image_correction", sourced=True)
    wrong, _, right = row.images
    assert right.bytes == picture(0)
    assert wrong.bytes != right.bytes
    assert row.image_captions[2] == "Wall 0 with a yellow patch."
    assert "Wall 0 with a yellow patch." in row.instruction
    assert row.license == "CC0-1.0"
    told = json.loads(row.provenance)
    steps = ["picture_matches", "correction_counterfactual", "draw_mistake", "picture_matches", "correction_find"]
    assert [call["step"].partition("@")[0] for call in told["calls"]] == steps
    assert told["route"] == "picture"
    assert make("image_correction", sourced=True, picture_matches={"problem": "no wall", "matches": False}) == (
        "picture_matches: caption_differs"
    )
    assert json.loads(make("image_correction").provenance)["route"] == "topic"


PROPOSED = {
    "caption": "A red door in a white wall.",
    "edit": "Paint the door blue.",
    "target_caption": "A blue door in a white wall.",
}


def test_an_edit_may_start_from_a_topic_and_a_drawn_image(make):
    row = make("image_editing", edit_proposal=PROPOSED)
    drawn = drawing("A red door in a white wall.")
    changed = drawing(f"Paint the door blue. Change nothing else.{hashlib.sha256(drawn).hexdigest()}")
    assert [image.bytes for image in row.images] == [drawn, changed]
    assert row.image_captions == ("A red door in a white wall.", "A blue door in a white wall.")
    assert (row.origin, row.source, row.license) == ("generated", "", "")
    told = json.loads(row.provenance)
    steps = ["edit_proposal", "draw_picture", "picture_matches", "edit_instruction", "draw_edit", "edit_judge"]
    assert [call["step"].partition("@")[0] for call in told["calls"]] == [*steps, "edit_rationale"]
    assert (told["simple"], told["route"], told["input"]) == ("Paint the door blue.", "topic", "drawn")
    assert (told["topic"], told["scene"], told["kind"]) == ("breakfast", "seen from above", "add something")


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"edit_proposal": {**PROPOSED, "target_caption": "A red door, in a white wall!"}}, "nothing_to_change"),
        ({"picture_matches": {"problem": "no door", "matches": False}}, "picture_differs"),
        ({"edit_instruction": {"instruction": "Please, paint the doors blue."}}, "repeats_the_order"),
        ({"edit_judge": {"problem": "-", "is_done": True, "rest_is_unchanged": False}}, "rest_changed"),
    ],
)
def test_an_invented_edit_that_does_not_hold_is_rejected(make, replies, reason):
    assert make("image_editing", **{"edit_proposal": PROPOSED, **replies}).partition(": ")[2] == reason


def test_an_edit_of_a_record_invents_nothing(make):
    row = make("image_editing", sourced=True)
    assert row.images[0].bytes == picture(0)
    told = json.loads(row.provenance)
    steps = ["edit_instruction@1", "draw_edit@1", "edit_judge@1", "edit_rationale@1"]
    assert [call["step"] for call in told["calls"]] == steps
    assert (told["simple"], told.keys() & {"route", "input", "topic"}) == ("Make it 0 times brighter.", set())


def boxes(*found):
    return [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) for box in found]


def test_all_of_an_image_may_be_shown_again_as_it_is(make):
    looks = thought(
        {"text": "First the corner.", "boxes": boxes((0, 0, 0.5, 0.5))},
        {"text": "Then all of it.", "boxes": boxes((0, 0, 1, 1))},
    )
    row = make("mm_reasoning_o", o_reason=looks)
    assert shape(row) == ["First the corner.", "#", "Then all of it.", "#", "It is blue."]
    assert row.images[2].bytes == row.images[0].bytes != row.images[1].bytes
    assert row.image_captions[1:] == ("Detail of the picture", "The picture again")
    narrow = thought({"text": "There.", "boxes": boxes((0, 0, 0.5, 0.5))})
    assert make("mm_reasoning_o", options={"min_box_px": 81}, o_reason=narrow) == "o_reason: box_too_small"  # of 160


def test_a_question_that_is_answered_blind_is_rejected(make):
    assert make("mm_reasoning_o", blind_answer={"can_tell": True, "answer": "Blue."}) == (
        "blind_answer: needs_no_picture"
    )
    assert make("mm_reasoning_o", blind_answer={"can_tell": True, "answer": "red"}).answer == "blue"
    assert make("mm_reasoning_o", blind_answer={"can_tell": False, "answer": "blue"}).answer == "blue"
    assert make("mm_reasoning_t", t_blind={"needs_pictures": False}) == "t_blind: needs_no_pictures"


CHOICE = {"question": "Which of them can swim?", "options": ["A stone", "A duck"], "needs_picture": True}
TWO = [{"picture": "One on a pond.", "text": "it sinks."}, {"picture": "Another on a pond.", "text": "it floats."}]


def test_multiple_choice_goes_option_by_option_and_ends_with_a_fixed_line(make):
    options = {"multiple_choice": 1.0}
    row = make(
        "mm_reasoning_t",
        options=options,
        t_question=CHOICE,
        t_choices={"opening": "I draw both.", "options": TWO, "answer": "B"},
        second_answer={"answer": "(B)"},
    )
    question, first, second = row.instruction.split("\n")
    assert (question, {first[:3], second[:3]}) == ("Which of them can swim?", {"A. ", "B. "})
    named = [first[3:], second[3:]]
    assert sorted(named) == ["A duck", "A stone"]
    last = f"Correct Answer: B. {named[1]}"
    assert shape(row) == ["I draw both.", "#", f"{named[0]}: it sinks.", "#", f"{named[1]}: it floats.", last]
    assert row.answer == f"B. {named[1]}"
    assert row.image_captions == ("One on a pond.", "Another on a pond.")
    assert row.image_roles == ("intermediate", "intermediate")


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"t_question": {**CHOICE, "options": ["A duck", "a duck!"]}}, "t_question: no_real_choice"),
        ({"t_choices": {"opening": "-", "options": TWO, "answer": "C"}}, "t_choices: other_options"),
        ({"t_choices": {"opening": "-", "options": TWO[:1] * 3, "answer": "A"}}, "t_choices: other_options"),
        ({"second_answer": {"answer": "A whale"}}, "second_answer: answers_disagree"),
        ({"picture_matches": {"problem": "no pond", "matches": False}}, "picture_matches: picture_differs"),
    ],
)
def test_multiple_choice_that_does_not_hold_is_rejected(make, replies, reason):
    held = {
        "t_question": CHOICE,
        "t_choices": {"opening": "I draw both.", "options": TWO, "answer": "B"},
        "second_answer": {"answer": "B"},
    }
    assert make("mm_reasoning_t", options={"multiple_choice": 1.0}, **{**held, **replies}) == reason


BRIEF = {
    "caption": "A car by two trees.",
    "named": ["car", "trees"],
    "instruction": "Something for the road, in a park.",
}


@pytest.mark.parametrize(
    ("things", "is_same", "reason"),
    [
        (["cars"], None, ""),  # one of two is the half that is asked for
        (["automobile"], True, ""),
        (["bicycle"], False, "hint_same: cannot_be_guessed"),
    ],
)
def test_what_a_request_hints_at_must_be_named_by_whoever_reads_it_alone(make, server, things, is_same, reason):
    replies = {"hint_same": {"is_same": is_same}} if is_same is not None else {}
    found = make("image_generation_topic", topic_brief=BRIEF, hint_guess={"things": things}, **replies)
    assert (found if reason else "") == reason
    asked = [] if reason else [call["step"] for call in json.loads(found.provenance)["calls"]]
    assert ("hint_same@1" in asked) == bool(is_same)


def test_a_hint_that_names_the_thing_in_another_form_is_rejected(make):
    leaks = {**BRIEF, "named": ["wolf"], "instruction": "A picture of wolves, please."}
    assert make("image_generation_topic", topic_brief=leaks) == "topic_brief: names_it_outright"
    assert (
        make(
            "image_generation_topic",
            topic_brief=BRIEF,
            hint_guess={"things": ["car"]},
            options={"min_guessed": 1.0},
            hint_same={"is_same": False},
        )
        == "hint_same: cannot_be_guessed"
    )


def test_options_that_contradict_each_other_stop_a_run_before_its_first_call(tmp_path):
    options = {"min_pictures": 3, "max_pictures": 2}
    write_sources(tmp_path, 1, ["mm_reasoning_mm"])
    recipe = {"n": 1, "source": str(tmp_path / "mm_reasoning_mm.jsonl"), "options": options}
    server = {"kind": "openai_chat", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    folder = {"kind": "folder", "path": "pool.jsonl"}
    spec = parse_spec({"recipes": {"mm_reasoning_mm": recipe}, "backends": {"all": server, "retrieve": folder}})
    with pytest.raises(UsageError, match="min_pictures is 3; expected at most 2, max_pictures"):
        plan(spec)


def test_a_judge_that_takes_turns_with_the_author_is_said_too():
    models = [{"kind": "openai_chat", "model": name, "base_url": "http://127.0.0.1:9/v1"} for name in "ab"]
    backends = {"all": models[0], "judge": {"mix": models}, "image": {**models[1], "kind": "openai_images"}}
    spec = parse_spec({"recipes": {"image_generation_topic": 1}, "backends": backends})
    (said,) = (each for each in warnings(spec, plan(spec)) if "judges" in each)
    assert said.startswith("recipes.image_generation_topic: a judges what it wrote itself")
