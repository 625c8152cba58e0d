"""Ids back into pictures: the inverse of each tokenizer."""

import numpy as np
import pytest
from safetensors.torch import save_file

from tests.collate_tiny import picture
from toolkit.collate import TOKENIZERS
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.chameleon_decoder import empty_decoder, load_decoder
from toolkit.collate.tokens import image_of
from toolkit.demo import tiny_models
from toolkit.errors import SourceError, UsageError

torch = pytest.importorskip("torch", reason="decoders are torch modules; pip install torch")

WIDE = picture("red", (32, 24))


@pytest.mark.parametrize("name", ["chameleon", "emu3", "janus"])
def test_pixel_values_become_the_picture_they_were_made_of(name):
    processor = getattr(tiny_models, f"tiny_{name}")().processor.image_processor
    image = picture("green", (16, 16))
    pixels = processor(image, return_tensors="pt")["pixel_values"][0]
    assert np.array_equal(np.asarray(image_of(pixels, processor)), np.asarray(image))


def test_emu3_decodes_as_transformers_does():
    tiny = tiny_models.tiny_emu3()
    tokens = TOKENIZERS.load("emu3")(tiny.model, tiny.processor)
    (ids,) = tokens.encode([WIDE])
    assert len(ids) == 3 * (4 + 1)
    theirs = tiny.model.decode_image_tokens(
        image_tokens=torch.cat([ids, torch.zeros(3)])[None].long(), height=3, width=4
    )
    expected = tiny.processor.image_processor.postprocess(list(theirs.float()), return_tensors="PIL.Image.Image")
    (found,) = tokens.decode([ids])
    assert found.size == (32, 24)
    assert _distance(found, expected["pixel_values"][0]) <= 1  # they cut to whole levels, we round


def test_janus_decodes_as_transformers_does():
    tiny = tiny_models.tiny_janus()
    tokens = TOKENIZERS.load("janus")(tiny.model, tiny.processor)
    (ids,) = tokens.encode([WIDE])
    with torch.no_grad():
        theirs = tiny.model.decode_image_tokens(ids[None]).permute(0, 3, 1, 2)
    expected = tiny.processor.image_processor.postprocess(list(theirs.numpy()), return_tensors="PIL.Image.Image")
    assert _distance(tokens.decode([ids])[0], expected["pixel_values"][0]) <= 1


def _distance(one, other):
    return np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max()


class FirstChannels(torch.nn.Module):
    """Shows the first three channels of each latent as a block of 8 x 8 pixels."""

    def forward(self, latents):
        return latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3)


def test_chameleon_puts_each_code_in_its_place():
    tiny = tiny_models.tiny_chameleon()
    vq = tiny.model.model.vqmodel
    tokens = chameleon_tokenizer(tiny.model, tiny.processor, decoder=FirstChannels())
    ids = torch.tensor(tiny.tokenizer.convert_tokens_to_ids(["IMGIMGAZ", "IMGIMGBZ", "IMGIMGCZ", "IMGIMGBFZ"]))
    array = np.asarray(tokens.decode([ids])[0])
    for at, code in zip([(0, 0), (0, 8), (8, 0), (8, 8)], [0, 1, 2, 15], strict=True):
        latent = (
            vq.quantize.embedding.weight[code] @ vq.post_quant_conv.weight[:3, :, 0, 0].T + vq.post_quant_conv.bias[:3]
        )
        expected = ((latent + 1) / 0.0078).round().clamp(0, 255)
        assert array[at].tolist() == array[at[0] + 7, at[1] + 7].tolist() == expected.tolist()


def test_a_chameleon_without_decoder_says_which_file_has_one():
    tiny = tiny_models.tiny_chameleon()
    tokens = chameleon_tokenizer(tiny.model, tiny.processor)
    assert not tokens.can_decode
    with pytest.raises(UsageError, match=r"pass decoder= to chameleon_tokenizer, a file vqgan\.ckpt"):
        tokens.decode(tokens.encode([picture("red")]))


@pytest.fixture(scope="module")
def chameleon():
    vqmodel = tiny_models.tiny_chameleon().model.model.vqmodel
    torch.manual_seed(1)
    return vqmodel, empty_decoder(vqmodel)


LATENTS = torch.linspace(-1, 1, 8 * 4).reshape(1, 8, 2, 2)


def test_a_decoder_is_read_from_the_file_of_the_release(chameleon, tmp_path):
    vqmodel, decoder = chameleon
    levels = {"up.0": "up.3", "up.1": "up.2", "up.2": "up.1", "up.3": "up.0"}  # there up.0 has the highest resolution
    weights = {
        f"decoder.{levels.get(name[:4], name[:4])}{name[4:]}": value for name, value in decoder.state_dict().items()
    }
    assert "decoder.up.3.upsample.conv.weight" in weights
    assert "decoder.up.0.upsample.conv.weight" not in weights
    other = {"encoder.conv_in.weight": torch.zeros(1)}
    torch.save({"state_dict": {**weights, **other}}, tmp_path / "vqgan.ckpt")
    assert torch.equal(load_decoder(tmp_path / "vqgan.ckpt", vqmodel)(LATENTS), decoder(LATENTS))


@pytest.mark.parametrize("sharded", [False, True])
def test_a_decoder_is_read_from_a_checkpoint_that_keeps_it(chameleon, tmp_path, sharded):
    vqmodel, decoder = chameleon
    weights = {f"model.vqmodel.decoder.{name}": value for name, value in decoder.state_dict().items()}
    save_file(weights, tmp_path / ("two.safetensors" if sharded else "model.safetensors"))
    if sharded:
        entries = ", ".join(f'"{name}": "two.safetensors"' for name in weights)
        index = f'{{"weight_map": {{"lm_head.weight": "one.safetensors", {entries}}}}}'
        (tmp_path / "model.safetensors.index.json").write_text(index)
    assert torch.equal(load_decoder(str(tmp_path), vqmodel)(LATENTS), decoder(LATENTS))


def test_what_holds_no_decoder_is_named(chameleon, tmp_path):
    vqmodel, decoder = chameleon
    torch.save({"state_dict": {"encoder.conv_in.weight": torch.zeros(1)}}, tmp_path / "encoder.ckpt")
    torch.save({"decoder.conv_in.weight": decoder.conv_in.weight[:2]}, tmp_path / "small.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"nothing")
    for name, problem in (
        ("encoder.ckpt", r"encoder\.ckpt: holds no VQ decoder"),
        ("small.ckpt", r"small\.ckpt: holds the VQ decoder of another model"),
        ("broken.ckpt", r"broken\.ckpt: cannot be read as a VQ decoder"),
    ):
        with pytest.raises(SourceError, match=problem):
            load_decoder(tmp_path / name, vqmodel)
