"""Questions, edits, counterfactuals, told problems and documents."""

import re
from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest

from toolkit.scene.briefs import sample_brief
from toolkit.scene.colours import COLOURS
from toolkit.scene.defects import DEFECTS, sample_defect
from toolkit.scene.documents import DEFECT_KINDS, sample_document
from toolkit.scene.edits import EDITS, changed, changed_mask, sample_edit
from toolkit.scene.gates import flaws
from toolkit.scene.graph import said
from toolkit.scene.questions import KINDS, ask
from toolkit.scene.render import render
from toolkit.scene.retrieval import sample_retrieval
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES
from toolkit.scene.told import PROBLEMS, sample_problem
from toolkit.scene.told.chart import DAYS
from toolkit.scene.told.choices import choices_of
from toolkit.scene.verify.documents import find_defects
from toolkit.scene.verify.figures import read_board, read_chart, read_clock, read_row
from toolkit.scene.verify.locality import change
from toolkit.scene.verify.pixels import read_picture


def told(scene):
    return sorted(tuple(said(scene, thing)) for thing in scene.things)


def seen(scene):
    return sorted(tuple(thing) for thing in read_picture(render(scene)).things)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_balanced_and_right(kind):
    targets = Counter()
    for index in range(150):
        _, question, outcome = ask(Stream("ask", index), kind)
        assert outcome.answer == question.choices[question.target]
        assert outcome.steps[-1].text.endswith(".")
        targets[question.target] += 1
    assert max(targets.values()) / 150 < 1 / len(question.choices) + 0.12


def test_count_agrees_with_the_picture():
    for index in range(20):
        scene, question, outcome = ask(Stream("count", index), "count")
        wanted = question.program[0][1].named()
        found = [
            thing
            for thing in read_picture(render(scene)).things
            if all(getattr(thing, name) == value for name, value in wanted.items())
        ]
        assert outcome.answer == str(len(found))


@pytest.mark.parametrize("kind", EDITS)
def test_edits_change_only_what_their_mask_covers(kind):
    for index in range(6):
        edit = sample_edit(Stream("edit", index), kind)
        found = change(render(edit.before), render(edit.after), changed_mask(edit.before, edit.after))
        assert found.outside == 0 < found.inside
        assert not list(flaws(edit.after))
        assert changed(edit.before, edit.after)
        assert edit.simple.rstrip(".").lower() not in edit.nuanced.lower()


def test_no_rationale_of_an_edit_says_that_what_is_somewhere_is_there():
    told = [
        step.text
        for index in range(60)
        for step in sample_edit(Stream("said", index), tuple(EDITS)[index % len(EDITS)]).steps
    ]
    assert not [text for text in told if re.search(r"((?:in|at|on) the [a-z ]+) is \1", text)]


def test_locality_counts_pixels_on_either_side():
    before, after = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    after[0, 0], after[1, 1, 2] = 9, 1
    assert change(before, after, np.array([[True, False], [False, False]])) == (1, 1)


@pytest.mark.parametrize("kind", DEFECTS)
def test_spoilt_pictures_show_the_wrong_graph(kind):
    for index in range(4):
        defect = sample_defect(Stream("defect", index), kind)
        assert seen(defect.wrong) == told(defect.wrong) != told(defect.right)


def test_briefs_name_no_shape_colour_or_style():
    for index in range(100):
        words = set(
            sample_brief(Stream("brief", index)).instruction.lower().replace(",", " ").replace(".", " ").split()
        )
        assert not words & {*SHAPES, *COLOURS, *STYLES}


@pytest.mark.parametrize("kind", ["count", "exist", "relation", "chain"])
def test_retrieval_has_one_match_for_each_keyword(kind):
    for index in range(3):
        found = sample_retrieval(Stream("retrieval", index), kind)
        assert found.slots
        for slot in found.slots:
            labels = [candidate.has_style and candidate.has_keyword for candidate in slot.pool]
            assert labels.count(True) == 1
            for candidate in slot.pool[:3]:
                read = read_picture(render(candidate.scene))
                assert candidate.has_style == (read.style == found.query.style)
                assert candidate.has_keyword == any(thing.shape == slot.keyword for thing in read.things)


def test_row_clues_leave_one_order():
    for index in range(30):
        problem = sample_problem(Stream("row", index), "row")
        head, *clues = problem.question.split(". ")
        names = [item.split()[-1] for item in head.split(": ")[1].replace(" and ", ", ").split(", ")]
        fits = [order for order in permutations(names) if all(_clue_holds(clue, order) for clue in clues[:-1])]
        assert fits == [tuple(problem.facts["order"])]


def _clue_holds(clue, order):
    at = [order.index(word.strip(".")) for word in clue.split() if word.strip(".") in order]
    if "directly" in clue:
        return at[1] - at[0] == 1
    if "somewhere" in clue:
        return at[1] > at[0]
    return abs(at[1] - at[0]) > 1 if "not next" in clue else at[0] in (0, 3)


def test_path_ends_where_the_words_lead():
    ways, numbers = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}, {"one": 1, "two": 2, "three": 3}
    for index in range(30):
        problem = sample_problem(Stream("path", index), "path")
        start = problem.question.split("square ")[1][:2]
        column, row = "ABCDE".index(start[0]), int(start[1])
        words = problem.question.split("It moves ")[1].split(". On")[0].replace(",", "").split()
        for number, way in zip([w for w in words if w in numbers], [w for w in words if w in ways], strict=True):
            column, row = column + numbers[number] * ways[way][0], row + numbers[number] * ways[way][1]
        assert problem.answer == f"{'ABCDE'[column]}{row}"


def test_clock_adds_up():
    for index in range(30):
        problem = sample_problem(Stream("clock", index), "clock")
        start, _, end = problem.facts["minutes"]
        words = problem.question.split("?")[0].replace(".", "").split()
        hours, minutes = (
            [int(word) for word, unit in pairwise(words) if unit.startswith(name)] for name in ("hour", "minute")
        )
        assert (start + 60 * sum(hours) + sum(minutes)) % 720 == end


@pytest.mark.parametrize("kind", PROBLEMS)
def test_told_problems_have_drawings_in_their_rationale(kind):
    problem = sample_problem(Stream("told"), kind)
    pictures = [thought.drawing.draw() for thought in problem.thoughts if thought.drawing]
    assert pictures
    assert all(picture.shape == (512, 512, 3) and picture.std() > 5 for picture in pictures)


@pytest.mark.parametrize("planted", ["", *DEFECT_KINDS])
def test_planted_document_defects_are_found_and_no_others(planted):
    for index in range(4):
        document = sample_document(Stream("document", index), planted)
        assert document.defect == planted
        assert find_defects(
            document.question, [(p.text, render(p.scene) if p.scene else None) for p in document.passages]
        ) == ({planted} if planted else set())


@pytest.mark.parametrize("kind", PROBLEMS)
def test_choices_hold_the_answer_anywhere_and_their_drawings_show_them(kind):
    places = Counter()
    for index in range(24):
        problem = sample_problem(Stream("choices", index), kind)
        found = choices_of(problem, Stream("around", index)).by_answer
        assert 4 <= len(found) <= 5
        places[sorted(found, key=sortable).index(problem.answer)] += 1
        if index < 3:
            for answer, choice in found.items():
                assert shows(kind, choice.drawing.draw(), problem) == answer
                is_right = re.search(r"ends? here|the hands end|no other bar|and that is the place", choice.text)
                assert bool(is_right) is (answer == problem.answer)
    assert len(places) >= 4
    assert max(places.values()) <= 14


def sortable(answer):
    """Times by their minutes, all else by its letters."""
    hours, _, minutes = answer.partition(":")
    return (int(hours) % 12 * 60 + int(minutes), "") if minutes else (0, answer)


def shows(kind, pixels, problem):
    """The answer that a drawing is of, read off its pixels."""
    if kind == "chart":
        return DAYS[read_chart(pixels)[1]]
    if kind == "clock":
        minutes = read_clock(pixels)
        return f"{minutes // 60 or 12}:{minutes % 60:02d}"
    if kind == "path":
        start, way = read_board(pixels)
        return problem.facts["stops"][-1] if way - {start} else start
    (shape,) = [each for each in read_row(pixels) if each]
    return f"the {shape}"


def last_drawing(problem):
    return [thought.drawing for thought in problem.thoughts if thought.drawing][-1].draw()


def test_drawings_of_told_problems_read_back():
    for index in range(6):
        row, chart, clock, path = (
            sample_problem(Stream("drawing", index), kind) for kind in ("row", "chart", "clock", "path")
        )
        assert read_row(last_drawing(row)) == row.facts["order"]
        assert read_chart(last_drawing(chart)) == (chart.facts["amounts"], DAYS.index(chart.answer))
        assert read_clock(last_drawing(clock)) == clock.facts["minutes"][-1]
        start, way = read_board(last_drawing(path))
        assert (start, set(path.facts["stops"][1:]) - way) == (path.facts["stops"][0], set())
