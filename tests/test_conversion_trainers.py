"""Messages, read by trainers that `make consumers` installs without what they need for films and sounds: ms-swift and
LLaMA-Factory, by their own code. Skipped and named where they are not installed.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conversion_rows import EDIT, GENERATE, SPECIAL, UNDERSTAND, color_of
from tests.test_conversion_messages import PICTURED, lines, run

NEEDS_LLAMA_FACTORY = pytest.mark.skipif(
    importlib.util.find_spec("llamafactory") is None, reason="LLaMA-Factory is not installed: make consumers"
)
NEEDS_SWIFT = pytest.mark.skipif(
    importlib.util.find_spec("swift") is None, reason="ms-swift is not installed: make consumers"
)


def run_script(text, *arguments, folder, **environment):
    (folder / "consumer.py").write_text(text)
    command = [sys.executable, "-W", "ignore", str(folder / "consumer.py"), *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "HOME": str(folder), **environment},
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


SWIFT = """
import json, sys
from datasets import load_dataset
from swift.dataset.preprocessor.core import AutoPreprocessor
from swift.template.base import Template
from swift.template.utils import split_str_parts_by

class Backend:  # a template whose pictures are two tokens each
    template_backend = "swift"
    def replace_tag(self, kind, number, inputs):
        return [[1, 2]]

def check_loss(contexts):
    class Inputs:
        is_multimodal, images, image_idx = True, ["x"] * 9, 0
    found, scales = Template._pre_tokenize_images(Backend(), contexts, [1.0] * len(contexts), Inputs)
    assert [scale == 0 for scale in scales] == [context == [1, 2] for context in found], (found, scales)

rows = AutoPreprocessor()(load_dataset("json", data_files=sys.argv[1], split="train"), strict=True)
found = []
for row in rows:
    images, messages = [image["path"] for image in row["images"]], []
    before = [message["content"] for message in row["messages"]]
    class Inputs:  # what _add_default_tags looks at
        system, videos, audios = None, [], []
    Inputs.messages, Inputs.images = row["messages"], images
    Template._add_default_tags(Inputs)
    assert before == [message["content"] for message in row["messages"]], "ms-swift added tags"
    number = 0
    for message in row["messages"]:
        parts, contexts = [], Template._split_special_tokens([message["content"]], [1.0])[0]
        check_loss(contexts)
        for context in contexts:
            if context in Template.special_tokens:
                parts.append(images[number] if context == "<image>" else "placeholder " + context)
                number += 1
            else:
                parts.append(context)
        messages.append([message["role"], parts])
    found.append(messages)
print(json.dumps(found))
"""


@NEEDS_SWIFT
@pytest.mark.timeout(300)
def test_ms_swift_reads_every_picture_in_its_place(tmp_path):
    run(tmp_path / "out", *PICTURED, profile="ms-swift", root=str(tmp_path / "out"))
    found = run_script(
        SWIFT, tmp_path / "out" / "messages.jsonl", folder=tmp_path, MODELSCOPE_CACHE=str(tmp_path / "cache")
    )
    assert [as_colors(messages) for messages in found] == [as_strings(row) for row in PICTURED]


def as_colors(messages):
    return [
        (role, [color_of(Path(part).read_bytes()) if part.startswith("/") else part for part in parts])
        for role, parts in messages
    ]


def as_strings(row):
    """The row as a reader of strings must see it: line breaks where parts meet, literal tags escaped."""
    seen = []
    for role, parts in lines(row):
        pieces = []
        message = row.messages[len(seen)]
        for number, (part, text) in enumerate(zip(message.content, parts, strict=True)):
            before = "\n" if number else ""
            if part.type == "image":
                # a line break belongs to the text it touches
                pieces[-1:] = (
                    [pieces[-1] + "\n"]
                    if pieces and message.content[number - 1].type == "text"
                    else [*pieces[-1:], *(["\n"] if number else [])]
                )
                pieces.append(text)
            else:
                for tag in ("image", "video", "audio", "bbox", "ref-object"):
                    text = text.replace(f"<\\{tag}>", f"<\\\\{tag}>").replace(f"<{tag}>", f"<\\{tag}>")
                pieces.append(before + text)
        seen.append((role, pieces))
    return seen


LLAMA_FACTORY = """
import importlib.machinery, json, sys, types
class Stub(types.ModuleType):  # its data code imports what reads films and sounds, which are not read here
    __path__, __file__ = [], "stub"
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
import transformers.image_utils, peft, trl  # these look for the same packages, and must not find stubs
for name in ("torchaudio", "torchvision", "av", "librosa"):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = Stub(name)
        sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
from datasets import load_dataset
from llamafactory.data.converter import SharegptDatasetConverter
from llamafactory.data.mm_plugin import BasePlugin, MMPluginMixin
from llamafactory.data.parser import get_dataset_list

folder = sys.argv[1]
(attributes,) = get_dataset_list(["unifiedvisual"], folder)
class Arguments:
    media_dir = folder
convert = SharegptDatasetConverter(dataset_attr=attributes, data_args=Arguments)
found = []
for row in load_dataset("json", data_files=folder + "/" + attributes.dataset_name, split="train"):
    new = convert(row)
    messages = new["_prompt"] + new["_response"]
    images = new["_images"] or []
    MMPluginMixin._validate_messages(None, messages, images, [], [])
    found.append({"system": new["_system"], "messages": messages, "images": images})
print(json.dumps(found))
"""
# The supervised processor with Qwen2-VL's template, a tokenizer of bytes and pictures of 4 tokens: how many of a
# picture's tokens are in the input, and how many carry a loss.
SUPERVISED = (
    LLAMA_FACTORY.split("from datasets")[0]
    + """
import transformers
from PIL import Image
from llamafactory.data.processor.supervised import SupervisedDatasetProcessor
from llamafactory.data.template import TEMPLATES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
bytes_ = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bytes_.decoder = decoders.ByteLevel()
bytes_.add_special_tokens([f"<|{name}|>" for name in "im_start im_end vision_start vision_end image_pad".split()])
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bytes_, eos_token="<|im_end|>")
class Processor:
    image_processor = transformers.Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 56)
    video_processor, feature_extractor = object(), None
class Arguments:
    cutoff_len, train_on_prompt, mask_history = 10_000, False, False
work = SupervisedDatasetProcessor(
    template=TEMPLATES["qwen2_vl"], tokenizer=tokenizer, processor=Processor(), data_args=Arguments
)
image = Image.new("RGB", (56, 56))
found = []
for record in json.loads(sys.argv[1]):
    *prompt, answer = record["messages"]
    images = [image] * len(record["images"])
    ids, labels = work._encode_data_example(prompt, [answer], None, None, images, [], [])
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    found.append([ids.count(pad), labels.count(pad), tokenizer.decode([label for label in labels if label >= 0])])
print(json.dumps(found))
"""
)


@NEEDS_LLAMA_FACTORY
@pytest.mark.timeout(300)
def test_llama_factory_converts_and_accepts_every_row(tmp_path):
    records, _ = run(tmp_path / "out", *PICTURED, profile="llama-factory")
    found = run_script(LLAMA_FACTORY, tmp_path / "out", folder=tmp_path)
    assert len(found) == len(PICTURED)
    for row, record, seen in zip(PICTURED, records, found, strict=True):
        contents = [message["content"] for message in record["messages"]]
        assert ([seen["system"]] if seen["system"] else []) + [
            message["content"] for message in seen["messages"]
        ] == contents
        assert [color_of(Path(image).read_bytes()) for image in seen["images"]] == [
            color_of(image.bytes) for image in row.images
        ]


@NEEDS_LLAMA_FACTORY
@pytest.mark.timeout(300)
def test_llama_factory_puts_a_loss_on_placeholders_of_answers_and_takes_special_tokens_for_pictures(tmp_path):
    records, report = run(tmp_path / "out", UNDERSTAND, EDIT, GENERATE, SPECIAL, profile="llama-factory")
    found = run_script(SUPERVISED, json.dumps(records), folder=tmp_path)
    # 4 tokens a picture: of the prompt's one without a loss, of two in the answer, of one, of one that is none
    assert [(seen, with_loss) for seen, with_loss, _ in found] == [(4, 0), (12, 8), (4, 4), (1, 0)]
    assert [text.replace("<|im_end|>", "").strip() for _, _, text in found][::3] == ["A red square.", "Tokens."]
    assert report.warned == {"special_token": 1}
    assert report.images_without_loss == {"context": 3}
