"""A service in a process of its own, whose model is never sure, so that all goes to a person; until it is killed.

`test_store_off_real` asks it over a socket: a line of text in, a line of JSON with the answer and its ticket out. It
writes the port it listens on to its standard output, and closes nothing, ever.
"""

import asyncio
import json
import sys

from fastcascade import Cascade, ReviewDesk, Tier
from fastcascade.fallbacks import Review
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Request
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.reviews import ReviewStore
from fastcascade.stores.sqlite import SQLiteReviews

__all__ = ["perhaps", "unsure"]


class Doubt(Gate):
    """Is never content."""

    def judge(self, _exam: Exam, /) -> Judging:
        """Give it a low score."""
        return Verdict(0.1)


def perhaps(request: Request) -> str:
    """What the model says."""
    return f"perhaps: {request.text[:40]}"


def unsure(store: ReviewStore) -> Cascade:
    """A cascade that has an answer to everything, and hands it over all the same."""
    return Cascade(Tier(perhaps, gate=Doubt(), accept=0.5, name="small"), fallbacks=[Review(ReviewDesk(store))])


async def serve(cascade: Cascade) -> None:
    """Answer whoever comes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            given = await cascade.run(line.decode().strip())
            writer.write(json.dumps([given.text, given.ticket]).encode() + b"\n")
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    kind, where = sys.argv[1:]
    asyncio.run(serve(unsure(SQLiteReviews(where) if kind == "sqlite" else RedisReviews(where))))
