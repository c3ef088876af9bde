"""Random schedules of faults in virtual time, and what must hold whatever happens. One seed is one schedule."""

import asyncio
import random
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from typing import Any

from fastcascade import Answer, Budget, Cascade, Hedge, IncompleteAnswer, Reply, Request, Tier, replay
from fastcascade.effects import Call, Effect, Handle, Outcome
from fastcascade.entry import Health, Instance, LeastOutstanding, Outliers, Pool, PowerOfTwo, RoundRobin
from fastcascade.errors import BackendError, FailureKind
from fastcascade.fallbacks import Adaptive, Breaker, Bulkhead, Region, Retry, RetryShare, Review, Stale, Static
from fastcascade.messages import Delta
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.testing import FakeClock, run_virtual
from memory_reviews import MemoryReviews

TROUBLE = 60.0
"""Seconds in which things go wrong; after that all is well."""
COOLING = 8.0
EJECTION = 4.0
LONGEST = 12.0
RECOVERY = 50.0
"""Seconds after which all is to be as it was: 30 for calls that still hang, and 20 to get well."""
PROMPT = "PROMPT-4711"
SECRET = "sk-live-0123456789abcdef"

KINDS: tuple[FailureKind, ...] = (
    "timeout", "rate_limited", "overloaded", "server", "connection", "cut", "malformed", "conflict", "auth", "billing",
    "not_found", "bad_request", "bug",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which calls to an instance go wrong in one way, with some probability."""

    start: float
    end: float
    what: str
    rate: float
    wait: float


class Place:
    """A backend with spells of trouble. It keeps the book that the invariants are read from."""

    gives: frozenset[str] = frozenset()

    def __init__(self, name: str, spells: list[Spell], draw: random.Random, *, effects: bool = False) -> None:
        self.name = name
        self.spells = spells
        self.draw = draw
        self.effects = effects
        self.starts: list[float] = []
        self.closed: list[tuple[float, float]] = []  # when a time was named, and which

    async def complete(self, request: Request, /) -> Reply | None:
        now = asyncio.get_running_loop().time
        self.starts.append(now())
        await asyncio.sleep(self.draw.choice((0.0, 0.05, 0.3)))
        for spell in self.spells:
            if spell.start <= now() < spell.end and self.draw.random() < spell.rate:
                return await self._strike(spell, request)
        return self._reply(request)

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        reply = await self.complete(request)
        assert reply is not None
        for index, word in enumerate(reply.text.split(" ")):
            if self._cuts():
                raise BackendError("cut", f"{SECRET} {PROMPT}")
            yield Delta("text", word if index == 0 else f" {word}", 0)
        yield reply

    async def probe(self) -> None:
        now = asyncio.get_running_loop().time()
        if any(spell.start <= now < spell.end and spell.what in ("hang", "connection") for spell in self.spells):
            raise BackendError("connection", "refused")

    def _cuts(self) -> bool:
        now = asyncio.get_running_loop().time()
        return any(s.start <= now < s.end and s.what == "cut" and self.draw.random() < s.rate for s in self.spells)

    def _reply(self, request: Request) -> Reply:
        return Reply(f"to {request.text} from {self.name}", model=self.name)

    async def _strike(self, spell: Spell, request: Request) -> Reply | None:
        loop = asyncio.get_running_loop()
        if spell.what == "hang":
            await loop.create_future()
        if spell.what == "slow":
            await asyncio.sleep(spell.wait)
            return self._reply(request)
        if spell.what == "empty":
            return Reply("", model=self.name)
        if spell.what == "refusal":
            return Reply("I will not.", model=self.name, stop="refusal")
        if spell.what == "raises":
            raise RuntimeError(f"{SECRET} {PROMPT}")
        wait = spell.wait if spell.what in ("rate_limited", "overloaded") and self.draw.random() < 0.7 else None
        if wait is not None:
            self.closed.append((loop.time(), loop.time() + wait))
        raise BackendError(spell.what, f"{SECRET} {PROMPT}", retry_after=wait)  # type: ignore[arg-type]


class Counted(Pool):
    """A pool that counts the calls it was asked for."""

    calls = 0

    def asking(self, call: Call, now: float) -> Generator[Effect, Outcome, Outcome]:
        self.calls += 1
        return super().asking(call, now)

    def let_in(self, only: Instance, now: float) -> bool:
        found = super().let_in(only, now)
        self.calls += found
        return found

    def opening(self, call: Call, now: float, after: Handle | None = None) -> Generator[Effect, Outcome, Outcome]:
        self.calls += after is None
        return super().opening(call, now, after)


def shown(answer: Answer) -> tuple[Any, ...]:
    """What matters of an answer; times to within what rounding does to them, and what came at once in any order."""
    tried = sorted((each.tier, each.verdict, str(each.error and each.error.kind)) for each in answer.attempts)
    calls = sorted((each.label, each.by, round(each.started, 6), round(each.latency, 6)) for each in answer.calls)
    whole = (answer.text, answer.tier, answer.via, answer.degraded, answer.age, answer.ticket, round(answer.latency, 6))
    return (*whole, tried, calls)


@dataclass
class Told:
    """What came of one request."""

    text: str
    deadline: float
    began: float
    streamed: bool = False
    ended: float = 0.0
    answer: Answer | None = None
    error: BaseException | None = None
    cancelled: bool = False


@dataclass
class World:
    """A cascade with its troubles, and all that happened."""

    seed: int
    cascade: Cascade = field(init=False)
    pools: list[Counted] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    store: MemoryReviews = field(default_factory=MemoryReviews)
    told: list[Told] = field(default_factory=list)
    after: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw the cascade and its troubles."""
        self.draw = random.Random(self.seed)
        tiers = [self._tier(f"tier{number}") for number in range(self.draw.choice((1, 1, 2)))]
        chain: list[Any] = []
        if self.draw.random() < 0.4:
            chain.append(Region(self._tier("behind")))
        if self.draw.random() < 0.4:
            chain.append(Stale(refresh=2.0, fresh_for=self.draw.choice((0.0, 5.0))))
        if self.draw.random() < 0.4:
            chain.append(Review(ReviewDesk(self.store), reserve=0.2))
        chain.append(Static("Sorry."))
        self.cascade = Cascade(
            *tiers,
            fallbacks=chain,
            hedge=self.draw.choice((None, None, Hedge(after=1.0), Hedge(percentile=90, least=5))),
            bulkhead=self.draw.choice((None, None, Bulkhead(limit=3, queue=3, patience=2.0))),
        )

    def _tier(self, name: str) -> Tier:
        draw = self.draw
        instances = []
        for number in range(draw.choice((1, 1, 2, 3))):
            effects = draw.random() < 0.1
            place = Place(f"{name}-{number}", self._spells(), random.Random(draw.random()), effects=effects)
            self.places.append(place)
            region, key = draw.choice(("", "eu", "us")), draw.choice(("", "a", "b"))
            instances.append(
                Instance(
                    place, name=place.name, region=region, key=key, priority=0 if number == 0 else draw.choice((0, 1))
                )
            )
        pool = Counted(
            *instances,
            retry=draw.choice(
                (
                    None,
                    Retry(base=0.2, cap=3.0, budget=RetryShare(share=0.1, reserve=3, refill=0.0)),
                    Retry(times=5, base=0.1, cap=10.0, budget=RetryShare(share=0.2, reserve=1, refill=0.0)),
                )
            ),
            breaker=draw.choice(
                (
                    None,
                    Breaker(cooling=COOLING, minimum=3, window=10.0),
                    Breaker(failure_threshold=3, recovery_timeout=COOLING, half_open_max_calls=2),
                    Breaker(calls=5, minimum=3, slow_after=2.0, slow_rate=0.6, cooling=COOLING, probes=1),
                )
            ),
            bulkhead=draw.choice(
                (None, None, Bulkhead(limit=2, queue=2, patience=1.0), Bulkhead(limit=Adaptive(initial=3, lowest=1)))
            ),
            hedge=draw.choice((None, None, Hedge(after=0.4, share=0.2, burst=2.0), Hedge(percentile=80, least=5))),
            balance=draw.choice((RoundRobin(), LeastOutstanding(), PowerOfTwo())),
            outliers=draw.choice((None, Outliers(consecutive=3, ejection=EJECTION, longest=LONGEST))),
            health=draw.choice((None, Health(within=4.0))),
            timeout=draw.choice((None, 2.0)),
            name=name,
        )
        self.pools.append(pool)
        return Tier(pool, name=name, timeout=draw.choice((None, 5.0)))

    def _spells(self) -> list[Spell]:
        draw, found = self.draw, []
        for _ in range(draw.choice((0, 1, 2, 3))):
            start = draw.uniform(0.0, TROUBLE - 5.0)
            what = draw.choice((*KINDS, "hang", "slow", "empty", "refusal", "raises"))
            end = min(TROUBLE, start + draw.uniform(1.0, 40.0))
            found.append(Spell(start, end, what, draw.choice((0.3, 1.0)), draw.choice((0.5, 3.0, 20.0))))
        return found

    def run(self) -> None:
        """Let it all happen."""
        run_virtual(self._main(), FakeClock())

    async def _main(self) -> None:
        draw, tasks = self.draw, []
        off_at = draw.uniform(0.0, TROUBLE)
        for at in sorted(draw.uniform(0.0, TROUBLE) for _ in range(draw.randrange(5, 20))):
            await self._until(at)
            self.store.off = off_at <= at < off_at + 10.0
            tasks += [asyncio.create_task(self._one(self.told)) for _ in range(draw.choice((1, 1, 1, 4)))]
        self.store.off = False
        await asyncio.gather(*tasks)
        await self._until(TROUBLE)
        # All is well again: now and then somebody asks, as in service.
        while asyncio.get_running_loop().time() < TROUBLE + RECOVERY:
            await asyncio.sleep(2.0)
            await self._one(self.after, plain=True)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))

    async def _one(self, book: list[Told], *, plain: bool = False) -> None:
        draw, loop = self.draw, asyncio.get_running_loop()
        text = f"{PROMPT} {len(book) if plain else draw.randrange(4)}"
        told = Told(text, 30.0 if plain else draw.choice((1.0, 5.0, 30.0)), loop.time())
        book.append(told)
        request = Request.of(text, budget=Budget(deadline=told.deadline), priority=draw.randrange(3))
        told.streamed = not plain and draw.random() < 0.3
        work = asyncio.ensure_future(self._streamed(request, told) if told.streamed else self._asked(request, told))
        if not plain and draw.random() < 0.1:
            told.cancelled = True
            await asyncio.sleep(draw.uniform(0.0, 2.0))
            work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            told.cancelled = True
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            told.error = error
        told.ended = told.ended or loop.time()

    async def _asked(self, request: Request, told: Told) -> None:
        try:
            told.answer = await self.cascade.run(request)
        finally:
            told.ended = asyncio.get_running_loop().time()

    async def _streamed(self, request: Request, told: Told) -> None:
        async with self.cascade.stream(request) as stream:
            try:
                said = "".join([piece async for piece in stream.text()])
            except IncompleteAnswer as error:
                told.answer = error.answer
                return
            finally:
                told.ended = asyncio.get_running_loop().time()
            told.answer = stream.answer
            assert told.answer is not None and said == told.answer.text

    # What must hold.

    def broken(self) -> list[str]:
        """Each invariant that does not hold, in words."""
        checks = (self._unanswered, self._overcalled, self._impatient, self._lost, self._unwell, self._unlike)
        return [found for check in checks for found in check()]

    def _unanswered(self) -> list[str]:
        found = []
        for told in (*self.told, *self.after):
            if told.error is not None:
                found.append(f"1: {type(told.error).__name__} left the cascade: {told.error}")
            elif not told.cancelled and (told.answer is None or told.answer.reply is None):
                found.append("1: a request has no answer")
            if told.ended - told.began > told.deadline + 1e-6:
                found.append(f"1: {told.ended - told.began:.3f} s for a deadline of {told.deadline:g}")
        return found

    def _overcalled(self) -> list[str]:
        found = []
        requests = len(self.told) + len(self.after)
        for pool in self.pools:
            if pool.calls > 1.08 * requests + 10:
                found.append(f"2: {pool.name} was asked {pool.calls} times for {requests} requests")
            share = pool.retry.budget if pool.retry is not None else None
            repeats = share.share * pool.calls + share.reserve if share is not None else 0.0
            hedges = 0.0
            if pool.hedge is not None:
                hedges = (pool.hedge.share or 0.05) * pool.calls + pool.hedge.burst
            for instance in pool.instances:
                calls = len(instance.backend.starts)  # type: ignore[attr-defined]
                if calls > pool.calls + repeats + hedges + 1e-9:
                    found.append(f"2: {calls} calls to {instance.name} for {pool.calls} requests")
        return found

    def _impatient(self) -> list[str]:
        found = []
        for place in self.places:
            for told, until in place.closed:
                early = [start for start in place.starts if told < start < until - 1e-9]
                if early:
                    found.append(
                        f"3: {place.name} was called at {early[0]:.3f}, told at {told:.3f} to wait till {until:.3f}"
                    )
        return found

    def _lost(self) -> list[str]:
        every = (*self.told, *self.after)
        tickets = {told.answer.ticket for told in every if told.answer is not None and told.answer.ticket}
        kept = run_virtual(self._kept(tickets))
        found = [f"4: the review {ticket} is lost" for ticket in tickets - kept]
        unheard = sum(told.cancelled for told in self.told)
        if len(self.store.all()) > len(tickets) + unheard:
            found.append(f"4: {len(self.store.all())} reviews for {len(tickets)} tickets and {unheard} who went away")
        return found

    async def _kept(self, tickets: set[str]) -> set[str]:
        return {ticket for ticket in tickets if await self.store.get(ticket) is not None}

    def _unwell(self) -> list[str]:
        found = []
        now = TROUBLE + RECOVERY + 1.0
        for pool in self.pools:
            if pool.name == "behind":
                continue  # nobody asks it any more, so that nobody could find out
            first = [each for each in pool.instances if each.priority == pool.instances[0].priority]
            for each in first:
                if each.outstanding or (each.slots is not None and (each.slots.busy or each.slots.waiting)):
                    found.append(f"5: {each.name} has {each.outstanding} calls under way that nobody waits for")
                if pool is self.pools[0] and not (
                    each.alive and each.ejected_until <= now and each.closed_until <= now
                ):
                    found.append(f"5: {each.name} is still left out")
        last = self.after[-1].answer
        if last is None or last.degraded or last.via:
            found.append(
                f"5: at the end an answer is {last.degraded if last else 'missing'!r} via {last.via if last else ''!r}"
            )
        return found

    def _unlike(self) -> list[str]:
        """An answer is to its own question, and comes out of its own trace again."""
        found = []
        for told in (*self.told, *self.after):
            answer = told.answer
            if answer is None:
                continue
            if (
                answer.text.startswith("to ")
                and not answer.incomplete
                and not answer.text.startswith(f"to {told.text} ")
            ):
                found.append(f"7: {told.text!r} was answered with {answer.text!r}")
            # Which of two that end at one instant was first is not recorded: a race of tiers may go either way.
            if told.cancelled or self.cascade.hedge is not None:
                continue
            again = replay(self.cascade, answer, streaming=told.streamed)
            if shown(again) != shown(answer):
                found.append(f"7: a replay is another answer: {shown(again)} for {shown(answer)}")
        return found
