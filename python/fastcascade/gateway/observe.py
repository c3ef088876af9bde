"""Observe first: the last tier answers as if there were no cascade, and beside it is noted what the cascade would do.

    mode = "observe"
    observe = { usd = 2.0, enforce = 0.1, routes = { support = "enforce" } }

A request that is observed goes to the last tier it may reach as it came: no gate, no settings of the tier's own, and
nothing behind it. Once its answer is out, the cheaper tiers and their gates are asked beside (see observe_look.py).
That is bounded in share, in number at once and in money a day. Nothing that goes wrong there reaches the client, and
nothing is lost in silence: `counts` says what became of each.

What is asked for by tier, or is passed through, is as it is in either mode.

"As it came" is not byte by byte, as it is for what is passed through: the client asks for a cascade's name and not for
the last tier's model, and what that answers must be read to be looked at. So a request is read and written again, in
the words of the last tier; what those cannot carry is named in `x-cascade-not-carried`.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from fastcascade.cascade import Cascade
from fastcascade.errors import ConfigError
from fastcascade.gateway.choosing import Choosing
from fastcascade.gateway.observe_log import DayPurse, Log
from fastcascade.gateway.observe_look import forwarding, look
from fastcascade.gateway.settings import Mode, Settings
from fastcascade.messages import Request
from fastcascade.wire.endpoint import Caller, Done
from fastcascade.wire.endpoint_models import Choice
from fastcascade.wire.endpoint_paths import Words
from fastcascade.wire.format import Asked

__all__ = ["Forwarded", "Observing"]

KEPT: Final = ("drawn", "busy", "budget", "unanswered", "looked", "failed", "cancelled", "unwritten")
"""What may become of a request that was observed: not drawn; not looked at, since all places were taken or the money of
the day was; not answered; looked at; looked at in vain; given up at the end of the worker. And lines not written."""
SCALE: Final = 2.0**64

log: Final = logging.getLogger("fastcascade")


@dataclass(frozen=True, slots=True)
class Forwarded(Asked):
    """What was asked, on its way to the last tier: what the cascade would have been asked, which, and as what."""

    whole: Request | None = None
    choice: Choice | None = None
    tier: str = ""


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
        self.counts: Counter[str] = Counter(dict.fromkeys(KEPT, 0))
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
        tables: tuple[tuple[Mapping[str, Mode], tuple[str, str]], ...] = (
            (told.routes, (request.route, request.task)),
            (told.models, (model, name)),
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
        request, cascade = asked.request, choice.cascade
        if choice.tier or self.mode_of(request, asked.model, choice.name, caller) == "enforce":
            return asked, choice
        tier = request.max_tier or cascade.tiers[-1].name
        if cascade.places.get(tier, 0) == 0 or (request.min_tier and request.min_tier not in cascade.places):
            return asked, choice  # there is nothing cheaper, or it is to be refused as it would be
        key = (choice.name, tier)
        if key not in self._bare:
            self._bare[key] = forwarding(cascade, tier)
        bare = replace(request, min_tier="", max_tier="")
        sent = Forwarded(
            bare, asked.model, asked.body, asked.stream, asked.usage, asked.not_carried, request, choice, tier
        )
        return sent, Choice(choice.name, self._bare[key])

    # What is looked at.

    def _ended(self, done: Done) -> None:
        try:
            if self._told is not None:
                self._told(done)
        finally:
            if isinstance(done.asked, Forwarded):
                became = self._begun(done, done.asked)
                if became:
                    self.counts[became] += 1

    def _begun(self, done: Done, asked: Forwarded) -> str:
        """Look at it, or say why not."""
        answer = done.answer
        if answer is None or answer.reply is None or answer.incomplete or done.failure:
            return "unanswered"
        if self._draw() >= self.observe.share:
            return "drawn"
        if len(self._looks) >= self.observe.at_once:
            return "busy"
        if not self.purse.take(self.observe.each):
            return "budget"
        task = asyncio.get_running_loop().create_task(self._look(done, asked), context=Context())
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return ""

    async def _look(self, done: Done, asked: Forwarded) -> None:
        assert done.answer is not None  # noqa: S101 - else it was not begun
        assert asked.choice is not None and asked.whole is not None  # noqa: PT018, S101 - as above
        held = spent = self.observe.each
        became = "failed"
        try:
            seen = await look(asked.choice.cascade, asked.tier, asked.whole, done.answer, held)
            spent = held if seen.spent is None else seen.spent
            self.spent += spent
            self.saved += seen.saved or 0.0
            said = {"model": asked.model, "cascade": asked.choice.name}
            if not self.log.write(said | seen.line(texts=self.observe.texts)):
                self.counts["unwritten"] += 1
            became = "looked"
        except asyncio.CancelledError:
            became = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 - it goes no further, and its words may be anyone's
            name, why = done.asked.request.id, type(error).__name__
            log.error("what the cascade would do for request %s is not known: %s", name, why)  # noqa: TRY400 - as above
        finally:
            self.counts[became] += 1
            self.purse.settle(held, spent)
