"""Scores of how well pictures fit their texts: exactly, by cosines, by a model; kept beside the dataset and used."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.openai_server import KEY, OpenAIServer
from tests.test_generate_clip import ColourEmbedder, shades
from tests.test_pack import content
from toolkit.cli.app import main
from toolkit.curation import scorers
from toolkit.curation.fits import fits_of
from toolkit.errors import PartDone, RunStopped, SourceError, UnknownName, UsageError
from toolkit.generation.core.protocol import Draw
from toolkit.generation.procedural.script import picture
from toolkit.generation.recipes.image_editing.script import edit_of
from toolkit.scene.language import caption
from toolkit.scene.streams import Stream
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row
from unifiedvisual import PackOptions, align, pack_rows, select

SMALL = PackOptions(shard_bytes=200_000, row_group_bytes=60_000)


def edit_row(index, *, done=True):
    """A procedural edit; not done: the result is the picture as it was."""
    edit = edit_of(Draw(0, index))
    scenes = (edit.before, edit.after)
    images = tuple(EncodedImage(picture(scene if done else edit.before), "scene.png") for scene in scenes)
    captions = tuple(caption(scene, Stream("test", index, place)) for place, scene in enumerate(scenes))
    messages = (
        Message("user", (IMAGE_PART, Part("text", edit.simple))),
        Message("assistant", (Part("text", "Done."), IMAGE_PART)),
    )
    return Row(
        id=f"edit-{index}{'' if done else '-wrong'}",
        task="image_editing",
        quadrant="mm-mm",
        origin="procedural",
        messages=messages,
        images=images,
        image_roles=("input", "output"),
        image_captions=captions,
        instruction=edit.simple,
        answer="Done.",
    )


def colour_row(id, told, image, **rest):
    messages = (Message("user", (Part("text", f"Show {told}."),)), Message("assistant", (IMAGE_PART,)))
    values = {"image_roles": ("output",), "image_captions": (told,), "instruction": f"Show {told}.", **rest}
    return Row(
        id=id,
        task="image_generation",
        quadrant="text-mm",
        messages=messages,
        images=(EncodedImage(image, "colour.png"),),
        **values,
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("align") / "scenes"
    pack_rows(
        [edit_row(0), edit_row(2, done=False), replace(edit_row(0), id="photo", origin="upstream")], folder, SMALL
    )
    return folder


@pytest.fixture(scope="module")
def scored(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("align") / "scores"
    return folder, align(scenes, folder)


@pytest.fixture
def colours(tmp_path):
    rows = [
        colour_row("red", "red", shades(red=100)),
        colour_row("wrong", "red", shades(blue=100)),
        colour_row("half", "red", shades(red=50, blue=50)),
        colour_row("broken", "red", shades(red=100)[:60]),
    ]
    pack_rows(rows, tmp_path / "colours", SMALL)
    return tmp_path / "colours"


def scores(folder):
    return {
        (line["id"], line["image"], line["kind"]): line["score"]
        for line in pq.read_table(folder / "alignment.parquet").to_pylist()
    }


def test_the_text_of_a_picture_is_the_nearest():
    messages = (
        Message("user", (Part("text", "first"), IMAGE_PART, Part("text", "second"), IMAGE_PART)),
        Message("assistant", (IMAGE_PART, Part("text", "third"))),
        Message("user", (Part("text", "fourth"),)),
        Message("assistant", (IMAGE_PART,)),
    )
    row = replace(
        colour_row("a", "red", b"x"),
        messages=messages,
        images=(EncodedImage(b"x"),) * 4,
        image_roles=("input", "input", "output", "output"),
        image_captions=("", "said", "", ""),
        instruction="first",
    )
    found = [(fit.image, fit.kind, fit.text) for fit in fits_of(row)]
    assert found == [
        (0, "text", "first"),
        (1, "caption", "said"),
        (1, "text", "second"),
        (2, "text", "third"),
        (3, "text", "fourth"),
        (3, "edit", "first"),
    ]


def test_scenes_are_scored_exactly(scored):
    folder, done = scored
    found = scores(folder)
    assert [found["edit-0", image, kind] for image, kind in ((0, "caption"), (1, "caption"), (1, "edit"))] == [1, 1, 1]
    assert found["edit-2-wrong", 0, "caption"] == 1
    assert found["edit-2-wrong", 1, "caption"] < 1
    assert found["edit-2-wrong", 1, "edit"] == found["edit-2-wrong", 1, "caption"]
    assert done.scored == {"caption": 4, "edit": 2}
    assert done.not_scored == {"no scene caption": 4, "not a scene": 5}
    assert done.quantiles["caption"][-1] == 1.0
    assert b"<svg" in (folder / "alignment.svg").read_bytes()


def test_select_takes_rows_by_their_scores(scenes, scored, tmp_path):
    manifest = select(scenes, tmp_path / "out", where="alignment_edit = 1", scores=[scored[0]])
    assert manifest.total("rows") == 1
    assert manifest.skipped == {"image_editing": {"where": 2}}
    command = ["select", str(scenes), str(tmp_path / "cli"), "--scores", str(scored[0]), "--where", "alignment < 1"]
    with pytest.raises(SystemExit, match="0"):
        main(command)
    ids = pq.read_table(next((tmp_path / "cli/data").rglob("*.parquet")))["id"].to_pylist()
    assert ids == ["edit-2-wrong"]


def test_cosines_of_an_embedder(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(scorers, "TransformersEmbedder", lambda options: ColourEmbedder())
    done = align(colours, tmp_path / "out", by="clip", options={"model": "colours"}, kinds=["caption"])
    found = {id: score for (id, _, _), score in scores(tmp_path / "out").items()}
    assert found == {
        "red": pytest.approx(1),
        "wrong": pytest.approx(0),
        "half": pytest.approx(np.sqrt(0.5), abs=0.01),
        "broken": None,
    }
    assert done.not_scored == {"bad image": 1}


def test_a_model_that_cannot_be_loaded_is_not_called_a_damaged_shard(colours, tmp_path):
    pytest.importorskip("transformers", reason="CLIP is its own; pip install transformers")
    (tmp_path / "model").mkdir()
    with pytest.raises(SourceError, match=r"^model .*/model: cannot be loaded: .*; expected CLIP, SigLIP or their kin"):
        align(colours, tmp_path / "out", by="clip", options={"model": str(tmp_path / "model")}, kinds=["caption"])


def test_an_edit_is_nearer_to_the_instruction_than_what_it_was_made_from(tmp_path, monkeypatch):
    monkeypatch.setattr(scorers, "TransformersEmbedder", lambda options: ColourEmbedder())
    row = replace(
        edit_row(0),
        images=(EncodedImage(shades(blue=100), "a.png"), EncodedImage(shades(red=100), "b.png")),
        image_captions=("", ""),
        instruction="make it red",
    )
    pack_rows([row], tmp_path / "in", SMALL)
    align(tmp_path / "in", tmp_path / "out", by="clip", options={"model": "colours"}, kinds=["edit"])
    assert scores(tmp_path / "out") == {("edit-0", 1, "edit"): pytest.approx(1)}
    [line] = pq.read_table(tmp_path / "out/alignment.parquet").to_pylist()
    assert line["detail"] == "pictures: 0.0000"


@pytest.mark.slow
def test_the_real_classes_score(colours, tmp_path):
    tiny = pytest.importorskip("tests.generation_tiny", reason="needs torch and transformers")
    model = tiny.save_siglip(tmp_path / "model")
    done = align(colours, tmp_path / "out", by="clip", options={"model": str(model)})
    assert done.scored == {"caption": 3, "text": 3}
    assert all(-1 <= score <= 1 for score in scores(tmp_path / "out").values() if score is not None)


TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100}


@pytest.fixture
def judge(monkeypatch):
    """Options of a judge, and an iterator that tells how often it was asked: its answers are 0, 10, 20, ..."""
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    answers = iter(range(100))

    def score(path, body):
        value = {"problem": "none", "score": 10 * next(answers)}
        message = {"role": "assistant", "content": json.dumps(value)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return 200, {"id": "x", "choices": [choice], "usage": TOKENS}

    server.dialect = score
    yield {"base_url": server.url, "model": "judge", "api_key_env": "TEST_API_KEY"}, answers
    server.close()


def test_a_model_is_asked_once_for_each(scenes, tmp_path, judge):
    options, answers = judge
    done = align(scenes, tmp_path / "out", by="openai_chat", options=options, kinds=["edit"])
    again = align(scenes, tmp_path / "out", by="openai_chat", options=options, kinds=["edit"])
    assert done == again
    assert sorted(scores(tmp_path / "out").values()) == pytest.approx([0.0, 0.1, 0.2])
    assert next(answers) == 3


def test_a_cap_on_what_a_model_costs_stops_and_more_of_it_resumes(scenes, tmp_path, judge):
    """A call costs 1000 x $1 and 100 x $10 of a million, $0.002; it might cost $0.0295 with the longest reply."""
    options, answers = judge
    how = {"by": "openai_chat", "kinds": ["edit"]}
    options |= {"price": {"input_per_mtok": 1.0, "output_per_mtok": 10.0}, "max_parallel": 1}
    with pytest.raises(RunStopped, match=r"budget: \$0\.0280 of \$0\.03 are left and the next call may cost \$0\.02"):
        align(scenes, tmp_path / "out", options=options, max_usd=0.03, **how)
    assert next(answers) == 1
    done = align(scenes, tmp_path / "out", options=options, max_usd=1.0, **how)
    assert done.scored == {"edit": 3}
    assert next(answers) == 3  # two calls in all, of which one is the same for two rows, and the look before


def test_a_model_that_costs_money_needs_a_cap(scenes, tmp_path, judge):
    options, answers = judge
    paid = {**options, "price": {"output_per_mtok": 10.0}}
    for given in (paid, {**options, "model": "gpt-6-sol"}):  # stated, and of the table of prices
        with pytest.raises(UsageError, match="costs money for every picture; say how much it may spend with max_usd"):
            align(scenes, tmp_path / "out", by="openai_chat", options=given, kinds=["edit"])
    assert next(answers) == 0
    assert not (tmp_path / "out").exists()
    assert align(scenes, tmp_path / "out", by="openai_chat", options={**options, "price": {}}, kinds=["edit"]).scored


def test_a_cap_needs_a_price_and_something_that_costs(scenes, tmp_path, judge):
    options, answers = judge
    with pytest.raises(UsageError, match="judge: no price is known, so a cap means nothing; give the option price"):
        align(scenes, tmp_path / "out", by="openai_chat", options=options, max_usd=1.0)
    unlimited = {"price": {"output_per_mtok": 1.0}, "params": {"max_tokens": None}}
    with pytest.raises(UsageError, match="params send no limit of output"):
        align(scenes, tmp_path / "out", by="openai_chat", options={**options, **unlimited}, max_usd=1.0)
    with pytest.raises(UsageError, match="max_usd is for models that are asked"):
        align(scenes, tmp_path / "out", max_usd=1.0)
    with pytest.raises(UsageError, match="price is 'cheap'; expected amounts"):
        align(scenes, tmp_path / "out", by="openai_chat", options={**options, "price": "cheap"})
    assert next(answers) == 0


def test_parts_give_the_same_bytes(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(scorers, "TransformersEmbedder", lambda options: ColourEmbedder())
    how = {"by": "clip", "options": {"model": "colours"}}
    align(colours, tmp_path / "one", **how)
    for _ in range(2):
        for part in ((0, 2), (1, 2)):
            with pytest.raises(PartDone):
                align(colours, tmp_path / "parts", part=part, **how)
    align(colours, tmp_path / "parts", **how)
    assert content(tmp_path / "parts") == content(tmp_path / "one")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"by": "nobody"}, UnknownName, "unknown scorer 'nobody'; known: .*clip.*openai_chat.*scene"),
        ({"kinds": ["sound"]}, UnknownName, "unknown kind of fit 'sound'"),
        ({"options": {"model": "x"}}, UsageError, "scene takes no options, found model"),
        ({"by": "clip"}, UsageError, "model"),
        ({"by": "openai_chat", "options": {"colour": 1}}, UsageError, "colour"),
    ],
)
def test_what_cannot_be_scored_is_told(scenes, tmp_path, given, error, message):
    with pytest.raises(error, match=message):
        align(scenes, tmp_path / "out", **given)


def test_other_scores_in_the_folder_are_refused(colours, tmp_path):
    align(colours, tmp_path / "out", kinds=["caption"])
    with pytest.raises(UsageError, match="holds other scores"):
        align(colours, tmp_path / "out")
