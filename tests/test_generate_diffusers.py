"""Pictures of a tiny random Stable Diffusion, made and saved at run time."""

import asyncio
import io
import json
from importlib.util import find_spec

import pytest
from PIL import Image

from tests.generation_runs import picture, write_sources, write_spec
from tests.generation_tiny import save_diffusion
from tests.openai_server import KEY, OpenAIServer
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.backends.diffusers_local import Diffusers
from toolkit.generation.core.protocol import Fatal, Origin, Request
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.explain import explain, remake
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize, rows
from toolkit.generation.runs.plans import plan

PARAMS = {"num_inference_steps": 2, "height": 32, "width": 48}
pytestmark = [
    pytest.mark.skipif(  # looked for, not imported: every process of a run collects this file, and one runs it
        not find_spec("diffusers"), reason="draws with diffusers; pip install -c constraints.txt -e '.[local]'"
    ),
    pytest.mark.timeout(240),  # diffusers takes long to import
    pytest.mark.filterwarnings("ignore:.*requires torchvision.*"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_diffusion(tmp_path_factory.mktemp("sd")))


@pytest.fixture
def draw(model):
    """Draw with options and give the picture's bytes, one opened backend a call."""

    def call(kind="generate", *, seed=1, user="a cat", images=(), **options):
        async def once():
            opened = Diffusers.from_options(
                {"model": model, "device": "cpu", "params": {"num_inference_steps": 2}, **options}
            )
            try:
                return await opened.send(
                    Request(
                        kind=kind,
                        step="draw",
                        user=user,
                        images=images,
                        seed=seed,
                        origin=Origin(recipe="", seed=0, index=0),
                    )
                )
            finally:
                await opened.close()

        return asyncio.run(once()).pictures[0]

    return call


def test_the_same_seed_gives_the_same_bytes_and_another_another(draw):
    one, again, other, other_words = draw(), draw(), draw(seed=2), draw(user="a dog")
    assert one == again
    assert len({one, other, other_words}) == 3


def test_params_set_the_size(draw):
    assert Image.open(io.BytesIO(draw(params=PARAMS))).size == (48, 32)


def test_the_pipeline_that_draws_also_edits(draw):
    one, again, other = (draw("edit", images=(picture(number),)) for number in (1, 1, 200))
    assert Image.open(io.BytesIO(one)).size == (160, 200)
    assert one == again != other
    assert draw("edit", images=(picture(1),), edit_params={"strength": 1.0}) != one


def test_half_precision_draws_too(draw):
    assert draw(dtype="bfloat16") != draw()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"params": {"steps": 3}}, r"unknown_params: StableDiffusionPipeline does not take \['steps'\]"),
        ({"model": "/nowhere/at/all"}, "no_model: /nowhere/at/all: "),
    ],
)
def test_what_cannot_work_is_fatal(draw, options, message):
    with pytest.raises(Fatal, match=message):
        draw(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, "'size' is not known; known: .*dtype"),
        ({"dtype": "int4"}, "'dtype' is 'int4': input should be 'float32'"),
    ],
)
def test_wrong_options_say_what_is_known(draw, options, message):
    with pytest.raises(UsageError, match=message):
        draw(**options)


@pytest.fixture
def spec(model, tmp_path, monkeypatch):
    """Words from a server on loopback, pictures from the pipeline: a function of recipes."""
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    write_sources(tmp_path, 3)

    def make(**params):
        chat = {"kind": "openai_chat", "model": "chat", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
        image = {"kind": "diffusers", "model": model, "device": "cpu", "params": {"num_inference_steps": 2, **params}}
        recipes = {"image_generation_topic": 2, "image_editing": {"n": 2, "source": "image_editing.jsonl"}}
        return read_spec(write_spec(tmp_path, {"backends": {"all": chat, "image": image}, "recipes": recipes}))

    make.server = server
    yield make
    server.close()


def test_recipes_run_end_to_end_and_are_made_again_without_the_model(spec, tmp_path, model):
    made = spec()
    engine.run(made, tmp_path / "run")
    summary = summarise(made, tmp_path / "run")
    assert {name: f.ok for name, f in summary.recipes.items()} == {"image_generation_topic": 2, "image_editing": 2}
    assert (
        summary.models[model].calls,
        summary.models[model].images,
        summary.models[model].cost,
        summary.models[model].unknown,
    ) == (4, 4, 0, 0)
    for planned in plan(made):
        for row in rows(planned, tmp_path / "run"):
            (call,) = [call for call in json.loads(row.provenance)["calls"] if call["model"] == model]
            (sent,) = [call for call in explain(tmp_path / "run", row.id).calls if call["role"] == "image"]
            assert (sent["key"], sent["request"]["backend"]["params"]) == (call["call"], {"num_inference_steps": 2})
            assert remake(made, tmp_path / "run", explain(tmp_path / "run", row.id).sample) == (row, True)
    clean = finalize(made, tmp_path / "run")
    engine.run(made, tmp_path / "again")
    assert [shard.sha256 for shard in finalize(made, tmp_path / "again").shards] == [
        shard.sha256 for shard in clean.shards
    ]


def test_a_wrong_param_stops_the_run(spec, tmp_path):
    with pytest.raises(RunStopped, match=r"unknown_params: .* does not take \['steps'\]; correct the spec"):
        engine.run(spec(steps=3), tmp_path / "run")


def test_the_plan_costs_nothing_for_pictures(spec, model):
    found = [each for each in estimate(spec()) if each.role == "image"]
    assert {(each.recipe, each.model, each.calls, each.usd) for each in found} == {
        ("image_generation_topic", model, 2, (0.0, 0.0)),
        ("image_editing", model, 2, (0.0, 0.0)),
    }
