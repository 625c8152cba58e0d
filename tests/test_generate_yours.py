"""What others bring from outside the package: recipe, prompts, topics, columns, mixes; named by one spec."""

import json
import shutil
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.generation_runs import PRICES, picture, write_spec
from tests.openai_server import KEY, OpenAIServer
from tests.pages import Page
from toolkit.cli.app import main
from toolkit.errors import UsageError
from toolkit.generation.backends import BACKENDS
from toolkit.generation.core.spec_file import parse_spec, read_spec
from toolkit.generation.core.topics import read_topics
from toolkit.generation.recipes import RECIPES
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.starting import commented_spec, recipe_schema, spec_schema
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.plans import plan, player_of, warnings
from toolkit.schema import Row
from toolkit.sources.packed import PackedSource, find_shards
from toolkit.sources.repository import LocalFolder

RECIPE = """
from pathlib import Path

from pydantic import Field

from toolkit.generation.core.options import Options
from toolkit.generation.core.records import Picture, RecordModel, Words, reject
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn
from toolkit.tasks import Task


class Photo(RecordModel):
    image: Picture
    place: Words


class Mine(Options):
    least_words: int = Field(1, ge=1)


async def make(context: Context) -> Made:
    photo = await context.keep(context.record.image("image"))
    told = await context.ask("postcard@1", photo, place=context.record.text("place"), **context.topic())
    if len(told["text"].split()) < context.options.least_words:
        reject("postcard", "too_short")
    request = f"Write a postcard from {context.record.text('place')}."
    return Made(
        turns=(Turn(user=(Shown(blob=photo, role="input"), request), assistant=(told["text"],)),),
        answer=told["text"],
        source="my photos",
    )


RECIPE = Recipe(
    name="postcards", task=Task(name="postcard", quadrant="mm-text", outputs="none"), version=1,
    folder=Path(__file__).parent, prompts=("postcard@1",), make=make, record=Photo, options=Mine, topics=True,
)
"""
PROMPT = """
role: vision
system: You write postcards.
user: "A postcard from {place}, about {topic}, {scene}."
schema:
  type: object
  properties: {text: {type: string, minLength: 1}}
"""
SPEC = """
name: postcards
backends:
  text:
    mix:
      - {weight: 3, kind: openai_chat, model: chat, base_url: URL, api_key_env: TEST_API_KEY}
      - {kind: openai_chat, model: other, base_url: URL, api_key_env: TEST_API_KEY}
recipes:
  mine:
    use: ./bench/my_recipe.py:RECIPE
    accept: 50
    n: 60
    source: {path: SOURCE, columns: {image: photo, place: where.name}, fixed: {license: CC0-1.0}}
    options: {least_words: 1}
topics: my_topics.yaml
prompts: my_prompts
columns:
  persona: [a nurse, a pilot]
  tone: {by: persona, values: {a nurse: [warm], a pilot: {brief: 1, dry: 1}}}
prices: PRICES
budget: {max_usd: 9.0}
"""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def home(tmp_path, server):
    """A folder of a stranger's files, none of them in the package."""
    (tmp_path / "bench/prompts").mkdir(parents=True)
    (tmp_path / "my_prompts").mkdir()
    (tmp_path / "bench/my_recipe.py").write_text(RECIPE)
    (tmp_path / "bench/prompts/postcard@1.yaml").write_text(PROMPT)
    own = PROMPT.replace("A postcard", "You are {persona}, and {tone}. A postcard")
    (tmp_path / "my_prompts/postcard.yaml").write_text(own)
    (tmp_path / "my_topics.yaml").write_text("{sea: [tides, {boats: [sails, oars]}], hills: null}")
    return tmp_path


def photos(count):
    """A table with pictures as `datasets` writes them."""
    return pa.table(
        {
            "photo": [{"bytes": picture(number), "path": f"{number}.png"} for number in range(count)],
            "where": [{"name": f"place {number}"} for number in range(count)],
            "rating": list(range(count)),
        }
    )


def spec_text(server, source, text=SPEC):
    filled = text.replace("URL", server.url).replace("PRICES", json.dumps(PRICES | {"other": PRICES["chat"]}))
    return filled.replace("SOURCE", str(source))


def packed(folder) -> list[Row]:
    repository = LocalFolder(folder / "packed")
    source = PackedSource(repository=repository, paths=find_shards(repository.list_files()))
    return [row for task in source.tasks for row in source.read(task)]


def shards(spec, folder):
    return [shard.sha256 for shard in finalize(spec, folder).shards]


@pytest.mark.parametrize("source", ["parquet", "hub"])
def test_a_stranger_makes_50_rows_from_one_short_spec_and_replays_them(home, server, hub, source):
    if source == "parquet":
        pq.write_table(photos(60), home / "photos.parquet")
        named = "photos.parquet"
    else:
        (home / "repo/data").mkdir(parents=True)
        pq.write_table(photos(60), home / "repo/data/train-00000-of-00001.parquet")
        hub.add_folder("me/photos", home / "repo")
        named = "hf://datasets/me/photos"
    path = home / "spec.yaml"
    path.write_text(spec_text(server, named))
    assert len(path.read_text().splitlines()) < 40
    spec = read_spec(path)
    assert list(warnings(spec, plan(spec))) == [
        "recipes.mine: 60 samples start from 48 topics, so each comes up to 2 times"
    ]
    engine.run(spec, home / "run")
    first = shards(spec, home / "run")
    rows = packed(home / "run")
    assert (len(rows), server.complaints) == (50, [])
    assert {(row.source, row.license, row.origin) for row in rows} == {("my photos", "CC0-1.0", "generated")}
    known = [json.loads(row.provenance) for row in rows]
    assert {each["columns"]["persona"] for each in known} == {"a nurse", "a pilot"}
    tones = {(each["columns"]["persona"], each["columns"]["tone"]) for each in known}
    assert tones == {("a nurse", "warm"), ("a pilot", "brief"), ("a pilot", "dry")}
    models = Counter(call["model"] for each in known for call in each["calls"])
    assert models.keys() == {"chat", "other"}
    assert 1.5 < models["chat"] / models["other"] < 10
    assert rows[0].images[0].bytes == picture(0)

    asked = len(server.requests)
    assert asked < 60  # it stopped once there were enough
    if source == "hub":
        shutil.rmtree(home / "repo")
        hub.reset()  # the Hub is gone: the records are in the cache
    engine.run(spec, home / "again", replay=home / "run")
    assert (shards(spec, home / "again"), len(server.requests)) == (first, asked)


def test_rows_that_are_enough_do_not_depend_on_parts_or_concurrency(home, server):
    pq.write_table(photos(60), home / "photos.parquet")
    text = spec_text(server, "photos.parquet").replace("accept: 50", "accept: 7")
    (home / "one.yaml").write_text(text + "concurrency: 1\n")
    (home / "many.yaml").write_text(text + "concurrency: 6\n")
    one, many = read_spec(home / "one.yaml"), read_spec(home / "many.yaml")
    engine.run(one, home / "one")
    assert len(server.requests) == 7
    for part in (2, 0, 1):
        engine.run(many, home / "many", shard=(part, 3))
    assert shards(one, home / "one") == shards(many, home / "many")
    assert summarise(many, home / "many").recipes["mine"].pending == 0


def test_a_mix_is_priced_by_who_answers(home, server):
    pq.write_table(photos(60), home / "photos.parquet")
    spec = parse_spec(yaml.safe_load(spec_text(server, "photos.parquet")), folder=home)
    found = {each.model: each.calls for each in estimate(spec)}
    assert sum(found.values()) == 60
    assert found["chat"] > 2 * found["other"] > 0
    drawn = Counter(player_of(spec, "mine", "text", index) for index in range(2000))
    assert drawn["text[0]"] / 2000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        (PROMPT.replace("vision", "text"), "role and kind are text and chat; expected vision and chat"),
        (PROMPT.replace("{place}", "{city}"), "names city; known: persona, place, scene, tone, topic"),
        (PROMPT.replace("text: {", "said: {"), "reply has no text, which the recipe reads"),
    ],
)
def test_a_prompt_that_cannot_take_the_place_of_another_stops_before_the_first_call(home, server, prompt, problem):
    pq.write_table(photos(3), home / "photos.parquet")
    (home / "spec.yaml").write_text(spec_text(server, "photos.parquet"))
    (home / "my_prompts/postcard.yaml").write_text(prompt)
    with pytest.raises(UsageError, match=problem):
        plan(read_spec(home / "spec.yaml"))


def test_what_replaces_nothing_is_said(home, server):
    pq.write_table(photos(3), home / "photos.parquet")
    (home / "spec.yaml").write_text(spec_text(server, "photos.parquet"))
    (home / "my_prompts/postcard.yaml").rename(home / "my_prompts/postcart.yaml")
    spec = read_spec(home / "spec.yaml")
    said = " ".join(warnings(spec, plan(spec)))
    assert "columns: persona, tone: no prompt names them" in said
    assert "prompts: postcart takes the place of none that is asked: postcard@1" in said


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"tone": {"by": "persona", "values": {"a": [1]}}}, "by is 'persona', which is no column before it"),
        ({"a": ["x", "y"], "b": {"by": "a", "values": {"x": [1]}}}, "b: nothing for a = y; add it, or otherwise"),
        ({"a": {"values": {"x": 0}}}, "weights are 0 or more, and not all 0"),
        ({"a": {"range": [2, 1]}}, "range goes from 2.0 down to 1.0"),
        ({"a b": [1]}, "'a b' cannot stand in a prompt"),
    ],
)
def test_a_wrong_column_is_told(columns, problem):
    with pytest.raises(UsageError, match=problem):
        parse_spec({"recipes": {"image_editing": 1}, "columns": columns})


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code or 0


@pytest.mark.parametrize("name", RECIPES)
def test_a_spec_to_start_from_is_one_for_every_recipe_and_backend(name, tmp_path):
    for kind in ("procedural", "openai_chat"):
        spec = parse_spec(yaml.safe_load(commented_spec(name, kind)), folder=tmp_path)
        assert [each.name for each in spec.recipes] == [name]
    procedural = parse_spec(yaml.safe_load(commented_spec(name, "procedural")), folder=tmp_path)
    if not name.startswith("import_"):
        assert plan(procedural)


def test_schemas_say_what_specs_and_records_may_hold():
    jsonschema = pytest.importorskip("jsonschema")
    schema = spec_schema()
    spec = yaml.safe_load(commented_spec("image_editing", "openai_chat"))
    jsonschema.validate(spec, schema)
    for wrong in ({"backend": {}}, {"recipes": {"image_editing": {"m": 3}}}, {"recipes": {"image_editing": 0}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**spec, **wrong}, schema)
    assert {each["title"] for each in schema["$defs"]["BackendFile"]["anyOf"]} == {*BACKENDS, "a kind of your own"}
    assert recipe_schema("image_editing")["record"]["required"] == ["image", "edit"]
    assert recipe_schema("mm_reasoning_t")["record"] is None


def test_init_validate_and_preview_lead_to_a_page_of_every_step(tmp_path, capsys):
    path = tmp_path / "spec.yaml"
    assert command("generate", "init", "image_correction", "--out", path) == 0
    assert command("generate", "init", "image_correction", "--out", path) == 2  # it is not overwritten
    assert command("generate", "validate", path) == 0
    assert "nothing is wrong with it" in capsys.readouterr().out
    assert command("generate", "preview", path, "--rows", 2, "--out", tmp_path / "run") == 0
    html = (tmp_path / "run/preview.html").read_text()
    page = Page(html)
    assert len(page.rows) == 2
    steps = ["correction_description", "draw_picture", "picture_matches", "correction_find", "draw_correction"]
    assert [step for step in steps if f"<strong>{step}</strong>" in html] == steps
    assert "You compare a picture with what it was meant to show" in html
    spec = read_spec(path)
    before = summarise(spec, tmp_path / "run").models["procedural"].calls
    assert command("generate", "run", path, "--out", tmp_path / "run") == 0
    assert summarise(spec, tmp_path / "run").models["procedural"].calls == before * 5  # the first two of ten are kept


def test_a_tree_of_topics_grows_level_by_level_and_what_is_there_is_not_asked_again(tmp_path, server):
    server.dialect = lambda path, body: None if path != "chat/completions" else divided(body)
    backend = {"kind": "openai_chat", "model": "chat", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
    content = {"backends": {"all": backend}, "recipes": {"mm_reasoning_t": 1}, "prices": PRICES}
    (tmp_path / "seed.yaml").write_text("{topics: [sea, hills], scenes: [at dawn]}")
    path, tree = write_spec(tmp_path, {**content, "topics": "seed.yaml"}), tmp_path / "tree.yaml"
    assert command("generate", "topics", path, tree, "--to", 5, "--out", tmp_path / "run") == 0
    assert yaml.safe_load(tree.read_text()) == {
        "topics": {
            "sea": {"sea 1": {"sea 1 1": None, "sea 1 2": None}, "sea 2": None},
            "hills": {"hills 1": None, "hills 2": None},
        },
        "scenes": ["at dawn"],
    }
    assert read_topics(tree).topics[0] == "sea: sea 1: sea 1 1"
    assert sorted(ASKED) == ["hills", "sea", "sea 1"]
    assert command("generate", "topics", path, tree, "--to", 6, "--out", tmp_path / "run") == 0
    assert ASKED[3:] == ["sea 1 1"]  # the next leaf
    server.dialect = lambda path, body: answered(["sea", "Hills "])
    assert command("generate", "topics", path, tree, "--to", 99, "--out", tmp_path / "run") == 1


ASKED: list[str] = []


def divided(body):
    """Two narrower topics of the one that is asked."""
    topic = json.loads(body)["messages"][1]["content"].partition("narrowest: ")[2].splitlines()[0].rpartition(": ")[2]
    ASKED.append(topic)
    return answered([f"{topic} 1", f"{topic} 2"])


def answered(topics):
    message = {"role": "assistant", "content": json.dumps({"topics": topics})}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
