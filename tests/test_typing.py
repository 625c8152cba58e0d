"""What a type checker sees of an installed copy, in an environment of its own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import unifiedvisual

ROOT = Path(unifiedvisual.__file__).parent
PACKED = ("toolkit", "conversion", "dataset_card", "unifiedvisual-stubs", "unifiedvisual.py")
BUILT = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")

# Uses every public name, rightly.
RIGHT = """
from pathlib import Path
import unifiedvisual as uv
from unifiedvisual import (
{names}
)

row = uv.Row(id="a", task="image_editing", quadrant="text-text", messages=(uv.Message("user", (uv.Part("text"),)),))
check_row(row)
images = (uv.EncodedImage(b"x", "a.png"), uv.Region(0, (0.0, 0.0, 1.0, 1.0)))
task = Task(name="sketching", outputs="last")
config = UnifiedVisualConfig(name="all", mapping="m.yaml")
builder = UnifiedVisual(config_name="all", data_dir="x")
rows = load_dataset("x", "all", split="train", streaming=True, mapping="m.yaml")
stream = StreamingDataset("x", "all", seed=1, batch_size=2)
table = RowDataset("x", "all")
parts = [Component(path="x", weight=2.0)]
opened = open_source("x", mapping="m.yaml")
made = pack(opened, Path("y"), ["image_editing"], PackOptions(limit=1), workers=2)
pack_rows([row], "y", tasks=[task])
found: Findings = verify("y", deep=True, workers=2)
push(Path("y"), "org/name", private=True)
report = convert("y", "webdataset", "z", workers=2, profile="rows")
back = import_source("llava", Path("train.json"), options={{"task": "llava_cot"}})
write_card(Path("y"), repo_id="org/name")
text: str = read_card("y")
name, tokenizer = load_tokenizer("model", image_size=512)
tokens = get_tokenizer(object(), object())
counts = tokenize([], tokens, "tokens", batch_size=4)
collate = get_collator("emu3", processor=object(), image_tokens=StoredTokens("tokens"))
measured = measure_lengths("x", load_collator("emu3", "model", image_tokens="tokens"), "lengths", workers=2)
lengths = StoredLengths("lengths", revision=measured.revision)
check_packing(object(), collate, [row.to_dict()])
print(__version__.upper(), collate_images, LossModel, vocabulary_losses, janus_losses, sample_answers, Sampling)
"""

# Each line uses a public name wrongly.
HEAD = ("import unifiedvisual as uv", "from pathlib import Path")
WRONG = """
uv.StreamingDataset("x", no_such_argument=1)
uv.RowDataset("x", no_such_argument=1)
uv.Component("x", no_such_argument=1)
uv.load_dataset(3)
uv.UnifiedVisual(hash=3)
uv.UnifiedVisualConfig(mapping=3)
uv.Row(id="a")
uv.Message("user", 3)
uv.Part(3)
uv.EncodedImage("text")
uv.Region("a", (0.0, 0.0, 1.0, 1.0))
uv.Task(name="a", outputs="first")
uv.check_row("a")
uv.Findings(rows=3)
uv.PackOptions(no_such_argument=1)
uv.open_source("x", no_such_argument=1)
uv.pack(uv.open_source("x"), Path("y"), ["a"], workers="two")
uv.pack_rows(3, "y")
uv.push(Path("y"), "a/b", no_such_argument=1)
uv.convert("x", "webdataset", "y", workers="two")
uv.import_source("llava", Path("x"), no_such_argument=1)
uv.verify("x", no_such_argument=1)
uv.read_card("x", no_such_argument=1)
uv.write_card(Path("x"), repo_id=3)
uv.get_collator(3)
uv.get_tokenizer(1, 2, image_size="large")
uv.load_tokenizer("x", no_such_argument=1)
uv.tokenize(3, 4, 5)
uv.load_collator("emu3", 3)
uv.measure_lengths("x", 3, "y")
uv.check_packing(1, 2, 3)
uv.tokens_of_update(3)
uv.train_only(1, "tail")
uv.trained_parameters(1, depth="all")
uv.UnifiedTrainer().log(3)
uv.__version__ + 1
uv.no_such_name
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The Python of an environment that holds this package and nothing else."""
    folder = tmp_path_factory.mktemp("typing")
    for name in (*PACKED, *BUILT):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / "copy").mkdir(exist_ok=True)
            shutil.copy(source, folder / "copy" / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    install = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", *install, folder / "copy"], check=True)
    return folder / "venv/bin/python"


def check(environment, folder, text):
    """Lines of a file in which strict mypy finds an error."""
    (folder / "mine.py").write_text(text)
    command = [
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        environment,
        "--cache-dir",
        environment.parent / "cache",
    ]
    done = subprocess.run([sys.executable, *command, "mine.py"], cwd=folder, capture_output=True, text=True)
    found = re.findall(r"^mine\.py:(\d+): error: (.*)", done.stdout, flags=re.MULTILINE)
    assert "error" not in done.stdout.replace("mine.py", "") or found, done.stdout + done.stderr
    return [(text.splitlines()[int(line) - 1], message) for line, message in found]


def test_every_public_name_is_typed(environment, tmp_path):
    names = "".join(f"    {name},\n" for name in unifiedvisual.__all__)
    assert check(environment, tmp_path, RIGHT.format(names=names)) == []


def test_a_wrong_argument_of_every_public_name_is_found(environment, tmp_path):
    lines = [line for line in WRONG.splitlines() if line.startswith("uv.")]
    named = {line.split("(")[0].split()[0].removeprefix("uv.") for line in lines}
    lines += [f"uv.{name}(no_such_argument=1)" for name in unifiedvisual.__all__ if name not in named]
    found = {line for line, _ in check(environment, tmp_path, "\n".join([*HEAD, *lines]))}
    assert [line for line in lines if line not in found] == []


def test_the_installed_copy_has_its_data_and_its_version(environment):
    code = "import toolkit, toolkit.photos; print(toolkit.__version__, len(toolkit.photos.photos()[0].bytes) > 1000)"
    shown = subprocess.run([environment, "-c", code], capture_output=True, text=True, cwd=environment.parent)
    assert shown.stdout.split() == [unifiedvisual.__version__, "True"]
    site = next((environment.parent.parent / "lib").glob("python*/site-packages"))
    assert f"Version: {unifiedvisual.__version__}\n" in next(site.glob("unifiedvisual-*/METADATA")).read_text()
    for data in (
        "toolkit/generation/presets/zero-key.yaml",
        "toolkit/report/templates/preview.html",
        "toolkit/py.typed",
    ):
        assert (site / data).exists()
    prompts = {path.relative_to(ROOT) for path in ROOT.glob("toolkit/generation/**/prompts/*.yaml")}
    assert {path.relative_to(site) for path in site.glob("toolkit/generation/**/prompts/*.yaml")} == prompts
