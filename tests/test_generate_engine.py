"""Runs without key or network: every recipe, going on, raising n, shards, replay, packing."""

import json
import re
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.generation_runs import GENERATING, picture, write_spec
from toolkit.cli.app import main
from toolkit.errors import UsageError
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal import finished
from toolkit.generation.recipes import get_recipe
from toolkit.generation.recipes.import_llava_cot.recipe import parse_tags
from toolkit.generation.recipes.mm_reasoning_o import recipe as mm_reasoning_o
from toolkit.generation.recipes.recipe import Rejected, reject
from toolkit.generation.reports.explain import explain, remake
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.audit import problems
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.lock import lock
from toolkit.generation.runs.retry import put_back
from toolkit.images import decode_image
from toolkit.rules import check_row
from toolkit.sources.packed import PackedSource, find_shards
from toolkit.sources.repository import LocalFolder
from toolkit.tasks import TASKS

COUNTS = {**dict.fromkeys(GENERATING, 2), "mm_internet": 4}  # each fourth document of mm_internet has a planted defect


def procedural(folder, recipes, **rest):
    return read_spec(write_spec(folder, {"name": "zero-key", "recipes": recipes, "concurrency": 4, **rest}))


def shas(manifest):
    return [(shard.path, shard.sha256) for shard in manifest.shards]


def packed_rows(run):
    folder = LocalFolder(run / "packed")
    source = PackedSource(repository=folder, paths=find_shards(folder.list_files()))
    return [row for task in source.tasks for row in source.read(task)]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A run of all recipes, packed: its spec, folder and manifest."""
    folder = tmp_path_factory.mktemp("clean")
    spec = procedural(folder, COUNTS)
    engine.run(spec, folder / "run")
    return spec, folder / "run", finalize(spec, folder / "run")


def test_every_recipe_makes_rows_without_key_or_network(clean):
    spec, run, _ = clean
    funnels = summarise(spec, run).recipes
    assert {name: f.ok for name, f in funnels.items()} == {**COUNTS, "mm_internet": 3}
    assert funnels["mm_internet"].rejected == 1
    assert list(problems(spec, run)) == []


def test_rows_are_procedural_and_of_the_quadrant_their_task_has(clean):
    _, run, _ = clean
    rows = packed_rows(run)
    assert len(rows) == len({row.id for row in rows}) == sum(COUNTS.values()) - 1
    assert {row.origin for row in rows} == {"procedural"}
    assert {row.task for row in rows} == {get_recipe(name).task for name in GENERATING}
    assert [row.id for row in rows if row.quadrant != TASKS[row.task].quadrant] == []
    assert all(row.source and row.license for row in rows)


def test_rows_keep_the_rules_and_say_how_they_were_made(clean):
    _, run, _ = clean
    for row in packed_rows(run):
        check_row(row)
        made = json.loads(row.provenance)
        assert (made["seed"], made["index"] in range(4), made["recipe"].startswith(row.task)) == (0, True, True)
        assert row.instruction
        assert row.answer
        assert all(row.image_captions)


def test_close_ups_are_cut_from_the_picture_they_explain(clean):
    _, run, _ = clean
    explained = [row for row in packed_rows(run) if row.task in ("mm_reasoning_o", "image_correction")]
    assert len(explained) == 4
    for row in explained:
        whole, *details = (
            np.asarray(decode_image(image.bytes, row.id))
            for image, role in zip(row.images, row.image_roles, strict=True)
            if role != "output"
        )
        assert details
        assert all(is_cut_from(detail, whole) for detail in details)


def is_cut_from(detail, whole):
    """Whether a window of the picture equals another one, found by a grid of points of the first channel."""
    height, width = detail.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(whole[..., 0], (height, width))
    down, across = max(1, height // 8), max(1, width // 8)
    points = windows[:, :, ::down, ::across] == detail[::down, ::across, 0]
    places = np.argwhere(points.all(axis=(2, 3)))
    return any((whole[y : y + height, x : x + width] == detail).all() for y, x in places)


def test_packed_rows_are_read_by_duckdb(clean):
    _, run, _ = clean
    found = duckdb.sql(
        f"SELECT task, count(*) FROM '{run}/packed/data/*/*.parquet' GROUP BY task ORDER BY task"
    ).fetchall()
    assert dict(found)["image_generation"] == 4  # of two recipes


def test_another_run_another_concurrency_and_shards_give_the_same_bytes(clean, tmp_path):
    _, _, manifest = clean
    spec = procedural(tmp_path, COUNTS, concurrency=9)
    for part in (2, 0, 1):
        engine.run(spec, tmp_path / "run", shard=(part, 3))
    assert shas(finalize(spec, tmp_path / "run")) == shas(manifest)


def test_a_second_run_makes_nothing(clean):
    spec, run, _ = clean
    assert not engine.run(spec, run)


def test_raising_n_keeps_what_is_there_and_packs_anew(tmp_path):
    spec = procedural(tmp_path, {"mm_reasoning_o": 2})
    engine.run(spec, tmp_path / "run")
    assert sum(shard.rows for shard in finalize(spec, tmp_path / "run").shards) == 2
    more = procedural(tmp_path, {"mm_reasoning_o": 5})
    assert engine.run(more, tmp_path / "run") == {"ok": 3}
    assert sum(shard.rows for shard in finalize(more, tmp_path / "run").shards) == 5


def test_another_seed_in_the_same_folder_is_refused_unless_forked(tmp_path):
    engine.run(procedural(tmp_path, {"mm_reasoning_o": 1}), tmp_path / "run")
    other = procedural(tmp_path, {"mm_reasoning_o": 1}, seed=7)
    with pytest.raises(UsageError, match="holds rows of another spec for mm_reasoning_o"):
        engine.run(other, tmp_path / "run")
    assert engine.run(other, tmp_path / "run", fork=True) == {"ok": 1}
    assert sum(shard.rows for shard in finalize(other, tmp_path / "run").shards) == 1


def test_two_writers_of_a_shard_are_refused(tmp_path):
    spec = procedural(tmp_path, {"mm_reasoning_o": 1})
    with (
        lock(tmp_path / "run/shards/000-of-001"),
        pytest.raises(UsageError, match="another process is working on this part"),
    ):
        engine.run(spec, tmp_path / "run")


def test_rejected_samples_put_back_are_made_anew_from_another_seed(tmp_path):
    spec = procedural(tmp_path, {"mm_internet": 4, "mm_reasoning_o": 1})
    engine.run(spec, tmp_path / "run")
    (planted,) = (sample for sample in finished(tmp_path / "run", "mm_internet") if sample.state == "rejected")
    asked = {call["key"] for call in explain(tmp_path / "run", planted.id).calls}
    seen = []
    for _ in range(2):
        assert put_back(tmp_path / "run", "pictures_do_not_fit") == 1
        assert engine.run(spec, tmp_path / "run") == {
            "rejected": 1
        }  # each fourth page has a planted defect, so that one is found again
        found = explain(tmp_path / "run", planted.id)
        seen.append({call["key"] for call in found.calls} - asked)
        asked |= seen[-1]
    assert [len(keys) for keys in seen] == [2, 2]  # question and judge, of another page each time
    assert summarise(spec, tmp_path / "run").recipes["mm_reasoning_o"].ok == 1


def test_a_redrawn_sample_becomes_a_row_that_is_replayed_and_spread_the_same(tmp_path, monkeypatch):
    spec = procedural(tmp_path, {"mm_reasoning_o": 3})
    make = mm_reasoning_o.RECIPE.make

    async def picky(context):
        made = await make(context)
        if (context.index, context.seed) == (1, 0):
            reject("taste", "dull")
        return made

    monkeypatch.setattr(mm_reasoning_o, "RECIPE", replace(mm_reasoning_o.RECIPE, make=picky))
    manifests = []
    for run, num_shards in (("one", 1), ("three", 3)):
        for again in (0, 1):
            for part in range(num_shards):
                engine.run(spec, tmp_path / run, shard=(part, num_shards))
            assert put_back(tmp_path / run, "dull") == (again == 0)
        manifests.append(shas(finalize(spec, tmp_path / run)))
    assert manifests[0] == manifests[1]
    (redrawn,) = (row for row in packed_rows(tmp_path / "one") if json.loads(row.provenance)["index"] == 1)
    assert json.loads(redrawn.provenance)["seed"] != 0
    assert remake(spec, tmp_path / "one", explain(tmp_path / "one", redrawn.id).sample) == (redrawn, True)


def test_rows_are_explained_and_made_again_from_the_journal(clean):
    spec, run, _ = clean
    for row in packed_rows(run)[::3]:
        found = explain(run, row.id)
        assert found.sample.recipe == json.loads(row.provenance)["recipe"]
        assert {call["key"] for call in found.calls} == {call["call"] for call in json.loads(row.provenance)["calls"]}
        assert remake(spec, run, found.sample) == (row, True)


def test_an_unknown_id_is_said_so(clean):
    with pytest.raises(UsageError, match="no samples match"):
        explain(clean[1], "ie-proc-ffff")


def test_a_changed_picture_is_found(tmp_path):
    spec = procedural(tmp_path, {"image_editing": 1})
    engine.run(spec, tmp_path / "run")
    victim = next((tmp_path / "run/blobs").glob("*/*.png"))
    victim.write_bytes(b"torn")
    kinds = {kind for kind, _ in problems(spec, tmp_path / "run")}
    assert kinds == {"broken_picture", "missing_picture"}


def test_half_written_pictures_of_dead_processes_are_swept(tmp_path):
    blobs = Blobs(tmp_path)
    kept = blobs.path(blobs.put(picture(1)))
    (kept.parent / f".{kept.name}.999999999.1.part").write_bytes(b"half")
    assert blobs.sweep() == 1
    assert list(tmp_path.rglob("*.*")) == [kept]


def test_a_full_disk_stops_with_a_message_and_a_later_run_goes_on(tmp_path, monkeypatch):
    spec = procedural(tmp_path, {"image_editing": 3})
    put = Blobs.put

    def full(self: Blobs, content: bytes) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Blobs, "put", full)
    with pytest.raises(Exception, match=r"the disk is full: .*then run the same command again"):
        engine.run(spec, tmp_path / "run")
    monkeypatch.setattr(Blobs, "put", put)
    assert engine.run(spec, tmp_path / "run") == {"ok": 3}


def test_imports_parse_tags_and_columns_and_reject_the_rest(tmp_path):
    text = "<SUMMARY> s </SUMMARY>\n\n<CAPTION>c</CAPTION>\n\n<REASONING>r</REASONING>\n\n<CONCLUSION>B</CONCLUSION>"
    (tmp_path / "a.png").write_bytes(picture(3))
    turns = [{"from": "human", "value": "<image>\nA or B?"}, {"from": "gpt", "value": text}]
    llava = [
        {"id": "1", "image": "a.png", "conversations": turns},
        {"id": "2", "image": "gone.png", "conversations": turns},
    ]
    llava.append({"id": "3", "image": "a.png", "conversations": [turns[0], {"from": "gpt", "value": "B"}]})
    cot = [
        {"source": "1+1?", "target": "2", "rationale": "One and one.", "task": "sum", "type": "CoT"},
        {"source": "x", "target": "", "rationale": "y"},
    ]
    for name, records in (("llava", llava), ("cot", cot)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    spec = procedural(
        tmp_path,
        {
            "import_llava_cot": {"n": 99, "source": "llava.jsonl"},
            "import_cot_collection": {"n": 99, "source": "cot.jsonl"},
        },
    )
    engine.run(spec, tmp_path / "run")
    funnels = summarise(spec, tmp_path / "run").recipes
    assert funnels["import_llava_cot"].reasons == {"source: missing_image": 1, "tags: other_tags": 1}
    assert funnels["import_cot_collection"].reasons == {"record: empty_column": 1}
    finalize(spec, tmp_path / "run")
    llava_row, cot_row = packed_rows(tmp_path / "run")
    assert (llava_row.instruction, llava_row.rationale, llava_row.answer, llava_row.origin) == (
        "A or B?",
        "s\n\nc\n\nr",
        "B",
        "upstream",
    )
    assert (llava_row.quadrant, llava_row.license, cot_row.quadrant, cot_row.answer) == (
        "mm-text",
        "apache-2.0",
        "text-text",
        "2",
    )


def test_an_imported_row_is_under_the_license_of_its_record(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(3))
    tags = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>B</CONCLUSION>"
    turns = [{"from": "human", "value": "A or B?"}, {"from": "gpt", "value": tags}]
    llava = {"image": "a.png", "conversations": turns, "source": "my-org/mine", "license": "CC0-1.0"}
    (tmp_path / "llava.jsonl").write_text(json.dumps(llava))
    cot = {"source": "1+1?", "target": "2", "rationale": "One and one.", "license": "MIT"}
    (tmp_path / "cot.jsonl").write_text(json.dumps(cot))
    recipes = {
        "import_llava_cot": {"n": 1, "source": "llava.jsonl"},
        "import_cot_collection": {"n": 1, "source": "cot.jsonl"},
    }
    spec = procedural(tmp_path, recipes)
    engine.run(spec, tmp_path / "run")
    finalize(spec, tmp_path / "run")
    found = [(row.source, row.license) for row in packed_rows(tmp_path / "run")]
    assert found == [("my-org/mine", "CC0-1.0"), ("kaist-ai/CoT-Collection", "MIT")]


def test_a_record_that_changes_is_a_new_sample_and_its_neighbours_are_kept(tmp_path):
    lines = [json.dumps({"source": f"{n}?", "target": "t", "rationale": "r"}) for n in range(3)]
    (tmp_path / "cot.jsonl").write_text("\n".join(lines) + "\n")
    spec = procedural(tmp_path, {"import_cot_collection": {"n": 9, "source": "cot.jsonl"}})
    engine.run(spec, tmp_path / "run")
    lines[1] = lines[1].replace("1?", "one?")
    (tmp_path / "cot.jsonl").write_text("\n".join(lines) + "\n")
    assert engine.run(spec, tmp_path / "run") == {"ok": 1}
    assert sorted(sample.idx for sample in finished(tmp_path / "run", "import_cot_collection")) == [0, 1, 1, 2]
    assert sum(shard.rows for shard in finalize(spec, tmp_path / "run").shards) == 3


def test_the_command_line_goes_the_whole_way(tmp_path, capsys):
    spec = write_spec(tmp_path, {"name": "cli", "recipes": {"image_editing": 2, "mm_internet": 4}})
    out = ["--out", str(tmp_path / "run")]

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["generate", *arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    assert call("plan", str(spec))[0] == 0
    code, text = call("run", str(spec), *out, "--json")
    assert (code, json.loads(text)["recipes"]["image_editing"]["ok"]) == (0, 2)
    assert call("finalize", str(spec), *out)[0] == 0
    report = (tmp_path / "run/report.md").read_text()
    assert "| image_editing | 2 | 2 | 0 | 0 | 0 |" in report
    assert "| mm_internet | internet_judge: pictures_do_not_fit | 1 |" in report
    assert "| image | procedural | procedural | - |" in report
    assert re.search(
        r"\| procedural \| 19 \| 19 \| 0 \| 0 \| 2 \| 0.0000 \| 0 \| 0 \| \d+\.\d\d \| \d+\.\d\d \|", report
    )
    assert re.search(r"### image_editing: `ie-proc-[0-9a-f]{20}`\n\n- pictures: input, output\n- instruction: ", report)
    assert call("verify", str(spec), *out, "--sweep")[0] == 0
    id = packed_rows(tmp_path / "run")[0].id
    code, text = call("explain", str(spec), id, *out, "--replay")
    assert (code, "byte for byte" in text, "edit_instruction" in text) == (0, True, True)
    assert call("status", str(spec), *out, "--json")[0] == 0
    assert call("retry", str(spec), *out)[0] == 0
    assert call("run", str(spec), *out, "--part", "4/4")[0] == 2


def test_the_preset_is_a_spec_of_all_generating_recipes():
    assert tuple(recipe.name for recipe in read_spec(Path("zero-key")).recipes) == GENERATING


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "recipes is empty"),
        ({"recipes": {"nope": 1}}, "unknown recipe 'nope'; known: .*image_editing"),
        (
            {"recipes": {"image_editing": 0}},
            "'recipes.image_editing.n' is 0: input should be greater than or equal to 1",
        ),
        (
            {"recipes": {"image_editing": 10**12}},
            "input should be less than or equal to 100000000",
        ),
        (
            {"recipes": {"image_editing": 1}, "concurrency": 10**12},
            "'concurrency' is 10+: input should be less than or equal to 100000",
        ),
        ({"recipes": {"import_llava_cot": 1}}, "needs records of image, conversations; add source"),
        ({"recipes": {"image_editing": {"n": 1, "source": "gone.jsonl"}}}, "gone.jsonl: cannot be read"),
        ({"recipes": {"image_editing": 1}, "backend": {}}, "'backend' is not known; known: .*backends"),
        (
            {"recipes": {"image_editing": 1}, "backends": {"all": {"kind": "magic"}}},
            "unknown backend 'magic'",
        ),
        ({"recipes": {"image_editing": 1}, "backends": {"text": {"kind": "procedural"}}}, "nobody answers 'image'"),
        (
            {"recipes": {"image_editing": 1}, "backends": {"all": {"kind": "procedural"}, "text": {"kind": "folder"}}},
            "mix 'procedural'",
        ),
        ({"recipes": {"image_editing": 1}, "budget": {"max_usd": "a lot"}}, "'budget.max_usd' is 'a lot'"),
    ],
)
def test_a_wrong_spec_says_what_is_wrong(tmp_path: Path, content, message):
    with pytest.raises(Exception, match=message):
        engine.run(read_spec(write_spec(tmp_path, content)), tmp_path / "run")


GUEST = """
from pathlib import Path

from toolkit.generation.procedural.script import Script
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Turn

async def make(context: Context) -> Made:
    first = await context.ask("riddle@1", animal="cat")
    second = await context.ask("riddle@1", animal="dog")
    turns = [Turn(user=(each["question"],), assistant=(each["answer"],)) for each in (first, second)]
    return Made(turns=tuple(turns), answer=second["answer"], source="me")

SCRIPT = Script(answers={
    "riddle": lambda request: {
        "question": f"Who is it, {request.origin.index}?", "answer": request.origin.values["animal"]
    }
})
RECIPE = Recipe(
    name="riddles", task="cot_collection", version=1, folder=Path(__file__).parent, prompts=("riddle@1",), make=make,
    calls={"riddle@1": 2},
    script=f"{__file__}:SCRIPT",
)
"""


def test_a_recipe_of_another_folder_with_its_prompt_and_script_makes_rows_of_two_turns(tmp_path, monkeypatch):
    (tmp_path / "mine/prompts").mkdir(parents=True)
    (tmp_path / "mine/recipe.py").write_text(GUEST)
    (tmp_path / "mine/prompts/riddle@1.yaml").write_text(
        "role: text\nuser: A riddle about a {animal}.\nschema:\n  type: object\n"
        "  properties: {question: {type: string}, answer: {type: string}}\n"
    )
    spec = procedural(tmp_path, {"zoo": {"n": 2, "use": "mine/recipe.py:RECIPE"}})
    monkeypatch.chdir(tmp_path.parent)  # the file is found from where the spec is
    engine.run(spec, tmp_path / "run")
    finalize(spec, tmp_path / "run")
    rows = packed_rows(tmp_path / "run")
    assert [[(message.role, message.content[0].text) for message in row.messages] for row in rows] == [
        [("user", f"Who is it, {n}?"), ("assistant", "cat"), ("user", f"Who is it, {n}?"), ("assistant", "dog")]
        for n in range(2)
    ]
    assert json.loads(rows[0].provenance)["recipe"] == "zoo"
    assert remake(spec, tmp_path / "run", explain(tmp_path / "run", rows[0].id).sample) == (rows[0], True)


def test_every_turn_of_llava_cot_becomes_a_turn(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(3))
    tagged = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION> <REASONING>r</REASONING>\n<CONCLUSION>{}</CONCLUSION>"
    turns = [
        {"from": speaker, "value": value}
        for question, answer in (("<image>\nOne?", "1"), ("Two?", "2"))
        for speaker, value in (("human", question), ("gpt", tagged.format(answer)))
    ]
    records = [{"id": "1", "image": "a.png", "conversations": each} for each in (turns, turns[:3])]
    (tmp_path / "llava.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    spec = procedural(tmp_path, {"import_llava_cot": {"n": 9, "source": "llava.jsonl"}})
    assert engine.run(spec, tmp_path / "run") == {"ok": 1, "rejected": 1}
    finalize(spec, tmp_path / "run")
    (row,) = packed_rows(tmp_path / "run")
    assert [message.role for message in row.messages] == ["user", "assistant", "user", "assistant"]
    assert (row.instruction, row.answer, row.rationale) == ("One?\n\nTwo?", "1\n\n2", "s\n\nc\n\nr\n\ns\n\nc\n\nr")


def test_tags_of_a_long_text_are_found_in_no_time():
    text = "<SUMMARY>" + "</SUMMARY><CAPTION>" * 20_000
    with pytest.raises(Rejected, match="other_tags"):
        parse_tags(text)
