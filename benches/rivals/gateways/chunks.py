"""The upstream of streams: `chunks.py PORT` answers each POST with twenty pieces, `PAUSE` apart.

Where no stream is asked for the reply comes whole after as long; a GET is told how many replies were begun.

nginx sends a fixed body at once, which no model does; here each piece is a write of its own, so that a gateway meets
them one by one. It is lean, and its CPU is not counted.
"""

import asyncio
import json
import sys
from typing import Any

PIECES, PAUSE = 20, 0.002
WORDS = [f"piece {number} " for number in range(PIECES)]


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 1},
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
OPENING = _event("message_start", message=MESSAGE) + _event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
)
ENDING = (
    _event("content_block_stop", index=0)
    + _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 40})
    + _event("message_stop")
)
SENT = [_chunk(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})) for text in WORDS]
SENT[0] = HEAD + _chunk(OPENING) + SENT[0]
SENT[-1] += _chunk(ENDING) + b"0\r\n\r\n"


_BODY = json.dumps(
    {**MESSAGE, "content": [{"type": "text", "text": "".join(WORDS)}], "stop_reason": "end_turn"}
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Talk(asyncio.Protocol):
    """One connection: a request is read to its end, and answered piece by piece."""

    transport: asyncio.Transport
    begun = 0

    def __init__(self) -> None:
        self.read, self.said = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return
        lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
        chunked = b"chunked" in lines.get(b"transfer-encoding", b"")
        if body.endswith(b"0\r\n\r\n") if chunked else len(body) >= int(lines.get(b"content-length", b"0")):
            self.read, self.said = b"", 0
            if head.startswith(b"GET "):
                self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n%9d" % Talk.begun)
                return
            Talk.begun += 1
            if b'"stream":true' in body.replace(b" ", b""):
                self._say()
            else:
                asyncio.get_running_loop().call_later(PIECES * PAUSE, self._say_whole)

    def _say_whole(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(WHOLE)

    def _say(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(SENT[self.said])
        self.said += 1
        if self.said < PIECES:
            asyncio.get_running_loop().call_later(PAUSE, self._say)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Talk, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
