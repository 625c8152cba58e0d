"""A vendor in this process that bills as its price list says, and behaves as badly as vendors do: what it bills is the
truth that a cap is held against. Stands in for `Server._body`, below which only bytes go over a wire.
"""

import asyncio
import base64
import io
import json
import math
from typing import Any

import aiohttp
from PIL import Image

from tests.generation_runs import picture
from toolkit.generation.backends.answers import error_of, json_object
from toolkit.generation.core.protocol import Transient

FREE = ("500", "429", "400", "expired")
BILLED = ("wrong_schema", "cut", "refusal", "empty", "no_usage", "mad_usage", "broken_json", "bad_picture", "black")
PERHAPS = ("502", "timeout", "reset", "error_inside", "policy_inside", "crash")
LOST = ("missing", "null")  # lines of batches, perhaps billed too


class Crash(SystemExit):  # of which an event loop ends
    """The process dies here."""


class Vendor:
    """
    Args:
        dice: of everything it does.
        prices: of the models "chat" and "draw", as in a spec.
    """

    def __init__(self, dice: Any, prices: dict[str, dict[str, Any]]) -> None:
        self.dice, self.prices, self.bill, self.requests, self.crashes = dice, prices, 0.0, 0, 0
        self.faults = {name: dice.random() ** 6 for name in (*FREE, *BILLED, *PERHAPS, *LOST, "gone")}
        self.no_credit_after = dice.choice([10**9, 10**9, dice.randint(1, 30)])
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.full_batches = dice.choice([0, 0, 1, 2])

    def _crash(self) -> Crash:
        self.crashes += 1
        return Crash()

    def _fault(self, names: tuple[str, ...]) -> str:
        found = [name for name in names if self.dice.random() < self.faults[name]]
        return self.dice.choice(found) if found else ""

    async def body(self, method: str, path: str, **content: Any) -> str:
        """As `Server._body`."""
        if path.startswith(("files", "batches")):
            return self._batch(method, path, content)
        await asyncio.sleep(0)
        asked = self._asked(path, content)
        self.requests += 1
        if self.requests > self.no_credit_after:
            raise error_of(402, {}, '{"error": {"message": "no credit"}}')
        fault = self._fault(("500", "429", "400", *BILLED, *PERHAPS))
        if fault in ("500", "429", "400"):
            raise error_of(int(fault), {"retry-after": "0.001"}, json.dumps({"error": {"message": f"{fault} x"}}))
        if fault in PERHAPS:
            await self._lose(fault, path, asked)
        status, answer = 200, json.dumps(self._answered(path, asked, fault, 1.0))
        return answer[: len(answer) // 2] if fault == "broken_json" and status == 200 else answer

    async def _lose(self, fault: str, path: str, asked: dict[str, Any]) -> None:
        """An answer that never comes, whether the work was done or not."""
        if self.dice.random() < 0.5:
            self._answered(path, asked, "", 1.0)
        if fault == "timeout":
            await asyncio.sleep(1e6)
        if fault == "crash":
            raise self._crash()
        if fault == "reset":
            raise Transient("connection", detail="reset", may_cost=True)
        if fault == "502":
            raise error_of(502, {}, "bad gateway")
        code = "500" if fault == "error_inside" else '"content_filter"'
        json_object(f'{{"error": {{"code": {code}, "message": "upstream"}}}}')

    def _asked(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        if path != "images/edits":
            return dict(json.loads(content["data"]))
        form: aiohttp.FormData = content["data"]
        fields: dict[str, Any] = {"images": []}
        for options, _, value in form._fields:
            if options["name"].startswith("image"):
                fields["images"].append(value)
            else:
                fields[options["name"]] = value
        return fields

    def _answered(self, path: str, asked: dict[str, Any], fault: str, factor: float) -> dict[str, Any]:
        """Do the work, bill it, and say so."""
        if path == "chat/completions":
            return self._chat(asked, fault, factor)
        return self._images(asked, fault, factor)

    def _chat(self, asked: dict[str, Any], fault: str, factor: float) -> dict[str, Any]:
        price, dice, limit = self.prices["chat"], self.dice, asked["max_tokens"]
        texts, images = 0, 0
        for turn in asked["messages"]:
            content: Any = turn["content"]
            parts: Any = [{"text": content}] if isinstance(content, str) else content
            for part in parts:
                if "text" in part:
                    texts += len(part["text"].encode())
                else:
                    image = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                    images += tokens_of(price["image_tokens"], image)
        texts += len(json.dumps(asked["response_format"])) if dice.random() < 0.5 else 0
        texts = math.ceil(texts * dice.uniform(0.2, 1.0)) + dice.randint(0, 100)
        schema = asked["response_format"]["json_schema"]["schema"]
        text = json.dumps({name: f"{name} says {dice.random()}" for name in schema["properties"]})
        out = limit if fault == "cut" else dice.randint(1, limit)
        message: dict[str, Any] = {"content": text}
        if fault == "cut":
            message = {"content": text[:10]}
        elif fault == "wrong_schema":
            message = {"content": '{"no": 1}'}
        elif fault == "refusal":
            message = {"content": None, "refusal": "no"}
        elif fault == "empty":
            message = {"content": ""}
        copies = asked.get("n", 1)
        self.bill += (
            factor * ((texts + images) * price["input_per_mtok"] + out * copies * price["output_per_mtok"]) / 1e6
        )
        usage: Any = {"prompt_tokens": texts + images, "completion_tokens": out * copies}
        choices = [{"message": message, "finish_reason": "length" if fault == "cut" else "stop"}] * copies
        return {"choices": choices, **self._usage(usage, fault)}

    def _usage(self, usage: dict[str, Any], fault: str) -> dict[str, Any]:
        if fault == "no_usage":
            return {}
        if fault == "mad_usage":
            name, wrong = self.dice.choice(list(usage)), self.dice.choice([-5, 1e999, 2**70, "7", None, True])
            return {"usage": {**usage, name: wrong}}
        return {"usage": usage}

    def _images(self, asked: dict[str, Any], fault: str, factor: float) -> dict[str, Any]:
        price, dice, copies = self.prices["draw"], self.dice, int(asked.get("n", 1))
        content = picture(dice.randint(0, 99))
        if fault == "bad_picture":
            content = content[: len(content) // 2]
        elif fault == "black":
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32)).save(buffer, format="PNG")
            content = buffer.getvalue()
        texts = math.ceil(len(asked["prompt"].encode()) * dice.uniform(0.2, 1.0)) + dice.randint(0, 100)
        sent = sum(tokens_of(price["image_tokens"], image) for image in asked.get("images", ()))
        most = price["image_output_tokens"]
        out = copies * dice.randint(1, most if isinstance(most, int) else most.get(asked.get("quality", ""), most[""]))
        tokens = texts * price["input_per_mtok"] + sent * price["image_input_per_mtok"] + out * price["output_per_mtok"]
        self.bill += factor * (tokens / 1e6 + copies * price["per_image"])
        usage: dict[str, Any] = {"input_tokens": texts + sent, "output_tokens": out}
        if dice.random() < 0.5:
            usage["input_tokens_details"] = {"text_tokens": texts, "image_tokens": sent}
        encoded = base64.b64encode(content).decode()
        data = [{"url": f"data:image/png;base64,{encoded}"} if dice.random() < 0.2 else {"b64_json": encoded}] * copies
        data = [] if fault == "empty" else data
        return {"data": data, **self._usage(usage, fault)}

    def _batch(self, method: str, path: str, content: dict[str, Any]) -> str:
        kind, _, rest = path.partition("/")
        if method == "POST" and kind == "files":
            (upload,) = (value for options, _, value in content["data"]._fields if options["name"] == "file")
            id = f"file-{len(self.files)}"
            self.files[id] = upload
            return json.dumps({"id": id})
        if method == "POST":
            order = json.loads(content["data"])
            id = f"batch-{len(self.files)}"
            self.batches[id] = {"id": id, "metadata": order["metadata"], **self._worked(id, order)}
            if self.dice.random() < self.faults["crash"]:
                raise self._crash()
            return json.dumps(self.batches[id])
        if kind == "files":
            return self.files[rest.removesuffix("/content")].decode()
        if rest:
            if self.dice.random() < self.faults["gone"]:
                del self.batches[rest]
            if rest not in self.batches:
                raise error_of(404, {}, '{"error": {"message": "no such batch"}}')
            return json.dumps(self.batches[rest])
        return json.dumps({"data": list(self.batches.values())[::-1], "has_more": False})

    def _worked(self, id: str, order: dict[str, Any]) -> dict[str, Any]:
        if self.full_batches:
            self.full_batches -= 1
            errors = {"data": [{"code": "token_limit_exceeded", "message": "too many"}]}
            return {"status": "failed", "errors": errors}
        lines: list[dict[str, Any]] = []
        for line in self.files[order["input_file_id"]].decode().splitlines():
            asked = json.loads(line)
            fault = self._fault((*FREE, *BILLED, *LOST))
            if fault in LOST:
                if self.dice.random() < 0.5:
                    self._answered(order["endpoint"].removeprefix("/v1/"), asked["body"], "", 0.5)
                lines += [{"custom_id": asked["custom_id"], "response": None, "error": None}] * (fault == "null")
                continue
            if fault in FREE:
                bodies = {"500": {}, "429": {}, "400": {"error": {"message": "bad"}}}
                response = {"status_code": int(fault), "body": bodies[fault]} if fault in bodies else None
                error = {"code": "batch_expired"} if fault == "expired" else None
                lines.append({"custom_id": asked["custom_id"], "response": response, "error": error})
                continue
            body = self._answered(order["endpoint"].removeprefix("/v1/"), asked["body"], fault, 0.5)
            lines.append(
                {"custom_id": asked["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
            )
        self.files[f"out-{id}"] = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return {"status": "completed", "output_file_id": f"out-{id}"}


def tokens_of(rule: Any, image: bytes) -> int:
    """By the vendors' own words, written down apart from the product."""
    size = Image.open(io.BytesIO(image)).size
    width, height = float(size[0]), float(size[1])
    if isinstance(rule, int):
        return rule
    if "patch" in rule:
        return math.ceil(-(-width // 32) * -(-height // 32) * rule["patch"])
    if max(width, height) > 2048:
        width, height = width * 2048 / max(width, height), height * 2048 / max(width, height)
    if min(width, height) > 768:
        width, height = width * 768 / min(width, height), height * 768 / min(width, height)
    return int(rule["base"] + rule["tile"] * math.ceil(width / 512) * math.ceil(height / 512))
