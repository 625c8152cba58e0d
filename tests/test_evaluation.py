"""The benchmark: right answers score in full, planted errors are caught, hostile answers are faults of their own."""

import base64
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from toolkit.cli.app import main
from toolkit.errors import SourceError, UnknownName
from toolkit.evaluation import drawing
from toolkit.evaluation.answers import Answers, Fault
from toolkit.evaluation.checks import Verdict, between, worst
from toolkit.evaluation.items import VERSION, Reply, reply_of, row_of
from toolkit.evaluation.matching import choice_of, final_answer
from toolkit.evaluation.parts import PARTS
from toolkit.evaluation.scoring import faults, item_ids, make_item, score, scores
from toolkit.evaluation.statistics import paired, share
from toolkit.rules import check_row
from toolkit.scene.defects import sample_defect
from toolkit.scene.edits import EDITS, changed, sample_edit, with_thing, without_thing
from toolkit.scene.graph import Kind
from toolkit.scene.heldout import HELD_OUT, drawn_without, shows_held_out
from toolkit.scene.render import encode, render
from toolkit.scene.sampler import sample_scene
from toolkit.scene.streams import Stream

RIGHT, WRONG, UNSURE = Verdict.RIGHT, Verdict.WRONG, Verdict.UNSURE


def run(capsys, *arguments):
    """Exit code and output of a command, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code or 0, capsys.readouterr().out


def verdicts(item, reply):
    return {each.attribute: each.verdict for each in item.check(reply)}


@pytest.mark.parametrize("part", PARTS)
def test_right_answers_score_in_full_and_make_good_rows(part):
    for number in range(3):
        item = make_item(f"uvbench1-{part.replace('_', '-')}-{number:05d}", part, number)
        assert set(verdicts(item, reply_of(item.answer)).values()) == {RIGHT}
        check_row(row_of(item))


@pytest.mark.parametrize("part", [part for part in PARTS if part not in ("question", "told")])
def test_an_answer_without_the_picture_asked_for_is_wrong(part):
    item = make_item("x", part, 0)
    assert verdicts(item, Reply(text="I have drawn it."))["picture"] is WRONG


def pictures_of(part, count=8):
    return [make_item("x", part, number) for number in range(count)]


def test_a_picture_of_another_colour_is_caught():
    items = pictures_of("colours", 12)
    for item, other in pairwise(items):
        same = item.facts["wanted"][1] == other.facts["wanted"][1]
        assert (set(verdicts(item, reply_of(other.answer)).values()) == {RIGHT}) is same


@pytest.mark.parametrize("by", [-1, 1])
def test_a_count_off_by_one_is_caught(by):
    for item in pictures_of("counting"):
        wanted = item.facts["wanted"][0]
        kinds = [Kind(shape=wanted["shape"])] * (wanted["from"] + by)
        drawn = render(drawing._scene(Stream("count", item.prompt[0]), *kinds))
        assert verdicts(item, Reply(pictures=(drawn,))) == {"count": WRONG}


def test_a_mirrored_picture_has_things_on_the_other_side():
    found = set()
    for item in pictures_of("position", 16):
        relation = item.facts["wanted"][2]["relation"]
        found.add(relation)
        flipped = np.ascontiguousarray(item.answer[0][:, ::-1] if relation.endswith("_of") else item.answer[0][::-1])
        assert verdicts(item, Reply(pictures=(flipped,)))["position"] is WRONG
    assert len(found) == 4


def test_swapped_colours_are_caught_though_all_objects_and_colours_are_there():
    for item in pictures_of("binding"):
        one, other = (each for each in item.facts["wanted"] if each["attribute"] == "binding")
        style = next(
            style for style in drawing.STYLES.values() if {one["colour"], other["colour"]} <= style.fills.keys()
        )
        swapped = (Kind(shape=one["shape"], colour=other["colour"]), Kind(shape=other["shape"], colour=one["colour"]))
        scene = drawing.sample_scene(
            Stream("swap"),
            drawing.Wish(
                fixed=tuple(map(drawing.Fixed, swapped)), num_places=2, clusters=False, insets=False, style=style.name
            ),
        )
        assert verdicts(item, Reply(pictures=(render(scene),))) == {"object": RIGHT, "binding": WRONG}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_not_done_and_one_that_touches_more_are_caught(kind):
    number = tuple(EDITS).index(kind)
    edit = sample_edit(Stream("benchmark", VERSION, "editing", number), kind)
    item = make_item("x", "editing", number)
    assert item.kind == kind
    assert verdicts(item, Reply(pictures=(item.prompt[0],))) == {"change": WRONG, "rest": RIGHT, "untouched": RIGHT}
    kept = next(thing for thing in edit.after.things if thing.id not in changed(edit.before, edit.after))
    over = verdicts(item, Reply(pictures=(render(without_thing(edit.after, kept.id)),)))
    assert (over["change"], over["rest"]) == (RIGHT, WRONG)
    moved = with_thing(edit.after, replace(kept, x=kept.x + (0.06 if kept.x < 0.5 else -0.06)))
    assert WRONG in verdicts(item, Reply(pictures=(render(moved),))).values()


def test_a_correction_that_corrects_nothing_or_repaints_the_ground_is_caught():
    for number in range(4):
        item = make_item("x", "correction", number)
        defect = sample_defect(Stream("benchmark", VERSION, "correction", number), item.kind)
        assert verdicts(item, Reply(pictures=(item.prompt[0],)))["change"] is WRONG
        repainted = render(replace(defect.right, background="grid" if defect.right.background != "grid" else "dotted"))
        found = verdicts(item, Reply(pictures=(repainted,)))
        assert (found["change"], found["untouched"]) == (RIGHT, WRONG)


def test_an_edit_that_was_encoded_anew_is_as_good(tmp_path):
    item = make_item("x", "editing", 0)
    Image.fromarray(item.answer[0]).resize((384, 384)).save(tmp_path / "a.jpg", quality=80)
    drawn = np.asarray(Image.open(tmp_path / "a.jpg"))
    assert set(verdicts(item, Reply(pictures=(drawn,))).values()) == {RIGHT}


@pytest.mark.parametrize("part", ["question", "told", "drawn"])
def test_a_swapped_answer_is_caught(part):
    step = 10 if part == "question" else 4  # as many kinds as there are
    for number in range(step):
        item = make_item("x", part, number)
        others = (make_item("x", part, number + step * turn) for turn in range(1, 9))
        said = next(other.answer[-1] for other in others if other.answer[-1] != item.answer[-1])
        reply = reply_of([*item.answer[:-1], said])
        assert verdicts(item, reply)["answer"] is WRONG


def test_a_drawn_step_of_another_problem_is_caught():
    for number in range(8):
        item, other = make_item("x", "drawn", number), make_item("x", "drawn", number + 4)
        alien = [part for part in other.answer if not isinstance(part, str)]
        mine = [part for part in item.answer if not isinstance(part, str)]
        found = verdicts(item, Reply(text=item.answer[-1], pictures=(*alien[-1:], mine[-1])))
        assert (found["steps"], found["answer"]) == (WRONG, RIGHT)
        unfinished = verdicts(item, Reply(text=item.answer[-1], pictures=tuple(mine[:-1])))
        assert unfinished.get("drawing", unfinished.get("picture")) is WRONG


def test_a_blind_guesser_scores_at_chance_and_one_who_copies_the_prompt_at_nothing():
    items = pictures_of("question", 100)
    stream = Stream("guess")
    hits = [stream.below(round(1 / item.chance)) == 0 for item in items]
    expected = sum(item.chance for item in items) / len(items)
    assert abs(sum(hits) / len(hits) - expected) < 0.1
    for part in ("editing", "correction"):
        for item in pictures_of(part, 7):
            assert worst(verdicts(item, reply_of(item.prompt)).values()) is WRONG


def test_every_second_item_of_colours_needs_a_pair_that_is_never_generated():
    items = pictures_of("colours", 10)
    assert [item.is_held_out for item in items] == [False, True] * 5
    for item in items:
        wanted = item.facts["wanted"][1]
        assert ((wanted["colour"], wanted["shape"]) in HELD_OUT) is item.is_held_out
    assert not any(shows_held_out(drawn_without(sample_scene, Stream("none", index))) for index in range(50))
    assert any(shows_held_out([sample_scene(Stream("some", index))]) for index in range(20))


@pytest.mark.parametrize(
    ("text", "choices", "number"),
    [
        ("The answer is 4.", ("3", "4", "5"), 1),
        ("There are four stars.", ("3", "4", "5"), 1),
        ("I see 3 stars and 4 moons. Answer: 3", ("3", "4"), 0),
        ("First I thought the answer is 3. No: the answer is four", ("3", "4"), 1),
        ("It is at the top left.", ("top", "top left"), 1),
        ("It is at the top.", ("top", "top left"), 0),
        ("<CONCLUSION> yes </CONCLUSION>", ("yes", "no"), 0),
        (r"so \boxed{9:05}", ("9:05", "9:50"), 0),
        ("yes or no, who knows", ("yes", "no"), None),
        ("no idea", ("blue", "red"), None),
        ("", ("blue", "red"), None),
        ("The answer is the Large Red STAR!", ("the large red star", "the small boat"), 0),
        ("thirty-four", ("4", "3"), None),
        ("1,000", ("1", "1000"), 1),
        ("\u22125", ("5", "-5"), 1),
    ],
)
def test_answers_are_compared_as_answers(text, choices, number):
    assert choice_of(text, choices) == number


def test_the_last_line_answers_where_nothing_announces_it():
    assert final_answer("First this.\n\nThen that.\n") == "Then that."
    assert final_answer("   ") == ""


def test_numbers_that_are_unsure_are_neither_right_nor_wrong():
    assert [between(count, 2, 2) for count in ((2, 2), (1, 2), (1, 1), (3, 4))] == [RIGHT, UNSURE, WRONG, WRONG]
    assert worst([RIGHT, UNSURE, RIGHT]) is UNSURE
    assert worst([]) is RIGHT


def test_shares_and_tests_are_those_worked_out_by_hand():
    assert share([1, 1, 1]) == (1.0, 1.0, 1.0)
    found = share([0, 1] * 50)
    assert found.mean == 0.5
    assert 0.38 < found.low < 0.42
    assert 0.58 < found.high < 0.62
    # Three pairs, all up by 1: of 8 sign flips two are as large, so p = 2/8, and no three pairs can do better.
    assert paired([0, 0, 0], [1, 1, 1]) == (1.0, 0.25, 3, 0.25)
    assert paired([0.0, 1.0], [1.0, 0.0])[:2] == (0.0, 1.0)
    assert paired([0.0] * 20, [1.0] * 20).p < 0.001
    with pytest.raises(ValueError, match="expected pairs"):
        paired([1], [])


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "p.png").write_bytes(encode(make_item("x", "single_object", 0).answer[0]))
    return tmp_path / "p.png"


def lines(path, *records):
    path.write_text("".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records))
    return path


def test_answers_come_as_text_parts_paths_base64_and_data_uris(tmp_path, picture):
    encoded = base64.b64encode(picture.read_bytes()).decode()
    path = lines(
        tmp_path / "answers.jsonl",
        {"id": "a", "answer": "words"},
        {"id": "b", "answer": ["one", {"type": "text", "text": "two"}, {"type": "image", "image": "p.png"}]},
        {"id": "c", "answer": [{"type": "image", "image": encoded}]},
        {"id": "d", "answer": [{"type": "image", "image": f"data:image/png;base64,{encoded}"}]},
    )
    answers = Answers(path)
    assert answers.read("a") == Reply(text="words")
    assert answers.read("b").text == "one\ntwo"
    shapes = [[each.shape for each in answers.read(id).pictures] for id in "bcd"]
    assert shapes == [[(512, 512, 3)]] * 3
    assert list(Answers(tmp_path).ids()) == list("abcd")


def test_answers_come_as_a_folder_of_files_named_by_id(tmp_path, picture):
    folder = tmp_path / "out"
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_text("words")
    picture.rename(folder / "a.png")
    (folder / "b" / "1.txt").write_text("first")
    (folder / "b" / "2.txt").write_text("second")
    answers = Answers(folder)
    assert (answers.read("a").text, len(answers.read("a").pictures)) == ("words", 1)
    assert answers.read("b").text == "first\nsecond"


HOSTILE = {
    "missing": None,
    "bad_record": [{"type": "audio"}],
    "bad_base64": [{"type": "image", "image": "data:image/png;base64,???"}],
    "image_outside": [{"type": "image", "image": "../secret.png"}],
    "missing_image": [{"type": "image", "image": "none.png"}],
    "not_an_image": [{"type": "image", "image": "text.png"}],
    "truncated": [{"type": "image", "image": "cut.png"}],
    "too_large": [{"type": "image", "image": "huge.png"}],
    "too_small": [{"type": "image", "image": "small.png"}],
    "too_many_parts": ["x"] * 300,
}


def test_hostile_answers_are_wrong_by_kind_and_the_others_are_scored(tmp_path, picture):
    Image.new("L", (5000, 5000)).save(tmp_path / "huge.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("<html>")
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:-2000])
    ids = [id for id, _, _ in item_ids(["single_object"], len(HOSTILE) + 1)]
    good = {"id": ids[-1], "answer": [{"type": "image", "image": "good.png"}]}
    (tmp_path / "good.png").write_bytes(encode(make_item("x", "single_object", len(HOSTILE)).answer[0]))
    records = [{"id": id, "answer": answer} for id, answer in zip(ids, HOSTILE.values(), strict=False) if answer]
    path = lines(
        tmp_path / "answers.jsonl",
        "not json",
        "[" * 100_000,
        {"answer": "no id"},
        {"id": "unknown", "answer": "<script>alert(1)</script>"},
        *records,
        good,
        good,
    )
    results, others = score(path, wanted=["single_object"], size=len(HOSTILE) + 1)
    assert [each.fault for each in results] == [*HOSTILE, ""]
    assert [each.verdict for each in results] == [WRONG] * len(HOSTILE) + [RIGHT]
    assert faults(results) == dict.fromkeys(HOSTILE, 1)
    assert others == {"no_id": 3, "unknown_id": 1, "duplicate": 1}
    assert scores(results)["single_object"].right.mean == pytest.approx(1 / 11)


@pytest.mark.parametrize("image", ["\0", "\ud800", "a\0b.png"])
def test_an_image_under_a_name_that_no_file_can_have_is_missing(tmp_path, image):
    answers = Answers(lines(tmp_path / "answers.jsonl", {"id": "x", "answer": [{"type": "image", "image": image}]}))
    with pytest.raises(Fault) as raised:
        answers.read("x")
    assert raised.value.kind == "missing_image"


def test_where_there_are_no_answers_that_is_an_error(tmp_path):
    for path in (tmp_path, lines(tmp_path / "empty.jsonl"), tmp_path / "none.jsonl"):
        with pytest.raises(SourceError, match=r"no answers|No such file"):
            Answers(path)
    with pytest.raises(UnknownName, match="unknown part 'drawings'; known: binding"):
        score(tmp_path, wanted=["drawings"])
    with pytest.raises(Fault, match="no answer"):
        Answers(lines(tmp_path / "one.jsonl", {"id": "a", "answer": ""})).read("b")


def test_the_command_makes_the_benchmark_and_scores_its_own_answers(tmp_path, capsys):
    assert run(capsys, "evaluate", "make", tmp_path / "bench", "--parts", "colours,question", "--size", "2")[0] == 0
    prompts = [json.loads(line) for line in (tmp_path / "bench/prompts.jsonl").read_text().splitlines()]
    assert [each["id"] for each in prompts] == [id for id, _, _ in item_ids(["colours", "question"], 2)]
    shards = sorted((tmp_path / "bench/packed/data").rglob("*.parquet"))
    packed = [id for shard in shards for id in pq.read_table(shard, columns=["id"])["id"].to_pylist()]
    assert sorted(packed) == sorted(each["id"] for each in prompts)
    answers = tmp_path / "answers"
    answers.mkdir()
    for id, part, number in item_ids(["colours", "question"], 2):
        item = make_item(id, part, number)
        for each in item.answer:
            if isinstance(each, str):
                (answers / f"{id}.txt").write_text(each)
            else:
                (answers / f"{id}.png").write_bytes(encode(each))
    (answers / "uvbench1-question-00001.txt").write_text("<script>alert(1)</script>")
    report, card = tmp_path / "report.html", tmp_path / "card.md"
    options = ("--parts", "colours,question", "--size", "2", "--report", report, "--card", card, "--json")
    code, out = run(capsys, "evaluate", answers, *options)
    found = json.loads(out)
    assert code == 0
    assert (found["scores"]["colours"]["right"], found["scores"]["question"]["right"]) == (1.0, 0.5)
    assert "<script" not in report.read_text().partition("</style>")[2]
    assert "| colours | 2 | 1.000 |" in card.read_text()
