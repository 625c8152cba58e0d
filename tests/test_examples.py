"""Every example runs as its first lines say, learns, and resumes exactly where it was stopped or killed.

On two processes: tests/test_training_ranks.py.
"""

import argparse
import multiprocessing
import re
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.example_runs import EXAMPLES, WARNINGS, losses_of, run_example, trained_alike
from tests.installed import needs
from tests.packed import pack_demo
from toolkit.demo import tiny_models
from toolkit.demo.tiny_models import tiny_chameleon

torch = pytest.importorskip("torch", reason="the examples train; pip install -e '.[train]'")
transformers = pytest.importorskip("transformers", reason="the examples train transformers' models")
needs("accelerate", "peft", reason="Trainer needs the one, adapters are the other's; pip install -e '.[dev]'")

FAMILIES = ("chameleon", "emu3", "janus")
LOSS = re.compile(r"^(\w+): ([\d.]+) -> ([\d.]+) \(", re.MULTILINE)
SHORT = ("--save-every", 3, "--batch-size", 2, "--accumulate", 2, "--samples", 0, "--workers", 0)

pytestmark = [pytest.mark.timeout(300), *map(pytest.mark.filterwarnings, WARNINGS)]


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """Uneven shards: 7 rows a task in row groups of 2, 2 and 2, 1."""
    tasks = ["image_generation", "image_editing", "image_correction", "llava_cot", "cot_collection"]
    return pack_demo(tmp_path_factory.mktemp("examples") / "packed", tasks)


@pytest.fixture
def run(capsys):
    """Run an example as a script, in this process, and give what it printed."""
    threads = torch.get_num_threads()

    def call(name, *arguments):
        run_example(name, *arguments)
        return capsys.readouterr().out

    yield call
    torch.set_num_threads(threads)


def shown(text: str) -> dict[str, tuple[float, float]]:
    """What is learned -> its first and last loss."""
    return {name: (float(first), float(last)) for name, first, last in LOSS.findall(text)}


@pytest.mark.parametrize("name", sorted(path.stem.removeprefix("train_") for path in EXAMPLES.glob("train_*.py")))
def test_the_options_of_an_example_are_explained(run, capsys, name):
    with pytest.raises(SystemExit) as ended:
        run(name, "--help")
    assert not ended.value.code
    text = capsys.readouterr().out
    assert "--model" in text
    assert "default: " in text


@pytest.mark.parametrize("family", FAMILIES)
def test_an_example_learns_resumes_exactly_and_shows_what_it_draws(run, packed, tmp_path, family):
    options = ("--data", packed, "--batch-size", 2, "--accumulate", 2, "--warmup", 3, "--decay-steps", 100)
    options += ("--learning-rate", 2e-2)
    text = shown(run(family, *options, "--out", tmp_path / "whole", "--steps", 14, "--workers", 0))
    assert text["text"][1] < text["text"][0] - 1
    assert text["pictures"][1] < text["pictures"][0] - 0.3
    shutil.copytree(tmp_path / "whole" / "tokens", tmp_path / "parts" / "tokens")
    run(family, *options, "--out", tmp_path / "parts", "--steps", 9, "--workers", 2, "--samples", 0)
    said = run(family, *options, "--out", tmp_path / "parts", "--steps", 14, "--workers", 0, "--resume", "--samples", 0)
    assert "resumed at step 9, epoch 1" in said  # 21 rows are 6 updates
    assert trained_alike(tmp_path / "parts", tmp_path / "whole")
    samples = sorted((tmp_path / "whole" / "samples").glob("*.png"))
    assert [path.stem for path in samples] == ["ig-0000", "ig-0001"]
    for path in samples:
        with Image.open(path) as image:
            assert image.width % 8 == image.height % 8 == 0  # a patch of 8 x 8 for each id
    assert samples[0].with_suffix(".txt").read_text(encoding="utf-8").startswith("Show me the ")


def test_a_bfloat16_checkpoint_is_trained_in_float32_and_its_weights_move(run, packed, tmp_path):
    tiny = tiny_chameleon()
    before = {name: value.bfloat16() for name, value in tiny.model.state_dict().items()}
    tiny.model.bfloat16().save_pretrained(tmp_path / "model")
    tiny.processor.save_pretrained(tmp_path / "model")
    options = ("--data", packed, "--config", "image_generation", "--model", tmp_path / "model", "--samples", 0)
    options += ("--learning-rate", 1e-5, "--steps", 3, "--precision", "mixed", "--workers", 0)
    run("chameleon", *options, "--out", tmp_path / "out")
    after = transformers.ChameleonForConditionalGeneration.from_pretrained(tmp_path / "out" / "model").state_dict()
    layers = [name for name in before if ".layers." in name and name.endswith("proj.weight")]
    moved = [(after[name] != before[name].float()).float().mean().item() for name in layers]
    assert min(moved) > 0.9


@pytest.mark.parametrize("family", [*FAMILIES, "llava"])
def test_adapters_of_the_examples_are_in_every_layer_of_the_language_model_alone(monkeypatch, family):
    monkeypatch.syspath_prepend(EXAMPLES)
    import start

    model = start.adapted(getattr(tiny_models, f"tiny_{family}")().model, argparse.Namespace(lora=2))
    around = {name.partition(".lora_A")[0] for name, each in model.named_parameters() if each.requires_grad}
    around = {name for name in around if ".lora_B" not in name}
    assert len(around) == 2 * 7  # layers, and projections of each
    assert not any(word in name for name in around for word in ("vqmodel", "vision"))


def test_adapters_are_trained_with_checkpointing_and_resume(run, packed, tmp_path):
    options = ("--data", packed, *SHORT, "--lora", 2, "--checkpointing", "--precision", "mixed")
    run("janus", *options, "--out", tmp_path / "whole", "--steps", 4)
    run("janus", *options, "--out", tmp_path / "parts", "--steps", 2)
    run("janus", *options, "--out", tmp_path / "parts", "--steps", 4, "--resume")
    assert trained_alike(tmp_path / "parts", tmp_path / "whole")
    assert (tmp_path / "parts" / "model" / "adapter_model.safetensors").exists()


def test_without_data_an_example_makes_some(run, tmp_path):
    said = run("janus", "--out", tmp_path, "--config", "image_generation", "--steps", 2, "--workers", 0, "--samples", 0)
    assert (tmp_path / "packed-image_generation" / "MANIFEST.json").exists()
    assert shown(said)["pictures"][0] == pytest.approx(2.8, abs=0.5)  # ln 16: a head that knows nothing of 16 codes


@pytest.mark.parametrize(
    ("name", "needs"), [("trainer", ""), ("accelerate", ""), ("lightning", "torchdata"), ("sft", "trl")]
)
def test_other_loops_resume_exactly(run, packed, tmp_path, name, needs):
    for package in filter(None, [needs, "pytorch_lightning" if name == "lightning" else ""]):
        pytest.importorskip(package, reason=f"the example uses {package}; pip install {package}")
    options = ("--data", packed, *SHORT, "--learning-rate", 1e-2)
    said = run(name, *options, "--out", tmp_path / "whole", "--steps", 8)
    first, last = next(iter(shown(said).values()))
    assert last < first - 0.3
    run(name, *options, "--out", tmp_path / "parts", "--steps", 5)
    run(name, *options, "--out", tmp_path / "parts", "--steps", 8, "--resume")
    assert len(losses_of(tmp_path / "whole")) >= 6
    assert trained_alike(tmp_path / "parts", tmp_path / "whole")


def test_a_run_killed_at_any_moment_resumes_as_if_undisturbed(run, packed, tmp_path):
    options = ("--data", packed, "--save-every", 2, "--samples", 0, "--workers", 0)
    endless = ("chameleon", *options, "--out", tmp_path / "killed", "--steps", 100000)
    started = multiprocessing.get_context("fork").Process(target=run_example, args=endless)
    started.start()
    while not list((tmp_path / "killed").glob("checkpoint-000*[0-9]")):
        assert started.is_alive()
        time.sleep(0.02)
    started.kill()
    started.join()
    steps = len(losses_of(tmp_path / "killed")) + 3
    shutil.copytree(tmp_path / "killed" / "tokens", tmp_path / "whole" / "tokens")
    run("chameleon", *options, "--out", tmp_path / "killed", "--steps", steps, "--resume")
    run("chameleon", *options, "--out", tmp_path / "whole", "--steps", steps)
    assert trained_alike(tmp_path / "killed", tmp_path / "whole")


def test_the_configuration_of_deepspeed_fits_the_arguments_of_trainer(tmp_path):
    from accelerate.utils.deepspeed import HfDeepSpeedConfig
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    from toolkit.collate.loss import LossModel, vocabulary_losses

    class Config(HfTrainerDeepSpeedConfig, HfDeepSpeedConfig):
        """As transformers makes it, which asks for DeepSpeed itself first."""

        def __init__(self, path):
            HfDeepSpeedConfig.__init__(self, path)
            self._dtype, self.mismatches = None, []

    config = Config(str(EXAMPLES / "deepspeed_zero3.json"))
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "learning_rate": 1e-5, "bf16": True}
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)
    config.trainer_config_process(arguments)
    config.trainer_config_finalize(arguments, LossModel(tiny_chameleon().model, vocabulary_losses), 100)
    assert config.mismatches == []
    assert "auto" not in str(config.config)
    assert config.config["train_batch_size"] == 8
    assert config.config["zero_optimization"]["reduce_bucket_size"] == 32 * 32  # hidden size, of the model inside
