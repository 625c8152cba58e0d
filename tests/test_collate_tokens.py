import hashlib
import io
import os
import subprocess
import sys
from collections import Counter

import pyarrow.parquet as pq
import pytest

from tests.collate_tiny import COLOURS, QUADRANT_ROWS, make_row, picture, png
from tests.processes import FORKS
from toolkit.collate import get_collator
from toolkit.collate import tokens as tokens_module
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.emu3 import emu3_tokenizer
from toolkit.collate.janus import janus_tokenizer
from toolkit.collate.tokenizing import tokenize
from toolkit.collate.tokens import StoredTokens, _open, stored_files
from toolkit.demo.tiny_models import tiny_chameleon, tiny_emu3, tiny_janus
from toolkit.errors import RowError, ShardError, SourceError, UsageError
from toolkit.sources.skips import Skips

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")

FAMILIES = {
    "chameleon": (tiny_chameleon, chameleon_tokenizer),
    "emu3": (tiny_emu3, emu3_tokenizer),
    "janus": (tiny_janus, janus_tokenizer),
}


class Sizes:
    """Width and height as ids; counts what it is asked for."""

    def __init__(self, revision="r1"):
        self.revision, self.num_encoded = revision, 0

    def encode(self, images):
        self.num_encoded += len(images)
        return [torch.tensor(image.size) for image in images]


def rows(*widths):
    return [make_row(f"r-{width}", "{red}?", "Yes", sizes={"red": (width, 4)}) for width in widths]


def stored(folder):
    return sorted(ids for path in folder.glob("*.parquet") for ids in pq.read_table(path)["ids"].to_pylist())


@pytest.mark.parametrize("name", FAMILIES)
def test_stored_ids_collate_to_the_same_batch_as_the_model(tmp_path, name):
    build, make_tokenizer = FAMILIES[name]
    tiny = build()
    vq = make_tokenizer(tiny.model, tiny.processor)
    assert tokenize(QUADRANT_ROWS, vq, tmp_path, answers_only=name == "janus")["encoded"] == {"janus": 3}.get(name, 5)
    live, kept = (
        get_collator(name, processor=tiny.processor, image_tokens=source)(QUADRANT_ROWS)
        for source in (vq, StoredTokens(tmp_path))
    )
    assert live.keys() == kept.keys()
    assert all(torch.equal(live[key], kept[key]) for key in live)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_vq_is_frozen_and_its_revision_follows_weights_and_settings(name):
    build, make_tokenizer = FAMILIES[name]
    tiny = build()
    assert any(
        parameter.requires_grad for parameter in tiny.model.model.vqmodel.parameters()
    )  # as transformers leaves them
    vq = make_tokenizer(tiny.model, tiny.processor)
    assert not any(parameter.requires_grad for parameter in tiny.model.model.vqmodel.parameters())
    assert vq.revision == make_tokenizer(build().model, tiny.processor).revision
    next(tiny.model.model.vqmodel.parameters()).data.add_(1)
    changed = make_tokenizer(tiny.model, tiny.processor).revision
    assert changed != vq.revision
    image_processor = tiny.processor.image_processor
    image_processor.do_rescale = False
    rescaled = make_tokenizer(tiny.model, tiny.processor).revision
    assert rescaled != changed
    image_processor.__class__ = type(
        "OtherBackend", (type(image_processor),), {}
    )  # torchvision's makes other pixels of the same settings
    assert make_tokenizer(tiny.model, tiny.processor).revision != rescaled


def test_half_precision_weights_have_a_revision_of_their_own():
    tiny = tiny_chameleon()
    before = chameleon_tokenizer(tiny.model, tiny.processor).revision
    half = chameleon_tokenizer(tiny.model.to(torch.bfloat16), tiny.processor)
    assert half.revision != before
    assert half.encode([picture("red")])[0].shape == (4,)


def test_tokenize_writes_sha256_revision_and_ids(tmp_path):
    tokenize(rows(3), Sizes(), tmp_path)
    content = png(picture("red", (3, 4)))
    assert pq.read_table(next(tmp_path.glob("*.parquet"))).to_pylist() == [
        {"sha256": hashlib.sha256(content).hexdigest(), "tokenizer": "r1", "ids": [3, 4]}
    ]


def test_tokenize_goes_on_where_it_stopped_and_encodes_no_picture_twice(tmp_path):
    tokenizer = Sizes()
    assert tokenize(rows(1, 2, 3, 2), tokenizer, tmp_path, images_per_file=2) == {"encoded": 3, "known": 1}
    assert tokenize(rows(1, 2, 3, 4, 5), tokenizer, tmp_path, images_per_file=2) == {"encoded": 2, "known": 3}
    assert tokenizer.num_encoded == 5
    assert stored(tmp_path) == [[1, 4], [2, 4], [3, 4], [4, 4], [5, 4]]


def test_a_stop_loses_no_picture(tmp_path):
    def stopping():
        yield from rows(1, 2, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenize(stopping(), Sizes(), tmp_path, images_per_file=2)
    assert stored(tmp_path) == [[1, 4], [2, 4], [3, 4]]
    assert tokenize(rows(1, 2, 3, 4), Sizes(), tmp_path, images_per_file=2) == {"encoded": 1, "known": 3}


def test_a_stop_while_writing_leaves_no_file_to_be_read(tmp_path, monkeypatch):
    def half_written(table, file, **_):
        file.write(b"PAR1 half")
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(tokens_module.pq, "write_table", half_written)
        with pytest.raises(OSError, match="disk full"):
            tokenize(rows(1), Sizes(), tmp_path)
    assert tokenize(rows(1), Sizes(), tmp_path)["encoded"] == 1
    assert len(StoredTokens(tmp_path)) == 1


def test_processes_that_share_a_folder_do_not_overwrite_one_another(tmp_path):
    def meanwhile():
        yield from rows(1)
        tokenize(rows(2), Sizes(), tmp_path)

    tokenize(meanwhile(), Sizes(), tmp_path)
    assert stored(tmp_path) == [[1, 4], [2, 4]]


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"images": []}, "image_token_mismatch"), ({"images": [{"bytes": b"<html>", "path": ""}]}, "bad_image")],
)
def test_bad_rows_stop_or_are_counted(tmp_path, change, kind):
    mixed = [rows(1)[0], {**rows(2)[0], **change}, rows(3)[0]]
    with pytest.raises(RowError, match="row 'r-2'") as caught:
        tokenize(mixed, Sizes(), tmp_path)
    assert caught.value.kind == kind
    skips = Skips(on_bad_row="skip", on_bad_image="skip")
    assert tokenize(mixed, Sizes(), tmp_path, skips=skips) == {
        "encoded": 1,
        "known": 1,
    }  # the first was kept when the second stopped
    assert skips.counts == {kind: 1}
    assert stored(tmp_path) == [[1, 4], [3, 4]]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_picture_that_the_encoder_refuses_does_not_take_others_along(tmp_path, batch_size):
    emu3 = tiny_emu3()
    tokenizer = emu3_tokenizer(emu3.model, emu3.processor)
    mixed = [make_row(f"r-{n}", "Draw.", f"{{{colour}}}") for n, colour in enumerate(["red", "green", "blue"])]
    mixed[1] = make_row("thread", "Draw.", "{green}", sizes={"green": (500, 2)})
    with pytest.raises(RowError, match="row 'thread': the image processor refuses"):
        tokenize(mixed, tokenizer, tmp_path / "raised", batch_size=batch_size)
    skips = Skips(on_bad_row="skip", on_bad_image="skip")
    found = tokenize(mixed, tokenizer, tmp_path / "skipped", batch_size=batch_size, skips=skips)
    assert found == {"encoded": 2, "known": 0}
    assert skips.counts == {"bad_image": 1}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_gives_the_ids_that_each_picture_has_alone(name):
    build, make_tokenizer = FAMILIES[name]
    tiny = build()
    vq = make_tokenizer(tiny.model, tiny.processor)
    pictures = [picture(colour, size) for size in ((16, 16), (24, 16), (16, 24)) for colour in COLOURS]
    alone = vq.encode(pictures)
    vq.batch_size = 3
    assert [ids.tolist() for ids in vq.encode(pictures)] == [ids.tolist() for ids in alone]
    assert len({tuple(ids.tolist()) for ids in alone}) > 4


def test_tokenize_hands_pictures_over_in_batches_and_none_twice(tmp_path):
    sizes, asked = Sizes(), []
    encode = sizes.encode
    sizes.encode = lambda images: asked.append(len(images)) or encode(images)
    assert tokenize(rows(1, 2, 2, 3, 4, 5), sizes, tmp_path, batch_size=2) == {"encoded": 5, "known": 1}
    assert asked == [2, 2, 1]


def test_ids_of_another_tokenizer_are_never_taken(tmp_path):
    row = rows(3)[0]
    tokenize([row], Sizes("r1"), tmp_path)
    tokenize(rows(3, 4), Sizes("r2"), tmp_path)
    with pytest.raises(SourceError, match="ids of tokenizers 'r1', 'r2'; expected 'exactly one'"):
        StoredTokens(tmp_path)
    with pytest.raises(SourceError, match="expected 'r3'"):
        StoredTokens(tmp_path, revision="r3")
    assert len(StoredTokens(tmp_path, revision="r1")) == 1
    assert StoredTokens(tmp_path, revision="r2").find(row["images"][0]).tolist() == [3, 4]


def test_a_picture_that_was_never_tokenized_is_a_bad_row(tmp_path):
    tokenize(rows(3), Sizes(), tmp_path)
    with pytest.raises(RowError, match=r"row 'r-9': picture sha256=.* run tokenize") as caught:
        StoredTokens(tmp_path).find(rows(9)[0]["images"][0], row_id="r-9")
    assert caught.value.kind == "missing_tokens"


def test_decoded_pictures_cannot_be_looked_up_and_the_message_says_what_to_do(tmp_path):
    tokenize(rows(3), Sizes(), tmp_path)
    with pytest.raises(UsageError, match="decode=False"):
        StoredTokens(tmp_path).find(picture("red"))


def test_an_empty_folder_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(SourceError, match="run tokenize first"):
        StoredTokens(tmp_path)
    (tmp_path / "tokens-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"tokens-00000\.parquet: cannot be read"):
        StoredTokens(tmp_path)


def test_ids_with_a_flipped_bit_are_an_error_and_never_other_ids(tmp_path):
    given = rows(*range(1, 9))
    tokenize(given, Sizes(), tmp_path)
    [path] = stored_files(tmp_path)
    content, found = path.read_bytes(), Counter()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        _open.cache_clear()
        try:
            kept = StoredTokens(tmp_path, revision="r1")
            ids = [kept.find(row["images"][0]).tolist() for row in given]
        except (SourceError, RowError):  # RowError: of a picture that is no longer there
            found["error"] += 1
        else:
            assert ids == [[width, 4] for width in range(1, 9)]
            found["harmless"] += 1
    assert found["error"] > len(content) / 2


def test_a_file_of_ids_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    given = rows(*range(1, 200))
    tokenize(given, Sizes(), tmp_path)
    kept = StoredTokens(tmp_path)
    assert kept.find(given[0]["images"][0]).tolist() == [1, 4]
    os.truncate(stored_files(tmp_path)[0], 100)
    with pytest.raises(ShardError, match="cannot be read as stored ids"):
        kept.find(given[-1]["images"][0])


def test_look_ups_cross_row_groups_and_survive_pickling(tmp_path):
    import pickle

    many = rows(*range(1, 200))
    tokenize(many, Sizes(), tmp_path, images_per_file=150)
    kept = pickle.loads(pickle.dumps(StoredTokens(tmp_path)))
    assert [kept.find(row["images"][0]).tolist() for row in many] == [[width, 4] for width in range(1, 200)]


def test_decoded_and_encoded_pictures_give_the_same_ids():
    tiny = tiny_chameleon()
    collate = get_collator(
        "chameleon", processor=tiny.processor, image_tokens=chameleon_tokenizer(tiny.model, tiny.processor)
    )
    from PIL import Image

    decoded = [
        {**row, "images": [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]} for row in QUADRANT_ROWS
    ]
    assert torch.equal(collate(decoded)["input_ids"], collate(QUADRANT_ROWS)["input_ids"])


@pytest.mark.parametrize("context", ["fork", FORKS], ids=["forked", "sent"])
def test_a_data_loader_with_workers_collates_stored_ids(tmp_path, context):
    tiny = tiny_emu3()
    tokenize(QUADRANT_ROWS, emu3_tokenizer(tiny.model, tiny.processor), tmp_path)
    collate = get_collator("emu3", processor=tiny.processor, image_tokens=StoredTokens(tmp_path))
    settings = {"num_workers": 1, "multiprocessing_context": context}
    loader = torch.utils.data.DataLoader(QUADRANT_ROWS, batch_size=2, collate_fn=collate, **settings)
    batches = [{name: value.clone() for name, value in batch.items()} for batch in loader]
    expected = [collate(QUADRANT_ROWS[:2]), collate(QUADRANT_ROWS[2:])]
    assert all(torch.equal(got[name], want[name]) for got, want in zip(batches, expected, strict=True) for name in want)


def test_a_models_own_tokenizer_that_is_sent_to_a_worker_says_to_tokenize_first():
    tiny = tiny_emu3()
    collate = get_collator("emu3", processor=tiny.processor, image_tokens=emu3_tokenizer(tiny.model, tiny.processor))
    loader = torch.utils.data.DataLoader(
        QUADRANT_ROWS, num_workers=1, collate_fn=collate, multiprocessing_context=FORKS
    )
    with pytest.raises(UsageError, match="beforehand: run tokenize, and pass StoredTokens"):
        next(iter(loader))


def test_a_models_own_tokenizer_works_in_a_forked_worker():
    tiny = tiny_emu3()
    collate = get_collator("emu3", processor=tiny.processor, image_tokens=emu3_tokenizer(tiny.model, tiny.processor))
    loader = torch.utils.data.DataLoader(
        QUADRANT_ROWS, batch_size=4, num_workers=1, collate_fn=collate, multiprocessing_context="fork"
    )
    assert torch.equal(next(iter(loader))["input_ids"], collate(QUADRANT_ROWS)["input_ids"])


def test_reading_stored_ids_needs_no_transformers(tmp_path):
    tokenize(rows(3), Sizes(), tmp_path)
    look_up = f"from toolkit.collate.tokens import StoredTokens; assert len(StoredTokens({str(tmp_path)!r})) == 1"
    code = f"import sys; {look_up}; assert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_colours_of_these_tests_are_five():
    assert len({png(picture(colour)) for colour in COLOURS}) == 5
