"""Runs of a cascade that are told of when they are over, however they end: for those who listen to events."""

import asyncio
import time
from typing import TYPE_CHECKING

from fastcascade import drive, spans
from fastcascade.answer_stream import AnswerStream
from fastcascade.dropin_heard import Outer, current, tell_within
from fastcascade.errors import AnswerError, IncompleteAnswer, NoAnswer
from fastcascade.telemetry.events import Decision, Layer, layer_of
from fastcascade.watched import Watched

if TYPE_CHECKING:
    from fastcascade.answers import Answer
    from fastcascade.cascade import Cascade
    from fastcascade.messages import Request

__all__ = ["run", "run_sync", "stream"]


async def run(cascade: "Cascade", request: "Request") -> "Answer":
    """As `drive.run`."""
    if spans.tracer is None:
        return await _run(cascade, request)
    with spans.tracer.begun():
        return await _run(cascade, request)


async def _run(cascade: "Cascade", request: "Request") -> "Answer":
    watched, began = Watched(cascade), time.monotonic()
    try:
        answer = await drive.run(watched.flows, request)
    except BaseException as error:
        _failed(current(), watched, request, began, error)
        raise
    _tell(current(), watched, request, began, answer, "")
    return answer


def run_sync(cascade: "Cascade", request: "Request") -> "Answer":
    """As `drive.run_sync`."""
    if spans.tracer is None:
        return _run_sync(cascade, request)
    with spans.tracer.begun():
        return _run_sync(cascade, request)


def _run_sync(cascade: "Cascade", request: "Request") -> "Answer":
    watched, began = Watched(cascade), time.monotonic()
    try:
        answer = drive.run_sync(watched.flows, request)
    except BaseException as error:
        _failed(current(), watched, request, began, error)
        raise
    _tell(current(), watched, request, began, answer, "")
    return answer


def stream(cascade: "Cascade", request: "Request") -> AnswerStream:
    """As `AnswerStream`."""
    watched, began = Watched(cascade), time.monotonic()
    trail, outer = None if spans.tracer is None else spans.tracer.begun(), current()

    def ended(answer: "Answer | None", error: BaseException | None) -> None:
        with spans.within(trail):
            if error is not None and answer is None:
                _failed(outer, watched, request, began, error)
            else:
                why = "incomplete" if answer is not None and answer.incomplete else ""
                _tell(outer, watched, request, began, answer, why)

    return AnswerStream(watched.flows, request, ended, trail)


def _failed(outer: Outer | None, watched: Watched, request: "Request", began: float, error: BaseException) -> None:
    answer = (
        error.answer if isinstance(error, AnswerError) else watched.given_up((), time.monotonic(), "it was given up")
    )
    _tell(outer, watched, request, began, answer, _why(error))


def _why(error: BaseException) -> str:
    """In the words of `Done.failure`."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit | KeyboardInterrupt):
        return "cancelled"
    if isinstance(error, IncompleteAnswer):
        return "incomplete"
    return "no answer" if isinstance(error, NoAnswer) else f"error: {type(error).__name__}"


def _tell(
    outer: Outer | None, watched: Watched, request: "Request", began: float, answer: "Answer | None", failure: str
) -> None:
    cascade = watched.cascade
    layer: Layer = "dispatch"
    by = ""
    if answer is not None:
        layer, by = layer_of(answer)
    tell_within(
        outer,
        Decision(
            layer,
            by,
            time.time(),
            time.monotonic() - began,
            request.id,
            cascade=cascade.name,
            answer=answer,
            failure=failure,
            ladder=cascade,
        ),
    )
