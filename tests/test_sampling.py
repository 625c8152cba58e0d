"""Models that were trained until they know a few answers by heart write them again; random ones show the rest."""

from functools import cache
from types import SimpleNamespace

import pytest

from tests.collate_tiny import make_row
from toolkit.collate import TOKENIZERS, get_collator
from toolkit.collate.common import open_image
from toolkit.collate.loss import LossModel, janus_losses, vocabulary_losses
from toolkit.demo import tiny_models
from toolkit.errors import UnifiedVisualError, UnknownName
from toolkit.sampling import SAMPLERS
from toolkit.sampling.answers import Sampling
from toolkit.streaming.guidance import without_prompt
from unifiedvisual import sample_answers

torch = pytest.importorskip("torch", reason="sampling runs models; pip install torch")

FAMILIES = ("chameleon", "emu3", "janus")
GREEDY = Sampling(temperature=0)
ROWS = [
    make_row("tt", "Ice?", "Yes."),
    make_row("mt", "{red}Colour?", "Red."),
    make_row("tm", "Draw.", "A:{green}"),
    make_row("mm", "{blue}White.", "{black}or {white}ok"),
]


@cache
def family(name, *, knows_rows=False):
    tiny = getattr(tiny_models, f"tiny_{name}")()
    tokens = TOKENIZERS.load(name)(tiny.model, tiny.processor)
    collate = get_collator(name, processor=tiny.processor, image_tokens=tokens)
    losses_of = janus_losses if name == "janus" else vocabulary_losses
    if knows_rows:
        batch = collate(ROWS)
        optimizer = torch.optim.Adam([each for each in tiny.model.parameters() if each.requires_grad], lr=1e-2)
        for _ in range(200):
            losses = torch.cat(losses_of(tiny.model, batch)[:2])
            if losses.max() < 0.4:  # each token has two thirds of the probability at least
                break
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
    return SimpleNamespace(model=tiny.model, wrapped=LossModel(tiny.model, losses_of), collate=collate, tokens=tokens)


def answers(name, rows=ROWS, *, knows_rows=False, **options):
    made = family(name, knows_rows=knows_rows)
    return list(sample_answers(made.model, made.collate, rows, **options))


def written(answer):
    return answer.row_id, answer.content, [ids.tolist() for ids in answer.image_ids], answer.finished


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_that_knows_its_rows_writes_their_text_and_pictures_in_one_batch(name):
    found = answers(name, knows_rows=True, text=GREEDY, image=GREEDY, max_new_tokens=80)
    texts = [[part["text"] if part["type"] == "text" else "<image>" for part in each.content] for each in found]
    assert texts == [["Yes."], ["Red."], ["A:", "<image>"], ["<image>", "or", "<image>", "ok"]]
    assert all(answer.finished for answer in found)
    tokens = family(name, knows_rows=True).tokens
    for answer, pictures in zip(found, [[], [], [0], [1, 2]], strict=True):
        row = next(row for row in ROWS if row["id"] == answer.row_id)
        expected = tokens.encode([open_image(row["images"][number]) for number in pictures]) if pictures else []
        assert [ids.tolist() for ids in answer.image_ids] == [ids.tolist() for ids in expected]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_row_draws_does_not_depend_on_its_batch(name):
    together = answers(name, max_new_tokens=60, seed=3)
    alone = answers(name, max_new_tokens=60, seed=3, batch_size=1)
    assert [written(answer) for answer in alone] == [written(answer) for answer in together]
    assert len({tuple(answer.text) for answer in together}) == len(ROWS)
    assert [written(each) for each in answers(name, max_new_tokens=60, seed=4)] != [written(each) for each in together]


@pytest.mark.parametrize(("name", "length"), [("chameleon", 6), ("janus", 6), ("emu3", 9)])
def test_a_picture_that_would_not_fit_is_not_begun(name, length):
    nothing = SimpleNamespace(
        can_decode=True, decode=lambda ids: []
    )  # groups of one value: the tiny decoder refuses 1 x 1
    fits, short = (
        answers(name, max_new_tokens=size, image_first=True, image_decoder=nothing) for size in (length, length - 1)
    )
    assert all(answer.content[0]["type"] == "image" and answer.num_tokens <= length for answer in fits)
    assert not any(answer.image_ids or answer.finished for answer in short)
    assert {answer.num_tokens for answer in short} == {length - 1}


def test_the_size_of_an_emu3_picture_is_one_that_fits_and_its_rows_end_where_it_says():
    tokens = family("emu3").collate
    for answer in answers("emu3", max_new_tokens=60, max_images=1, image_first=True):
        (ids,) = answer.image_ids
        width = ids.tolist().index(tokens.end_of_line)
        assert ids.reshape(-1, width + 1)[:, -1].tolist() == [tokens.end_of_line] * (len(ids) // (width + 1))
        assert (answer.images[0].width, answer.images[0].height) == (8 * width, 8 * (len(ids) // (width + 1)))


def test_max_images_bounds_an_answer():
    assert [len(each.image_ids) for each in answers("janus", max_new_tokens=40, image_first=True, max_images=0)] == [
        0
    ] * 4


@pytest.mark.parametrize("name", FAMILIES)
def test_guidance_adds_what_the_prompt_says_about_a_picture(name):
    options = {"max_new_tokens": 12, "max_images": 1, "image_first": True}
    bare = [without_prompt(row) for row in ROWS]
    plain, guided = (answers(name, bare, guidance_scale=scale, **options) for scale in (1, 4))
    assert [written(answer) for answer in guided] == [written(answer) for answer in plain]  # no prompt, nothing to add
    plain, guided = (
        answers(name, knows_rows=True, guidance_scale=scale, **options, image=Sampling(temperature=3))
        for scale in (1, 9)
    )
    assert [written(answer) for answer in guided] != [written(answer) for answer in plain]


def test_the_last_answer_of_a_row_is_not_shown_to_the_model():
    question = {**ROWS[3], "messages": ROWS[3]["messages"][:1], "images": ROWS[3]["images"][:1]}
    asked, answered = (answers("janus", [row], max_new_tokens=20) for row in (question, ROWS[3]))
    assert written(asked[0]) == written(answered[0])


def test_a_wrapped_model_is_sampled_and_left_in_the_mode_it_was_in():
    made = family("janus")
    made.wrapped.train()
    found = list(sample_answers(made.wrapped, made.collate, ROWS[:1], max_new_tokens=4))
    assert made.model.training
    made.model.eval()
    assert written(found[0]) == written(answers("janus", ROWS[:1], max_new_tokens=4)[0])


def test_top_k_and_top_p_leave_the_likeliest_only():
    greedy = answers("janus", text=GREEDY, image=GREEDY, max_new_tokens=20)
    for narrow in (Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-4)):
        assert [written(each) for each in answers("janus", text=narrow, image=narrow, max_new_tokens=20)] == [
            written(each) for each in greedy
        ]


def test_a_broken_model_is_an_error():
    tiny = tiny_models.tiny_janus()
    collate = get_collator("janus", processor=tiny.processor, image_tokens=family("janus").tokens)
    with torch.no_grad():
        tiny.model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(UnifiedVisualError, match="logits are not numbers"):
        list(sample_answers(tiny.model, collate, ROWS[:1]))


def test_a_family_that_does_not_draw_lists_those_that_do():
    tiny = tiny_models.tiny_llava()
    collate = get_collator("understanding", processor=tiny.processor)
    with pytest.raises(UnknownName, match="unknown sampler 'llava'; known: chameleon, emu3, janus"):
        list(sample_answers(tiny.model, collate, ROWS[:1]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_drawing_family_has_a_tokenizer_of_the_same_name(name):
    assert name in TOKENIZERS
