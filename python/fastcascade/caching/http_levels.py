"""Pages that several processes share: memory (edge), Redis (shield), and the app that makes them (origin).

Where an answer is filed: under a digest of scope, scheme, host and target, and of what the request says in those
headers that answers of the page are chosen by. Which these are is remembered here; for who does not know, there are
`Names` in the place of an answer. So each variant is an entry of its own, and requests for one wait for one another.

Rules, each with a test:

1. A page is served from here only while the levels' memory has its very entry: so what another process has changed,
   purged or invalidated is gone here too, as `Levels` has it. What is kept beside it is how its bytes read.
2. An answer is for whom it was chosen: its own `vary` is looked at too, wherever it was found.
3. What is not to be kept lets all go that wait for it, and for `PASSED` seconds nobody waits there.
4. Who alone may be sent an answer (credentials, where no scope is) waits for nobody, and nobody waits for them.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fastcascade._core import Cache
from fastcascade.caching.http_asked import fits
from fastcascade.caching.http_bytes import Names, read, read_names, written, written_names
from fastcascade.caching.http_headers import selecting
from fastcascade.caching.levels_flights import Lead
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.caching.http_records import Headers, Stored, Token
    from fastcascade.caching.levels import Entry, Levels

__all__ = ["PASSED", "Pages"]

PASSED: Final = 30.0
"""Seconds in which requests pass by that ask for what was not to be kept."""
KNOWN: Final = 10_000
"""Pages whose `Names` are remembered, and answers that stay read."""
MOST_NAMES: Final = 16
MOST_TAGS: Final = 900
NAMES_LAST: Final = 600.0
"""Seconds that `Names` stand at least: they are a hint, and may outlive what they lead to."""
OVERHEAD: Final = 512
TURNS: Final = 4

Key = tuple[str | bytes, ...]


class Pages:
    """Answers in `Levels`; of one event loop.

    Args:
        levels: where.
        keep: seconds past its life that an answer with a validator is of use.
        size: bytes of answers that stay read.
        clocks: seconds of the cache's clock, and since 1970.
    """

    def __init__(
        self, levels: "Levels", keep: float, size: int, clocks: tuple[Callable[[], float], Callable[[], float]]
    ) -> None:
        """Nothing is asked yet."""
        self.levels, self._keep = levels, keep
        self.serial = 0
        self._now, self._wall = clocks
        self._names: Cache[Names] = Cache(KNOWN)
        self._read: Cache[tuple[bytes, Stored | Names | None]] = Cache(KNOWN, size)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling: set[asyncio.Task[object]] = set()
        levels.on_purge(self._forget)

    # Looking.

    def get(self, key: Key, headers: "Headers") -> "tuple[Stored, ...]":
        """What memory has for such a request."""
        base = digest(key)
        for _ in range(TURNS):
            place = self._place(base, headers)
            entry = self.levels.peek(place, stale=True)
            if entry is None:
                self._read.remove(place)
                return ()
            found = self._found(place, entry)
            if not isinstance(found, tuple):
                return () if found is None else (found,)
            if not self._moved(place, base, found, headers):
                return ()
        return ()

    async def ask(
        self, token: "Token", *, joins: bool, fresh: bool, within: float
    ) -> "tuple[str, tuple[Stored, ...] | None]":
        """Look further: at which level something was found, and what. None: nothing is known beyond memory.

        With `joins` others are waited for, and may wait for this: then the token leads, and what there is is past its
        life. With `fresh` what is so is waited for, if another makes it anew.
        """
        await self._begun()
        base = digest(token.key)
        for _ in range(TURNS):
            place = self._place(base, token.headers)
            got = await self.levels.ask(place, within=within if joins else 0.0, fresh=fresh and joins)
            if isinstance(got, Lead):
                if joins:
                    token.lead = got
                else:
                    got.give_up()
                past = None if got.stale is None else self._found(place, got.stale)
                if past is None or isinstance(past, tuple) or not fits(past, token.headers):
                    return "", ()
                return "", (past,)
            if got is None or got.negative:
                break
            found = self._found(place, got)
            if isinstance(found, tuple):
                if self._moved(place, base, found, token.headers):
                    continue
                break
            if found is None or not fits(found, token.headers):
                break
            # What is good for no time at all is never waited for: each asks whether it still holds.
            if not (fresh and joins) or found.fresh_for <= 0 or got.fresh_until > self._wall():
                return got.level, (found,)
        return "", None

    async def _begun(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:
            raise ConfigError("the levels of an HttpCache are of one event loop: make one for each")
        self._loop = loop
        if self.levels.far is not None:
            await self.levels.far.shared.start()

    def _place(self, base: bytes, headers: "Headers") -> bytes:
        names = self._names.get(base)
        return base if names is None else chosen(base, names, headers)

    def _moved(self, place: bytes, base: bytes, names: Names, headers: "Headers") -> bool:
        """Whether what is asked for lies elsewhere, now that answers are known to be chosen by these too."""
        self._learn(base, names)
        return self._place(base, headers) != place

    def _learn(self, base: bytes, names: Names) -> None:
        known = self._names.get(base, ())
        both = tuple(sorted({*known, *names}))
        if both != known and len(both) <= MOST_NAMES:
            self._names.put(base, both)

    def _found(self, place: bytes, entry: "Entry") -> "Stored | Names | None":
        known = self._read.get(place)
        if known is not None and known[0] is entry.meta:
            return known[1]
        if entry.negative:
            return None
        found: Stored | Names | None = read_names(entry.meta)
        if found is None:
            found = read(entry.meta, entry.value, max(0.0, self._wall() - entry.born), self._now())
        self._read.put(place, (entry.meta, found), weight=len(entry.value) + OVERHEAD, tags=entry.tags)
        return found

    # Keeping.

    def put(self, token: "Token", stored: "Stored", now: float) -> bool:
        """Keep an answer behind what is going on; False where it cannot be."""
        lead = token.lead
        left = stored.born + stored.fresh_for - now
        past = max(stored.behind, stored.on_error, self._keep if stored.etag or stored.modified else 0.0)
        token.lead = None
        base = digest(token.key)
        known = self._names.get(base, ())
        names = tuple(sorted({*known, *(name for name, _ in stored.vary)}))
        if left + past <= 0 or len(names) > MOST_NAMES or len(stored.tags) > MOST_TAGS:
            if lead is not None:
                lead.let_go()
            return False
        lives = (max(0.0, left), past + min(0.0, left))
        own = chosen(base, names, token.headers) if names else base
        self._later(self._kept(token, lead, (base, own, names), stored, lives))
        return True

    async def _kept(
        self,
        token: "Token",
        lead: Lead | None,
        where: tuple[bytes, bytes, Names],
        stored: "Stored",
        lives: tuple[float, float],
    ) -> None:
        levels, (base, own, names), (ttl, stale) = self.levels, where, lives
        tags, meta = tags_of(token.key, stored.tags), written(stored, self._now())
        if lead is not None and lead.key == own:
            await lead.put(stored.body, ttl=ttl, stale=stale, tags=tags, meta=meta)
            return
        since = token.since if lead is None else lead.marks
        writes = [levels.put(own, stored.body, ttl=ttl, stale=stale, tags=tags, meta=meta, since=since)]
        if names:
            self._learn(base, names)
            # Whoever waits for the page, or looks for it, learns what to say. Memory has the answer before that.
            hint, last = written_names(names), max(ttl + stale, NAMES_LAST)
            if lead is None or lead.key != base:
                writes.append(levels.put(base, b"", ttl=last, tags=tags[:2], meta=hint))
            if lead is not None:
                writes.append(lead.put(b"", ttl=last, tags=tags[:2], meta=hint))
        elif lead is not None:
            lead.let_go()
        await asyncio.gather(*writes)

    def not_kept(self, token: "Token", status: int) -> None:
        """An answer is not to be kept: those who wait for it go, and others do not wait any more."""
        lead, token.lead = token.lead, None
        if lead is None:
            return
        if status >= 500:
            lead.let_go()
        else:
            self._later(_nothing(lead, tags_of(token.key, ())))

    def drop(self, token: "Token") -> None:
        """Forget one page as this request has it."""
        if token.lead is not None:
            token.lead.let_go()
            token.lead = None
        self._telling_of(self.levels.purge(key=self._place(digest(token.key), token.headers)))

    # Forgetting.

    def strike(self, uri: str) -> None:
        """Forget a page for every scope and host, everywhere."""
        self._telling_of(self.levels.purge(tag=tag_of("uri", uri)))

    async def purge(self, path: str | None, tag: str | None) -> bool:
        """Forget a path, or a tag, or everything, everywhere; whether all were told."""
        await self._begun()
        if path is None and tag is None:
            return (await self.levels.purge(all=True)).everywhere
        named = tag_of("tag", tag) if tag is not None else tag_of("path", path or "")
        return (await self.levels.purge(tag=named)).everywhere

    @property
    def telling(self) -> bool:
        """Whether others are being told of what was forgotten."""
        return bool(self._telling)

    async def told(self) -> None:
        """Come back when they were, or cannot be."""
        if self._telling:
            await asyncio.wait(tuple(self._telling))

    def _telling_of(self, work: "asyncio._CoroutineLike[object]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _later(self, work: "asyncio._CoroutineLike[object]") -> None:
        self.levels.hearing.later(work)  # type: ignore[arg-type]

    def _forget(self, tag: str | None) -> None:
        if tag is None:
            self._read.clear()
        else:
            self._read.invalidate(tag)


async def _nothing(lead: Lead, tags: list[str]) -> None:
    await lead.nothing(PASSED, tags=tags)


def digest(key: Key) -> bytes:
    """What a page is filed under: no two of scope, scheme, host and target come to one text."""
    parts = [each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass") for each in key]
    return hashlib.sha256(b"%d:%d:%d:" % (len(parts[0]), len(parts[1]), len(parts[2])) + b"".join(parts)).digest()


def chosen(base: bytes, names: Names, headers: "Headers") -> bytes:
    """What one of its variants is filed under: by what the request says there."""
    parts = [base]
    for name in names:
        value = selecting(headers, name)
        said = b"-" if value is None else b"%d:%b" % (len(value), value)
        parts.append(b"%d:%b%b" % (len(name), name, said))
    return hashlib.sha256(b"".join(parts)).digest()


def tag_of(kind: str, text: str) -> str:
    """What entries are purged by: addresses are longer than tags may be."""
    return f"{kind} {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def tags_of(key: Key, own: tuple[str, ...]) -> list[str]:
    """Those of a page: its address, its path, and what the app calls it."""
    uri = str(key[-1])
    return [tag_of("uri", uri), tag_of("path", uri.partition("?")[0]), *(tag_of("tag", tag) for tag in own)]
