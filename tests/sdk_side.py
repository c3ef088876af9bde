"""What the tests of real clients ask: one that answers by simple rules, behind the gateway and as a provider would.

    say one two three                       those words, one after another
    weather in Paris and Oslo               two calls of `weather`, then two of `convert`, then a sentence
    fail KIND NAME                          a failure, counted under that name
    hang NAME                               one word, then nothing until the client has left
    calls NAME / ended NAME                 how often that was asked; a word, once a client has left it

The gateway's process loads this as a module for its function backend.
"""

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import pytest

from fastcascade.errors import BackendError, FailureKind
from fastcascade.gateway.key_store import KeyFile
from fastcascade.messages import Image, Reply, Request, Text, ToolCall, ToolResult, Usage
from gateways import PATIENCE, Process
from wire import anthropic, openai
from wire.server import Canned, Seen, WireServer

__all__ = ["CLAUDE", "GPT", "LARGEST", "TEMPERATURES", "Asked", "Side", "as_gateway", "as_provider", "convert", "told",
           "weather"]  # fmt: skip

CLAUDE: Final = "claude-haiku-4-5"
GPT: Final = "gpt-5"
LARGEST: Final = 100_000
"""Bytes of the largest body."""
TEMPERATURES: Final = {"Paris": 20, "Oslo": 5}
CITY: Final = {"name": "Oslo", "people": 700_000}
CONFIG: Final = """
[cascades.chat]
last_resort = false

[[cascades.chat.tiers]]
name = "small"
backend = { kind = "function", function = "sdk_side:told", free = true }

[cascades.spare]
[[cascades.spare.tiers]]
name = "spare"
backend = { kind = "rules", faq = { hi = "spare" } }

[gateway]
port = 0
access_log = true
keys = "keys.json"
limits = { body = 100_000 }

[gateway.models]
"claude-haiku-4-5" = { cascade = "chat" }
"gpt-5" = { cascade = "chat" }
"""

CALLS: Final[Counter[str]] = Counter()
ENDED: Final[defaultdict[str, threading.Event]] = defaultdict(threading.Event)


def weather(city: str) -> str:
    """The tool that the model calls first."""
    return f"{city}: {TEMPERATURES[city]} C"


def convert(celsius: float) -> str:
    """The tool that it calls next."""
    return f"{celsius * 9 / 5 + 32:g} F"


@dataclass
class Asked:
    """A question as both sides understand it."""

    text: str
    results: Sequence[str] = ()
    pictures: Sequence[str] = ()
    stop: Sequence[str] = ()
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_typed: bool = False


@dataclass
class Word:
    """What is said to it."""

    text: str = ""
    calls: Sequence[tuple[str, str, dict[str, Any]]] = ()
    stop: str = ""


def said(asked: Asked) -> Word:  # noqa: PLR0911 - a table
    """The rules."""
    typed = next((name for name, schema in asked.tools.items() if "people" in schema.get("properties", {})), "")
    if typed:
        return Word("", [("call_t", typed, CITY)])
    if asked.is_typed:
        return Word(json.dumps(CITY))
    if asked.stop:
        return Word("one two ", stop=asked.stop[0])
    if asked.pictures:
        return Word(f"pictures: {' '.join(asked.pictures)}")
    if asked.results and not asked.text.startswith("weather"):
        return Word("I do not know what this is about.")
    if asked.results:
        if all(each.endswith(" C") for each in asked.results):
            degrees = [float(each.split()[-2]) for each in asked.results]
            return Word("", [(f"call_c{n}", "convert", {"celsius": each}) for n, each in enumerate(degrees)])
        return Word(f"It is {' and '.join(asked.results)}.")
    if asked.text.startswith("weather"):
        return Word("Let me look.", [(f"call_w{n}", "weather", {"city": city}) for n, city in enumerate(TEMPERATURES)])
    return Word(asked.text.removeprefix("say "))


def words(text: str) -> list[str]:
    """A text in its pieces."""
    return [f"{word} " for word in text.split(" ")[:-1]] + text.split(" ")[-1:]


# Behind the gateway.


async def told(request: Request) -> Any:
    """The function backend."""
    verb, _, rest = request.text.partition(" ")
    name = rest.split(" ")[-1]
    CALLS[name] += 1
    if verb == "calls":
        return str(CALLS[name] - 1)
    if verb == "ended":
        return str(await asyncio.to_thread(ENDED[name].wait, PATIENCE))
    if verb == "fail":
        raise BackendError(cast("FailureKind", rest.split(" ")[0]), "as planned")
    if verb == "hang":
        return _hung(name)
    word = said(_asked(request))
    if word.calls:
        calls = [ToolCall(key, called, json.dumps(given)) for key, called, given in word.calls]
        return Reply((*([Text(word.text)] if word.text else []), *calls), stop="tool", usage=Usage(12, 34))
    if word.stop:
        return Reply(word.text, stop="stop_sequence", usage=Usage(12, 34))
    return _spoken(word.text) if verb == "say" else Reply(word.text, usage=Usage(12, 34))


async def _hung(name: str) -> AsyncIterator[str]:
    try:
        yield "one "
        await asyncio.Event().wait()
    finally:
        ENDED[name].set()


async def _spoken(text: str) -> AsyncIterator[str]:
    for each in words(text):
        yield each
        await asyncio.sleep(0)


def _asked(request: Request) -> Asked:
    last = request.messages[-1].content
    results = [block.content[0].text for block in last if isinstance(block, ToolResult) and
               isinstance(block.content[0], Text)]  # fmt: skip
    pictures = [block.media_type for block in last if isinstance(block, Image)]
    tools = {tool.name: tool.schema for tool in request.tools}
    return Asked(request.text, results, pictures, request.stop, tools, request.schema is not None)


# As a provider.


def _from_anthropic(body: dict[str, Any]) -> Asked:
    said_by = [each["content"] for each in body["messages"] if each["role"] == "user"]
    turns: list[Any] = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in said_by]
    texts = [block["text"] for turn in turns for block in turn if block["type"] == "text"]
    given = [block["content"] for block in turns[-1] if block["type"] == "tool_result"]
    results = [each if isinstance(each, str) else each[0]["text"] for each in given]
    pictures = [block["source"]["media_type"] for block in turns[-1] if block["type"] == "image"]
    tools = {tool["name"]: tool["input_schema"] for tool in body.get("tools", ())}
    is_typed = "format" in body.get("output_config", {}) or "output_format" in body
    return Asked(texts[-1], results, pictures, body.get("stop_sequences", ()), tools, is_typed)


def _from_chat(body: dict[str, Any]) -> Asked:
    turns: list[Any] = list(body["messages"])
    results: list[str] = []
    while turns[-1]["role"] == "tool":
        results.insert(0, turns.pop()["content"])
    content = next(each["content"] for each in reversed(turns) if each["role"] == "user")
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools", ())}
    pictures = [url[5:].partition(";")[0] for url in urls]
    return Asked(text, results, pictures, body.get("stop") or (), tools, "response_format" in body)


class Provider:
    """Answers as the two providers do."""

    def __init__(self, server: WireServer) -> None:
        self.server, self.calls = server, Counter[str]()
        self.thread: list[Any] = []

    def __call__(self, seen: Seen) -> Canned:  # noqa: PLR0911 - a table
        """Answer one request."""
        is_claude = "anthropic-version" in seen.headers
        wrong = self._wrong(seen, is_claude=is_claude)
        if wrong:
            return _failed(wrong, is_claude=is_claude)
        if seen.method == "GET":
            return _models(seen.path)
        body = seen.body
        if seen.path.endswith("/count_tokens"):
            return Canned.plain(200, {"input_tokens": 7})
        if is_claude:
            self._remember(body)
        asked = _from_anthropic(body) if is_claude else _from_chat(body)
        verb, _, rest = asked.text.partition(" ")
        self.calls[rest.split(" ")[-1]] += 1
        if verb == "calls":
            asked.text = str(self.calls[rest] - 1)
        elif verb == "ended":
            asked.text = str(self.server.gone.wait(PATIENCE))
        elif verb == "fail":
            return _failed(503, is_claude=is_claude)
        elif verb == "hang":
            self.server.gone.clear()
            frames = _frames(Word("one two"), is_claude=is_claude)
            place = next(n for n, frame in enumerate(frames) if b'"two' in frame)
            return Canned.streamed(frames, "stall", place) if body.get("stream") else Canned.plain(fault="stall")
        word = said(asked)
        if body.get("stream"):
            return Canned.streamed(_frames(word, is_claude=is_claude))
        return Canned.plain(200, _whole(word, is_claude=is_claude), {"request-id": "req_1", "x-request-id": "req_1"})

    def _remember(self, body: dict[str, Any]) -> None:
        """Go on with the thread that was begun last, where a thread is gone on with."""
        thread = body.get("thread") or {}
        if thread.get("type") == "continue":
            body["messages"] = [*self.thread, *body["messages"]]
        if thread:
            self.thread = body["messages"]

    @staticmethod
    def _wrong(seen: Seen, *, is_claude: bool) -> int:
        key = seen.headers.get("x-api-key") or seen.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in ("good", "limited"):
            return 401
        if int(seen.headers.get("content-length", "0")) > LARGEST:
            return 413
        if key == "limited":
            return 429
        if seen.method == "GET":
            return 404 if seen.path.endswith("/none") else 0
        if seen.body["model"] not in (CLAUDE, GPT):
            return 404
        return 0 if isinstance(seen.body["messages"], list) and seen.body["messages"] else 400


NAMES: Final = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
                413: "request_too_large", 429: "rate_limit_error", 503: "api_error"}  # fmt: skip


def _failed(status: int, *, is_claude: bool) -> Canned:
    kind = NAMES[status]
    body = anthropic.error(kind, "as planned") if is_claude else openai.error("as planned", kind)
    named = {"request-id": "req_1", "x-request-id": "req_1"}
    return Canned.plain(status, body, {**named, "retry-after": "1"} if status == 429 else named)


def _models(path: str) -> Canned:
    shown = [{"id": name, "object": "model", "created": 0, "owned_by": "x", "type": "model", "display_name": name,
              "created_at": "2026-01-01T00:00:00Z"} for name in (CLAUDE, GPT)]  # fmt: skip
    if not path.partition("?")[0].endswith("/models"):
        return Canned.plain(200, next(each for each in shown if each["id"] == path.rsplit("/", 1)[1]))
    return Canned.plain(200, {"object": "list", "data": shown, "has_more": False, "first_id": CLAUDE, "last_id": GPT})


def _whole(word: Word, *, is_claude: bool) -> dict[str, Any]:
    if is_claude:
        content = [anthropic.text(word.text)] if word.text else []
        content += [anthropic.tool_use(*call) for call in word.calls]
        reason = "tool_use" if word.calls else "stop_sequence" if word.stop else "end_turn"
        return anthropic.message(content, reason, stop_sequence=word.stop or None)
    calls = [openai.tool_call(key, name, json.dumps(given)) for key, name, given in word.calls]
    return openai.completion(word.text or None, "tool_calls" if calls else "stop", calls=calls)


def _frames(word: Word, *, is_claude: bool) -> list[bytes]:
    whole = _whole(word, is_claude=is_claude)
    return anthropic.frames(whole, words) if is_claude else openai.frames(whole, words)


# Both, to be asked.


@dataclass
class Side:
    """Where clients go."""

    url: str
    keys: Mapping[str, str]
    process: Process | None = None

    @property
    def is_gateway(self) -> bool:
        """Whether it is ours."""
        return self.process is not None


@contextmanager
def as_gateway(folder: Path) -> Iterator[Side]:
    """`fastcascade serve` as a process."""
    file = folder / "cascade.toml"
    file.write_text(CONFIG, encoding="utf-8")
    keys = KeyFile(folder / "keys.json")
    secrets = {"good": keys.create("good")[1], "limited": keys.create("limited", limit="1/day")[1]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ":".join(str(Path(__file__).parents[n] / part) for n, part in
                                            ((0, "."), (1, "python"))))  # fmt: skip
        process = Process(str(file))
    with process:
        yield Side(f"http://127.0.0.1:{process.ready()}", secrets, process)


@contextmanager
def as_provider() -> Iterator[Side]:
    """The providers' own words, from a server on the loopback."""
    with WireServer() as server:
        server.handler = Provider(server)
        yield Side(server.url, {"good": "good", "limited": "limited"})
