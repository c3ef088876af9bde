"""Websockets through the gateway: whole messages both ways, each side's frames its own.

The server beneath speaks to the client, and answers its pings; upstream it is spoken by `websockets`, without its I/O.
It keeps two things to itself, so that they do not cross: which subprotocol the app has chosen (a browser that offers
some then gives up, other clients go on without), and the codes with which either side closes. Messages are not
compressed on the way to the app.
"""

import asyncio
import base64
import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from fastcascade.backends.direct_parse import LinkError
from fastcascade.errors import ConfigError
from fastcascade.gateway.proxy_handshake import agreed
from fastcascade.gateway.proxy_headers import HOST, Refused, onward, target
from fastcascade.gateway.proxy_said import address, counted, let_in
from fastcascade.gateway.work import Work
from fastcascade.guards.limits import bucket_of
from fastcascade.wire.endpoint import Response
from fastcascade.wire.endpoint_fields import id_of

try:
    from websockets.frames import Opcode
    from websockets.protocol import CLIENT, Protocol, State
except ImportError:
    raise ConfigError("websockets through the gateway need websockets: pip install 'fastcascade[gateway]'") from None

if TYPE_CHECKING:
    from fastcascade.entry.instance import Instance
    from fastcascade.gateway.app import Gateway
    from fastcascade.gateway.proxy import Routes
    from fastcascade.gateway.proxy_pool import Place
    from fastcascade.gateway.proxy_table import Target

__all__ = ["Tunnel"]

OURS: Final = frozenset(
    {"sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version"}
)
LONGEST: Final = 16 << 20
"""Bytes of one message; the server beneath has the same for a frame of the client's."""
PIECE: Final = 1 << 16
PING: Final = 20.0
"""Seconds of silence after which the app is asked whether it is there; as many later it is taken to be gone."""
KINDS: Final = {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}


class Tunnel:
    """One websocket.

    Args:
        routes: whose it is.
        gateway: where it came in.
        target: where it goes.
        scope: what the server says of it.
        proto: what the server gives to answer with.
        path: its path.
    """

    def __init__(
        self, routes: "Routes", gateway: "Gateway", target: "Target", scope: Any, proto: Any, path: str
    ) -> None:
        """Take it into work. No time is too long for it."""
        self.routes, self.gateway, self.target = routes, gateway, target
        self.scope, self.proto, self.path = scope, proto, path
        self._began = gateway.watch.clock()
        self.work = Work(proto, path, math.inf)
        self._status, self._instance = 502, ""
        self._writer: asyncio.StreamWriter | None = None
        self._place: Instance | None = None
        self._code = 1001  # what the app is told at the end: gone, unless its client has closed in good order
        self._side = Protocol(CLIENT, state=State.OPEN, max_size=LONGEST)

    async def run(self) -> None:
        """Let it in, connect it, and carry messages until either side ends."""
        work, watch = self.work, self.gateway.watch
        watch.all.add(work)
        try:
            await self._joined()
        except Refused as refusal:
            self._status = refusal.status
        except asyncio.CancelledError:
            if not work.cut:
                raise
        except Exception as error:
            if type(error).__name__ not in ("RSGIProtocolClosed", "RSGIProtocolError"):
                raise
        finally:
            watch.leave(work)
            await self._over()

    async def _joined(self) -> None:
        if len(self.gateway.watch.all) > self.routes.settings.limits.requests:
            raise Refused(503, "all places are taken")
        message, key, at_host = await self._asks()
        reader = await self._connected(message, key, at_host)
        client = await self.proto.accept()
        self._status = 101
        up = asyncio.ensure_future(self._up(client))
        down = asyncio.ensure_future(self._down(client, reader))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (up, down):
                each.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    # In.

    async def _asks(self) -> tuple[str, bytes, str]:
        """The handshake but for its first lines, the key of it, and the host that the client has named."""
        gateway, target_, scope = self.gateway, self.target, self.scope
        pairs = [pair for pair in scope.headers.items() if pair[0] not in OURS]
        guarded = target_.told.guard
        if guarded and gateway.gate is None:
            raise Refused(503, "")
        lines, old, _ = onward(pairs, "1.1", guarded=guarded, drop=target_.drop_out)
        peer = address(scope.client)
        bucket = bucket_of(None, self.routes.asker.client(peer, old))
        if guarded and gateway.gate is not None:
            entered = await let_in(gateway.gate, dict(pairs), self.path)
            if isinstance(entered, Response):
                raise Refused(entered.status, "")
            self.work.caller = entered
            bucket = f"key {entered.name}"
        if await target_.wait(bucket):
            raise Refused(429, "")
        host = scope.authority or old.get("host", "")
        if host and HOST.fullmatch(host) is None:
            raise Refused(400, "")
        key = base64.b64encode(os.urandom(16))
        lines += [
            self.routes.asker.lines(peer, "https" if scope.scheme in ("https", "wss") else "http", host, old),
            f"x-request-id: {id_of(old)}\r\n{target_.out}connection: Upgrade\r\nupgrade: websocket\r\n",
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key.decode()}\r\n\r\n",
        ]
        return "".join(lines), key, host

    async def _connected(self, message: str, key: bytes, host: str) -> asyncio.StreamReader:
        """The connection to an instance that has agreed. Raises `Refused`."""
        pool, times = self.target.pool, self.target.times
        if pool is None or times is None:
            raise Refused(404, "")
        at = target(self.target.rewritten(self.path), self.scope.query_string)
        clock = asyncio.get_running_loop().time
        asked: list[Instance] = []
        status = 503
        while (chosen := pool.choose(asked, clock(), [each.region for each in asked if each.region])) is not None:
            began, place = clock(), cast("Place", chosen.backend)
            told = host if pool.told.host == "client" and host else place.host
            head = f"GET {place.root}{at} HTTP/1.1\r\nhost: {told}\r\n{message}".encode()
            settled = False
            try:
                reader, self._writer = await agreed(place, head, key, times)
                pool.learned(chosen, began, clock(), None)
                settled = True
            except Refused:
                pool.learned(chosen, began, clock(), None)  # it lives, and does not want to
                settled = True
                raise
            except (OSError, LinkError, asyncio.IncompleteReadError, TimeoutError) as error:
                late = isinstance(error, TimeoutError)
                pool.learned(chosen, began, clock(), "timeout" if late else "connection")
                settled, status = True, 504 if late else 502
                asked.append(chosen)
            else:
                self._instance, self._place = chosen.name, chosen
                return reader
            finally:
                if not settled:
                    pool.dropped(chosen, began)
                if self._place is None:
                    chosen.end()
        raise Refused(status, "")

    # Messages.

    async def _up(self, client: Any) -> None:
        """From the client to the app."""
        while True:
            message = await client.receive()
            if message.kind == 0:
                self._code = 1000
                return
            if message.kind == 1:
                self._side.send_binary(message.data)
            else:
                self._side.send_text(message.data.encode())
            await self._flushed()

    async def _down(self, client: Any, reader: asyncio.StreamReader) -> None:
        """From the app to the client; what comes in fragments is sent whole."""
        side, parts, kind, silent = self._side, [], Opcode.BINARY, False
        while True:
            try:
                async with asyncio.timeout(PING):
                    data = await reader.read(PIECE)
            except TimeoutError:
                if silent:
                    return
                silent = True
                side.send_ping(b"")
                await self._flushed()
                continue
            silent = False
            if not data:
                return
            side.receive_data(data)
            for frame in cast("list[Any]", side.events_received()):
                if frame.opcode not in KINDS:
                    continue
                kind = kind if frame.opcode is Opcode.CONT else frame.opcode
                parts.append(bytes(frame.data))
                if frame.fin:
                    whole, parts = b"".join(parts), []
                    await (client.send_str(whole.decode()) if kind is Opcode.TEXT else client.send_bytes(whole))
            await self._flushed()  # answers to pings, and to a close
            if side.state is not State.OPEN:
                return

    async def _flushed(self) -> None:
        if self._writer is None:
            return
        for data in self._side.data_to_send():
            if data:
                self._writer.write(data)
        await self._writer.drain()

    async def _over(self) -> None:
        """Close both sides, and count it."""
        pool = self.target.pool
        if self._writer is not None:
            if self._side.state is State.OPEN:
                with suppress(Exception):  # whatever it is, the connection ends
                    self._side.send_close(self._code)
                    for data in self._side.data_to_send():
                        self._writer.write(data)
            self._writer.close()
        if self._place is not None:
            self._place.end()
        self.proto.close(None if self._status == 101 else self._status)
        seconds = self.gateway.watch.clock() - self._began
        counted(
            self.gateway, self.target.name, self._status, seconds, pool.name if pool is not None else "", self._instance
        )
        if self.gateway.gate is not None and self.work.caller is not None:
            self.gateway.gate.leave(self.work.caller, None)
