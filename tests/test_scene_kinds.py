"""What pictures and questions of the scene engine may be besides square and short: wide, tall, easy, hard."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from toolkit.errors import UnknownName, UsageError
from toolkit.generation.core.protocol import Draw
from toolkit.generation.core.spec_file import parse_spec
from toolkit.generation.runs import engine
from toolkit.generation.runs.plans import plan
from toolkit.generation.runs.rows import accepted
from toolkit.scene.charts import CHART_KINDS, Chart, ask_chart
from toolkit.scene.colours import Rgb
from toolkit.scene.difficulty import LEVELS, level_named
from toolkit.scene.edits import changed_mask, with_thing
from toolkit.scene.gates import flaws
from toolkit.scene.graph import SQUARE, TALL, WIDE, Kind, Scene, Thing
from toolkit.scene.language import caption
from toolkit.scene.programs import run
from toolkit.scene.questions import ask
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.render import crop_box, render
from toolkit.scene.sampler import Look, Wish, sample_scene
from toolkit.scene.streams import Stream
from toolkit.scene.told.chart import DAYS
from toolkit.scene.verify.figures import read_chart
from toolkit.scene.verify.pixels import find_things, read_hidden, read_picture
from toolkit.scene.verify.text import ReadThing, read_caption
from toolkit.scene.verify.text import read_hidden as told_hidden

RED, BLUE, GREEN = Rgb(206, 60, 52), Rgb(66, 118, 188), Rgb(84, 154, 84)
FILLS = {"red": RED, "blue": BLUE, "green": GREEN}


def thing(id, shape, colour, place, x, y, size="medium"):
    r = {"small": 0.045, "medium": 0.08, "large": 0.125}[size]
    return Thing(
        id=id, shape=shape, colour=colour, size=size, pattern="plain", place=place, x=x, y=y, r=r, rgb=FILLS[colour]
    )


# 560 x 448 pixels: 1.25 wide and 1 high.
BROAD = Scene(
    things=(
        thing("t1", "star", "red", "top left", 0.2375, 0.19),
        thing("t2", "heart", "blue", "right", 1.0125, 0.5, "large"),
        thing("t3", "star", "blue", "bottom left", 0.2375, 0.81),
    ),
    background="grid",
    style="storybook",
    canvas=(560, 448),
)


def test_a_wide_picture_is_drawn_and_read_at_its_own_size():
    assert list(flaws(BROAD)) == []
    pixels = render(BROAD)
    assert pixels.shape == (448, 560, 3)
    assert read_picture(pixels).things == (
        ReadThing("large", "plain", "blue", "heart", "right", ""),
        ReadThing("medium", "plain", "blue", "star", "bottom left", ""),
        ReadThing("medium", "plain", "red", "star", "top left", ""),
    )
    assert (read_picture(pixels).background, read_picture(pixels).style) == ("grid", "storybook")
    x0, y0, x1, y1 = find_things(pixels)[0].box
    assert (x0 + x1) / 2 == pytest.approx(0.2375 / 1.25, abs=0.01)  # a box is in fractions of width and height
    assert (y0 + y1) / 2 == pytest.approx(0.19, abs=0.01)
    assert Scene.from_dict(json.loads(json.dumps(BROAD.to_dict()))) == BROAD


def test_a_close_up_of_a_wide_picture_is_in_fractions_of_its_width():
    # 0.08 of the star, 0.0068 of its outline and 0.02 of room to each side of 0.2375; 448 pixels are 1.
    x0, _, x1, _ = crop_box(BROAD, BROAD.things[0])
    assert (round(x0 * 560), round(x1 * 560)) == (58, 58 + 95)


def test_an_edit_of_a_wide_picture_changes_it_where_the_mask_says():
    after = with_thing(BROAD, thing("t2", "heart", "green", "right", 1.0125, 0.5, "large"))
    mask = changed_mask(BROAD, after)
    differs = (render(BROAD) != render(after)).any(axis=2)
    assert mask.shape == (448, 560)
    assert differs.any()
    assert not (differs & ~mask).any()


def test_a_thing_beyond_the_edge_of_a_tall_picture_is_a_flaw():
    tall = Scene(things=BROAD.things, background="plain", style="storybook", canvas=(448, 560))
    assert "t2 is too near the edge" in list(flaws(tall))


@pytest.mark.parametrize("canvas", [SQUARE, *WIDE, *TALL])
def test_pictures_of_every_shape_read_as_drawn(canvas):
    for index in range(6):
        scene = sample_scene(Stream("canvas", index), Wish(look=Look(extra=index % 3, canvas=canvas)))
        seen = read_picture(render(scene))
        assert (seen.style, seen.background) == (scene.style, scene.background)
        assert Counter(each.shape for each in seen.things) == Counter(each.shape for each in scene.things)
        assert Counter(each.place for each in seen.things) == Counter(each.place for each in scene.things)


def traced(scene, *program):
    outcome = run(program, scene)
    return outcome.answer, " ".join(step.text for step in outcome.steps)


def test_programs_of_further_kinds_by_hand():
    star, heart = Kind(shape="star"), Kind(shape="heart")
    assert traced(BROAD, ("select", star), ("difference", heart)) == (
        "1",
        "I count two stars, in the top left and in the bottom left. I count one heart, on the right. Two minus one is "
        "one.",
    )
    assert traced(BROAD, ("select", star), ("other_than", Kind(colour="red"))) == (
        "yes",
        "I find a blue star in the bottom left, which is not red.",
    )
    assert traced(BROAD, ("select", heart), ("other_than", Kind(colour="blue"))) == (
        "no",
        "On the right there is a large blue heart. The only heart is blue.",
    )
    red = Kind(colour="red")
    assert traced(BROAD, ("select", red), ("unique",), ("same", "size", heart)) == (
        "no",
        "The red thing, in the top left, is of medium size. The heart, on the right, is large. So they differ in size.",
    )
    assert traced(BROAD, ("select", red), ("unique",), ("same", "pattern", heart))[0] == "yes"


def test_three_steps_from_a_thing_by_hand():
    things = (
        thing("t1", "star", "red", "top left", 0.19, 0.19),
        thing("t2", "fish", "blue", "top", 0.5, 0.19),
        thing("t3", "moon", "green", "centre", 0.5, 0.5),
        thing("t4", "boat", "blue", "left", 0.19, 0.5),
    )
    scene = Scene(things=things, background="plain", style="storybook")
    way = (("beside", "right_of"), ("beside", "below"), ("beside", "left_of"), ("query_last", "shape"))
    answer, told = traced(scene, ("select", Kind(shape="star")), ("unique",), *way)
    assert answer == "boat"
    assert told.startswith("The star is in the top left. Directly to the right of it there is a blue fish.")


@pytest.mark.parametrize("kind", ["count_many", "difference", "other_than", "same", "long_chain"])
def test_what_is_counted_and_compared_is_balanced_and_seen(kind):
    answers = Counter()
    for index in range(60):
        scene, asked, outcome = ask(Stream("kinds", index), kind, ALL_KINDS)
        assert outcome.answer == asked.choices[asked.target]
        answers[outcome.answer] += 1
        if index < 4:
            seen = Counter((each.colour, each.shape, each.place) for each in read_picture(render(scene)).things)
            assert seen == Counter((each.colour, each.shape, each.place) for each in scene.things)
    assert max(answers.values()) <= 60 / len(asked.choices) + 14


def pair(front_shape, front_colour, back_shape, back_colour):
    """A thing left of the centre and another over its right half."""
    back = thing("t1", back_shape, back_colour, "centre", 0.45, 0.49)
    front = replace(thing("t2", front_shape, front_colour, "centre", 0.54, 0.53), over="t1")
    return Scene(things=(back, front), background="plain", style="storybook")


@pytest.mark.parametrize(
    ("front", "back"),
    [
        (("star", "red"), ("square", "blue")),
        (("circle", "green"), ("heart", "red")),
        (("heart", "red"), ("circle", "green")),
        (("mushroom", "blue"), ("triangle", "green")),
    ],
)
def test_a_thing_partly_hidden_is_read_whole_and_behind(front, back):
    scene = pair(*front, *back)
    assert list(flaws(scene)) == []
    first, second = find_things(render(scene), overlapping=True)
    assert (first.thing.shape, first.thing.colour, first.thing.size) == (*front, "medium")
    assert (second.thing.shape, second.thing.colour, second.thing.size) == (*back, "medium")
    assert (first.hidden_by, second.hidden_by) == ("", f"{front[1]} {front[0]}")
    assert not (first.unsure | second.unsure) & {"hidden", "shape"}
    assert read_hidden(render(scene)) == [(f"{front[1]} {front[0]}", f"{back[1]} {back[0]}")]


def test_what_lies_beside_or_inside_hides_nothing():
    assert read_hidden(render(BROAD)) == []
    inset = replace(thing("t2", "star", "red", "centre", 0.5, 0.5, "small"), inside="t1")
    scene = Scene(
        things=(thing("t1", "circle", "blue", "centre", 0.5, 0.5, "large"), inset),
        background="plain",
        style="storybook",
    )
    assert list(flaws(scene)) == []
    assert read_hidden(render(scene)) == []
    assert [each.inside for each in read_picture(render(scene)).things] == ["", "blue circle"]


def test_overlaps_are_told_and_read_back():
    scene = pair("star", "red", "square", "blue")
    told = caption(scene, Stream("told"))
    assert "blue square partly hidden by a" in told
    assert told_hidden(told) == [("red star", "blue square")]
    assert read_caption(told).things == (
        ReadThing("medium", "plain", "blue", "square", "centre", ""),
        ReadThing("medium", "plain", "red", "star", "centre", ""),
    )


def test_too_little_overlap_is_a_flaw():
    scene = pair("star", "red", "square", "blue")
    far = replace(scene.things[1], x=0.6)
    assert "t2 hides too little or too much of t1" in list(flaws(replace(scene, things=(scene.things[0], far))))


def test_questions_about_what_is_hidden_by_hand():
    scene, star, square = pair("star", "red", "square", "blue"), Kind(shape="star"), Kind(shape="square")
    told = (
        "The square and the star overlap in the centre. The outline of the star is whole, while the square is cut off "
        "where they meet."
    )
    assert traced(scene, ("select", square), ("unique",), ("in_front", star)) == ("the star", told)
    assert traced(scene, ("select", star), ("unique",), ("hides",)) == (
        "square",
        "The star is in the centre. From behind it a blue square sticks out.",
    )
    with pytest.raises(ValueError, match="do not overlap"):
        run((("select", Kind(shape="heart")), ("unique",), ("in_front", Kind(colour="red"))), BROAD)


@pytest.mark.parametrize("kind", ["front", "hides"])
def test_the_verifier_is_right_or_unsure_about_what_is_in_front(kind):
    right, answers = 0, Counter()
    for index in range(30):
        scene, asked, _ = ask(Stream("hidden", index), kind, ALL_KINDS)
        answers[asked.target] += 1
        front = next(each for each in scene.things if each.over)
        back = scene.thing(front.over)
        if index < 15 and (read := read_hidden(render(scene))):
            (pair,) = read
            assert pair[0].split()[0] == front.colour
            assert pair == (f"{front.colour} {front.shape}", f"{back.colour} {back.shape}")
            right += 1
    assert right >= 2
    assert max(answers.values()) <= 30 / len(asked.choices) + 9


def test_charts_are_measured_and_their_questions_hold():
    chart = Chart(amounts=(3, 12, 7, 2, 9), style="comic")
    assert read_chart(chart.draw()) == ([3, 12, 7, 2, 9], -1)
    assert chart.caption == "A bar chart in comic style: Monday 3, Tuesday 12, Wednesday 7, Thursday 2 and Friday 9."
    for kind in CHART_KINDS:
        answers = Counter()
        for index in range(60):
            asked = ask_chart(Stream("chart", index), kind)
            amounts = dict(zip(DAYS, asked.chart.amounts, strict=True))
            days = [day for day in DAYS if day in asked.text]
            if kind == "chart_value":
                assert asked.answer == str(amounts[days[0]])
            if kind == "chart_difference":
                assert int(asked.answer) == abs(amounts[days[0]] - amounts[days[1]]) > 0
            if kind == "chart_highest":
                best = max if "highest" in asked.text else min
                assert asked.answer == best(amounts, key=amounts.get)
            if kind == "chart_above":
                bound = int("".join(sign for sign in asked.text if sign.isdigit()))
                assert int(asked.answer) == sum(amount > bound for amount in amounts.values())
            assert asked.answer in asked.choices
            answers[asked.answer] += 1
            if index < 3:
                assert read_chart(asked.chart.draw())[0] == list(asked.chart.amounts)
        assert max(answers.values()) <= 60 / len(asked.choices) + 14


def test_a_close_up_of_a_bar_shows_that_bar():
    x0, y0, x1, y1 = Chart(amounts=(3, 12, 7, 2, 9), style="comic").box("Tuesday")
    assert [round(512 * each) for each in (x0, y0, x1, y1)] == [150, 54, 234, 478]


def rows_of(difficulty, tmp_path, recipe="mm_reasoning_o", n=3):
    spec = parse_spec({"backends": {"all": {"kind": "procedural", **difficulty}}, "recipes": {recipe: n}})
    engine.run(spec, tmp_path)
    (planned,) = plan(spec)
    known = [json.loads(json.loads(each.row)["provenance"]) for each in accepted(planned, tmp_path, with_rows=True)]
    return planned.key, known


def test_difficulty_of_the_spec_is_in_the_rows(tmp_path):
    easy_key, easy = rows_of({"difficulty": "easy"}, tmp_path / "easy")
    hard_key, hard = rows_of({"difficulty": "hard"}, tmp_path / "hard")
    assert easy_key != hard_key  # a run cannot go on with another
    for known, level in ((easy, "easy"), (hard, "hard")):
        assert {each["scene"]["difficulty"] for each in known} == {level}
        assert {each["scene"]["question"] for each in known} <= {*LEVELS[level].kinds, *LEVELS[level].charts}
        assert all(each["scene"]["read_as_drawn"] for each in known)
    assert {each["scene"]["engine"] for each in hard} == {4}


def test_mixed_draws_a_level_for_each_sample():
    levels = {Draw.of(0, index, "mixed").level for index in range(30)}
    assert levels == {"easy", "medium", "hard"}
    assert Draw.of(0, 7, "hard") == Draw(0, 7, "hard")


def test_harder_pictures_hold_more():
    numbers = [
        sum(len(sample_scene(Stream("hold", index), Wish(look=Look(extra=level.extra))).things) for index in range(20))
        for level in LEVELS.values()
    ]
    assert numbers == sorted(numbers)
    assert numbers[0] < numbers[2]


def test_a_difficulty_that_is_none_is_refused():
    with pytest.raises(UsageError, match="'difficulty' is 'extreme'"):
        plan(
            parse_spec(
                {"backends": {"all": {"kind": "procedural", "difficulty": "extreme"}}, "recipes": {"mm_reasoning_o": 1}}
            )
        )
    with pytest.raises(UnknownName, match="known: easy, hard, medium"):
        level_named("extreme")


def test_a_run_has_one_difficulty():
    mix = [{"weight": 1, "kind": "procedural", "difficulty": level} for level in ("easy", "hard")]
    with pytest.raises(UsageError, match="a run has one difficulty"):
        parse_spec({"backends": {"all": {"mix": mix}}, "recipes": {"mm_reasoning_o": 1}})
