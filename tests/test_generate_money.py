"""What calls cost, the most they can cost, and the cap."""

import io
import logging
from datetime import date

import pytest
from PIL import Image

from toolkit.errors import UsageError
from toolkit.generation.calls.budget import Budget, BudgetReached
from toolkit.generation.calls.prices import (
    Asked,
    Price,
    cost_of,
    image_tokens,
    price_of,
    price_table,
    reserve_of,
    retired_on,
    text_tokens,
)
from toolkit.generation.core.protocol import Origin, Request, Usage


def request(**rest):
    return Request(
        step="s", seed=0, origin=Origin(recipe="r", seed=0, index=0), **{"kind": "chat", "user": "x" * 2000, **rest}
    )


def picture(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, format="PNG")
    return buffer.getvalue()


def test_costs_by_hand():
    chat, draw = Price(input_per_mtok=2.0, output_per_mtok=8.0), Price(per_image=0.04)
    assert cost_of(chat, Usage(input_tokens=1_000_000, output_tokens=500_000), request()) == 6.0
    assert cost_of(draw, Usage(images=3), request(kind="generate")) == pytest.approx(0.12)


def test_a_cost_that_the_server_does_not_say_is_unknown():
    chat, draw = Price(input_per_mtok=2.0, output_per_mtok=8.0), Price(per_image=0.04)
    assert cost_of(chat, Usage(), request()) is None
    assert cost_of(chat, Usage(input_tokens=1), request()) is None
    assert cost_of(draw, Usage(), request(kind="generate")) is None
    assert cost_of(None, Usage(input_tokens=1), request()) is None
    assert cost_of(Price(), Usage(), request()) == 0.0  # nothing costs anything


def test_pictures_that_are_sent_have_a_rate_of_their_own():
    price = Price(input_per_mtok=5.0, image_input_per_mtok=8.0, output_per_mtok=30.0, image_tokens=600)
    with_image = request(images=(picture(64, 64),))
    split = Usage(input_tokens=1000, input_image_tokens=400, output_tokens=0)
    assert cost_of(price, split, with_image) == pytest.approx((600 * 5 + 400 * 8) / 1e6)
    unsplit = Usage(input_tokens=1000, output_tokens=0)  # as much at the higher rate as there can be
    assert cost_of(price, unsplit, with_image) == pytest.approx((400 * 5 + 600 * 8) / 1e6)
    assert cost_of(price, unsplit, request()) == pytest.approx(1000 * 5 / 1e6)
    cheap = Price(input_per_mtok=5.0, image_input_per_mtok=1.0, image_tokens=600)
    assert cost_of(cheap, unsplit, with_image) == pytest.approx(1000 * 5 / 1e6)
    many = Usage(input_tokens=text_tokens(with_image) + 500, output_tokens=0)
    assert cost_of(cheap, many, with_image) == pytest.approx((text_tokens(with_image) * 5 + 500 * 1) / 1e6)


def test_a_reserve_is_the_most_a_call_can_cost_by_hand():
    chat = Price(input_per_mtok=2.0, output_per_mtok=8.0)
    text = 2000 + 256  # a token has a byte at least; and what the server puts around
    assert reserve_of(chat, request(), Asked(max_output_tokens=1000)) == pytest.approx((text * 2 + 1000 * 8) / 1e6)
    assert reserve_of(chat, request(user="\u00e9" * 1000), Asked(max_output_tokens=1000)) == pytest.approx(
        (text * 2 + 1000 * 8) / 1e6
    )
    assert reserve_of(chat, request(max_output_tokens=4096), Asked()) == pytest.approx((text * 2 + 4096 * 8) / 1e6)
    assert reserve_of(chat, request(), Asked(max_output_tokens=1000, copies=3)) == pytest.approx(
        (text * 2 + 3000 * 8) / 1e6
    )
    assert reserve_of(Price(per_image=0.04), request(kind="generate"), Asked(copies=2)) == pytest.approx(0.08)
    assert reserve_of(None, request(), Asked()) is None


def test_a_picture_of_a_model_with_prices_by_tokens_is_reserved_at_its_largest():
    price = Price(output_per_mtok=40.0, image_output_tokens={"low": 408, "": 6240})
    assert reserve_of(price, request(kind="generate"), Asked(quality="low")) == pytest.approx(408 * 40 / 1e6)
    assert reserve_of(price, request(kind="generate"), Asked()) == pytest.approx(6240 * 40 / 1e6)
    assert reserve_of(Price(output_per_mtok=40.0), request(kind="generate"), Asked()) == pytest.approx(6240 * 40 / 1e6)


@pytest.mark.parametrize(
    ("rule", "size", "tokens"),
    [
        # gpt-4o: 2048 x 4096 is scaled to 768 x 1536, which are 2 x 3 squares of 512. Source: guides/images-vision.
        ({"base": 85, "tile": 170}, (2048, 4096), 85 + 6 * 170),
        ({"base": 85, "tile": 170}, (512, 512), 85 + 170),
        ({"base": 2833, "tile": 5667}, (1024, 1024), 2833 + 4 * 5667),
        # gpt-6: 1,229 of 1024 x 1024, 14,364 of 4032 x 3024. Source: datasets/JOHNISKING/image-token-cost.
        ({"patch": 1.2}, (1024, 1024), 1229),
        ({"patch": 1.2}, (4032, 3024), 14364),
        (1600, (4032, 3024), 1600),
        (None, (64, 64), 4096),
    ],
)
def test_tokens_of_a_picture_follow_from_its_size_by_the_rule_of_its_model(rule, size, tokens):
    assert image_tokens(rule, *size) == tokens


def test_pictures_of_a_call_are_in_its_reserve():
    price = Price(input_per_mtok=10.0, image_tokens={"base": 85, "tile": 170})
    sent = request(images=(picture(512, 512), picture(2048, 4096)))
    assert reserve_of(price, sent, Asked()) == pytest.approx((text_tokens(sent) + 255 + 1105) * 10 / 1e6)


def test_prices_are_dated_and_unknown_models_are_unknown():
    assert price_table()["as_of"] >= date(2026, 11, 1)
    assert price_of("nobody-knows", {}) is None
    assert price_of("gpt-6-luna", {"gpt-6-luna": {}}) == Price()
    halved = price_of("gpt-6.1-terra", {}, is_batch=True)
    assert (halved.input_per_mtok, halved.output_per_mtok) == (0.625, 2.5)
    assert price_of("m", {"m": {"input_per_mtok": 1.0}}) == Price(input_per_mtok=1.0)


@pytest.mark.parametrize("amounts", [{"per_token": 1.0}, {"per_image": -1}, {"per_image": "free"}, {"per_image": True}])
def test_an_override_that_is_no_price_says_so(amounts):
    with pytest.raises(UsageError, match=r"prices: m: .*expected amounts of 0 or more for .*input_per_mtok"):
        price_of("m", {"m": amounts})


def test_every_price_of_the_table_can_be_used():
    for model in price_table()["models"]:
        price, sent = price_of(model, {}), (request(images=(picture(64, 64),)), request(kind="generate"))
        assert sum(reserve_of(price, each, Asked()) for each in sent) > 0
    assert retired_on("dall-e-3") == date(2026, 5, 12)
    assert retired_on("gpt-6-luna") is None


def test_a_budget_counts_reserves_and_settles():
    budget = Budget(1.0)
    held = [budget.reserve(0.4, "m"), budget.reserve(0.4, "m")]
    with pytest.raises(BudgetReached, match="may cost"):
        budget.reserve(0.4, "m")
    budget.settle(held[0], 0.1, "m")
    assert budget.reserve(0.4, "m") == 0.4
    budget.settle(held[1], None, "m")
    assert budget.spent == pytest.approx(0.5)


def test_a_call_in_doubt_stays_booked_where_it_cannot_be_waited_for():
    budget = Budget(1.0, spent=0.5)
    assert budget.reserve_again(0.5, 0.5, "m") == 0.5
    assert (budget.spent, budget.reserved) == (0.0, 0.5)
    dearer = Budget(1.0, spent=0.5)
    with pytest.raises(BudgetReached):
        dearer.reserve_again(0.5, 1.5, "m")
    assert (dearer.spent, dearer.reserved) == (0.5, 0.0)


def test_a_server_that_bills_more_than_its_price_is_believed_once(caplog):
    budget = Budget(10.0)
    with caplog.at_level(logging.WARNING):
        budget.settle(budget.reserve(1.0, "m"), 3.0, "m")
    assert "billed $3.0000, more than its price allows ($1.0000)" in caplog.text
    assert (budget.reserve(1.0, "m"), budget.reserve(1.0, "other")) == (3.0, 1.0)
