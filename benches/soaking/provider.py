"""A provider that does what each prompt tells it: `provider.py` says its port, and answers until its input ends.

A prompt is `soak ID KEY PLAN` and filling. The plan says what becomes of it at which model, try by try:
`small=err+ok,mid=poor` fails once at the small model and is answered there at the second try; at the middle one it is
answered poorly; where nothing is said all is well. It speaks Messages and chat completions, whole and streamed.

    ok poor slow    an answer; one that no gate lets through; one that takes its time
    err lim         500; 429 with a time to wait
    cut bad drop    half a reply; what is no JSON; the connection ends without a word

Replies that were written to their end are billed, and nothing else. GET /counts tells by key and model what there was;
POST /outage/MODEL/SECONDS has all calls of a model fail for so long; GET /seen/ID says whether a prompt came in.
"""

import asyncio
import json
import random
import re
import sys
from collections import Counter
from typing import Any, Final

PRICES: Final = {"small": (1, 5), "mid": (3, 15), "large": (5, 25), "passed": (5, 25)}
"""Dollars per million tokens, read and written; so thousands of nano-dollars a token."""
PIECES: Final = 12
PLAN: Final = re.compile(rb'soak ([^\s"\\]+) ([^\s"\\]+) ([^\s"\\]+)')
MODEL: Final = re.compile(rb'"model":\s*"([^"]+)"')
STREAM: Final = re.compile(rb'"stream":\s*true')
FAILURES: Final = {"err": (500, b""), "lim": (429, b"retry-after-ms: 30\r\n")}
EVENTS: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

counts: Counter[str] = Counter()
outages: dict[str, float] = {}
tries: Counter[tuple[str, str]] = Counter()
seen: set[str] = set()


def _chunk(data: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data.encode())


def _event(kind: str, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


def _body(status: int, body: bytes, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


class Reply:
    """What one prompt gets, in either language."""

    def __init__(self, prompt: str, model: str, size: int, *, messages: bool, poor: bool) -> None:
        self.model, self.messages = model, messages
        self.read, self.written = size // 4, 2 * PIECES
        first = f"{'POOR' if poor else 'answer'} {prompt} from {model}"
        self.words = [first, *(f" word {n}" for n in range(1, PIECES))]
        read, written = PRICES.get(model, (0, 0))
        self.nanos = 1000 * (self.read * read + self.written * written)

    def whole(self) -> bytes:
        text = "".join(self.words)
        said = self._message([{"type": "text", "text": text}], "end_turn") if self.messages else self._completion(text)
        return json.dumps(said).encode()

    def pieces(self) -> list[bytes]:
        """Chunks as they go out, the head with the first."""
        made = [_chunk(each) for each in (self._events() if self.messages else self._chunks())]
        return [EVENTS + made[0], *made[1:-1], made[-1] + b"0\r\n\r\n"]

    def _message(self, content: list[Any], stop: str | None) -> dict[str, Any]:
        usage = {"input_tokens": self.read, "output_tokens": self.written if stop else 1}
        kind = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model}
        return {**kind, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}

    def _usage(self) -> dict[str, int]:
        total = self.read + self.written
        return {"prompt_tokens": self.read, "completion_tokens": self.written, "total_tokens": total}

    def _completion(self, text: str) -> dict[str, Any]:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        kind = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.model}
        return {**kind, "choices": [choice], "usage": self._usage()}

    def _events(self) -> list[str]:
        block = {"type": "text", "text": ""}
        opening = _event("message_start", message=self._message([], None))
        deltas = [
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in self.words
        ]
        deltas[0] = opening + _event("content_block_start", index=0, content_block=block) + deltas[0]
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        ended = _event("message_delta", delta=stop, usage={"output_tokens": self.written})
        deltas[-1] += _event("content_block_stop", index=0) + ended + _event("message_stop")
        return deltas

    def _chunks(self) -> list[str]:
        kind = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.model}

        def said(delta: dict[str, str], reason: str | None) -> str:
            return _data({**kind, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        made = [said({"role": "assistant", "content": text}, None) for text in self.words]
        made[-1] += said({}, "stop") + _data({**kind, "choices": [], "usage": self._usage()}) + "data: [DONE]\n\n"
        return made


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


class Talk(asyncio.Protocol):
    """One connection: a request is read to its end, and answered."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""
        self.who = ""  # the key and the model of the call under way
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.who:
            counts[f"{self.who} left"] += 1
            self.who = ""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        chunked = b"chunked" in lines.get(b"transfer-encoding", b"")
        if body.endswith(b"0\r\n\r\n") if chunked else len(body) >= int(lines.get(b"content-length", b"0")):
            self.buffer = b""
            method, path, _ = head.split(b" ", 2)
            if method == b"POST" and not path.startswith(b"/outage"):
                self._call(body, messages=path.endswith(b"/messages"))
            else:
                self.transport.write(_body(200, json.dumps(self._told(path.decode())).encode()))

    def _told(self, path: str) -> Any:
        match path.split("/")[1:]:
            case ["counts"]:
                return counts
            case ["seen", prompt]:
                return prompt in seen
            case ["outage", model, seconds]:
                outages[model] = asyncio.get_running_loop().time() + float(seconds)
                return True
            case _:
                return {"object": "list", "data": []}

    def _call(self, body: bytes, *, messages: bool) -> None:
        plan, named = PLAN.search(body), MODEL.search(body)
        if plan is None or named is None:
            counts["? ? strange"] += 1
            self.transport.write(_body(400, b"{}"))
            return
        prompt, key, told = (each.decode() for each in plan.groups())
        model = named[1].decode()
        self.who = f"{key} {model}"
        seen.add(prompt)
        does = _does(prompt, model, told)
        reply = Reply(prompt, model, len(body), messages=messages, poor=does == "poor")
        streamed = STREAM.search(body) is not None
        self._later(1.5 if does == "slow" else random.uniform(0.01, 0.08), self._act, does, reply, streamed)

    def _later(self, seconds: float, what: Any, *told: Any) -> None:
        self.timer = asyncio.get_running_loop().call_later(seconds, what, *told)

    def _act(self, does: str, reply: Reply, streamed: bool) -> None:
        if does in FAILURES:
            status, more = FAILURES[does]
            error = {"type": "error", "error": {"type": "api_error", "message": "as planned"}}
            self._ended(does)
            self.transport.write(_body(status, json.dumps(error).encode(), more))
        elif does == "drop":
            self._ended(does)
            self.transport.abort()
        elif does == "bad":
            self._ended(does)
            self.transport.write(_body(200, b'{"id": "oops", '))
        elif streamed:
            self._say(reply.pieces(), 0, 5 if does == "cut" else PIECES, 0.2 if does == "slow" else 0.015, reply)
        else:
            raw = _body(200, reply.whole())
            if does == "cut":
                self._ended(does)
                self.transport.write(raw[:-40])
                self.transport.close()
            else:
                self._billed(reply)
                self.transport.write(raw)

    def _say(self, pieces: list[bytes], at: int, end: int, pause: float, reply: Reply) -> None:
        if at == end - 1 == PIECES - 1:
            self._billed(reply)
        self.transport.write(pieces[at])
        if at + 1 < end:
            self._later(pause, self._say, pieces, at + 1, end, pause, reply)
        elif end < PIECES:
            self._ended("cut")
            self.transport.close()

    def _billed(self, reply: Reply) -> None:
        counts[f"{self.who} nanos"] += reply.nanos
        counts[f"{self.who} tokens"] += reply.read + reply.written
        self._ended("ok")

    def _ended(self, how: str) -> None:
        counts[f"{self.who} {how}"] += 1
        self.who = ""


def _does(prompt: str, model: str, plan: str) -> str:
    if outages.get(model, 0.0) > asyncio.get_running_loop().time():
        return "err"
    for part in plan.split(","):
        name, _, steps = part.partition("=")
        if name == model:
            each = steps.split("+")
            if len(each) == 1:
                return each[0]
            tries[prompt, model] += 1
            return each[min(tries[prompt, model], len(each)) - 1]
    return "ok"


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Talk, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
