"""Reviews in Redis or Valkey, for many processes on many machines: `pip install 'fastcascade[redis]'`."""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, cast

import fastcascade.answers  # noqa: F401 - makes requests and replies readable
from fastcascade.backends.clients import PerLoop
from fastcascade.errors import ConfigError, FastcascadeError, StoreError
from fastcascade.messages import Reply
from fastcascade.notices import notify
from fastcascade.records import load
from fastcascade.stores import redis_scripts as scripts
from fastcascade.stores.redis_records import bounded, check, line, paper_of, rank, ranked, same, standing, time
from fastcascade.stores.reviews import Answered, Counts, Review, ReviewState

if TYPE_CHECKING:
    from fastcascade.stores.redis_link import Link

__all__ = ["RedisReviews"]


BATCH: Final = 200
"""Reviews that one script ends or drops, so that the server is not held up for long."""


class RedisReviews:
    """A `ReviewStore` in one Redis, from version 6.2 on, or Valkey, that any number of processes share.

    Hashes hold the reviews, sorted sets the orders in which they are due, and every change is one Lua script, which
    Redis runs whole or not at all: so one review goes to one reviewer, and of all answers one is kept. A Redis Stream,
    `{prefix}:news`, tells of each review that comes in, is given back or ends: `news` sleeps on it, so that reviewers
    and those who wait for an answer are woken in every process and nobody polls. The stream is not the queue, since
    that has no order by due time; it is trimmed, holds tickets and no texts, and nothing is lost with it.

    What `add` and `answer` have returned is as safe as the server makes it: `appendonly yes` and `appendfsync always`
    keep it through a crash of the machine; `everysec`, Redis's own default for the file, may lose the last second, and
    so may a replica that takes over. `maxmemory-policy` has to be `noeviction` or one of the `volatile` ones. The
    server is asked how it is set when it is first used and when it was lost, and once in each of its runs the orders
    are gone over: it may have died in the middle of writing a change.

    Times come from the caller. Where clocks differ, a lease lapses by the clock of whoever claims next: one that is
    ahead by more than what is left of a lease takes the review, and the first reviewer's answer is `lapsed`. Likewise
    with `expire`. No answer is ever kept twice for that.

    In a cluster all keys are in one slot, by the braces around the prefix.

    Args:
        url: `redis://user:password@host:6379/0`, `rediss://...` with TLS, or `unix://...`, to which redis-py's settings
            can be added; or as of `Shared`: `redis+sentinel://host:26379,other/name/0`, `redis+cluster://host,other`.
        prefix: what the names of the keys begin with; one for each queue.
        timeout: seconds for one operation, after which it is a `StoreError`.
        connections: the most that each event loop opens; others wait their turn, within their time.
        durable: what to do about a server that is set to lose reviews: "warn" is a notice, "require" a `StoreError`
            for everything, "trust" is not to ask how it is set.
        client: makes a client of `redis.asyncio` that decodes nothing; the URL is then only a name. It may have retries
            of its own, as the clients for Sentinel and for clusters do.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "fastcascade",
        timeout: float = 5.0,
        connections: int = 16,
        durable: Literal["warn", "require", "trust"] = "warn",
        client: Callable[[], Any] | None = None,
    ) -> None:
        """Check the settings; no connection is made."""
        try:
            from fastcascade.stores.redis_link import Link  # noqa: PLC0415 # loads redis-py
            from fastcascade.stores.redis_ways import factory_of, where_of  # noqa: PLC0415 # likewise
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "redis":
                raise
            raise ConfigError("RedisReviews needs redis-py: pip install 'fastcascade[redis]'") from None
        if not prefix or "{" in prefix or "}" in prefix:
            msg = f"the prefix of Redis's keys cannot be {prefix!r}: it is a text without braces"
            raise ConfigError(msg)
        if not timeout > 0 or connections < 2:
            msg = f"Redis needs a timeout above 0 and 2 connections or more, not {timeout!r} and {connections!r}"
            raise ConfigError(msg)
        if durable not in ("warn", "require", "trust"):
            msg = f'durable is "warn", "require" or "trust", not {durable!r}'
            raise ConfigError(msg)
        self._where = where = where_of(url)
        self.prefix = prefix
        self._durable = durable
        self._checked = False
        made = client or factory_of(url, timeout, connections)
        keys = [f"{{{prefix}}}:{name}".encode("utf-8", "surrogatepass") for name in scripts.KEYS]
        self._links: PerLoop[Link] = PerLoop(lambda: Link(made(), where, keys, timeout), Link.aclose)

    def __repr__(self) -> str:
        """Show where it is, and no password."""
        return f"RedisReviews({self._where!r}, prefix={self.prefix!r})"

    async def add(self, review: Review, /) -> Review:
        """Keep it; one of the same id that is there already is left, and returned."""
        check(review)
        answer = line([review.answer, review.note]) if review.answer is not None or review.note else ""
        given = (review.id, line(paper_of(review)), standing(review), answer)
        return self._known(await self._run(scripts.ADD, *given))

    async def get(self, ticket: str, /) -> Review | None:
        """The review as it stands, without its lease."""
        return self._read(await self._run(scripts.GET, ticket))

    async def claim(self, reviewer: str, now: float, lease: float, ticket: str = "", /) -> Review | None:
        """Hand out the one that is due first and is waiting, or whose lease has lapsed; or that with this ticket."""
        token = secrets.token_urlsafe(24)
        passed: list[str] = []
        while True:
            given = (time(now), time(now + lease), json.dumps(reviewer), token, ticket, *passed)
            found = await self._run(scripts.CLAIM, *given)
            if found is None:
                return None
            try:
                return replace(self._known(found), lease=token)
            except StoreError as error:  # a newer fastcascade may use the queue too, and sees to its own
                passed.append(found[0].decode("utf-8", "surrogatepass"))
                await self._run(scripts.RELEASE, passed[-1], token, "quietly")
                notify("review", f"redis at {self._where}", str(error))

    async def renew(self, ticket: str, lease: str, until: float, /) -> bool:
        """Hold it longer. False if it is not held under this lease any more."""
        return bool(await self._run(scripts.RENEW, ticket, lease, time(until)))

    async def release(self, ticket: str, lease: str, /) -> bool:
        """Give it back unanswered. False if it is not held under this lease any more."""
        return bool(await self._run(scripts.RELEASE, ticket, lease, ""))

    async def answer(self, ticket: str, lease: str, reply: Reply, now: float, note: str = "", /) -> Answered:
        """Keep the answer, if the lease still holds it: also after it lapsed, as long as nobody else has claimed it."""
        words = line([reply, note])
        came, kept = await self._run(scripts.ANSWER, ticket, lease, words, time(now))
        if came == b"again" and not same(self._json(kept), json.loads(words)):
            return "taken"
        return cast("Answered", came.decode())

    async def expire(self, now: float, /) -> list[Review]:
        """End those that are due and not answered; of those claimed, only once their lease has lapsed."""
        ended: list[Review] = []
        while True:
            found = await self._run(scripts.EXPIRE, time(now), f"({rank(now)}g", BATCH)
            ended += self._readable(found)
            if len(found) < BATCH:
                return ended

    async def listed(self, state: ReviewState | None = None, after: str = "", limit: int = 100, /) -> list[Review]:
        """A page of reviews, oldest first, those after this ticket."""
        found = await self._run(scripts.LISTED, state or "all", after, bounded(limit))
        return [self._known(each) for each in found]

    async def counts(self) -> Counts:
        """How much there is."""
        waiting, claimed, answered, expired, uncalled, first = await self._run(scripts.COUNTS)
        oldest = None if first is None else ranked(first[:16].decode())
        return Counts(waiting, claimed, answered, expired, oldest, uncalled)

    async def due_callbacks(self, now: float, lease: float, limit: int = 10, /) -> list[Review]:
        """Ended reviews whose callback is to be made now; nobody else is offered them for `lease` seconds."""
        found = await self._run(scripts.CALLS, time(now), time(now + lease), bounded(limit))
        return list(self._readable(found))

    async def called_back(self, ticket: str, taken: bool, again: float | None, /) -> None:  # noqa: FBT001
        """Note how a callback went: taken, or when to try again; None is never."""
        when = "" if taken or again is None else time(again)
        await self._run(scripts.CALLED, ticket, int(taken), when)

    async def purge(self, before: float, /) -> int:
        """Drop what ended before then and needs no callback; how many."""
        dropped = 0
        while True:
            some = int(await self._run(scripts.PURGE, time(before), BATCH))
            dropped += some
            if some < BATCH:
                return dropped

    async def news(self, after: str = "", seconds: float = 10.0, /) -> str:
        """Sleep until a review has come in, was given back, was answered or has expired; at most so long.

        Comes to a mark, to be handed in the next time; the first call, without one, comes back at once. Take the mark
        before looking, so that nothing slips between:

            mark = await store.news()
            while (review := await store.claim("ann", time(), 600.0)) is None:
                mark = await store.news(mark, 10.0)

        Whoever waits for one ticket calls `get` in place of `claim`. A lease that lapses is no news: `seconds` is also
        how late a lapsed review is found. All who wait in one event loop share one connection.
        """
        return await (await self._link()).after(after, seconds)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._links.aclose()

    async def _run(self, script: scripts.Script, *args: str | int) -> Any:
        return await (await self._link()).run(script, *args)

    async def _link(self) -> "Link":
        link = self._links.get()
        if not self._checked or link.lost:
            async with link.checking:
                if not self._checked or link.lost:
                    await self._check(link)
        return link

    async def _check(self, link: "Link") -> None:
        risk = "" if self._durable == "trust" else await link.risk()
        if risk and self._durable == "require":
            msg = f"redis at {self._where} may lose reviews: {risk}"
            raise StoreError(msg)
        link.lost = False  # before the mending: the server may be lost again on the way
        if mended := await self._mended(link):
            what = f"{mended} entries were put right: the server died in the middle of writing"
            notify("at risk", f"redis at {self._where}", what)
        self._checked = True
        if risk:
            notify("at risk", f"redis at {self._where}", f"reviews may be lost: {risk}")

    async def _mended(self, link: "Link") -> int:
        try:
            return await link.mend()
        except StoreError:
            link.lost = True
            raise

    def _json(self, text: bytes) -> Any:
        try:
            return json.loads(text.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError, AttributeError):
            self._damaged()

    def _damaged(self) -> NoReturn:
        msg = f"redis at {self._where} holds a review that cannot be read, under the prefix {self.prefix!r}"
        raise StoreError(msg) from None

    def _known(self, found: Any) -> Review:
        review = self._read(found)
        return review if review is not None else self._damaged()

    def _readable(self, found: Iterable[Any]) -> Iterator[Review]:
        """Pass over what cannot be read: it is done for all that, as for one whose caller has just died."""
        for each in found:
            try:
                yield self._known(each)
            except StoreError as error:
                notify("review", f"redis at {self._where}", str(error))

    def _read(self, found: Any) -> Review | None:
        _, paper, state, answer = found
        if state is None:
            return None
        if paper is None:
            self._damaged()
        at = self._json(state)
        submitted: Review = self._loaded(paper)
        answered = (None, "") if answer is None else self._loaded(answer)
        try:
            reply, note = answered
            return replace(
                submitted,
                state=at["state"],
                reviewer=json.loads(at["reviewer"]) if "reviewer" in at else "",
                leased_until=float(at["till"]) if "till" in at else None,
                claims=int(at["claims"]),
                answer=reply,
                note=note,
                ended=float(at["ended"]) if "ended" in at else None,
                called=bool(at["called"]),
                calls=int(at["calls"]),
            )
        except (ValueError, TypeError, LookupError):
            self._damaged()

    def _loaded(self, text: bytes) -> Any:
        try:
            return load(self._json(text))
        except (FastcascadeError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            self._damaged()
