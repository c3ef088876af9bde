"""One request on its way to a pool: sent, with its body, and sent elsewhere where that loses and doubles nothing.

never left      no connection, or one that had ended: to each other instance once, whatever the method
may have left   the connection ended, or nothing came in time: `retries` times, if the method is idempotent and the
                body at hand; after a kept connection that had ended unseen, once more to the same. A region that dies
                takes all of its instances along: one of each other region is asked beyond that
answered        with a status that counts as a failure: likewise, if there is another to ask; else it is passed on
"""

import asyncio
from typing import Final

from fastcascade import spans
from fastcascade.backends.direct_parse import Head, LinkError, Trouble
from fastcascade.entry.instance import Instance
from fastcascade.gateway import proxy_pool
from fastcascade.gateway.proxy_headers import Refused, traced
from fastcascade.gateway.proxy_link import ProxyLink
from fastcascade.gateway.proxy_pool import Place, ProxiedPool
from fastcascade.gateway.proxy_settings import Timeouts
from fastcascade.gateway.proxy_upload import Upload

__all__ = ["Answered", "Forward", "Unanswered"]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
LENGTHS: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose empty bodies have a length."""
BLAME: Final[dict[Trouble, proxy_pool.Trouble]] = {
    "connection": "connection",
    "cut": "cut",
    "garbled": "malformed",
    "timeout": "timeout",
}


class Unanswered(Refused):
    """Nobody has answered. `wait` are seconds after which somebody may."""

    def __init__(self, status: int, message: str, wait: float | None = None) -> None:
        """Say so to the client."""
        super().__init__(status, message)
        self.wait = wait


class Answered:
    """The head of an answer has come. It must be ended."""

    __slots__ = ("_began", "_pump", "_span", "head", "idle", "instance", "link", "pool")

    def __init__(  # noqa: PLR0913, PLR0917 - it is made in one place
        self,
        pool: ProxiedPool,
        instance: Instance,
        link: ProxyLink,
        head: Head,
        began: float,
        idle: float,
        pump: "asyncio.Task[None] | None" = None,
        span: spans.CallSpan | None = None,
    ) -> None:
        """Keep whose it is. An instance may answer while the body still comes."""
        self._span = span
        if span is not None:
            span.left()
        self.idle = idle  # seconds that may lie between two pieces of its body
        self.pool, self.instance, self.link, self.head = pool, instance, link, head
        self._began, self._pump = began, pump

    def end(self) -> None:
        """Give the connection back, or close it where the request or the answer is not whole."""
        pump, self._pump = self._pump, None
        if pump is not None and not pump.done():
            pump.cancel()
            self.link.abort()
        place: Place = self.instance.backend  # type: ignore[assignment] # which a pool's instances have
        place.links.give_back(self.link)
        self.instance.end()
        if self._span is not None:
            self._span.answered(self.head.status)

    def broke(self, error: LinkError, now: float) -> None:
        """Note that the body did not come to its end."""
        self.pool.learned(self.instance, self._began, now, BLAME.get(error.kind, "cut"))
        if self._span is not None:
            self._span.answered(self.head.status, BLAME.get(error.kind, "cut"))


class Forward:
    """One request.

    Args:
        pool: who may answer.
        times: how long they are waited for.
        method: as the client has it.
        target: path and query.
        head: its headers, without the host and the framing.
        host: what they are told instead of their own name; empty is that.
        body: the whole of it, or what begins it.
        upload: the rest, where it comes in pieces.
    """

    __slots__ = (
        "_left",
        "_lost",
        "_pump",
        "body",
        "head",
        "host",
        "method",
        "pool",
        "repeats",
        "safe",
        "target",
        "times",
        "upload",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - it is made in one place
        self,
        pool: ProxiedPool,
        times: Timeouts,
        method: str,
        target: str,
        head: str,
        host: str,
        body: bytes,
        upload: Upload | None,
    ) -> None:
        """Ask nobody yet."""
        self.pool, self.times, self.method, self.target = pool, times, method, target
        self.head, self.host, self.body, self.upload = head, host, body, upload
        self.safe = method in IDEMPOTENT
        self.repeats = pool.told.retries if self.safe else 0
        self._left = False  # some of it may have reached somebody
        self._lost = False  # of what was sent last nobody knows whether it arrived
        self._pump: asyncio.Task[None] | None = None

    async def answer(self) -> Answered:
        """Ask until somebody answers. Raises `Unanswered`, and `Refused` for a body that is none."""
        pool, clock = self.pool, asyncio.get_running_loop().time
        asked: list[Instance] = []
        regions: list[str] = []
        last: LinkError | None = None
        chosen = pool.choose(asked, clock())
        while chosen is not None:
            began = clock()
            try:
                answered = await self._asked(chosen, began)
            except LinkError as error:
                last = error
                error.__traceback__ = None  # or it and this frame would hold each other
                asked.append(chosen)
                if chosen.region:
                    regions.append(chosen.region)
                self._lost = self._left
                if not self._left or self._again():
                    chosen = pool.choose(asked, clock(), regions)
                else:
                    chosen = self._elsewhere(asked, regions, clock())
                self._left = False
                pool.moves += chosen is not None
                continue
            other = None
            if answered.head.status in pool.failing:
                pool.learned(chosen, began, clock(), "server")
                if self.repeats > 0 and self._at_hand:
                    other = pool.choose([*asked, chosen], clock(), regions)
            else:
                pool.learned(chosen, began, clock(), None)
            if other is None:
                return answered
            self.repeats -= 1
            pool.moves += 1
            answered.link.abort()
            answered.end()
            asked.append(chosen)
            chosen = other
        try:
            raise self._given_up(last, clock())
        finally:
            del last

    @property
    def _at_hand(self) -> bool:
        return self.upload is None or not self.upload.begun

    def _again(self) -> bool:
        """Whether what may have left may be sent again."""
        if self.repeats <= 0 or not self._at_hand:
            return False
        self.repeats -= 1
        return True

    def _elsewhere(self, asked: list[Instance], regions: list[str], now: float) -> Instance | None:
        """Somebody in a region of which nobody was asked, where the request may be sent again at all."""
        if not (self.safe and self._at_hand and self.pool.told.retries):
            return None
        others = [each for each in self.pool.instances if not each.region or each.region in regions]
        return self.pool.choose([*asked, *others], now, regions) if regions else None

    def _given_up(self, last: LinkError | None, now: float) -> Unanswered:
        if last is None or last.kind == "full":
            why = "nobody can be asked now" if last is None else "all connections are in use"
            return Unanswered(503, f"{why}; try again later", self.pool.wait(now))
        if last.kind == "timeout":
            return Unanswered(504, "the server behind did not answer in time")
        if not self._lost:
            return Unanswered(503, "no server behind can be reached; try again later", self.pool.wait(now))
        return Unanswered(502, "the server behind broke off, or answered with no HTTP")

    async def _asked(self, instance: Instance, began: float) -> Answered:
        """Ask one, which is counted as asked: its answer, or `LinkError`, and what was learned of it."""
        pool, settled = self.pool, False
        place: Place = instance.backend  # type: ignore[assignment] # which a pool's instances have
        trail = spans.current()
        span = None if trail is None else trail.passed(f"{pool.name}/{instance.name}", place.url, self.method)
        try:
            try:
                link, head = await self._tried(place)
            except LinkError as error:
                settled = True
                if span is not None:
                    span.answered(0, BLAME.get(error.kind, error.kind))
                if error.kind == "full":
                    pool.dropped(instance, began)
                else:
                    now = asyncio.get_running_loop().time()
                    pool.learned(instance, began, now, BLAME[error.kind], there=self._left)
                raise
            return Answered(pool, instance, link, head, began, self.times.idle, self._pump, span)
        except BaseException:
            if span is not None:
                span.end(None)
            if not settled:
                pool.dropped(instance, began)
            instance.end()
            raise

    async def _tried(self, place: Place) -> tuple[ProxyLink, Head]:
        link = await place.links.take()
        try:
            return link, await self._sent(link, place)
        except LinkError as error:
            lost = link.reused and not link.heard and error.kind == "connection"
            if not lost or (self._left and not (self.safe and self._at_hand)):
                raise
        link = await place.links.fresh()  # it had ended while nobody looked
        return link, await self._sent(link, place)

    async def _sent(self, link: ProxyLink, place: Place) -> Head:
        upload = self.upload
        try:
            link.begin(self._message(place), self.times.head)
            self._left = True
            if upload is None:
                return await link.head(self.method)
            self._pump = asyncio.get_running_loop().create_task(upload.pump(link))
            try:
                return await link.head(self.method)
            except LinkError as error:
                if error.kind == "timeout" and upload.waiting:
                    raise Refused(408, "the body did not arrive in time") from None
                raise upload.error or error from None
        except BaseException:
            pump, self._pump = self._pump, None
            if pump is not None:
                pump.cancel()
            link.busy = False
            link.abort()
            raise

    def _message(self, place: Place) -> bytes:
        """The head of the request, and its body where that is at hand."""
        body, upload = self.body, self.upload
        if upload is not None:
            told = "transfer-encoding: chunked" if upload.length is None else f"content-length: {upload.length}"
            frame = f"{told}\r\n\r\n"
        elif body or self.method in LENGTHS:
            frame = f"content-length: {len(body)}\r\n\r\n"
        else:
            frame = "\r\n"
        host, lines = self.host or place.host, self.head
        if spans.tracer is not None and (asks := spans.headers()):
            lines = traced(lines, asks)
        head = f"{self.method} {place.root}{self.target} HTTP/1.1\r\nhost: {host}\r\n{lines}{frame}".encode()
        return head + body if body and upload is None else head
