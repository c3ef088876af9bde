"""A model provider on loopback that answers at once: the least a server can cost, in a process of its own.

It speaks as much HTTP/1.1 as the SDKs' clients do (keep-alive, a body with its length), reads nothing of a request but
its path, and answers with bodies made beforehand in the shape of OpenAI's chat completions and Anthropic's messages:

    /v1/...        the right answer
    /weak/v1/...   an answer that says it is not sure
    /fail/v1/...   status 500
"""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from said import GOOD, WEAK

Tokens = list[dict[str, Any]]


def _tokens(text: str, sure: bool) -> Tokens:
    """Log-probabilities of each word: cascadeflow asks for them and judges by them."""
    one = -0.01 if sure else -1.5
    words = text.split(" ")
    return [{"token": f"{word} ", "logprob": one, "bytes": None, "top_logprobs": []} for word in words]


def _chat(text: str, sure: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    logprobs = {"content": _tokens(text, sure), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    usage = {"prompt_tokens": 14, "completion_tokens": 8, "total_tokens": 22}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini",
        "choices": [choice],
        "usage": usage,
    }


def _message(text: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 14, "output_tokens": 8},
    }


def _response(status: str, body: dict[str, Any]) -> bytes:
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


BROKEN = {"error": {"message": "made to fail", "type": "server_error", "param": None, "code": None}}
RESPONSES = {
    b"/v1/chat/completions": _response("200 OK", _chat(GOOD, sure=True)),
    b"/v1/messages": _response("200 OK", _message(GOOD)),
    b"/weak/v1/chat/completions": _response("200 OK", _chat(WEAK, sure=False)),
    b"/weak/v1/messages": _response("200 OK", _message(WEAK)),
    b"/fail/v1/chat/completions": _response("500 Internal Server Error", BROKEN),
    b"/fail/v1/messages": _response("500 Internal Server Error", {"type": "error", **BROKEN}),
}
UNKNOWN = _response("404 Not Found", {"error": {"message": "no such path"}})


class Provider(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            at = head.lower().find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            path = head.split(b" ", 2)[1].split(b"?", 1)[0]
            self.transport.write(RESPONSES.get(path, UNKNOWN))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    await done.wait()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start it, give its address, and end it afterwards."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve())
