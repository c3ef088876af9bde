"""The provider of the store's scenario: it answers chat completions, and keeps a book of what it charges for.

A prompt is `KEY NUMBER`; one that has `slow` in it is answered once `POST /go` has come. GET /book says what was
charged: calls by key. Each costs `NANOS`. It says its port, and ends with its input.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from typing import Any, Final

READ: Final = 100
WRITTEN: Final = 50
NANOS: Final = 1000 * (READ * 1 + WRITTEN * 5)
"""What one call costs at 1 and 5 dollars a million tokens."""
PROMPT: Final = re.compile(rb'"content":\s*"(\S+) ([^"]+)"')
LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
SECONDS: Final = 0.005
"""That an answer takes."""
FILLING: Final = "one word after the other until there are many of them. " * 8

book: Counter[str] = Counter()
waiting: list["Talk"] = []


def _body(said: Any) -> bytes:
    body = json.dumps(said).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class Talk(asyncio.Protocol):
    """One connection: a request is read to its end, and answered."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""
        self.key = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        chunked = b"chunked" in head.lower()
        if not found or (not body.endswith(b"0\r\n\r\n") if chunked else len(body) < int(length[1] if length else 0)):
            return
        self.buffer = b""
        if head.startswith(b"GET /book"):
            self.transport.write(_body(book))
        elif head.startswith(b"POST /go"):
            self.transport.write(_body(len(waiting)))
            while waiting:
                waiting.pop().answer()
        elif (prompt := PROMPT.search(body)) is not None:
            self.key = prompt[1].decode()
            if b"slow" in prompt[2]:
                waiting.append(self)
                book[f"{self.key} waiting"] += 1
            else:
                asyncio.get_running_loop().call_later(SECONDS, self.answer)
        else:
            self.transport.write(_body({"object": "list", "data": []}))

    def answer(self) -> None:
        """Charge, and say the number of the call."""
        if self.transport.is_closing():
            return
        book[self.key] += 1
        book["calls"] += 1
        text = f"number {book['calls']} {FILLING}"
        usage = {"prompt_tokens": READ, "completion_tokens": WRITTEN, "total_tokens": READ + WRITTEN}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        kind = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small"}
        self.transport.write(_body({**kind, "choices": [choice], "usage": usage}))


async def main() -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        pass


if __name__ == "__main__":
    asyncio.run(main())
