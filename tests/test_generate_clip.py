"""Similarity as a judge and a finder: the real classes on tiny random models, and the bands on an embedder whose scores
are known beforehand.
"""

import asyncio
import io
import json
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tests.generation_runs import picture, write_sources, write_spec
from tests.openai_server import KEY, OpenAIServer
from toolkit.errors import SourceError, UsageError
from toolkit.generation.backends import clip
from toolkit.generation.backends.clip import Clip
from toolkit.generation.backends.local import LocalModel
from toolkit.generation.backends.picture_index import open_index
from toolkit.generation.core.protocol import Fatal, Origin, Refused, Request
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import journal_paths, query
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.images import decode_image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def shades(**shares):
    """A picture of 100 columns, so many of each colour."""
    made, left = Image.new("RGB", (100, 4)), 0
    for colour, columns in shares.items():
        made.paste(COLOURS[colour], (left, 0, left + columns, 4))
        left += columns
    buffer = io.BytesIO()
    made.save(buffer, format="PNG")
    return buffer.getvalue()


class ColourEmbedder:
    """Mean colour as a vector, and colour words as theirs: cosines can be told by hand."""

    revision = "colours-1"

    def __init__(self):
        self.embedded = 0

    def texts(self, texts):
        return self._unit(
            [
                np.sum([COLOURS[word] for word in text.split() if word in COLOURS] or [(1, 1, 1)], axis=0)
                for text in texts
            ]
        )

    def images(self, images):
        self.embedded += len(images)
        return self._unit([np.asarray(decode_image(image, "test"), dtype=float).mean(axis=(0, 1)) for image in images])

    def _unit(self, rows):
        rows = np.asarray(rows, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def judge(step, *images, embedder=None, kind="chat", user="", path=None, text=(0.9, 1.0), pair=(0.6, 0.98), **values):
    opened = Clip(
        lambda: embedder or ColourEmbedder(), name="colours", text_band=text, pair_band=pair, path=path, top=2
    )

    async def once():
        try:
            return await opened.send(
                Request(
                    kind=kind,
                    step=step,
                    user=user,
                    images=images,
                    seed=0,
                    origin=Origin(recipe="", seed=0, index=0, values=values),
                )
            )
        finally:
            await opened.close()

    return asyncio.run(once())


# cos(a red and b green columns, red) = a / sqrt(a^2 + b^2): 100 -> 1, 80 -> .970, 60 -> .832, 50 -> .707.
@pytest.mark.parametrize(
    ("red", "score", "matches"), [(100, 1.0, True), (80, 0.9701, True), (60, 0.8321, False), (0, 0.0, False)]
)
def test_pictures_match_their_text_inside_the_band_only(red, score, matches):
    reply = judge("picture_matches", shades(red=red, green=100 - red), caption="all red")
    verdict = json.loads(reply.text)
    assert verdict["matches"] is matches
    assert verdict["problem"] == (
        "" if matches else f"similarity of picture and text is {score:.4f}; expected 0.9 to 1"
    )
    assert json.loads(reply.raw)["text"] == pytest.approx(score, abs=2e-3)


@pytest.mark.parametrize(
    ("red", "is_done", "is_near"),
    [(100, False, True), (98, False, True), (80, True, True), (40, True, False), (0, True, False)],
)
def test_an_edit_changes_something_and_not_everything(red, is_done, is_near):
    verdict = json.loads(judge("edit_judge", shades(red=100), shades(red=red, green=100 - red)).text)
    assert (verdict["is_done"], verdict["rest_is_unchanged"]) == (is_done, is_near)
    assert bool(verdict["problem"]) is not (is_done and is_near)


def test_the_candidate_nearest_to_the_keyword_is_picked_among_those_in_style():
    mine = shades(red=60, green=40)
    same, far, near, nearer = mine, shades(blue=100), shades(red=85, green=15), shades(red=90, green=10)
    assert json.loads(judge("pick_picture", mine, same, far, near, nearer, keyword="red").text) == {"choice": 4}
    assert json.loads(judge("pick_picture", mine, same, far, keyword="red").text) == {"choice": 0}


def test_what_it_cannot_judge_is_fatal():
    with pytest.raises(Fatal, match=r"'clip' judges edit_judge, pick_picture, picture_matches"):
        judge("internet_blind")


@pytest.mark.parametrize("band", [None, [0.5], [0.9, 0.1], [0, 7], "high"])
def test_bands_have_to_be_given(band):
    with pytest.raises(UsageError, match="'text_band"):
        Clip.from_options({"model": "m", "text_band": band, "pair_band": [0, 1]})


@pytest.fixture
def pool(tmp_path):
    """red100 .. red0: pictures of ever less red, in a list."""
    for red in range(100, -1, -20):
        (tmp_path / f"red{red}.png").write_bytes(shades(red=red, green=100 - red))
    (tmp_path / "pool.jsonl").write_text(
        "".join(json.dumps({"image": f"red{red}.png", "caption": f"{red}"}) + "\n" for red in range(0, 101, 20))
    )
    return tmp_path / "pool.jsonl"


def find(pool, mine, words, **rest):
    return judge("find_pictures", mine, kind="retrieve", user=words, path=pool, **rest)


def test_pictures_are_found_in_both_bands_nearest_first_and_near_duplicates_are_not(pool):
    reply = find(pool, shades(red=100), "red", text=(0.5, 1.0), pair=(0.5, 0.99))
    assert [found["caption"] for found in json.loads(reply.text)] == [
        "80",
        "60",
    ]  # 100 is a duplicate, 40 has .55 but top is 2
    assert reply.pictures == (shades(red=80, green=20), shades(red=60, green=40))
    assert json.loads(reply.raw) == {"best_text": 1.0, "in_text_band": 4, "in_both": 3}


def test_nothing_in_the_bands_is_refused_with_the_scores(pool):
    with pytest.raises(Refused, match=r"nothing_in_band: 'blue' in 6 pictures: \{'best_text': 0.0, 'in_text_band': 0"):
        find(pool, shades(red=100), "blue")


def test_the_index_is_built_once_and_only_new_or_changed_pictures_are_embedded(pool):
    embedder = ColourEmbedder()
    first = open_index(pool, embedder)
    assert (embedder.embedded, len(list(pool.parent.glob("pool.*.npz")))) == (6, 1)
    np.testing.assert_array_equal(open_index(pool, embedder).vectors, first.vectors)
    assert embedder.embedded == 6
    (pool.parent / "red0.png").write_bytes(shades(blue=100))
    changed = open_index(pool, embedder)
    assert embedder.embedded == 7
    np.testing.assert_array_equal(changed.vectors[0], [0, 0, 1])
    np.testing.assert_array_equal(changed.vectors[1:], first.vectors[1:])
    pool.write_text(pool.read_text().splitlines()[0] + "\n")
    assert open_index(pool, embedder).vectors.shape == (1, 3)
    assert embedder.embedded == 7
    embedder.revision = "colours-2"
    open_index(pool, embedder)
    assert embedder.embedded == 8
    assert not list(pool.parent.glob("*.part"))


def test_a_missing_picture_is_named(pool):
    (pool.parent / "red20.png").unlink()
    with pytest.raises(SourceError, match=r"red20.png: cannot be read: No such file"):
        open_index(pool, ColourEmbedder())


@pytest.mark.filterwarnings("ignore:.*requires torchvision.*")
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_real_models_embed_texts_and_pictures_alike_alone_and_together(family, tmp_path):
    from tests import generation_tiny
    from toolkit.generation.backends.embedder import TransformersEmbedder

    model = str(getattr(generation_tiny, f"save_{family}")(tmp_path / "model"))
    embedder = TransformersEmbedder({"model": model, "device": "cpu"})
    images, texts = [picture(1), picture(2), shades(red=100)], ["a", "a longer text", "x" * 500]
    for embed, items in ((embedder.images, images), (embedder.texts, texts)):
        together = embed(items)
        assert together.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.concatenate([embed([item]) for item in items]), together, atol=1e-5)
        assert np.abs(together[0] - together[2]).max() > 1e-3
    assert TransformersEmbedder({"model": model, "device": "cpu"}).revision == embedder.revision


@pytest.mark.filterwarnings("ignore:.*requires torchvision.*")
def test_scores_equal_those_of_the_model_itself(tmp_path):
    import torch
    import transformers

    from tests.generation_tiny import save_clip
    from toolkit.generation.backends.embedder import TransformersEmbedder

    model = str(save_clip(tmp_path / "model"))
    embedder = TransformersEmbedder({"model": model, "device": "cpu"})
    loaded, tokenizer = transformers.CLIPModel.from_pretrained(model), transformers.AutoTokenizer.from_pretrained(model)
    pixels = transformers.CLIPImageProcessorPil.from_pretrained(model)(
        Image.open(io.BytesIO(picture(1))), return_tensors="pt"
    )
    with torch.inference_mode():
        cosine = float(
            loaded(**tokenizer(["a cat"], return_tensors="pt"), **pixels).logits_per_image / loaded.logit_scale.exp()
        )
    assert float(embedder.images([picture(1)])[0] @ embedder.texts(["a cat"])[0]) == pytest.approx(cosine, abs=1e-5)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    yield server
    server.close()


@pytest.mark.filterwarnings("ignore:.*requires torchvision.*")
def test_recipes_run_with_similarity_as_judge_and_finder(server, tmp_path):
    """Everything passes in the widest bands; in narrow ones everything is rejected with reason and score."""
    from tests.generation_tiny import save_clip

    write_sources(tmp_path, 3)
    model = str(save_clip(tmp_path / "model"))
    chat = {"kind": "openai_chat", "model": "chat", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
    image = {
        "kind": "openai_images",
        "model": "draw",
        "base_url": server.url,
        "api_key_env": "TEST_API_KEY",
        "params": {"size": "96x96"},
    }
    recipes = {"image_generation_topic": 2, "mm_reasoning_mm": {"n": 2, "source": "mm_reasoning_mm.jsonl"}}

    def run(name, **bands):
        similar = {"kind": "clip", "model": model, "device": "cpu", **bands}
        backends = {"all": chat, "image": image, "judge.picture_matches": similar, "judge.pick_picture": similar}
        backends["retrieve"] = {**similar, "path": str(tmp_path / "pool.jsonl")}
        spec = read_spec(write_spec(tmp_path, {"backends": backends, "recipes": recipes}))
        engine.run(spec, tmp_path / name)
        return spec, summarise(spec, tmp_path / name)

    spec, wide = run("wide", text_band=[-1, 1], pair_band=[-1, 1])
    assert {name: f.ok for name, f in wide.recipes.items()} == {"image_generation_topic": 2, "mm_reasoning_mm": 2}
    assert (wide.models[model].cost, wide.models[model].unknown) == (0, 0)
    assert {each.usd for each in estimate(spec) if each.model == model} == {(0.0, 0.0)}
    _, narrow = run("narrow", text_band=[0.999, 1], pair_band=[0.999, 1])
    assert narrow.recipes["image_generation_topic"].reasons == {"picture_matches: picture_differs": 2}
    assert narrow.recipes["mm_reasoning_mm"].reasons == {"find_pictures: nothing_in_band": 2}
    details = [
        detail for path in journal_paths(tmp_path / "narrow") for (detail,) in query(path, "SELECT detail FROM samples")
    ]
    assert sum("similarity of picture and text is " in detail for detail in details) == 2
    assert sum("best_text" in detail for detail in details) == 2


def test_every_judged_step_is_a_prompt():
    from tests.generation_runs import prompt_files

    assert {f"{step}@1" for step in clip.JUDGES} <= set(prompt_files())


def test_one_model_is_loaded_at_a_time():
    """transformers would leave its classes without the method that ties weights."""
    under_way, most = 0, 0

    def load():
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.02)
        under_way -= 1
        return "model"

    async def run():
        models = [LocalModel(f"m{number}", load) for number in range(3)]
        found = await asyncio.gather(*(model.run(str.upper) for model in models))
        for model in models:
            model.close()
        return found

    assert (asyncio.run(run()), most) == (["MODEL"] * 3, 1)


def test_a_model_that_is_loaded_does_not_wait_for_one_that_is_being_loaded():
    may_load = threading.Event()
    first, second = LocalModel("first", lambda: "model"), LocalModel("second", lambda: may_load.wait(30))

    async def run():
        await first.run(str.upper)
        loading = asyncio.create_task(second.run(bool))
        await asyncio.sleep(0.05)
        found = await asyncio.wait_for(first.run(str.upper), 10)
        may_load.set()
        return found, await loading

    assert asyncio.run(run()) == ("MODEL", True)
    first.close()
    second.close()
