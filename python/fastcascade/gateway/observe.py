"""Observe first: the last tier answers as if there were no cascade, and beside it is noted what the cascade would do.

    mode = "observe"
    observe = { usd = 2.0, enforce = 0.1, routes = { support = "enforce" } }

A request that is observed goes to the last tier it may reach as it came: no gate, no settings of the tier's own, and
nothing behind it. Once its answer is out, the cheaper tiers and their gates are asked beside (see observe_look.py).
That is bounded in share, in number at once and in money a day. Nothing that goes wrong there reaches the client, and
nothing is lost in silence: `counts` says what became of each.

What is asked for by tier is as it is in either mode, and so is what is passed through, unless a cascade is to take its
place (`instead` in config/models.py). Then its bytes are passed on unchanged, and read on the side once the answer is
out: that stands in for the last tier's. Where it is enforced the cascade answers.

A cascade that is asked for by its name has no bytes that could be passed on: the client asks for that name, and not for
the last tier's model. So a request is read and written again, in the words of the last tier; what those cannot carry is
named in `x-cascade-not-carried`.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from fastcascade.answers import Answer
from fastcascade.cascade import Cascade
from fastcascade.errors import ConfigError, FastcascadeError
from fastcascade.gateway.choosing import Choosing
from fastcascade.gateway.observe_log import DayPurse, Log
from fastcascade.gateway.observe_look import forwarding, look
from fastcascade.gateway.observe_passed import Forwarded, answer_of, comparable, forwarded, overhear, replaced
from fastcascade.gateway.passthrough import FREE, Passthrough, bare
from fastcascade.gateway.passthrough_usage import Peeked
from fastcascade.gateway.settings import Mode, Settings
from fastcascade.messages import Reply, Request
from fastcascade.wire.endpoint import Caller, Done, Endpoint, Response
from fastcascade.wire.endpoint_fields import id_of
from fastcascade.wire.endpoint_models import Choice
from fastcascade.wire.endpoint_paths import Words, place_of
from fastcascade.wire.format import Asked

__all__ = ["Forwarded", "Observing"]

KEPT: Final = ("drawn", "busy", "budget", "unanswered", "looked", "failed", "cancelled", "unread")
"""What may become of a request that was observed: not drawn; not looked at, since all places were taken or the money of
the day was; not answered; looked at; looked at in vain; given up at the end of the worker; passed on, and it or its
answer could not be read."""
UNWRITTEN: Final = "unwritten"
"""Of those that were looked at, how many have no line."""
SCALE: Final = 2.0**64

log: Final = logging.getLogger("fastcascade")


class Observing(Choosing):
    """An endpoint of which some requests are observed.

    Args:
        models: cascades by name.
        settings: the mode, and how to observe.
        folder: where the log is by default.
        draw: gives numbers from 0 up to 1; for tests.
        more: what `Choosing` takes.
    """

    def __init__(
        self,
        models: Mapping[str, Cascade],
        settings: Settings,
        folder: Path,
        *,
        on_done: Callable[[Done], object] | None = None,
        draw: Callable[[], float] = random.random,
        **more: Any,
    ) -> None:
        """Refuse cascades of which it is not known what asking them costs."""
        super().__init__(models, on_done=self._ended, **more)
        self.mode: Mode = settings.mode
        self.observe = settings.observe
        for name, cascade in models.items():
            for tier in cascade.tiers:
                if tier.rate(cascade.prices) is None:
                    raise ConfigError(
                        f"observing is bounded in money, and the price of tier {tier.name!r} of {name!r} is not known; "
                        "give it a price = { input = ..., output = ... }"
                    )
        if self._names is not None:
            comparable(self._names, self.observe.models)
        self.counts: Counter[str] = Counter(dict.fromkeys((*KEPT, UNWRITTEN), 0))
        self.spent = self.saved = 0.0
        path = folder / (self.observe.log or "observe.jsonl")
        self.log = Log(path)
        self.purse = DayPurse(path.with_name(f"{path.name}.spent"), self.observe.usd)
        self._told, self._draw = on_done, draw
        self._bare: dict[tuple[str, str], Cascade] = {}
        self._looks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Give up what is still looked at, and close what is passed through."""
        looks = tuple(self._looks)
        for each in looks:
            each.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        await super().aclose()

    # What is forwarded.

    def mode_of(self, request: Request, model: str, name: str, caller: Caller) -> Mode:
        """By route or task, else by model, else as for all; of what is observed a share is enforced."""
        told = self.observe
        tables: tuple[tuple[Mapping[str, Mode], tuple[str, ...]], ...] = (
            (told.routes, (request.route, request.task)),
            (told.models, (model, self._names.known(model) if self._names is not None else "", name)),
        )
        for table, keys in tables:
            for key in keys:
                if key in table:
                    return table[key]
        if self.mode == "observe" and told.enforce and self._place(request, caller) < told.enforce:
            return "enforce"
        return self.mode

    def _place(self, request: Request, caller: Caller) -> float:
        """A number from 0 up to 1 that is the same for the same user in every worker."""
        user = request.user or request.customer or caller.name if self.observe.by == "user" else ""
        return int.from_bytes(blake2b((user or request.id).encode(), digest_size=8).digest()) / SCALE

    def _read(
        self,
        words: Words,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller,
        request_id: str,
        within: float | None,
    ) -> tuple[Asked, Choice]:
        asked, choice = super()._read(words, headers, body, caller, request_id, within)
        request = asked.request
        if choice.tier or self.mode_of(request, asked.model, choice.name, caller) == "enforce":
            return asked, choice
        tier = replaced(request, choice.cascade)
        if not tier:
            return asked, choice
        passing = self._names.passing(asked.model) if self._names is not None else None
        key = (choice.name, tier)
        if key not in self._bare:
            self._bare[key] = forwarding(choice.cascade, tier)
        way = passing.through if passing is not None and passing.through is not None else self._bare[key]
        return forwarded(asked, replace(request, min_tier="", max_tier=""), choice, tier), Choice(choice.name, way)

    async def _pass(
        self,
        raw: Passthrough,
        peeked: Peeked,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        caller: Caller,
        *,
        within: float | None,
    ) -> Response:
        if self._names is None or self._names.passing(peeked.model) is None or bare(path) in FREE:
            return await raw.forward(peeked, path, headers, body, caller)
        words, request_id = place_of("POST", path, headers).words, id_of(headers)
        sent: Forwarded | None = None
        try:
            asked, choice = super()._read(words, headers, body, caller, request_id, None)
        except FastcascadeError:  # the provider may know what to make of it; a cascade would refuse it
            enforced = self.mode == "enforce"
            self.counts["unread"] += not enforced
        else:
            enforced = self.mode_of(asked.request, asked.model, choice.name, caller) == "enforce"
            if tier := replaced(asked.request, choice.cascade):
                sent = forwarded(asked, asked.request, choice, tier)
        if enforced:  # under the same id: by that it may have been drawn
            headers = {**headers, "x-request-id": request_id}
            return await Endpoint.handle(self, "POST", path, headers, body, caller, within=within)
        began = self._clock()
        response = await raw.forward(peeked, path, headers, body, caller, request_id)
        if sent is not None:
            self._overhear(response, _called(sent, response, request_id), raw, words, lambda: self._clock() - began)
        return response

    def _overhear(
        self, response: Response, asked: Forwarded, raw: Passthrough, words: Words, took: Callable[[], float]
    ) -> None:
        """Look at it once its answer is out."""

        def told(reply: Reply | None, whole: bool) -> None:  # noqa: FBT001 - as it is called
            if reply is None:
                self.counts["unread" if whole else "unanswered"] += 1
                return
            self._looked_at(answer_of(reply, asked, raw.cost, took()), asked, "")

        if response.status != 200:
            self.counts["unanswered"] += 1
        else:
            overhear(response, words, told)

    # What is looked at.

    def _ended(self, done: Done) -> None:
        try:
            if self._told is not None:
                self._told(done)
        finally:
            if isinstance(done.asked, Forwarded):
                self._looked_at(done.answer, done.asked, done.failure)

    def _looked_at(self, answer: Answer | None, asked: Forwarded, failure: str) -> None:
        became = self._look_at(answer, asked, failure)
        if became:
            self.counts[became] += 1

    def _look_at(self, answer: Answer | None, asked: Forwarded, failure: str) -> str:
        """Look at it, or say why not."""
        if answer is None or answer.reply is None or answer.incomplete or failure:
            return "unanswered"
        if self._draw() >= self.observe.share:
            return "drawn"
        if len(self._looks) >= self.observe.at_once:
            return "busy"
        if not self.purse.take(self.observe.each):
            return "budget"
        task = asyncio.get_running_loop().create_task(self._look(answer, asked), context=Context())
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return ""

    async def _look(self, answer: Answer, asked: Forwarded) -> None:
        assert asked.choice is not None and asked.whole is not None  # noqa: PT018, S101 - as above
        held = spent = self.observe.each
        became = "failed"
        try:
            seen = await look(asked.choice.cascade, asked.tier, asked.whole, answer, held)
            spent = held if seen.spent is None else seen.spent
            self.spent += spent
            self.saved += seen.saved or 0.0
            said = {"model": asked.model, "cascade": asked.choice.name}
            if not self.log.write(said | seen.line(texts=self.observe.texts)):
                self.counts[UNWRITTEN] += 1
            became = "looked"
        except asyncio.CancelledError:
            became = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 - it goes no further, and its words may be anyone's
            name, why = asked.request.id, type(error).__name__
            log.error("what the cascade would do for request %s is not known: %s", name, why)  # noqa: TRY400 - as above
        finally:
            self.counts[became] += 1
            self.purse.settle(held, spent)


def _called(asked: Forwarded, response: Response, ours: str) -> Forwarded:
    """What was asked, by the id that client and access log have: some providers give their own under that name."""
    theirs = next((value for name, value in response.headers if name == "x-request-id"), ours)
    if theirs == ours or asked.whole is None:
        return asked
    return replace(asked, request=replace(asked.request, id=theirs), whole=replace(asked.whole, id=theirs))
