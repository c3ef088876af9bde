"""Answers of a cascade that are given again: where the very same is asked, or, if wanted, what means the same.

What is kept is what was accepted, nothing else, with the tier that made it. Two requests are the same where everything
that may change the answer is: the conversation, the tools, the parameters, the highest tier they may use, a key of
idempotency and, unless told otherwise, who asks. The lowest tier that a request may use is not part of that: an answer
is given to whoever may be answered by its tier or a lower one, as long as that tier asks the same backend, by name.

    memory      of this process: no I/O
    shared      Redis or Valkey, with `shared="redis://..."`: one round trip, and one call for all who ask the same
    semantic    answers to what was asked in other words, with `semantic=SemanticCache(...)`

What was drawn by chance (a temperature that is not 0, or not said) is kept only with `sampled=True`.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from fastcascade import background
from fastcascade._core import Cache
from fastcascade.answers import Answer, tag_of
from fastcascade.caching.answers_told import Told, read, written
from fastcascade.caching.levels import Entry, Lead, Levels
from fastcascade.errors import BackendError, ConfigError
from fastcascade.fallbacks.stale import Found, Kept
from fastcascade.messages import Request
from fastcascade.notices import notify
from fastcascade.question import Per, Question

if TYPE_CHECKING:
    from fastcascade.caching.levels_stats import LevelsStats
    from fastcascade.caching.semantic import SemanticCache
    from fastcascade.cascade import Cascade
    from fastcascade.shared import Shared
    from fastcascade.shared.sharing import Sharing

__all__ = ["AnswerCache", "Savings", "Sought"]

LATER: Final = 5.0
"""Seconds that keeping an answer for others may take."""
BOUNDS: Final = ("min_tier",)
"""The lowest tier it may use: that is looked at when an answer is found."""
ONCE: Final = ("idempotency",)
"""Who names a request by a key wants it carried out once under that key, and once more under another."""
EMBEDDING: Final = 2.0
"""Seconds that an embedder is given; it is done without then."""


@dataclass(slots=True)
class Savings:
    """What was given again, and what its making had cost."""

    given: int = 0
    usd: float = 0.0
    semantic: int = 0


@dataclass(slots=True, eq=False)
class Sought:
    """One request on its way through the cache: what it is filed under, and whether others wait for it."""

    key: bytes
    request: Request
    cascade: "Cascade"
    floor: Callable[[str], int]
    sampled: bool = True
    lead: Lead | None = None
    answer: Answer | None = None
    text: str = ""
    scope: bytes = b""
    vector: Sequence[float] | None = None
    levels: Levels | None = None
    since: tuple[int, int] | None = None
    serial: int = 0

    def made(self, answer: Answer) -> bool:
        """Whether that is an answer to be kept: one that was accepted, and nothing less."""
        good = answer.reply is not None and not answer.degraded and not answer.ticket and not answer.via
        self.answer = answer if good and (self.sampled or not self._drawn(answer.tier)) else None
        return self.answer is not None

    def _drawn(self, tier: str) -> bool:
        """Whether a tier has a temperature of its own in the place of the request's."""
        place = self.cascade.places.get(tier)
        return place is None or self.cascade.tiers[place].sampling.get("temperature", 0) != 0

    def end(self) -> None:
        """Let others go and ask, unless there is an answer for them."""
        if self.answer is None:
            self.give_up()

    def give_up(self) -> None:
        """Let others go and ask."""
        lead, self.lead = self.lead, None
        if lead is not None:
            lead.give_up()


class AnswerCache:
    """Keeps answers. One may serve several cascades that share their tiers' names; see the module.

    Args:
        ttl: seconds an answer is good for.
        per: whether an answer is for the same `user` alone, for all users of a `customer`, or for `all`.
        sampled: keep also what was not asked for at temperature 0.
        shared: the URL of a Redis or Valkey, as a second level that others share; empty is memory alone.
        prefix: what the names of its keys begin with there.
        name: caches of one name share their answers.
        version: part of what is asked: with another one, all that was kept before is forgotten.
        items: how many answers are kept in memory.
        memory: bytes that they may take there.
        within: seconds to wait for somebody who is asking the same; then one asks for oneself.
        timeout: seconds for one command of the shared level.
        semantic: finds answers to what was asked in other words.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and is named
        self,
        *,
        ttl: float = 3600.0,
        per: Per = "user",
        sampled: bool = False,
        shared: str = "",
        prefix: str = "fastcascade",
        name: str = "answers",
        version: str = "",
        items: int = 10_000,
        memory: int = 64 * 1024 * 1024,
        within: float = 60.0,
        timeout: float = 0.25,
        semantic: "SemanticCache | None" = None,
    ) -> None:
        """Check the settings; nothing is connected."""
        if not 0 < ttl < inf:
            raise ConfigError(f"AnswerCache: ttl is in seconds, above zero, not {ttl!r}")
        if not 0 < within < inf:
            raise ConfigError(f"AnswerCache: within is in seconds, above zero, not {within!r}")
        self._question = Question(per, BOUNDS, ONCE)
        self.ttl, self.per, self.sampled, self.within = ttl, per, sampled, within
        self.name, self.semantic, self.keeping = name, semantic, LATER
        self._version, self._items, self._memory = version, items, memory
        self._source: Callable[[], Shared] | None = None
        self._own: Sharing | None = None
        if shared:
            from fastcascade.shared.sharing import sharing  # noqa: PLC0415 - an extra

            self._source = self._own = sharing(shared, prefix=prefix, timeout=timeout)
        self._levels: dict[asyncio.AbstractEventLoop, Levels] = {}
        self._read: Cache[tuple[Entry, Told]] = Cache(items, memory)
        self._forgetting: list[Callable[[str | None], object]] = []
        self.savings = Savings()

    def use(self, source: "Callable[[], Shared]") -> None:
        """Share by this, unless it was told what to share by. Called before the first request."""
        self._source = self._source or source

    # What the flow asks.

    def sought(self, request: Request, cascade: "Cascade", floor: Callable[[str], int]) -> Sought | None:
        """How to look for a request; None for one whose answer may not be given again."""
        if not self.sampled and request.temperature != 0:
            return None
        try:
            asked = f"{self._version}\n{self._question.key(request)}"
        except ConfigError:  # it holds what has no written form
            return None
        key = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).digest()
        sought = Sought(key, request, cascade, floor, self.sampled)
        if (levels := self._here()) is not None:
            sought.levels, sought.since = levels, levels.seen
        return sought

    async def begin(self, sought: Sought) -> None:
        """Note what was purged by now: for what is made without looking first."""
        levels = await self._opened()
        sought.levels, sought.since = levels, levels.seen

    def peek(self, sought: Sought) -> Found | None:
        """What is in memory."""
        entry = None if sought.levels is None else sought.levels.peek(sought.key)
        return None if entry is None else self._found(sought, entry)

    def waits(self, *, alone: bool) -> bool:
        """Whether there is more to it than memory: another level, or others who ask the same."""
        return not alone or self._source is not None or self.semantic is not None

    async def seek(self, sought: Sought, alone: bool) -> Found | None:  # noqa: FBT001 - as the flow hands it on
        """What is further away, or made by somebody else meanwhile. None: ask; for all, unless `alone`."""
        levels = await self._opened()
        sought.levels, sought.since = levels, levels.seen
        got = await levels.ask(sought.key, within=0.0 if alone else self.within)
        if isinstance(got, Lead):
            sought.lead = got
            if alone:
                sought.end()
        elif got is not None and (found := self._found(sought, got)) is not None:
            return found
        try:
            return None if self.semantic is None else await self._near(self.semantic, sought)
        except BaseException:
            sought.end()
            raise

    async def keep(self, sought: Sought) -> None:
        """Keep an answer, in memory and for others."""
        answer, levels = sought.answer, await self._opened()
        if answer is None or answer.reply is None:
            return
        try:
            value = written(answer, sought.cascade.rungs[sought.cascade.places[answer.tier]].backend.name)
        except ConfigError:  # it holds what has no written form
            sought.give_up()
            return
        tags = answer.tags
        lead, sought.lead = sought.lead, None
        if lead is not None:
            await lead.put(value, ttl=self.ttl, tags=tags)
        elif sought.levels is levels:  # else nobody knows what was purged here since
            await levels.put(sought.key, value, ttl=self.ttl, tags=tags, since=sought.since)
        if self.semantic is not None and sought.text:
            vector = sought.vector or await self._embedded(self.semantic, sought.text)
            if vector is not None:
                told, now = read(value), time.monotonic()
                self.semantic.add(vector, sought.text, sought.scope, told, now, tags, since=sought.serial)

    async def _near(self, semantic: "SemanticCache", sought: Sought) -> Found | None:
        """What was asked in other words. An embedder that fails finds nothing."""
        request, now = sought.request, time.monotonic()
        identity = request.customer.encode("utf-8", "surrogatepass")
        text = semantic.text_of(request, identity)
        if text is None:
            return None
        sought.text, sought.scope, sought.serial = text, semantic.scope_of(request, identity), semantic.serial
        if not semantic.could(text, sought.scope, now):
            return None
        sought.vector = await self._embedded(semantic, text)
        near = None if sought.vector is None else semantic.find(sought.vector, text, sought.scope, now)
        found = None if near is None else self._given(sought, near.entry.value, near.entry.born, "semantic")
        if found is not None:
            self.savings.semantic += 1
            sought.end()
        return found

    async def _embedded(self, semantic: "SemanticCache", text: str) -> Sequence[float] | None:
        try:
            async with asyncio.timeout(EMBEDDING):
                return await semantic.embed(text)
        except (BackendError, TimeoutError) as error:
            kind = error.failure.kind if isinstance(error, BackendError) else "timeout"
            notify("degraded", "the semantic cache", f"its embedder failed ({kind}); it finds nothing")
            return None

    def _found(self, sought: Sought, entry: Entry) -> Found | None:
        """An entry as it is given out; None where this request may not be answered by it."""
        if entry.negative:
            return None
        known = self._read.get(sought.key)
        if known is None or known[0] is not entry:
            told = read(entry.value)
            if told is None:
                return None
            known = (entry, told)
            self._read.put(sought.key, known, weight=len(entry.value))
        return self._given(sought, known[1], entry.born, entry.level)

    def _given(self, sought: Sought, told: Told, born: float, level: str) -> Found | None:
        place = sought.cascade.places.get(told.tier)
        if place is None or told.by != sought.cascade.rungs[place].backend.name or place < sought.floor(told.route):
            return None
        self.savings.given += 1
        self.savings.usd += told.usd
        kept = Kept(told.reply, born, told.tier, told.score)
        via: Literal["cache", "semantic"] = "semantic" if level == "semantic" else "cache"
        now = time.monotonic() if level == "semantic" else time.time()
        return Found(kept, via, max(0.0, now - born), level=level)

    # What operators ask.

    async def purge(self, *, tag: str | None = None, everything: bool = False) -> bool:
        """Forget what has a tag, or everything, wherever it is kept; whether that was told to all who share it.

        Tags are `tier:NAME`, `model:NAME`, `task:NAME`, `route:NAME`, `customer:NAME` and `user:NAME`.
        """
        if everything is (tag is not None):
            raise ConfigError("a purge is of one tag, or of everything: purge(tag=...) or purge(everything=True)")
        tag = None if tag is None else tag_of(tag)
        self._forget(tag)
        for other in list(self._levels.values()):
            other.forget(tag)
        levels = await self._opened()
        for loop, other in list(self._levels.items()):
            if other is not levels:
                with suppress(RuntimeError):  # that loop is closed
                    loop.call_soon_threadsafe(other.forget, tag, True)  # noqa: FBT003 - see there
        purged = await levels.purge(tag=tag, all=everything)
        return purged.everywhere

    def on_purge(self, forget: Callable[[str | None], object]) -> None:
        """Have this called with the tag, or None for everything, whenever something is purged, here or elsewhere."""
        self._forgetting.append(forget)

    def stats(self) -> list["LevelsStats"]:
        """What its levels did, one for each event loop that has used it."""
        return [levels.stats() for levels in list(self._levels.values())]

    async def aclose(self) -> None:
        """Let go of what it has in this event loop."""
        levels = self._levels.pop(asyncio.get_running_loop(), None)
        if levels is not None:
            await levels.aclose()
            if self._own is not None:
                await self._own.aclose()

    # Levels, one for each event loop.

    def _here(self) -> Levels | None:
        """Those of the running loop; in plain code, those of the loop behind it, if there are any yet."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            behind = background.there()
            return None if behind is None else self._levels.get(behind)
        levels = self._levels.get(loop)
        if levels is None:
            for other in [each for each in list(self._levels) if each.is_closed()]:
                self._levels.pop(other, None)
            hold = self._source if self._own is None else self._own.hold
            shared = None if hold is None else hold()
            levels = Levels(self.name, shared, items=self._items, memory=self._memory)
            levels.on_purge(self._forget)
            self._levels[loop] = levels
        return levels

    async def _opened(self) -> Levels:
        """Those of the running loop, connected where they can be."""
        levels = self._here()
        if levels is None:
            raise AssertionError("a loop runs here")
        if self._source is not None:
            await self._source().start()
        return levels

    def _forget(self, tag: str | None) -> None:
        self._read.clear()  # as cheap to read again as it is seldom
        if self.semantic is not None:
            self.semantic.drop(tag=tag)
        for forget in self._forgetting:
            forget(tag)
