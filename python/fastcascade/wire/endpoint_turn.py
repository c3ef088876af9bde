"""One request that has reached a cascade: run, answered, and told of once, however it ends."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from fastcascade import drive, spans
from fastcascade.answers import Answer
from fastcascade.cascade import Cascade
from fastcascade.dropin_heard import tell
from fastcascade.errors import AnswerError
from fastcascade.quick import quick
from fastcascade.telemetry.events import HUB, Decision, Events, layer_of
from fastcascade.watched import Watched
from fastcascade.wire import endpoint_headers as heads
from fastcascade.wire.endpoint_body import written
from fastcascade.wire.endpoint_models import Caller
from fastcascade.wire.endpoint_paths import Words
from fastcascade.wire.endpoint_refusal import Refusal, hopeless, refusal_of
from fastcascade.wire.endpoint_stream import LATE, Declined, Late, Streamed
from fastcascade.wire.format import Asked, Format, Json
from fastcascade.wire.unsaid import left_out

__all__ = ["Done", "Response", "Turn", "refused", "said"]

AGAIN: Final = frozenset({408, 409, 429})
"""Statuses below 500 after which SDKs ask again by themselves."""

log: Final = logging.getLogger("fastcascade")


@dataclass(slots=True)
class Response:
    """What is sent back: a status, headers in lower case, and either a body or the pieces of one.

    Pieces must be read to their end, or closed by their `aclose()`: that is how a client that went away is told of.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes | None = None
    pieces: AsyncIterator[bytes] | None = None


@quick
@dataclass(frozen=True, slots=True)
class Done:
    """A request that has reached a cascade, and how it ended.

    Args:
        caller: who asked.
        asked: what.
        answer: the answer, as far as it got; None where nothing was begun.
        status: what the client was told; 499, where it went away before the end.
        seconds: how long it took.
        failure: empty, or what went wrong: "cancelled", "incomplete", "no answer", "overloaded", "bad request",
            "error: TypeError".
        ladder: the cascade; None where it was passed on as it came.
    """

    caller: Caller
    asked: Asked
    answer: Answer | None
    status: int
    seconds: float
    failure: str = ""
    ladder: Cascade | None = None


@dataclass(slots=True)
class Turn:
    """One request on its way."""

    format: Format
    words: Words
    asked: Asked
    watched: Watched
    caller: Caller
    clock: Callable[[], float]
    on_done: Callable[[Done], object] | None
    began: float
    events: Events | None = None
    trail: "spans.Trail | None" = None

    async def whole(self) -> Response:
        """Run it, and say it whole."""
        answer: Answer | None = None
        try:
            answer = await drive.run(self.watched.flows, self.asked.request)
            response = self._answered(answer)
        except asyncio.CancelledError:
            self._done(answer or self._given_up("the client went away"), 499, "cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - no exception is an answer
            return self._failed(error, answer)
        if response.status == 200:
            self._done(answer, 200)
        return response

    def plainly(self) -> Response:
        """As `whole`, from plain code."""
        answer: Answer | None = None
        try:
            answer = drive.run_sync(self.watched.flows, self.asked.request)
            response = self._answered(answer)
        except Exception as error:  # noqa: BLE001 - no exception is an answer
            return self._failed(error, answer)
        except BaseException:  # an interrupt: plain code knows no other way to go away
            self._done(answer or self._given_up("the client went away"), 499, "cancelled")
            raise
        if response.status == 200:
            self._done(answer, 200)
        return response

    async def streamed(self, heartbeat: float, within: float | None) -> Response:
        """Run it up to its first piece, within so many seconds; the rest comes as it comes."""
        asked, watched, name = self.asked, self.watched, self.asked.request.id
        try:
            encoder = self.format.encoder(asked)
            pieces = Streamed(watched, asked.request, encoder, self._done, heartbeat=heartbeat)
            answer = await pieces.begin(within)
            if answer is None:
                known = heads.live(watched.tier, watched.by, self._left(watched.tier))
            else:
                known = heads.about(answer, self._left(answer.tier, answer))
        except Late:
            message = f"there was nothing to send within {within:g} s"
            return refused(self.format, self.words, Refusal(LATE, message), name)
        except Declined as error:
            return self._refused(error.refusal, error.answer)
        except Exception as error:  # noqa: BLE001 - no exception is an answer
            return self._failed(error, None)
        return Response(200, [*heads.STREAM, *heads.ids(self.words, name), *known], pieces=pieces)

    def _answered(self, answer: Answer) -> Response:
        """An answer, said whole; or that there is none to give, which has been told of."""
        refusal = hopeless(answer) if answer.via == "static" else None
        if refusal is not None:
            return self._refused(refusal, answer)
        body = written(self.format.whole(self.asked, answer))
        known = heads.about(answer, self._left(answer.tier, answer))
        return Response(200, [heads.JSON, *heads.ids(self.words, self.asked.request.id), *known], body)

    def _left(self, tier: str, answer: Answer | None = None) -> list[str]:
        return left_out(self.asked, self.watched.cascade, tier, self.format, answer)

    def _failed(self, error: Exception, answer: Answer | None) -> Response:
        if isinstance(error, AnswerError):
            answer = error.answer
        return self._refused(refusal_of(error, self.asked.request.id), answer or self._given_up("it failed"))

    def _refused(self, refusal: Refusal, answer: Answer | None) -> Response:
        response = refused(self.format, self.words, refusal, self.asked.request.id, answer)
        self._done(answer, refusal.status, refusal.failure)
        return response

    def _given_up(self, why: str) -> Answer | None:
        return self.watched.given_up((), time.monotonic(), why)  # by which event loops go too

    def _done(self, answer: Answer | None, status: int, failure: str = "") -> None:
        """Tell whoever keeps count; what goes wrong with that goes no further."""
        events = self.events
        listened = events is not None and events.listeners
        if self.on_done is None and not listened:
            return
        seconds, cascade = self.clock() - self.began, self.watched.cascade
        done = Done(self.caller, self.asked, answer, status, seconds, failure, cascade)
        if events is not None and listened:
            with spans.within(self.trail):
                (tell if events is HUB else events.tell)(_told(done))
        if self.on_done is None:
            return
        try:
            self.on_done(done)
        except Exception as error:  # noqa: BLE001 - a listener's fault is no matter of the request's
            name = type(error).__name__
            log.error("on_done failed for request %s: %s", self.asked.request.id, name)  # noqa: TRY400 - its words may be anyone's


def _told(done: Done) -> Decision:
    """What is told of it."""
    answer, ladder = done.answer, done.ladder
    layer, by = ("dispatch", str(done.status)) if answer is None else layer_of(answer)
    return Decision(
        layer,  # type: ignore[arg-type] # as it stands there
        by,
        time.time(),
        done.seconds,
        done.asked.request.id,
        done.status,
        caller=done.caller.name,
        cascade="" if ladder is None else ladder.name,
        answer=answer,
        failure=done.failure,
        ladder=ladder,
        model=done.asked.model,
    )


def refused(style: Format, words: Words, refusal: Refusal, request_id: str, answer: Answer | None = None) -> Response:
    """An error in the format's words. What the cascade has tried by every means, an SDK is told not to repeat."""
    told = [*heads.ids(words, request_id), *heads.wait(refusal.retry_after)]
    if refusal.final and (refusal.status >= 500 or refusal.status in AGAIN):
        told.append(("x-should-retry", "false"))
    if answer is not None:
        told += [each for each in heads.about(answer, ()) if each[0] != "retry-after"]
    value = style.error(refusal.status, refusal.message, kind=refusal.kind, where=refusal.where)
    if words == "anthropic":
        value.setdefault("request_id", request_id)
    return said(refusal.status, value, told)


def said(status: int, value: Json, told: list[tuple[str, str]]) -> Response:
    """A value as JSON."""
    return Response(status, [heads.JSON, *told], written(value))
