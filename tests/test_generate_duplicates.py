"""Near-duplicates among samples are left out at the end: same answer whatever the order, the shards or the crashes;
pairs of one sample stay.
"""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.generation_runs import write_spec
from toolkit.cli.app import main
from toolkit.generation.core.protocol import Draw
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.procedural.script import picture
from toolkit.generation.recipes.image_editing.script import edit_of
from toolkit.generation.runs import engine
from toolkit.generation.runs.duplicates import MAX_BITS, show_the_same
from toolkit.generation.runs.finalize import finalize
from toolkit.images.hash import phash
from toolkit.scene.render import encode
from toolkit.scene.streams import Stream
from toolkit.scene.told import PROBLEMS, sample_problem

COT = {"conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": ""}]}
ANSWER = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>{}</CONCLUSION>"


def noise(seed, *, quality=None, size=(64, 64)):
    """Smooth random picture; the same at another size or as JPEG looks the same."""
    made = (
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8))
        .resize((64, 64), Image.Resampling.BICUBIC)
        .resize(size)
    )
    buffer = io.BytesIO()
    made.save(buffer, format="JPEG" if quality else "PNG", **({"quality": quality} if quality else {}))
    return buffer.getvalue()


def distance(one, other):
    return (phash(one) ^ phash(other)).bit_count()


def test_pictures_that_look_alike_are_near_and_others_far():
    assert distance(noise(1), noise(1, quality=60)) <= 4
    assert distance(noise(1), noise(1, size=(200, 90))) <= 4
    assert min(distance(noise(one), noise(other)) for one in range(8) for other in range(one)) > 10


def test_the_hash_is_that_of_the_definition():
    """A DCT-II written out as sums, and its median by sorting."""
    content = noise(5, size=(32, 32))
    grey = Image.open(io.BytesIO(content)).convert("L")
    wave = [[math.cos(math.pi * (2 * place + 1) * frequency / 64) for place in range(32)] for frequency in range(8)]
    low = [
        sum(grey.getpixel((x, y)) * wave[v][y] * wave[u][x] for y in range(32) for x in range(32))
        for v in range(8)
        for u in range(8)
    ]
    middle = sum(sorted(low)[31:33]) / 2
    assert f"{phash(content):064b}" == "".join("1" if value > middle else "0" for value in low)


@pytest.fixture
def spec(tmp_path):
    """Six imported rows: 2 is 0 as JPEG, 4 is 1 at another size."""
    pictures = [noise(0), noise(1), noise(0, quality=70), noise(2), noise(1, size=(100, 80)), noise(3)]
    lines = []
    for number, content in enumerate(pictures):
        (tmp_path / f"{number}.img").write_bytes(content)
        turns = [COT["conversations"][0], {"from": "gpt", "value": ANSWER.format(number)}]
        lines.append(json.dumps({"id": str(number), "image": f"{number}.img", "conversations": turns}))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))

    def make(**rest):
        return write_spec(
            tmp_path, {"name": "d", "recipes": {"import_llava_cot": {"n": 9, "source": "rows.jsonl"}}, **rest}
        )

    return make


def packed(path, folder):
    return sum(shard.rows for shard in finalize(read_spec(path), folder).shards)


def test_later_duplicates_are_left_out_listed_and_counted(spec, tmp_path, capsys):
    path, run = spec(duplicates={"images": True}), tmp_path / "run"
    engine.run(read_spec(path), run)
    with pytest.raises(SystemExit) as ended:
        main(["generate", "finalize", str(path), "--out", str(run)])
    assert not ended.value.code
    assert "2 accepted samples look like an earlier one" in " ".join(capsys.readouterr().out.split())
    found = json.loads((run / "duplicates.json").read_text())["import_llava_cot"]
    assert [(each["index"], each["role"]) for each in found] == [(2, "input"), (4, "input")]
    assert all(each["alike"] >= 60 for each in found)
    assert "| import_llava_cot | finalize: duplicate | 2 |" in (run / "report.md").read_text()
    assert packed(path, run) == 4


def test_nothing_is_left_out_unless_asked_for(spec, tmp_path):
    engine.run(read_spec(spec()), tmp_path / "run")
    assert packed(spec(), tmp_path / "run") == 6
    assert packed(spec(duplicates={"images": True}), tmp_path / "run") == 4  # the rows stay; only packing is done again
    assert packed(spec(), tmp_path / "run") == 6


def test_shards_in_any_order_leave_out_the_same(spec, tmp_path):
    path = spec(duplicates={"images": True})
    engine.run(read_spec(path), tmp_path / "one")
    for part in (2, 0, 1):
        engine.run(read_spec(spec(duplicates={"images": True}, concurrency=3)), tmp_path / "three", shard=(part, 3))
    shas = [
        [shard.sha256 for shard in finalize(read_spec(path), tmp_path / folder).shards] for folder in ("one", "three")
    ]
    assert shas[0] == shas[1]


def test_edit_pairs_are_near_and_all_stay(tmp_path):
    near = sum(
        distance(picture(edit_of(Draw(0, index)).before), picture(edit_of(Draw(0, index)).after)) <= 4
        for index in range(12)
    )
    assert near >= 4  # so the gate would bite, if it compared inside a sample
    path = write_spec(tmp_path, {"name": "e", "recipes": {"image_editing": 12}, "duplicates": {"images": True}})
    engine.run(read_spec(path), tmp_path / "run")
    assert packed(path, tmp_path / "run") == 12


def test_different_drawings_are_never_taken_for_one_another_and_copies_always_are():
    """In bits they may be near: of 1,000 drawings of told problems pHash alone left out 154."""
    shown = {}
    for index in range(80):
        problem = sample_problem(Stream("drawings", index), tuple(PROBLEMS)[index % len(PROBLEMS)])
        drawing = [thought.drawing for thought in problem.thoughts if thought.drawing][-1]
        shown[f"{drawing.caption} {problem.facts['style']}"] = encode(drawing.draw())
    pictures = [*shown.values()]
    hashes = [phash(content) for content in pictures]
    near = [
        (pictures[one], pictures[other])
        for one in range(len(pictures))
        for other in range(one)
        if (hashes[one] ^ hashes[other]).bit_count() <= MAX_BITS
    ]
    assert near
    assert not any(show_the_same(*each) for each in near)
    for content in pictures[:4]:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(content)).resize((400, 400)).save(buffer, format="JPEG", quality=60)
        assert show_the_same(content, buffer.getvalue())
