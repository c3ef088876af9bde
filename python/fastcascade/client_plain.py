"""Plain code asks an endpoint: what needs no I/O is answered in the thread that asks.

For the rest alone the loop behind plain code is gone to: a trip there and back costs more than all that a rule or a
kept answer does.
"""

import time
from collections.abc import Mapping
from typing import final

from fastcascade import background, drive
from fastcascade.answers import Answer
from fastcascade.wire import endpoint_headers as heads
from fastcascade.wire.endpoint import Caller, Endpoint, Response
from fastcascade.wire.endpoint_body import written
from fastcascade.wire.endpoint_fields import id_of
from fastcascade.wire.endpoint_paths import place_of
from fastcascade.wire.endpoint_refusal import hopeless, refusal_of
from fastcascade.wire.endpoint_trace import Watched
from fastcascade.wire.endpoint_turn import Turn, refused

__all__ = ["answered"]


def answered(
    endpoint: Endpoint,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    caller: Caller,
    *,
    within: float | None,
) -> Response:
    """As `Endpoint.handle`, which says the rest; pieces of a stream are of the loop behind plain code."""
    if type(endpoint).handle is not Endpoint.handle:  # somebody's own, which has more to say than this
        return background.result(endpoint.handle(method, path, headers, body, caller, within=within))
    place = place_of(method, path, headers)
    request_id = id_of(headers)
    style = endpoint.format(place.words)
    # ruff: noqa: SLF001 - this is the endpoint's own way of asking, for plain code
    try:
        if place.kind != "answer":
            return endpoint._beside(place, method, headers, body, caller, request_id)
        asked, choice = endpoint._read(place.words, headers, body, caller, request_id, within)
    except Exception as error:  # noqa: BLE001 - no exception is an answer
        return refused(style, place.words, refusal_of(error, request_id), request_id)
    clock = endpoint._clock
    turn = PlainTurn(style, place.words, asked, Watched(choice.cascade), caller, clock, endpoint._on_done, clock())
    if asked.stream:
        return background.result(turn.streamed(endpoint._heartbeat, within))
    return turn.plainly()


@final
class PlainTurn(Turn):
    """One request of plain code on its way."""

    __slots__ = ()

    def plainly(self) -> Response:
        """As `whole`, without an event loop as far as none is needed."""
        asked = self.asked
        answer: Answer | None = None
        try:
            answer = drive.run_sync(self.watched.flows, asked.request)
            refusal = hopeless(answer) if answer.via == "static" else None
            if refusal is not None:
                return self._refused(refusal, answer)
            body = written(self.format.whole(asked, answer))
            told = [heads.JSON, *heads.ids(self.words, asked.request.id), *heads.about(answer, asked.not_carried)]
        except Exception as error:  # noqa: BLE001 - no exception is an answer
            return self._failed(error, answer)
        except BaseException:  # an interrupt: plain code knows no other way to go away
            self._done(answer or self._given_up("the client went away"), 499, "cancelled")
            raise
        self._done(answer, 200)
        return Response(200, told, body)

    def _given_up(self, why: str) -> Answer | None:
        # The clock of `run_sync`: there may be no loop here, and the one behind goes by the same.
        return self.watched.given_up((), time.monotonic(), why)
