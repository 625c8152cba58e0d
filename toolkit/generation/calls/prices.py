"""What models cost, and the most that one call can be billed. Money is in US dollars.

Tokens of a text are at most its bytes: a tokenizer has none shorter. Those of a picture follow from its size, by the
rule of its model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from toolkit.errors import ImageError, UsageError
from toolkit.generation.core.protocol import Request, Usage
from toolkit.images import image_size

LIMITS = ("max_tokens", "max_completion_tokens")
BATCH_FACTOR = 0.5  # Source: developers.openai.com/api/docs/guides/batch
MAX_OUTPUT_TOKENS = 2048  # asked for where a backend sets no other
IMAGE_OUTPUT_TOKENS = (
    6240  # of a picture made by a model of which nothing is known: those of gpt-image-1 at its largest
)
BYTES_PER_TOKEN = 8  # of a reply, at most; English has four
TEMPLATE_TOKENS = 256  # what a server puts around the texts of a call
_TILE_PX, _PATCH_PX, _LONG_PX, _SHORT_PX = 512, 32, 2048, 768  # Source: developers.openai.com, guides/images-vision
_LEAST_IMAGE_TOKENS, _ANY_PATCH = (
    4096,
    2.5,
)  # of models without a rule: above those of LLaVA-NeXT, Qwen, InternVL, Claude


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per million tokens, and per picture made; see `prices.yaml` for what the names mean.

    Attributes:
        image_tokens: rule for a picture that is sent; None = more than any rule known.
        image_output_tokens: the most of a picture made, or by quality.
    """

    input_per_mtok: float = 0.0
    output_per_mtok: float = 0.0
    image_input_per_mtok: float | None = None
    per_image: float = 0.0
    image_tokens: int | Mapping[str, float] | None = None
    image_output_tokens: int | Mapping[str, int] = IMAGE_OUTPUT_TOKENS

    def times(self, factor: float) -> "Price":
        of_images = self.image_input_per_mtok
        return replace(
            self,
            input_per_mtok=self.input_per_mtok * factor,
            output_per_mtok=self.output_per_mtok * factor,
            image_input_per_mtok=None if of_images is None else of_images * factor,
            per_image=self.per_image * factor,
        )

    @property
    def image_rate(self) -> float:
        return self.input_per_mtok if self.image_input_per_mtok is None else self.image_input_per_mtok


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a spec asks of every call of a backend, as far as it has a price.

    Attributes:
        max_output_tokens: of a reply; taken to be so many where the spec sends no limit.
        copies: replies or pictures of one call.
    """

    max_output_tokens: int = MAX_OUTPUT_TOKENS
    copies: int = 1
    quality: str = ""
    is_limited: bool = True

    @classmethod
    def by(cls, params: Mapping[str, Any]) -> "Asked":
        """As `params` of a backend say."""
        limit = params.get("max_tokens") or params.get("max_completion_tokens") or MAX_OUTPUT_TOKENS
        return cls(
            max_output_tokens=int(limit),
            copies=int(params.get("n") or 1),
            quality=str(params.get("quality") or ""),
            is_limited=not any(name in params and params[name] is None for name in LIMITS),
        )


@cache
def price_table() -> dict[str, Any]:
    """The dated table that comes with the package."""
    text = files("toolkit.generation.calls").joinpath("prices.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def price_of(model: str, overrides: Mapping[str, Mapping[str, Any]], *, is_batch: bool = False) -> Price | None:
    """Price of a model, in batches a part of it; None = unknown. An override without amounts, `{}`, says that a model
    costs nothing.

    Raises:
        UsageError: an override that is no price.
    """
    found = overrides[model] if model in overrides else price_table()["models"].get(model)
    if found is None:
        return None
    known = {each.name for each in fields(Price)}
    amounts = {name: value for name, value in found.items() if name != "retired"}
    wrong = [name for name, value in amounts.items() if name not in known or not _is_amount(value)]
    if wrong:
        raise UsageError(
            f"prices: {model}: {', '.join(f'{name} is {amounts[name]!r}' for name in wrong)}; expected amounts of "
            f"0 or more for {', '.join(sorted(known))}"
        )
    return Price(**amounts).times(BATCH_FACTOR if is_batch else 1.0)


def _is_amount(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(map(_is_amount, value.values()))
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def retired_on(model: str) -> date | None:
    """The day from which a model of the table is not to be had; None = not announced, or not in the table."""
    found: date | None = price_table()["models"].get(model, {}).get("retired")
    return found


def image_tokens(rule: int | Mapping[str, float] | None, width: int, height: int) -> int:
    """The most tokens of a picture that is sent."""
    if isinstance(rule, int):
        return rule
    patches = math.ceil(width / _PATCH_PX) * math.ceil(height / _PATCH_PX)
    if rule is None:
        return math.ceil(max(_LEAST_IMAGE_TOKENS, patches * _ANY_PATCH))
    if "patch" in rule:
        return math.ceil(patches * rule["patch"])
    scale = min(1.0, _LONG_PX / max(width, height))
    scale *= min(1.0, _SHORT_PX / (min(width, height) * scale))
    tiles = math.ceil(width * scale / _TILE_PX) * math.ceil(height * scale / _TILE_PX)
    return math.ceil(rule.get("base", 0) + rule.get("tile", 0) * tiles)


def text_tokens(request: Request) -> int:
    """The most tokens of the texts of a call."""
    texts = (request.system, request.user, *(turn for _, turn in request.history), str(request.schema or ""))
    return TEMPLATE_TOKENS + sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def reserve_of(price: Price | None, request: Request, asked: Asked) -> float | None:
    """The most that a call can cost; None = unknown."""
    if price is None:
        return None
    of_images = _most_image_tokens(price, request) * price.image_rate if price.image_rate else 0.0
    cost = (text_tokens(request) * price.input_per_mtok + of_images) / 1e6
    return cost + output_reserve(price, request.kind, asked, request.max_output_tokens)


def output_reserve(price: Price, kind: str, asked: Asked, max_output_tokens: int | None = None) -> float:
    """The most that the answer to a call can cost."""
    if kind == "chat":
        return (max_output_tokens or asked.max_output_tokens) * asked.copies * price.output_per_mtok / 1e6
    return asked.copies * (_made_tokens(price, asked.quality) * price.output_per_mtok / 1e6 + price.per_image)


def _made_tokens(price: Price, quality: str) -> int:
    tokens = price.image_output_tokens
    if isinstance(tokens, int):
        return tokens
    return tokens.get(quality, tokens.get("", max(tokens.values())))


def _tokens_of(price: Price, image: bytes) -> int:
    try:
        width, height = image_size(image, "price")
    except ImageError:
        width = height = _LONG_PX
    return image_tokens(price.image_tokens, width, height)


def cost_of(price: Price | None, usage: Usage, request: Request) -> float | None:
    """What a call did cost; None = unknown, because the price is or the server did not say."""
    if price is None:
        return None
    tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
    input_rate = max(price.input_per_mtok, price.image_rate if request.images else 0.0)
    if (
        (tokens_in is None and input_rate)
        or (tokens_out is None and price.output_per_mtok)
        or (usage.images is None and price.per_image)
    ):
        return None
    of_images = _image_part(price, usage, request)
    paid = ((tokens_in or 0) - of_images) * price.input_per_mtok + of_images * price.image_rate
    return (paid + (tokens_out or 0) * price.output_per_mtok) / 1e6 + (usage.images or 0) * price.per_image


def _image_part(price: Price, usage: Usage, request: Request) -> int:
    """How many tokens of the input are those of images; as many as cost the most where the server does not say."""
    total = usage.input_tokens or 0
    if usage.input_image_tokens is not None:
        return min(usage.input_image_tokens, total)
    if not request.images or price.image_rate == price.input_per_mtok:
        return 0
    if price.image_rate > price.input_per_mtok:
        return min(total, _most_image_tokens(price, request))
    return max(0, total - text_tokens(request))


def _most_image_tokens(price: Price, request: Request) -> int:
    return sum(_tokens_of(price, image) for image in request.images)
