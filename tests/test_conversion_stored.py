"""Formats of tokens from the ids that `tokenize` wrote: the same as encoding again, and nothing is encoded again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conversion.emu3 import FIRST_CODE, Options
from tests.conversion_rows import EDIT, GENERATE, WEB, convert_rows, picture
from toolkit.errors import RowError, SourceError, UsageError

torch = pytest.importorskip("torch", reason="ids are kept by torch code: pip install torch")
tiny_models = pytest.importorskip("toolkit.demo.tiny_models", reason="pip install transformers")

ROWS = (replace(GENERATE, images=(picture("orange", "jpg", (32, 24)),)), WEB)


@pytest.fixture(scope="module")
def emu3(tmp_path_factory):
    """A folder of ids of a tiny Emu3, and the model."""
    from toolkit.collate.emu3 import emu3_tokenizer
    from toolkit.collate.tokenizing import tokenize

    tiny = tiny_models.tiny_emu3()
    folder = tmp_path_factory.mktemp("emu3") / "ids"
    tokenize((row.to_dict() for row in ROWS), emu3_tokenizer(tiny.model, tiny.processor), folder)
    return folder, tiny


def test_emu3_features_from_stored_ids_are_the_codes_of_the_model(emu3, tmp_path):
    folder, tiny = emu3
    first = tiny.tokenizer.convert_tokens_to_ids("<|visual token 000000|>")
    convert_rows("emu3", tmp_path, *ROWS, profile="tokens", stored=str(folder), first_code=first)
    listing = json.loads((tmp_path / "list/train.json").read_text())["path_list"]
    entries = [torch.load(tmp_path / "feature" / name, weights_only=True) for name in listing]
    images = [image for row in ROWS for image in row.images]
    for entry, image in zip(entries, images, strict=True):
        codes = vq_codes(tiny, image.bytes)
        assert entry["images"].tolist() == codes.tolist()
        assert entry["images"].dim() == 2  # (h, w), the end of each line left out
    assert {tuple(entry["images"].shape) for entry in entries} == {(2, 2), (3, 4)}


def vq_codes(tiny, data):
    """By the VQ model alone, without the vocabulary."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        inputs = tiny.processor.image_processor(image.convert("RGB"), return_tensors="pt")
    with torch.no_grad():
        found = tiny.model.model.vqmodel.eval().encode(inputs["pixel_values"], inputs["image_sizes"])
    codes = found.image_tokens if hasattr(found, "image_tokens") else found
    return (codes[0] if isinstance(codes, list | tuple) else codes).reshape(codes[0].shape[-2:])


def test_emu3_refuses_ids_of_another_vocabulary_and_pictures_that_were_never_tokenized(emu3, tmp_path):
    folder, _ = emu3
    with pytest.raises(UsageError, match=f"expected codes from first_code={FIRST_CODE}"):
        convert_rows("emu3", tmp_path / "a", *ROWS, profile="tokens", stored=str(folder))
    with pytest.raises(RowError, match="run tokenize on these rows") as caught:
        convert_rows(
            "emu3", tmp_path / "b", EDIT, profile="tokens", stored=str(folder), input_images="drop", first_code=9
        )
    assert caught.value.kind == "missing_tokens"
    with pytest.raises(SourceError, match="run tokenize first"):
        convert_rows("emu3", tmp_path / "c", *ROWS, profile="tokens", stored=str(tmp_path / "nothing"))


def test_first_code_is_that_of_the_published_vocabulary():
    # BAAI/Emu3-Gen: 184,622 tokens, of which the last 32,768 are codes
    assert FIRST_CODE == 151_854 == Options(profile="tokens", stored="x").first_code


@pytest.mark.parametrize("options", [{}, {"stored": "x", "encoder": "json:loads"}])
def test_emu3_tokens_need_stored_ids_or_an_encoder(options):
    with pytest.raises(UsageError, match="not both"):
        Options(profile="tokens", **options)


ANOLE = """
class tokenizer:
    def row(self, parts):
        seen = []
        for role, content in parts:
            assert not isinstance(content, bytes)
            seen += [1, *content, 2] if isinstance(content, list) else [len(content)]
        return seen
"""


def test_anole_tokens_hold_the_stored_ids_of_every_picture_in_its_place(tmp_path, monkeypatch):
    from toolkit.collate.chameleon import chameleon_tokenizer
    from toolkit.collate.tokenizing import tokenize
    from toolkit.collate.tokens import StoredTokens

    tiny = tiny_models.tiny_chameleon()
    tokenize([EDIT.to_dict()], chameleon_tokenizer(tiny.model, tiny.processor), tmp_path / "ids")
    ids = [StoredTokens(tmp_path / "ids").find(image._asdict()).tolist() for image in EDIT.images]
    (tmp_path / "uv_anole_ids.py").write_text(ANOLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    convert_rows(
        "anole",
        tmp_path / "out",
        EDIT,
        profile="tokens",
        tokenizer="uv_anole_ids:tokenizer",
        stored=str(tmp_path / "ids"),
    )
    line = json.loads(Path(tmp_path / "out/anole.jsonl").read_text())
    question, first, second = (len(text) for text in ("Make it night.", "First the sky.", "Then the stars."))
    assert line["text_tokens"] == [1, *ids[0], 2, question, first, 1, *ids[1], 2, second, 1, *ids[2], 2]
    assert all(len(each) == 4 for each in ids)
