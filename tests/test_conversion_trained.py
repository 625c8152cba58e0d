"""What trainers put a loss on, held against what the table says of it: the rules by which each builds its labels, told
anew from the sources named at each, over what is written.
"""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tomllib
import yaml

from conversion import describe
from tests.conversion_rows import EDIT, GENERATE, TURNS, TWO_EDITS, UNDERSTAND, color_of, convert_rows
from tests.test_conversion_claims import PROFILES, is_a_test
from tests.test_conversion_emu import ANOLE, emu3_sequence
from tests.test_conversion_llava import llava_15_sees, llava_next_sees
from tests.test_conversion_sensenova import FUSE

ENTRIES = {(entry["format"], entry["profile"]): entry for entry in describe()}
PICTURE_ONLY, EDITED_ONE, EDITED = (
    "the picture; not its text",
    "the edited picture; not its text, not the picture before",
    "the edited picture; not its text, not the pictures before",
)
ANSWERS, INTERLEAVED = "the text of answers; not prompts, not pictures", "the text and the pictures of answers; not "
VISION_ONLY = PICTURE_ONLY + " (with `--apply_loss_on_only_vision True`, as scripts/t2i_sft.sh has it)"

# Profile -> what the table says, and the test, here or in another file, of what the trainer does.
TRAINED = {
    ("anole", "raw"): (
        "every token of the text and of the picture, the prompt's too",
        "trained::test_anole_masks_no_token_of_a_text_and_its_picture",
    ),
    ("anole", "tokens"): (
        "every token of prompts, answers and pictures",
        "emu::test_anole_trains_every_token_and_pads_a_batch_with_what_no_embedding_has",
    ),
    ("bagel", "t2i"): (PICTURE_ONLY, "trained::test_bagel_t2i_trains_the_picture"),
    ("bagel", "edit"): (
        "the pictures after an instruction; not its text, not the picture before",
        "trained::test_bagel_edit_trains_every_picture_after_an_instruction",
    ),
    ("bagel", "vlm"): (ANSWERS, "trained::test_bagel_vlm_trains_the_text_of_answers"),
    ("bagel-interleaved", "thinkmorph"): (
        INTERLEAVED + "prompts",
        "bagel_interleaved::"
        "test_thinkmorph_sees_text_and_pictures_of_the_answer_in_turn_with_the_marks_of_its_own_data",
    ),
    ("bagel-interleaved", "zebra-cot"): (
        INTERLEAVED + "questions",
        "bagel_interleaved::test_zebra_sees_every_text_and_picture_of_question_trace_and_answer",
    ),
    ("diffusers", "text-to-image"): (PICTURE_ONLY, "trained::test_trainers_of_edits_and_pairs_train_one_picture"),
    ("diffusers", "edit"): (EDITED_ONE, "trained::test_trainers_of_edits_and_pairs_train_one_picture"),
    **{
        ("edit-triples", profile): (EDITED, "trained::test_trainers_of_edits_and_pairs_train_one_picture")
        for profile in ("omnigen2", "diffsynth-qwen", "diffsynth-qwen-2509", "diffsynth-flux", "musubi", "ai-toolkit")
    },
    ("emu3", "raw"): (VISION_ONLY, "trained::test_emu3_trains_codes_of_the_picture"),
    ("emu3", "tokens"): (VISION_ONLY, "trained::test_emu3_trains_codes_of_the_picture"),
    ("emu35", "story"): (
        "nothing: no trainer is published",
        "emu::test_emu35_story_reads_in_protobuf_with_text_and_images_in_order",
    ),
    ("finevision", "vqa"): (
        "the text of answers; not questions, not pictures",
        "trained::test_nano_vlm_trains_the_text_of_answers",
    ),
    ("janus", "sft"): (
        "the picture; not its text, not the pictures before",
        "trained::test_trainers_of_edits_and_pairs_train_one_picture",
    ),
    ("llava", "v15"): (ANSWERS, "trained::test_llava_trains_the_text_of_answers"),
    ("llava", "next"): (ANSWERS, "trained::test_llava_trains_the_text_of_answers"),
    ("messages", "openai"): (
        "whatever the reader chooses",
        "messages::test_openai_blocks_name_picture_files_in_their_place",
    ),
    ("messages", "trl"): (
        "all tokens but padding, only answers with `assistant_only_loss`; of pictures placeholder ids, never what they "
        "show",
        "trl::test_trl_trains_all_tokens_or_those_of_answers_and_placeholders_among_them",
    ),
    ("messages", "ms-swift"): (ANSWERS, "trained::test_ms_swift_trains_the_text_of_answers"),
    ("messages", "llama-factory"): (
        "the text of answers, and the placeholder ids of their pictures, never what these show; not prompts",
        "trainers::test_llama_factory_puts_a_loss_on_placeholders_of_answers_and_takes_special_tokens_for_pictures",
    ),
    ("messages", "lmms-engine"): (INTERLEAVED + "prompts", "trained::test_lmms_engine_trains_all_of_answers"),
    ("sensenova", "u1"): (
        "the pictures of answers, and their text with `enable_und_loss` (the default); not prompts",
        "trained::test_sensenova_trains_all_of_answers",
    ),
    ("webdataset", "rows"): (
        "what the trainer chooses; the roles of messages and pictures are in the JSON",
        "webdataset::test_json_holds_every_column_and_names_the_members",
    ),
    ("webdataset", "pairs"): (PICTURE_ONLY, "trained::test_show_o_trains_the_picture"),
}


def test_every_sentence_on_what_is_trained_has_a_test():
    assert set(TRAINED) == set(PROFILES)
    assert {key: said for key, (said, _) in TRAINED.items()} == {key: ENTRIES[key]["trained"] for key in TRAINED}
    assert [named for _, named in TRAINED.values() if not is_a_test(named)] == []


def color(path):
    return color_of(Path(path).read_bytes())


def json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- BAGEL: ByteDance-Seed/Bagel@056b5fd data/t2i_dataset.py#L98, data/interleave_datasets/edit_dataset.py#L20 with
# interleave_t2i_dataset.py#L66, data/vlm_dataset.py#L105


def test_bagel_t2i_trains_the_picture(tmp_path):
    convert_rows("bagel", tmp_path, GENERATE)
    (row,) = pq.read_table(tmp_path / "t2i-00000.parquet").to_pylist()
    # sequence_plan: text with loss 0, vae_image with loss 1
    (text,) = json.loads(row["captions"]).values()
    assert [(text, 0), (color_of(row["image"]), 1)] == [("Something warm.", 0), ("orange", 1)]


def test_bagel_edit_trains_every_picture_after_an_instruction(tmp_path):
    convert_rows("bagel", tmp_path, EDIT, TWO_EDITS, profile="edit")
    found = []
    for row in pq.read_table(tmp_path / "edit-00000.parquet").to_pylist():
        first, *others = map(color_of, row["image_list"])
        plan = [(first, False)]
        for (text,), image in zip(row["instruction_list"], others, strict=True):
            plan += [(text, False), (image, True)]
        found.append(plan)
    assert found == [
        [("blue", False), ("Make it night.", False), ("black", True)],
        [
            ("red", False),
            ("Blue, please.", False),
            ("blue", True),
            ("And now black.", False),
            ("black", True),
        ],
    ]


def test_bagel_vlm_trains_the_text_of_answers(tmp_path):
    convert_rows("bagel", tmp_path, TURNS, profile="vlm")
    (record,) = json_lines(tmp_path / "vlm.jsonl")
    plan = []
    for turn in record["conversations"]:  # change_format: gpt turns with a loss, human ones without, pictures never
        pieces = [turn["value"]] if turn["from"] == "gpt" else re.split("(<image>)", turn["value"])
        plan += [(piece.strip(), turn["from"] == "gpt") for piece in pieces if piece.strip()]
    assert plan == [
        ("Be brief.", False),
        ("<image>", False),
        ("Colour?", False),
        ("Red.", True),
        ("And this?", False),
        ("<image>", False),
        ("Blue.", True),
    ]


# -- one picture with noise on it, whose velocity or noise is predicted; texts and other pictures are conditions:
# huggingface/diffusers@a449bcf examples/text_to_image/train_text_to_image.py, examples/instruct_pix2pix/
# train_instruct_pix2pix.py; OmniGen2@0f72fa9 train.py; DiffSynth-Studio@fed7b18 examples/*/model_training/train.py;
# musubi-tuner@30c658c src/musubi_tuner/hv_train_network.py; ai-toolkit@27a03a9 jobs/process/BaseSDTrainProcess.py;
# ShareGPT-4o-Image@19ac7d7 train_janus.py (cross-entropy of gen_head over the codes of output_image)


def as_metadata(folder, target):
    """Lines of an image folder: (record, the key of the picture that is trained)."""
    return [(line, target, folder / "train") for line in json_lines(folder / "train/metadata.jsonl")]


def as_ai_toolkit(folder):
    (dataset,) = yaml.safe_load((folder / "ai-toolkit.yaml").read_text())["datasets"]
    names = [name.name for name in Path(folder, dataset["folder_path"]).iterdir() if name.suffix == ".png"]
    places = {"target": dataset["folder_path"], "control": dataset["control_path"][0]}
    return [({key: f"{place}/{name}" for key, place in places.items()}, "target", folder) for name in sorted(names)]


RECORDS = {
    ("diffusers", "text-to-image"): lambda folder: as_metadata(folder, "file_name"),
    ("diffusers", "edit"): lambda folder: as_metadata(folder, "edited_image_file_name"),
    ("edit-triples", "omnigen2"): lambda folder: [
        (line, "output_image", folder) for line in json_lines(folder / "omnigen2.jsonl")
    ],
    **{
        ("edit-triples", profile): lambda folder: [
            (line, "image", folder) for line in json.loads((folder / "metadata.json").read_text())
        ]
        for profile in ("diffsynth-qwen", "diffsynth-qwen-2509", "diffsynth-flux")
    },
    ("edit-triples", "musubi"): lambda folder: [
        (line, "image_path", folder)
        for entry in tomllib.loads((folder / "musubi.toml").read_text())["datasets"]
        for line in json_lines(folder / entry["image_jsonl_file"])
    ],
    ("edit-triples", "ai-toolkit"): as_ai_toolkit,
    ("janus", "sft"): lambda folder: [
        (line, "output_image", folder) for line in json.loads((folder / "janus.json").read_text())
    ],
}


@pytest.mark.parametrize("key", RECORDS, ids="-".join)
def test_trainers_of_edits_and_pairs_train_one_picture(key, tmp_path):
    name, profile = key
    rows = (GENERATE,) if profile == "text-to-image" else (EDIT, TWO_EDITS)
    convert_rows(name, tmp_path, *rows, profile=profile)
    trained, conditions = [], []
    for record, target, folder in RECORDS[key](tmp_path):
        trained.append(color(folder / record[target]))
        named = [each for each in record.values() for each in (each if isinstance(each, list) else [each])]
        pictures = [each for each in named if isinstance(each, str) and (folder / each).is_file()]
        conditions.append([color(folder / each) for each in pictures if each != record[target]])
    seen = sorted(zip(trained, conditions, strict=True))
    edits = [("black", ["blue"]), ("black", ["blue"]), ("blue", ["red"])]
    assert seen == ([("orange", [])] if profile == "text-to-image" else edits)


# -- Show-o: showlab/Show-o training/prompting_utils.py#L62, models/modeling_showo.py#L70: logits before the picture are
# left out of the loss of pairs


def test_show_o_trains_the_picture(tmp_path):
    import tarfile

    convert_rows("webdataset", tmp_path, GENERATE, profile="pairs")
    with tarfile.open(next(tmp_path.glob("*.tar"))) as tar:
        members = {Path(member.name).suffix: tar.extractfile(member).read() for member in tar}
    assert (members[".txt"], color_of(members[".jpg"])) == (b"Something warm.", "orange")


# -- Emu3: baaivision/Emu3@7765db2 emu3/train/datasets.py#L46


@pytest.mark.parametrize("profile", ["raw", "tokens"])
def test_emu3_trains_codes_of_the_picture(profile, tmp_path, monkeypatch):
    if profile == "raw":  # prepare_data.py makes of an entry what `tokens` holds
        convert_rows("emu3", tmp_path, GENERATE)
        (entry,) = json.loads((tmp_path / "emu3.json").read_text())
        assert color(tmp_path / entry["image"]) == "orange"
        text = entry["text"]
    else:
        torch = pytest.importorskip("torch", reason="the tokenised form of Emu3 is a torch file")
        (tmp_path / "codes.py").write_text(
            "import numpy\ndef make():\n    return lambda image: numpy.array([[1, 5]])\n"
        )
        monkeypatch.chdir(tmp_path)
        convert_rows("emu3", tmp_path / "out", GENERATE, profile="tokens", encoder="codes.py:make")
        listing = json.loads((tmp_path / "out/list/train.json").read_text())
        path = tmp_path / "out/feature" / listing["path_list"][0]
        text = torch.load(path, weights_only=True)["texts"]
    import numpy as np

    sequence = emu3_sequence({"texts": text, "images": np.array([[1, 5]])})
    tokens = re.findall(r"<\|[^|]+\|>|.", sequence)
    labels = [token if token.startswith("<|visual token") else None for token in tokens]  # bov <= id <= eov
    assert [label for label in labels if label] == ["<|visual token 000001|>", "<|visual token 000005|>"]
    assert "".join(tokens[: labels.index("<|visual token 000001|>")]).startswith("Something warm.<|image start|>")


# -- Anole: GAIR-NLP/anole@af563fa training/train.py#L15: labels are the ids of text and picture, none masked


def test_anole_masks_no_token_of_a_text_and_its_picture(tmp_path, monkeypatch):
    convert_rows("anole", tmp_path, GENERATE)
    (entry,) = json_lines(tmp_path / "anole.jsonl")
    monkeypatch.syspath_prepend(str(tmp_path))
    scope: dict[str, type] = {}
    exec(ANOLE, scope)
    tokenizer = scope["tokenizer"]()
    picture = (tmp_path / entry["image"]).read_bytes()
    tokens = {"text_tokens": list(map(ord, entry["text"])), "image_tokens": tokenizer.part("", picture)}
    labels = tokens["text_tokens"] + tokens["image_tokens"]
    assert labels == [*map(ord, "Something warm."), 1000, len(GENERATE.images[0].bytes)]


# -- nanoVLM: huggingface/nanoVLM@4e0c096 data/datasets.py _prepare_inputs_and_loss_mask


def test_nano_vlm_trains_the_text_of_answers(tmp_path):
    convert_rows("finevision", tmp_path, TURNS)
    (row,) = [row for path in tmp_path.rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    turns = [turn for text in row["texts"] for turn in (("user", text["user"]), ("assistant", text["assistant"]))]
    assert [(content, role == "assistant") for role, content in turns] == [
        ("Be brief.\nColour?", False),
        ("Red.", True),
        ("And this?", False),
        ("Blue.", True),
    ]
    assert len(row["images"]) == 2  # in front of the first question


# -- LLaVA: haotian-liu/LLaVA@c121f04 llava/train/train.py#L418 preprocess_v1; LLaVA-VL/LLaVA-NeXT@df17966
# llava/train/train.py#L621 preprocess_qwen


def llava_15_trains(conversations):
    """Of each round what stands behind " ASSISTANT: ", with the end of the sentence."""
    rounds = [
        (llava_15_sees(asked["value"]), llava_15_sees(told["value"]))
        for asked, told in zip(conversations[::2], conversations[1::2], strict=True)
    ]
    return [(asked, False) for asked, _ in rounds], [(told + "</s>", True) for _, told in rounds]


def llava_next_trains(conversations):
    """Ids of user and system are masked whole, of an answer only its header; the picture is -200, which is masked."""
    pieces = [(turn["from"] == "gpt", llava_next_sees(turn["value"])) for turn in conversations]
    return [(text, False) for is_told, text in pieces if not is_told], [
        (piece, True)
        for is_told, text in pieces
        if is_told
        for piece in re.split("<image>", text + "<|im_end|>")
        if piece
    ]


def test_llava_trains_the_text_of_answers(tmp_path):
    convert_rows("llava", tmp_path / "v15", UNDERSTAND)
    (record,) = json.loads((tmp_path / "v15/llava.json").read_text())
    assert llava_15_trains(record["conversations"]) == (
        [("<image>\nWhat is this?", False)],
        [("A red square.</s>", True)],
    )
    convert_rows("llava", tmp_path / "next", EDIT, profile="next", output_images="context")
    (record,) = json_lines(tmp_path / "next/llava-image_editing.jsonl")
    assert llava_next_trains(record["conversations"]) == (
        [("<image>\nMake it night.", False)],
        [("First the sky.\n", True), ("\nThen the stars.\n", True), ("<|im_end|>", True)],
    )


# -- ms-swift 4.6 template/base.py _swift_encode and template/qwen.py _encode: contexts of a response have a loss scale
# of 1, of prompts 0; ids that a picture is put in for are masked


def test_ms_swift_trains_the_text_of_answers(tmp_path):
    report = convert_rows("messages", tmp_path, EDIT, profile="ms-swift")
    (record,) = json_lines(tmp_path / "messages.jsonl")
    scales = {"system": 0, "user": 0, "assistant": 1}
    pieces = [
        (piece, 0 if piece == "<image>" else scales[message["role"]])
        for message in record["messages"]
        for piece in re.split("(<image>)", message["content"])
        if piece
    ]
    assert [piece for piece, scale in pieces if scale] == ["First the sky.\n", "\nThen the stars.\n"]
    assert report.images_without_loss == {"context": 2}


# -- lmms-engine 0.1.4 datasets/processor/bagel_processor.py#L117: of an answer text has a cross-entropy, a picture is
# noise to be predicted; prompts have neither


def test_lmms_engine_trains_all_of_answers(tmp_path):
    report = convert_rows("messages", tmp_path, EDIT, profile="lmms-engine")
    (record,) = json_lines(tmp_path / "messages.jsonl")
    assert [
        (
            color(tmp_path / block["image_url"]["url"]) if block["type"] == "image_url" else block["text"],
            message["role"] == "assistant",
        )
        for message in record["messages"]
        for block in message["content"]
    ] == [
        ("blue", False),
        ("Make it night.", False),
        ("First the sky.", True),
        ("green", True),
        ("Then the stars.", True),
        ("black", True),
    ]
    assert not report.images_without_loss


# -- SenseNova-U1: OpenSenseNova/SenseNova-U1@0029177 training/sensenovavl/data/multimodal_dataset.py: turns of gpt have
# labels; their pictures are latents to be predicted


def test_sensenova_trains_all_of_answers(tmp_path):
    report = convert_rows("sensenova", tmp_path, EDIT, FUSE, UNDERSTAND)
    found = {}
    for entry in json.loads((tmp_path / "sensenova.json").read_text()).values():
        for item in json_lines(Path(entry["annotation"])):
            pictures = iter(item["image"])
            found[item["id"]] = [
                (color(tmp_path / next(pictures)) if piece == "<image>" else piece.strip(), turn["from"] == "gpt")
                for turn in item["conversations"]
                for piece in re.split("(<image>)", turn["value"])
                if piece.strip()
            ]
    assert {key: [what for what, is_trained in pieces if is_trained] for key, pieces in found.items()} == {
        EDIT.id: ["First the sky.", "green", "Then the stars.", "black"],
        FUSE.id: ["I put them side by side.", "green"],
        UNDERSTAND.id: ["A red square."],
    }
    assert not report.images_without_loss
