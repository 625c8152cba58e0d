"""Models that answer the benchmark: behind a loopback server, and tiny random ones of transformers."""

import base64
import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolkit.cli.app import main
from toolkit.demo import tiny_models
from toolkit.errors import DiskFull, UsageError
from toolkit.evaluation import models
from toolkit.evaluation.asking import ask, read_prompts
from toolkit.evaluation.benchmark import write_benchmark
from toolkit.evaluation.geneval import TAGS, metadata
from toolkit.evaluation.judging import judge, shares, verdict_of
from toolkit.evaluation.scoring import make_item, score
from toolkit.sources.layout import open_source


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    write_benchmark(folder, wanted=["single_object", "editing", "question"], size=2)
    return folder


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no disk that is always full")
def test_a_full_disk_names_the_file_and_the_next_call_resumes(bench, tmp_path):
    def model(prompts):
        return ((each.id, ["x" * 100_000]) for each in prompts)

    answers = tmp_path / "answers.jsonl"
    answers.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"answers\.jsonl: the disk is full: .* free space"):
        ask(bench, tmp_path, model)
    answers.unlink()
    assert ask(bench, tmp_path, model) == (6, Counter())


def thing(attribute, shape, *, low=1, high=99, **more):
    return {"attribute": attribute, "shape": shape, **more, "from": low, "to": high}


def right_answers(bench):
    """id -> the parts of its right answer."""
    source = open_source(bench / "packed")
    rows = [row for task in source.tasks for row in source.read(task)]
    found = {}
    for row in rows:
        images = [image.bytes for image, role in zip(row.images, row.image_roles, strict=True) if role != "input"]
        parts = row.messages[-1].content
        found[row.id] = [part.text if part.type == "text" else images.pop(0) for part in parts]
    return found


@contextmanager
def serving(reply):
    """A server whose answer to the body of a request is `reply(body)`: a status and a message."""

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, message = reply(body)
            content = json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def uri(picture):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}}


def key_of(content):
    """Texts and encoded pictures of a prompt, as ours and as the server has them."""
    return tuple(
        part["text"] if part["type"] == "text" else base64.b64decode(part["image_url"]["url"].partition(",")[2])
        for part in content
    )


def test_a_server_that_knows_the_answers_scores_in_full_and_is_asked_again_only_for_what_failed(bench, tmp_path):
    wanted = right_answers(bench)
    answers = {tuple(prompt.content): wanted[prompt.id] for prompt in read_prompts(bench)}
    asked = []

    def reply(body):
        asked.append(body["messages"][0]["content"])
        if len(asked) == 3:
            return 500, {"role": "assistant", "content": "out of order"}
        parts = answers[key_of(asked[-1])]
        texts = "".join(part for part in parts if isinstance(part, str))
        return 200, {"role": "assistant", "content": texts, "images": [uri(p) for p in parts if isinstance(p, bytes)]}

    with serving(reply) as url:
        written, failed = ask(bench, tmp_path, models.server(url, "any", parallel=1))
        assert (written, failed.total(), len(asked)) == (5, 1, 6)
        with (tmp_path / "answers.jsonl").open("ab") as file:
            file.write(b'{"id": "half')  # a process that was killed
        written, failed = ask(bench, tmp_path, models.server(url, "any", parallel=1))
    assert (written, failed.total(), len(asked)) == (6, 0, 7)
    results, others = score(tmp_path, wanted=["single_object", "editing", "question"], size=2)
    assert [each.verdict.value for each in results] == ["right"] * 6
    assert not others


def test_the_command_says_what_failed_and_exits_one(bench, tmp_path, capsys):
    with serving(lambda _: (429, {"role": "assistant", "content": ""})) as url:
        arguments = ("evaluate", "ask", bench, tmp_path / "out", "--model", "m", "--server", url)
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "6 items have no answer" in said.err
    assert "429" in said.out


def test_a_judge_is_shown_request_and_answer_and_its_yes_and_no_are_counted(bench, tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "".join(
            json.dumps({"id": f"uvbench1-question-0000{number}", "answer": answer}) + "\n"
            for number, answer in enumerate(("yes indeed", "who knows"))
        )
    )

    def reply(body):
        texts = [part["text"] for part in body["messages"][0]["content"] if part["type"] == "text"]
        assert texts[0] == "The request:"
        assert texts[-3] == "The answer:"
        says = "Yes." if texts[-2] == "yes indeed" else "Yes and no."
        return 200, {"role": "assistant", "content": says}

    with serving(reply) as url:
        judged = judge(answers, models.server(url, "judge"), wanted=["question", "editing"], size=2)
    assert [(each.id, each.says) for each in judged] == [
        ("uvbench1-question-00000", True),
        ("uvbench1-question-00001", None),
    ]
    assert shares(judged)["question"].mean == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [("Yes", True), ("**No**, it is red", False), ("yes... no", None), ("", None), ("Nothing", None)],
)
def test_a_judge_says_yes_or_no_in_its_own_words(text, says):
    assert verdict_of(text) is says


@pytest.mark.parametrize(
    ("part", "wanted", "include", "exclude"),
    [
        ("single_object", [thing("object", "heart")], [{"class": "heart", "count": 1}], None),
        (
            "counting",
            [thing("count", "square", low=5, high=5)],
            [{"class": "square", "count": 5}],
            [{"class": "square", "count": 6}],
        ),
        (
            "binding",
            [thing("object", "boat"), thing("binding", "boat", colour="red")],
            [{"class": "boat", "count": 1, "color": "red"}],
            None,
        ),
        (
            "position",
            [
                thing("object", "boat"),
                thing("object", "tree"),
                {"one": {"shape": "boat"}, "relation": "left_of", "other": {"shape": "tree"}},
            ],
            [{"class": "tree", "count": 1}, {"class": "boat", "count": 1, "position": ["left of", 0]}],
            None,
        ),
        (
            "negation",
            [thing("object", "boat"), thing("negation", "fish", low=0, high=0)],
            [{"class": "boat", "count": 1}],
            [{"class": "fish", "count": 1}],
        ),
    ],
)
def test_prompts_are_told_in_the_terms_of_geneval(part, wanted, include, exclude):
    found = metadata(part, "Draw.", wanted)
    assert (found["include"], found.get("exclude"), found["prompt"]) == (include, exclude, "Draw.")


@pytest.mark.parametrize("part", TAGS)
def test_every_prompt_of_a_part_can_be_told_or_is_left_out(part):
    for number in range(24):
        item = make_item("x", part, number)
        found = metadata(part, item.prompt[0], item.facts["wanted"])
        shapes = {each["shape"] for each in item.facts["wanted"] if "shape" in each and each["from"]}
        assert found is None or {each["class"] for each in found["include"]} == shapes


def test_the_benchmark_holds_a_line_for_each_prompt_that_geneval_can_say(bench):
    lines = [json.loads(line) for line in (bench / "geneval.jsonl").read_text().splitlines()]
    assert [line["tag"] for line in lines] == ["single_object"] * 2


@pytest.mark.parametrize("family", ["janus", "llava"])
def test_a_model_of_transformers_answers_every_prompt(family, bench, tmp_path):
    pytest.importorskip("torch", reason="models need torch; pip install torch")
    tiny = getattr(tiny_models, f"tiny_{family}")()
    tiny.model.save_pretrained(tmp_path / "model")
    tiny.processor.save_pretrained(tmp_path / "model")
    model = models.transformers_model(str(tmp_path / "model"), device="cpu", max_new_tokens=8)
    assert ask(bench, tmp_path / "out", model) == (6, {})
    results, others = score(tmp_path / "out", wanted=["single_object", "editing", "question"], size=2)
    assert [each.fault for each in results if each.fault not in ("", "empty")] == []
    assert not others


def test_a_model_that_draws_without_a_decoder_is_an_error(tmp_path):
    pytest.importorskip("torch", reason="models need torch; pip install torch")
    tiny = tiny_models.tiny_chameleon()
    tiny.model.save_pretrained(tmp_path)
    tiny.processor.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="give a decoder"):
        models.transformers_model(str(tmp_path), device="cpu")
