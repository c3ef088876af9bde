"""A server on the loopback that speaks Anthropic Messages and OpenAI Chat Completions, and fails as planned.

    with FaultyServer() as server:
        backend = OpenAI("any", base_url=f"{server.url}/v1")      # Anthropic("any", base_url=server.url, api_key=...)
        server.plan.set(Error("rate_limited", retry_after=5.0))
        server.off()                                               # as if its process had been killed
        server.on()                                                # on the same port

As a process of its own, which can be killed for real: `python -m fastcascade.testing.faulty_server --port 8100
--fault latency:0.2 --fault error:server`, or `FaultyProcess`.
"""

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from fastcascade.errors import ConfigError
from fastcascade.testing.faults import (
    CutStream,
    Error,
    Garbage,
    Refused,
    Reset,
    StallStream,
    Timeout,
    Trouble,
    WrongContent,
    fault_of,
)
from fastcascade.testing.plans import Plan, Struck
from fastcascade.testing.sockets import LOOPBACK, bound, head, read, reset, segments, until_gone
from fastcascade.testing.wire import Asked, Response, failed, garbage, listed, lost, replied

__all__ = ["Asked", "FaultyServer"]

COUNTS: Final = "/faulty/counts"
BACKLOG: Final = 1024


class FaultyServer:
    """Answers every prompt with a text, in a thread of its own, between `with` and its end.

    It has `POST /v1/messages`, `POST /v1/chat/completions`, `GET /v1/models`, `GET /v1/models/{name}` and
    `GET /health`, all of which fail as planned, and `GET /faulty/counts`, which never does. It listens on 127.0.0.1
    and nowhere else, and asks for no key.

    Args:
        answer: what to say to a request: a text, or a function of `Asked`. Says "ok: " and the prompt by default.
            A function that raises makes a 500, and the end of `with` raises what it raised.
        plan: which calls fail; times in it are those of `time.monotonic()`.
        port: to listen on; 0 takes one that is free, which stays the same through `off` and `on`.

    Attributes:
        plan: as given, to be changed at any time.
        url: where it is, without a path.
        calls: how many prompts came in.
        times: when each did.
        served: how many of them were answered to the end, be it wrongly.
        probes: how many requests there were for anything else.
        connections: how many were taken.
        struck: how many requests each kind of fault ended, by the name of its class.
    """

    def __init__(
        self, answer: str | Callable[[Asked], str] | None = None, *, plan: Plan | None = None, port: int = 0
    ) -> None:
        """Take a port; nobody listens on it before `with`."""
        self.plan = Plan() if plan is None else plan
        self._answer = answer
        # Bound and never listening, it keeps the port for us while we are off; whoever connects is refused.
        self._hold = bound(port)
        self.port: int = self._hold.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.calls = self.served = self.probes = self.connections = 0
        self.times: list[float] = []
        self.struck: Counter[str] = Counter()
        self._wanted = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._tending = asyncio.Lock()
        self._due: asyncio.TimerHandle | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    def __enter__(self) -> Self:
        """Begin to listen."""
        loop = self._loop = asyncio.SelectorEventLoop()  # the others cannot watch a listener
        self._thread = threading.Thread(target=loop.run_forever, name="faulty-server", daemon=True)
        self._thread.start()
        self._forget = self.plan.watch(self._changed)
        try:
            self._do(self._tend())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection; raise what `answer` raised, unless the block itself raised something."""
        self._end()
        if self._errors and error is None:
            raise ExceptionGroup("the faulty server's answer failed", self._errors)

    def on(self) -> None:
        """Listen, on the same port as before."""
        self._wanted = True
        self._changed()

    def off(self) -> None:
        """Listen no more, and reset every connection, as when a process dies; connecting is refused from now on."""
        self._wanted = False
        self._changed()

    def counts(self) -> dict[str, Any]:
        """What it has counted so far, by name."""
        names = ("calls", "served", "probes", "connections")
        return {**{name: getattr(self, name) for name in names}, "struck": dict(self.struck)}

    def __repr__(self) -> str:
        """Show where it is."""
        return f"FaultyServer({self.url!r}, {self.plan!r})"

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done in the server's loop, and done when this returns, wherever it is called from."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            work.close()
        elif threading.current_thread() is thread:
            self._later = loop.create_task(work)
        else:
            asyncio.run_coroutine_threadsafe(work, loop).result()

    def _changed(self) -> None:
        self._do(self._tend())

    def _end(self) -> None:
        self._forget()
        self.off()
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        self._loop = self._thread = None
        self._hold.close()

    async def _tend(self) -> None:
        """Listen or not, as it should be now, and look again when that changes by itself."""
        async with self._tending:
            loop = asyncio.get_running_loop()
            now = loop.time()
            listening = self._wanted and not self.plan.refusing(now)
            if listening and self._listener is None:
                self._listener = listener = bound(self.port)
                listener.settimeout(0)
                listener.listen(BACKLOG)
                loop.add_reader(listener, self._accept, listener)
            elif not listening and self._listener is not None:
                loop.remove_reader(self._listener)
                self._listener.close()
                self._listener = None
                await self._reset_all()
            if self._due is not None:
                self._due.cancel()
            change = self.plan.next_change(now) if self._wanted else None
            self._due = None if change is None else loop.call_at(change, self._changed)

    def _accept(self, listener: socket.socket) -> None:
        # Not by `asyncio.start_server`, which loses a connection that comes in while it is being closed.
        with suppress(OSError):  # that there are no more
            for _ in range(BACKLOG):
                connection, _ = listener.accept()
                self.connections += 1
                task = asyncio.get_running_loop().create_task(self._serve(connection))
                self._open.add(task)
                task.add_done_callback(self._open.discard)

    async def _reset_all(self) -> None:
        await asyncio.sleep(0)  # in which those begin that were just taken: what has not begun would close nothing
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # in which the sockets close

    async def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        with suppress(asyncio.CancelledError):  # nobody waits for this task: it ends, and no more
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # clients leave as they like
                    while await self._respond(await read(reader), reader, writer):
                        pass
            except asyncio.CancelledError:
                reset(writer)
            finally:
                writer.close()

    async def _respond(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer, or fail as planned; False where the connection is not to be used again."""
        if asked.path == COUNTS:
            body = json.dumps(self.counts()).encode()
            return await self._send(Response(200, "application/json", (body,), {}), Struck(), reader, writer)
        struck = self._count(asked)
        asked = replace(asked, number=self.calls + self.probes)
        await asyncio.sleep(struck.wait)
        match struck.fault:
            case Timeout() | Refused() | Reset(after=0):
                return await _unanswered(struck.fault, reader, writer)
            case Error() as error:
                response, struck = failed(asked, error, time.time()), Struck()
            case Garbage(content_type):
                response, struck = garbage(asked, content_type), Struck()
            case fault:
                response = self._response(asked, fault)
        whole = await self._send(response, struck, reader, writer)
        self.served += whole and response.status == 200 and asked.method == "POST"
        return whole

    def _count(self, asked: Asked) -> Struck:
        now = time.monotonic()
        if asked.method == "POST":
            self.calls += 1
            self.times.append(now)
        else:
            self.probes += 1
        struck = self.plan.draw(now)
        if struck.fault is not None:
            self.struck[type(struck.fault).__name__] += 1
        return struck

    def _response(self, asked: Asked, fault: Trouble | None) -> Response:
        if asked.method == "POST" and (asked.messages or asked.completions):
            if isinstance(fault, WrongContent):
                return replied(asked, fault.text, fault.stop)
            try:
                return replied(asked, self._said(asked))
            except Exception as error:  # noqa: BLE001 # surfaces at the end of `with`
                self._errors.append(error)
                return failed(asked, Error("server"), 0.0)
        if asked.method == "GET" and (asked.path == "/health" or "/models" in asked.path):
            return listed(asked)
        return lost(asked)

    def _said(self, asked: Asked) -> str:
        if self._answer is None:
            return f"ok: {asked.prompt}"
        return self._answer if isinstance(self._answer, str) else self._answer(asked)

    async def _send(
        self, response: Response, struck: Struck, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Send a response as far as it is to go; False where it did not reach its end."""
        fault = struck.fault
        limit = fault.after if isinstance(fault, CutStream | StallStream | Reset) else None
        due = bytearray(head(response))
        for segment, is_piece in segments(response, limit):
            if struck.pace and is_piece:
                writer.write(bytes(due))
                due.clear()
                await writer.drain()
                await asyncio.sleep(struck.pace)
            due += b"%x\r\n%s\r\n" % (len(segment), segment) if response.streamed else segment
        if limit is None and response.streamed:
            due += b"0\r\n\r\n"
        writer.write(bytes(due))
        await writer.drain()
        if isinstance(fault, StallStream):
            return await until_gone(reader)
        if isinstance(fault, Reset):
            await asyncio.sleep(fault.seconds)
            return reset(writer)
        return limit is None


async def _unanswered(
    fault: Timeout | Refused | Reset, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    if isinstance(fault, Timeout):
        return await until_gone(reader)
    if isinstance(fault, Reset):
        await asyncio.sleep(fault.seconds)
    return reset(writer)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one until the process is ended: `--port 8100 --fault error:rate_limited,retry_after=5 --rate 0.5`."""
    parser = argparse.ArgumentParser(prog="python -m fastcascade.testing.faulty_server", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=0, help="to listen on; a free one by default")
    parser.add_argument("--fault", action="append", default=[], help="name:settings, as fault_of reads it; repeatable")
    parser.add_argument("--rate", type=float, default=1.0, help="the share of requests that the faults strike")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--answer", help="what to say; 'ok: ' and the prompt by default")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    told = parser.parse_args(arguments)
    try:
        plan = Plan(*map(fault_of, told.fault), rate=told.rate, seed=told.seed)
        server = FaultyServer(told.answer, plan=plan, port=told.port)
    except ConfigError as error:
        parser.error(str(error))
    with server, suppress(KeyboardInterrupt):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        if told.until_eof:
            sys.stdin.buffer.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    main()
