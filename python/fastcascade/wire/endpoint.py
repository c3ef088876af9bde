"""From a method, a path, headers and a body to a cascade, and back in the same words.

    read      which format, which cascade, who asks (paths, models, fields)
    run       whole, or as a stream of bytes (stream), watched so that a run that is given up can be told of (trace)
    tell      an answer with headers, or an error in the format's words (turn, headers, refusal); `on_done`, once

No server and no HTTP client: the gateway serves it, `http_client` hands it to an SDK.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from fastcascade import background, spans
from fastcascade.cascade import Cascade
from fastcascade.errors import ConfigError
from fastcascade.telemetry.events import HUB, Events
from fastcascade.watched import Watched
from fastcascade.wire import endpoint_headers as heads
from fastcascade.wire.endpoint_body import read
from fastcascade.wire.endpoint_budget import lower
from fastcascade.wire.endpoint_fields import MARK, fields_of, id_of
from fastcascade.wire.endpoint_models import ANYONE, UNSAID, Caller, Choice, Models, described, estimate, listed
from fastcascade.wire.endpoint_paths import Place, Words, format_of, place_of
from fastcascade.wire.endpoint_refusal import Refusal, nowhere, refusal_of
from fastcascade.wire.endpoint_turn import Done, Response, Turn, refused, said
from fastcascade.wire.format import Asked, Format

__all__ = ["ANYONE", "Caller", "Done", "Endpoint", "Response"]

HEARTBEAT: Final = 15.0
"""Seconds of silence in a stream after which it gives a sign of life; proxies give up after 30 to 60."""
PLAIN: Final = frozenset(
    {
        *("budget", "customer", "feature", "id", "idempotency", "max_tier", "min_tier", "regenerate", "route"),
        *("priority", "session", "task", "user"),
    }
)
"""Fields of a request that are kept as they are given."""


class Endpoint:
    """Answers what clients of the providers' APIs ask, from cascades.

    Args:
        models: cascades by the names that clients ask for; one cascade alone answers to any name.
        default: the cascade for names that are not known; without one they are a 404.
        on_done: told once of each request that reached a cascade, however it ended. It must not wait.
        heartbeat: seconds of silence after which a stream gives a sign of life.
        clock: what requests are timed by.
        formats: formats by name, in the place of those that come with this.
        events: who is told of each; None where somebody else does, who has more to say.
    """

    def __init__(
        self,
        models: Mapping[str, Cascade] | Cascade,
        *,
        default: str = "",
        on_done: Callable[[Done], object] | None = None,
        heartbeat: float = HEARTBEAT,
        clock: Callable[[], float] = time.monotonic,
        formats: Mapping[str, Format] | None = None,
        events: Events | None = HUB,
    ) -> None:
        """Check that names and cascades go together."""
        if not heartbeat > 0:
            msg = f"an endpoint's heartbeat must be above zero, not {heartbeat!r}"
            raise ConfigError(msg)
        self.models = Models(models, default)
        self._on_done = on_done
        self._heartbeat = heartbeat
        self._clock = clock
        self._formats = dict(formats or {})
        self.events = events

    async def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller = ANYONE,
        *,
        within: float | None = None,
    ) -> Response:
        """Answer one request. Header names are in lower case; nothing but cancellation is raised.

        `within` is how many seconds its client will wait: a bound on the deadline of what does not stream, and on the
        time until the first piece of what does.
        """
        turn = self._turned(method, path, headers, body, caller, within)
        if isinstance(turn, Response):
            return turn
        going = turn.streamed(self._heartbeat, within) if turn.asked.stream else turn.whole()
        if spans.tracer is None or self.events is None:  # in the gateway its own trail is the one
            return await going
        turn.trail = spans.tracer.begun(headers)
        with turn.trail.within():
            return await going

    def handle_plain(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller = ANYONE,
        *,
        within: float | None = None,
    ) -> Response:
        """As `handle`, for plain code: what needs no I/O is answered in the thread that asks.

        For the rest alone the loop behind plain code is gone to, where the pieces of a stream are too: a trip there and
        back costs more than all that a rule or a kept answer does.
        """
        if type(self).handle is not Endpoint.handle:  # somebody's own, which has more to say than this
            return background.result(self.handle(method, path, headers, body, caller, within=within))
        turn = self._turned(method, path, headers, body, caller, within)
        if isinstance(turn, Response):
            return turn
        if spans.tracer is not None and self.events is not None:
            turn.trail = spans.tracer.begun(headers)
        with spans.within(turn.trail):
            return background.result(turn.streamed(self._heartbeat, within)) if turn.asked.stream else turn.plainly()

    def _turned(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, caller: Caller, within: float | None
    ) -> Turn | Response:
        """A request that is to be run; or the answer, where there is nothing to run."""
        place = place_of(method, path, headers)
        request_id = id_of(headers)
        style = self.format(place.words)
        try:
            if place.kind != "answer":
                return self._beside(place, method, headers, body, caller, request_id)
            asked, choice = self._read(place.words, headers, body, caller, request_id, within)
        except Exception as error:  # noqa: BLE001 - no exception is an answer
            return refused(style, place.words, refusal_of(error, request_id), request_id)
        watched, began = Watched(choice.cascade), self._clock()
        return Turn(style, place.words, asked, watched, caller, self._clock, self._on_done, began, self.events)

    def patience(self, within: float | None) -> float | None:
        """How long to wait for each piece of a stream; None where signs of life come more often than that."""
        return within if within is not None and within <= self._heartbeat else None

    def format(self, words: Words) -> Format:
        """The format of that name."""
        return self._formats.get(words) or format_of(words)

    def _read(
        self,
        words: Words,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller,
        request_id: str,
        within: float | None,
    ) -> tuple[Asked, Choice]:
        asked = self.format(words).read(read(body), headers)
        choice = self.models.choose(asked.model, caller)
        budget = asked.request.budget or choice.cascade.budget
        fields = fields_of(headers, budget)
        if caller.locked:
            fields.update({name: UNSAID[name] for name in caller.locked})
        if choice.tier:
            fields["min_tier"] = fields["max_tier"] = choice.tier
        if not fields.get("customer") and (caller.tenant or caller.name):
            fields["customer"] = caller.tenant or caller.name
        if caller.fields:
            most = caller.fields.get("budget")
            own = None if most is None else lower(fields.get("budget") or budget, most)
            fields.update(caller.fields)
            if own is not None:
                fields["budget"] = own
        if within is not None and not asked.stream:
            budget = fields.get("budget") or budget
            if budget.deadline is None or within < budget.deadline:
                fields["budget"] = replace(budget, deadline=within)
        fields["id"] = request_id
        if not PLAIN.issuperset(fields):
            request = replace(asked.request, **fields)
            asked = Asked(request, asked.model, asked.body, asked.stream, asked.usage, asked.not_carried)
            return asked, choice
        # Made a moment ago, and nobody else has it yet: to make it anew would take a third of all that is done here.
        for name, value in fields.items():
            object.__setattr__(asked.request, name, value)
        return asked, choice

    # What is no question to a model.

    def _beside(
        self, place: Place, method: str, headers: Mapping[str, str], body: bytes, caller: Caller, request_id: str
    ) -> Response:
        words = place.words
        if place.kind == "models":
            return said(200, listed(self.format(words), self.models.names(caller)), heads.ids(words, request_id))
        if place.kind == "model":
            self.models.choose(place.name, caller)
            return said(200, described(self.format(words), place.name), heads.ids(words, request_id))
        if place.kind == "count":
            given = read(body)
            style = self.format(words)
            asked = getattr(style, "read_count", style.read)(given, headers)
            self.models.choose(asked.model, caller)
            told = [*heads.ids(words, request_id), (f"{MARK}estimated", "input_tokens")]
            return said(200, {**getattr(style, "counted", {}), "input_tokens": estimate(asked.request)}, told)
        if place.kind == "method":
            refusal = Refusal(405, f"{method} is not allowed here; {place.name} is")
            response = refused(self.format(words), words, refusal, request_id)
            response.headers.append(("allow", place.name))
            return response
        return refused(self.format(words), words, nowhere(method, words), request_id)
