"""What is said before anything is paid: wrong specs, records and options; repetition, retired models, the most there
can be to pay.
"""

import json
from datetime import date

import pytest
import yaml

from tests.generation_runs import KEY, http_spec, picture, write_sources, write_spec
from tests.openai_server import OpenAIServer
from toolkit.cli.app import main
from toolkit.errors import UsageError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.recipes import RECIPES, get_recipe
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.plans import plan, warnings

SERVER = {"kind": "openai_chat", "model": "chat", "base_url": "http://localhost:1/v1"}
IMAGES = {**SERVER, "kind": "openai_images"}
MODELS = {"all": SERVER, "image": IMAGES, "retrieve": {"kind": "folder", "path": "pool.jsonl"}}

FROM_NOTHING = ("image_correction", "image_editing")  # if they have no records


def spec_of(folder, **content):
    return read_spec(write_spec(folder, {"backends": MODELS, "recipes": {"image_generation_topic": 3}, **content}))


BANDS = {"text_band": [0.2, 1.0], "pair_band": [0.5, 0.9]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"backends": {"all": {**SERVER, "modell": 1}}},
            "'openai_chat': 'modell' is not known; known: api_key_env",
        ),
        ({"backends": {"all": {"kind": "openai_chat", "model": "m"}}}, "'base_url' is missing"),
        ({"backends": {"all": {**SERVER, "base_url": "localhost:1"}}}, r"'base_url' is 'localhost:1'"),
        (
            {"backends": {"all": {**SERVER, "base_url": "ftp://me:secret@host/v1?key=secret"}}},
            r"'base_url' is 'ftp://host/v1': string should match",
        ),
        (
            {"backends": {"all": {**SERVER, "base_url": "http://me:secret@[host/v1"}}},
            r"is 'http://\[host/v1': invalid IPv6",
        ),
        (
            {"backends": {"all": {**SERVER, "base_url": "http://me:s@host:one/v1"}}},
            "is 'http://host:one/v1': port could",
        ),
        ({"backends": {"all": {**SERVER, "base_url": "http:///v1"}}}, "expected an address with a host"),
        ({"backends": {"all": {**SERVER, "max_parallel": 0}}}, "'max_parallel' is 0"),
        ({"backends": {"all": SERVER, "judge.nothing": SERVER}}, "unknown role of backends 'judge.nothing'"),
        ({"recipes": {"mm_internet": 1}}, "needs records of texts, images; add source: FILE.jsonl"),
        (
            {"recipes": {"image_editing": 1}, "backends": {"vision": SERVER, "judge": SERVER, "image": IMAGES}},
            "nobody answers 'text'",
        ),
        ({"recipes": {"image_generation_topic": {"n": 1, "source": "a.jsonl"}}}, "starts from nothing; remove source"),
        (
            {"recipes": {"image_generation_topic": {"n": 1, "options": {"style": "x"}}}},
            "recipes.image_generation_topic: options: 'style' is not known; known: min_guessed",
        ),
        (
            {"backends": {"all": SERVER}},
            "image: 'openai_chat' does not answer draw_picture of image_generation_topic, which wants generate",
        ),
        (
            {
                "recipes": {"image_correction": 1},
                "backends": {"all": SERVER, "image": {**IMAGES, "mode": "batch"}},
            },
            "image: 'openai_images' does not answer draw_mistake of image_correction, which wants edit",
        ),
        (
            {"backends": {"all": SERVER, "image": IMAGES, "judge": {"kind": "clip", "model": "c", **BANDS}}},
            "judge: 'clip' does not answer hint_guess of image_generation_topic, which wants chat",
        ),
        ({"budget": {"max_usd": 1}}, "backends.image: chat: no price is known, so a cap of .1.00 means nothing"),
        (
            {
                "budget": {"max_usd": 1},
                "prices": {"chat": {"output_per_mtok": 1}},
                "backends": {"all": {**SERVER, "params": {"max_tokens": None}}, "image": IMAGES},
            },
            "params send no limit of output",
        ),
    ],
)
def test_a_wrong_spec_is_wrong_for_plan_and_run_alike(tmp_path, content, message):
    spec = spec_of(tmp_path, **content)
    for say in (estimate, lambda spec: engine.run(spec, tmp_path / "run")):
        with pytest.raises(UsageError, match=message):
            say(spec)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"image": "0.png", "lable": "koala"}, "line 2: 'lable' is not known; known: .*label"),
        ({"image": "0.png"}, "line 2: 'label' is missing"),
        ({"image": "0.png", "label": " "}, "line 2: 'label' is ' '"),
        ({"image": "0.png", "label": ["koala"]}, r"line 2: 'label' is \['koala'\]"),
        ("not JSON", "line 2: no JSON"),
    ],
)
def test_a_record_that_is_not_of_its_recipe_stops_before_the_first_call(tmp_path, record, problem):
    lines = [{"image": "0.png", "label": "koala", "id": 7}, record]
    texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
    (tmp_path / "photos.jsonl").write_text("\n".join(texts))
    recipe = {"image_generation_category": {"n": 9, "source": "photos.jsonl"}}
    with pytest.raises(UsageError, match=problem):
        plan(spec_of(tmp_path, recipes=recipe))
    assert plan(spec_of(tmp_path, recipes={"image_generation_category": {"n": 1, "source": "photos.jsonl"}}))


@pytest.mark.parametrize("name", [name for name in RECIPES if get_recipe(name).record])
def test_every_recipe_with_records_says_what_they_hold(tmp_path, name):
    write_sources(tmp_path, 2, [name])
    (planned,) = plan(spec_of(tmp_path, recipes={name: {"n": 2, "source": f"{name}.jsonl"}}))
    assert (planned.n, name in FROM_NOTHING) == (2, not get_recipe(name).needs_record)


def test_edits_are_counted_as_they_start_with_what_is_drawn_for_them(tmp_path):
    write_sources(tmp_path, 4, ["image_editing"])
    prices = {"chat": {}, "draw": {"per_image": 0.04}}
    models = {"all": SERVER, "image": {**IMAGES, "model": "draw"}}

    def counted(entry):
        spec = spec_of(tmp_path, recipes={"image_editing": entry}, backends=models, prices=prices)
        found = {each.role: each for each in estimate(spec)}
        calls = {role: (each.calls, each.images) for role, each in found.items()}
        return calls, found["image"].usd[1], found["image"].most_usd

    sourced = counted({"n": 4, "source": "image_editing.jsonl"})
    calls, usd, most = counted(4)
    assert sourced[0] == {"image": (4, 4), "judge": (4, 0), "vision": (8, 0)}
    assert calls == {"image": (8, 8), "judge": (8, 0), "text": (4, 0), "vision": (8, 0)}
    assert (usd, most) == (pytest.approx(2 * sourced[1]), pytest.approx(2 * sourced[2]))
    assert usd == pytest.approx(0.32)


def test_who_plays_and_what_counts_is_as_before_where_edits_have_records(tmp_path):
    write_sources(tmp_path, 2, ["image_editing"])
    (tmp_path / "topics.txt").write_text("moss\nponds\n")
    players = {"vision": SERVER, "judge": SERVER, "image": IMAGES}
    recipe = {"image_editing": {"n": 2, "source": "image_editing.jsonl"}}
    plain, other = (
        plan(spec_of(tmp_path, recipes=recipe, backends=players, **more))[0] for more in ({}, {"topics": "topics.txt"})
    )
    assert (plain.key, plain.roles) == (other.key, ("image", "judge", "vision"))
    invented = [
        plan(spec_of(tmp_path, recipes={"image_editing": 60}, **more))[0] for more in ({}, {"topics": "topics.txt"})
    ]
    assert len({each.key for each in (plain, *invented)}) == 3
    told = list(warnings(spec_of(tmp_path, recipes={"image_editing": 60}, topics="topics.txt"), invented[1:]))
    assert "recipes.image_editing: 60 samples start from 24 topics, so each comes up to 3 times" in told


def test_repetition_short_sources_missing_keys_and_retired_models_are_said(tmp_path):
    write_sources(tmp_path, 3, ["mm_reasoning_o"])
    spec = spec_of(
        tmp_path,
        recipes={"image_generation_topic": 5_000, "mm_reasoning_o": {"n": 10, "source": "mm_reasoning_o.jsonl"}},
        backends={
            **MODELS,
            "judge": {**SERVER, "model": "gpt-4o", "api_key_env": "NO_SUCH_KEY"},
            "image": {**IMAGES, "model": "dall-e-3"},
        },
    )
    told = list(warnings(spec, plan(spec), today=date(2026, 11, 26)))
    assert [each.partition(" (as of")[0] for each in told] == [
        "recipes.image_generation_topic: 5,000 samples start from 288 topics, so each comes up to 18 times",
        "recipes.mm_reasoning_o: n is 10, but its source has 3 records",
        "backends.image: dall-e-3 was retired on 2026-05-12",
        "backends.judge: NO_SUCH_KEY is not set; run needs it",
        "backends.judge: gpt-4o will be retired on 2027-01-14",
    ]


def test_no_model_that_is_named_in_a_preset_or_a_page_is_retired():
    from tests.test_docs import PAGES, blocks
    from toolkit.generation.calls.prices import price_table, retired_on
    from toolkit.generation.core.spec_file import PRESETS

    texts = [path.read_text() for path in PRESETS.glob("*.yaml")]
    texts += [code for page in PAGES for _, code in blocks(page)]
    named = {model for model in price_table()["models"] for text in texts if f" {model}," in text}
    assert named
    assert {model for model in named if retired_on(model)} == set()


BARE = """
from pathlib import Path
from toolkit.generation.recipes.recipe import Made, Recipe, Turn

async def make(context):
    said = await context.ask("say@1", what=str(context.index))
    return Made(turns=(Turn(user=("What?",), assistant=(said["text"],)),), answer=said["text"])

RECIPE = Recipe(
    name="bare", task="cot_collection", version=1, folder=Path(__file__).parent, prompts=("say@1",), make=make
)
"""


def test_a_recipe_without_a_script_is_planned(tmp_path):
    (tmp_path / "bare/prompts").mkdir(parents=True)
    (tmp_path / "bare/recipe.py").write_text(BARE)
    (tmp_path / "bare/prompts/say@1.yaml").write_text(
        yaml.safe_dump(
            {
                "role": "text",
                "user": "Say {what}.",
                "schema": {"type": "object", "properties": {"text": {"type": "string"}}},
            }
        )
    )
    recipes = {"bare": {"n": 10, "use": "bare/recipe.py:RECIPE"}}
    (found,) = estimate(spec_of(tmp_path, recipes=recipes, prices={"chat": {"output_per_mtok": 1.0}}))
    assert (found.recipe, found.role, found.calls) == ("bare", "text", 10)
    assert 0 < found.usd[0] < found.usd[1] < found.most_usd


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    yield server
    server.close()


def test_what_a_run_costs_is_below_the_most_that_was_said_of_it(server, tmp_path):
    recipes = dict.fromkeys(("image_generation_topic", "image_editing", "mm_reasoning_o", "mm_internet"), 3)
    server.faults = lambda number, step, content: ("", "wrong_schema", "truncated", "empty_choices")[number % 4]
    prices = {"chat": {"input_per_mtok": 20.0, "output_per_mtok": 80.0}, "draw": {"per_image": 0.04}}
    spec = read_spec(http_spec(tmp_path, server.url, recipes, stop_after=100, prices=prices))
    most = sum(each.most_usd for each in estimate(spec))
    engine.run(spec, tmp_path / "run")
    assert 0 < summarise(spec, tmp_path / "run").cost < most


def test_the_command_says_all_of_it(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    spec = spec_of(
        tmp_path,
        recipes={"image_generation_topic": 600},
        backends={**MODELS, "text": {**SERVER, "model": "gpt-6-luna", "api_key_env": "NO_SUCH_KEY"}},
    )
    assert spec.recipes
    with pytest.raises(SystemExit) as ended:
        main(["generate", "plan", str(tmp_path / "spec.yaml")])
    said = capsys.readouterr()
    assert ended.value.code in (None, 0)
    assert "at most" in said.out
    assert "warning: backends.text: NO_SUCH_KEY is not set" in said.err
    assert "each comes up to 3 times" in said.err


def test_an_answer_with_a_picture_is_not_needed_to_plan(tmp_path):
    (tmp_path / "0.png").write_bytes(picture(0))
    (tmp_path / "o.jsonl").write_text(json.dumps({"image": "0.png"}) + "\n" + json.dumps({"image": "gone.png"}))
    spec = spec_of(
        tmp_path, recipes={"mm_reasoning_o": {"n": 2, "source": "o.jsonl"}}, prices={"chat": {"input_per_mtok": 1.0}}
    )
    assert all(each.most_usd > 0 for each in estimate(spec))
