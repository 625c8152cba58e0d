"""The last check: unknown where nobody plays it, a reason where something is flagged, and who said "safe"."""

import json

import pytest

from tests.generation_runs import PRICES, write_sources, write_spec
from tests.openai_server import KEY, OpenAIServer
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import journal_paths, query
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.explain import explain, remake
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import rows
from toolkit.generation.runs.plans import plan

RECIPE = "image_editing"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def go(tmp_path):
    """Two procedural rows under a safety backend; gives their verdicts, the funnel's reasons, and the summary."""

    def call(safety=None, n=2):
        backends = {"all": {"kind": "procedural"}, **({"safety": safety} if safety else {})}
        call.spec = read_spec(write_spec(tmp_path, {"backends": backends, "recipes": {RECIPE: n}, "concurrency": 2}))
        engine.run(call.spec, tmp_path / "run")
        summary = summarise(call.spec, tmp_path / "run")
        verdicts = [
            json.loads(row.provenance)["safety"] for each in plan(call.spec) for row in rows(each, tmp_path / "run")
        ]
        return verdicts, summary.recipes[RECIPE].reasons, summary

    call.folder = tmp_path / "run"
    return call


def moderation(server):
    return {"kind": "openai_moderation", "model": "omni", "base_url": server.url, "api_key_env": "TEST_API_KEY"}


def test_nobody_asked_is_unknown(go):
    assert go()[:2] == ([{"verdict": "unknown"}] * 2, {})


def test_moderation_sees_the_text_and_every_picture(server, go):
    verdicts, reasons, summary = go(moderation(server))
    assert (verdicts, reasons) == ([{"verdict": "safe", "by": "omni"}] * 2, {})
    assert [step for step, _ in server.requests] == ["moderations"] * 6  # a text and two pictures, twice
    assert server.complaints == []
    assert (summary.models["omni"].calls, summary.models["omni"].cost, summary.models["omni"].unknown) == (2, 0, 0)
    spec = read_spec(go.folder.parent / "spec.yaml")
    row = next(iter(rows(plan(spec)[0], go.folder)))
    assert remake(spec, go.folder, explain(go.folder, row.id).sample) == (row, True)


def test_what_is_flagged_is_rejected_with_its_categories(server, go):
    server.unsafe = {"image_url"}
    assert go(moderation(server))[:2] == ([], {"safety: flagged": 2})
    details = [detail for path in journal_paths(go.folder) for (detail,) in query(path, "SELECT detail FROM samples")]
    assert details == ["violence", "violence"]


def test_a_chat_model_can_play_safety(server, go):
    chat = {"kind": "openai_chat", "model": "chat", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
    assert go(chat)[1] == {"safety: flagged": 2}  # the server on loopback says yes to every question


def test_nobody_plays_safety_for_want_of_another(server, tmp_path):
    """`all` answers every role but this one."""
    write_sources(tmp_path, 1)
    chat = {"kind": "openai_chat", "model": "chat", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
    image = {"kind": "openai_images", "model": "draw", "base_url": server.url, "api_key_env": "TEST_API_KEY"}
    spec = read_spec(
        write_spec(
            tmp_path,
            {"backends": {"all": chat, "image": image}, "recipes": {"image_generation_topic": 1}, "prices": PRICES},
        )
    )
    engine.run(spec, tmp_path / "run")
    (row,) = rows(plan(spec)[0], tmp_path / "run")
    assert json.loads(row.provenance)["safety"] == {"verdict": "unknown"}


def test_the_plan_counts_a_call_a_row(server, go):
    go(moderation(server))
    (found,) = [each for each in estimate(go.spec) if each.role == "safety"]
    assert (found.model, found.calls, found.usd) == ("omni", 2, (0.0, 0.0))


def test_safety_backends_play_nothing_else(server, tmp_path):
    spec = read_spec(
        write_spec(tmp_path, {"backends": {"all": moderation(server)}, "recipes": {"image_generation_topic": 1}})
    )
    with pytest.raises(UsageError, match="'openai_moderation' does not answer topic_brief of image_generation_topic"):
        engine.run(spec, tmp_path / "run")


@pytest.mark.filterwarnings("ignore:.*requires torchvision.*")
class TestClassifiers:
    @pytest.fixture
    def safety(self, tmp_path):
        from tests.generation_tiny import save_picture_classifier, save_text_classifier

        def make(*, picture, text, **rest):
            models = {
                "model": str(save_picture_classifier(tmp_path / "pictures", unsafe=picture)),
                "text_model": str(save_text_classifier(tmp_path / "texts", unsafe=text)),
            }
            return {"kind": "safety_classifier", "device": "cpu", "unsafe": ["nsfw", "toxic"], **models, **rest}

        return make

    def test_neither_flags(self, go, safety, tmp_path):
        verdicts, reasons, _ = go(safety(picture=-9, text=-9))
        assert (verdicts, reasons) == ([{"verdict": "safe", "by": str(tmp_path / "pictures")}] * 2, {})
        scores = [
            json.loads(raw)
            for path in journal_paths(go.folder)
            for (raw,) in query(path, "SELECT raw FROM attempts WHERE raw != ''")
        ]
        assert [len(each) for each in scores] == [3, 3]  # the text and two pictures
        assert all({label["label"] for label in each[0]} == {"fine", "toxic"} for each in scores)

    @pytest.mark.parametrize(
        ("picture", "text", "category"), [(9, -9, "nsfw"), (-9, 9, "toxic"), (9, 9, "nsfw, toxic")]
    )
    def test_either_flags(self, go, safety, picture, text, category):
        assert go(safety(picture=picture, text=text))[1] == {"safety: flagged": 2}
        assert {
            detail for path in journal_paths(go.folder) for (detail,) in query(path, "SELECT detail FROM samples")
        } == {category}

    def test_the_threshold_decides(self, go, safety):
        assert go(safety(picture=1.0, text=-9, threshold=0.99))[1] == {}

    def test_a_label_no_model_has_stops_the_run(self, go, safety):
        with pytest.raises(RunStopped, match=r"no model has the labels \['gore'\]; they have: fine, nsfw, toxic"):
            go(safety(picture=0, text=0, unsafe=["gore"]))

    def test_both_models_are_needed(self, go):
        with pytest.raises(UsageError, match="'text_model' is missing; 'unsafe' is missing"):
            go({"kind": "safety_classifier", "model": "m"})
