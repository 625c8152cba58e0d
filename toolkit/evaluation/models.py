"""Models that answer the benchmark: of transformers, and behind a server that speaks OpenAI's /chat/completions."""

import base64
import binascii
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from toolkit.errors import MissingExtra, UsageError
from toolkit.evaluation.asking import Model, Prompt, Written
from toolkit.images import image_format

BATCH = 8


def server(base_url: str, model: str, *, api_key: str = "", parallel: int = 8, max_tokens: int = 2048) -> Model:
    """Prompts go out as texts and data URIs; answers come back as text, and as pictures where the server has them in
    `content` or, as OpenRouter does, in `images`.

    Args:
        base_url: without /chat/completions.
        parallel: calls at the same time.
    """
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=base_url, api_key=api_key or "none", timeout=600)

    def one(prompt: Prompt) -> Written:
        content = [_sent(part) for part in prompt.content]
        messages = [{"role": "user", "content": content}]
        reply = client.chat_completion(messages, model=model, max_tokens=max_tokens)
        return _received(reply.choices[0].message)

    def answers(prompts: Sequence[Prompt]) -> Iterator[tuple[str, Written | Exception]]:
        with ThreadPoolExecutor(parallel) as pool:
            waiting = {pool.submit(one, prompt): prompt.id for prompt in prompts}
            try:
                for done in as_completed(waiting):
                    error = done.exception()
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    yield waiting[done], error or done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    return answers


def _sent(part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = image_format(part).replace("jpg", "jpeg") or "png"
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{base64.b64encode(part).decode()}"}}


def _received(message: Any) -> Written:
    """Parts of `content`, then those of `images`."""
    content = message.content or []
    parts = [content] if isinstance(content, str) else list(content)
    return [found for part in [*parts, *(message.get("images") or [])] if (found := _part(part))]


def _part(part: Any) -> str | bytes:
    if isinstance(part, str):
        return part
    image = part.get("image_url")
    if image is None:
        return str(part.get("text") or "")
    url = image["url"] if isinstance(image, dict) else str(image)
    head, _, data = url.partition(",")
    if not head.startswith("data:"):
        raise UsageError(f"the server answers with the address of a picture, {url[:80]}; ask it for data URIs")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise UsageError(f"the server's picture is not base64: {error}") from error


def transformers_model(
    path: str, *, decoder: str | None = None, device: str = "", max_new_tokens: int = 2048, seed: int = 0
) -> Model:
    """A model of transformers; those of the drawing families (`toolkit.sampling.SAMPLERS`) answer with pictures.

    Args:
        path: folder or repository of the model and its processor.
        decoder: what turns ids to pictures, as `get_tokenizer` takes it, where the checkpoint cannot.
        device: of torch; "" = an accelerator if there is one.

    Raises:
        MissingExtra: transformers is not installed. UsageError: the model draws, and has no decoder.
    """
    try:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise MissingExtra(str(error.name), "train") from None
    from toolkit.sampling import SAMPLERS

    place = device or str(torch.accelerator.current_accelerator() or "cpu")
    processor = AutoProcessor.from_pretrained(path)
    model = AutoModelForImageTextToText.from_pretrained(path, dtype="auto").to(place).eval()
    settings = {"max_new_tokens": max_new_tokens}
    if model.config.model_type in SAMPLERS:
        return _drawing(model, processor, decoder, seed=seed, **settings)
    return _in_turn(lambda prompt: [_generated(model, processor, prompt, **settings)])


def _drawing(model: Any, processor: Any, decoder: str | None, *, seed: int, max_new_tokens: int) -> Model:
    from toolkit.collate import get_collator, get_tokenizer
    from toolkit.sampling.answers import sample_answers

    tokenizer = get_tokenizer(model, processor, decoder=decoder)
    if not tokenizer.can_decode:
        raise UsageError(f"{type(model).__name__} cannot turn the ids it writes to pictures; give a decoder")
    collator = get_collator(model.config.model_type, processor=processor, image_tokens=tokenizer)

    def answers(prompts: Sequence[Prompt]) -> Iterator[tuple[str, Written | Exception]]:
        rows = map(_row, prompts)
        for each in sample_answers(
            model, collator, rows, seed=seed, max_new_tokens=max_new_tokens, batch_size=BATCH, image_decoder=tokenizer
        ):
            images = iter(each.images or ())
            yield each.row_id, [part["text"] if part["type"] == "text" else _png(next(images)) for part in each.content]

    return answers


def _row(prompt: Prompt) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "text": ""}
        for part in prompt.content
    ]
    images = [{"bytes": part, "path": ""} for part in prompt.content if isinstance(part, bytes)]
    return {
        "id": prompt.id,
        "messages": [{"role": "user", "content": content}],
        "images": images,
        "image_roles": ["input"] * len(images),
    }


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _generated(model: Any, processor: Any, prompt: Prompt, *, max_new_tokens: int) -> str:
    from PIL import Image

    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "image": Image.open(io.BytesIO(part)).convert("RGB")}
        for part in prompt.content
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    ).to(model.device, dtype=model.dtype)
    ids = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    return str(processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def _in_turn(one: Callable[[Prompt], Written]) -> Model:
    def answers(prompts: Sequence[Prompt]) -> Iterator[tuple[str, Written | Exception]]:
        for prompt in prompts:
            yield prompt.id, one(prompt)

    return answers
