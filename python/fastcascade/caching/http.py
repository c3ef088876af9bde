"""HTTP caching as RFC 9111 has it, for a shared cache that sits inside the origin: it decides and keeps, without I/O.

Rules, each with a test:

1. A kept answer never crosses identities: `scope` is in the key. What is kept on a guess (`ttl`), with nobody's scope,
   was asked for without a cookie, and is sent only to who comes without credentials.
2. Answers with Set-Cookie are not kept, unless the operator says so.
3. What was asked for before its page was invalidated or purged is not kept after it.
4. All variants of a page are one entry of the store, newest first and bounded; changing one is read, change, write
   under a lock, finding one takes no lock.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fastcascade._core import Cache, Clock
from fastcascade.caching.http_asked import WATCHED, answer, asked, conditions, fits, judge, past, plain
from fastcascade.caching.http_headers import Directives, etag_in, field, lowered, seconds
from fastcascade.caching.http_records import Found, Headers, Kind, Served, Stored, Token
from fastcascade.caching.http_rules import Moment, Rules, gathered, kept_headers, merged
from fastcascade.caching.http_said import Said, age, touched
from fastcascade.caching.http_shelf import Leaders, Shelf
from fastcascade.errors import ConfigError

if TYPE_CHECKING:
    from fastcascade.caching import http_levels
    from fastcascade.caching.levels import Levels

__all__ = ["HttpCache"]

_FAILURES = frozenset({500, 502, 503, 504})
_METHODS = frozenset({"GET", "HEAD"})
_SPENT = Token("GET", (b"", b"", b"", ""), (), 0.0, 0)
WITHIN: Final = 30.0
"""Seconds that a request waits for another's answer before it asks for itself."""


class HttpCache:
    """A shared cache in front of one's own app (RFC 9111), without I/O; safe in threads.

    The way of a request: `find`. Then, for miss, validate and bypass, and behind a stale answer, the app is asked. When
    the head of its answer is there: a 304 to a validate goes to `freshened`; a failure to `failed` (None: pass the
    app's own on); else `passed` gives the headers to send on, and says whether the body is wanted. When that is
    whole: `store`. After any unsafe method: `invalidated`. Names of headers are in lower case throughout.

    Requests for one key at one time are not joined here, which takes waiting; `lead` and `release` say who goes.

    With `levels` pages are kept there, and shared with whoever shares them: after any `find` but a hit, `further` looks
    further, and waits for whoever is asking already. It says what to do then, as `find` does. Such a cache is of the
    levels' event loop, and of no other thread; `purged` is its `purge`.
    """

    def __init__(  # noqa: PLR0913 - the settings, each named
        self,
        cache: Cache[tuple[Stored, ...]] | None = None,
        *,
        levels: "Levels | None" = None,
        ttl: float | None = None,
        negative: float | None = None,
        max_body: int = 1 << 20,
        max_bytes: int = 64 << 20,
        vary_on: Sequence[str] = (),
        methods: Sequence[str] = ("GET", "HEAD"),
        clock: Clock | None = None,
        key_query: bool = True,
        private: bool = False,
        keep_cookies: bool = False,
        obey_client: bool = True,
        stale_while_revalidate: float = 0.0,
        stale_if_error: float = 0.0,
        keep_stale: float = 3600.0,
        max_variants: int = 16,
        name: str = "fastcascade",
    ) -> None:
        """Settings.

        Args:
            cache: where to keep answers; it must have no other use. By default one of `max_bytes`.
            levels: where to keep them instead, for all processes that share these; `memory` of theirs counts then.
            ttl: how long an answer is fresh that says nothing of it, in seconds; None: it is not kept.
            negative: the same for a status from 400 on, 404 and 410 above all; 0: not kept. None: as `ttl`.
            max_body: longer bodies are not kept.
            max_bytes: what all answers together may weigh.
            vary_on: request headers the app chooses by and does not name in Vary.
            methods: those that may be answered from here, of GET and HEAD.
            clock: for tests; it counts as seconds since 1970 too.
            key_query: False if the app ignores the query.
            private: keep what is marked `private` too, where there is a scope.
            keep_cookies: keep answers with Set-Cookie, cookies and all.
            obey_client: False: a client's Cache-Control and Pragma do not count (RFC 9111 lets them be advice).
            stale_while_revalidate: assumed where the app does not say and does not forbid it.
            stale_if_error: likewise.
            keep_stale: how long past its life an answer with a validator is kept, to be validated.
            max_variants: of one page for one scope; the oldest go. In levels they are entries like any other.
            name: who speaks in Cache-Status; empty: nothing is said.
        """
        _check(ttl=ttl, negative=negative, max_body=max_body, max_bytes=max_bytes, keep_stale=keep_stale)
        _check(stale_while_revalidate=stale_while_revalidate, stale_if_error=stale_if_error)
        if wrong := sorted(set(methods) - _METHODS):
            raise ConfigError(f"method {wrong[0]!r} cannot be answered from the cache: take GET and HEAD")
        if max_variants < 1:
            raise ConfigError(f"max_variants is {max_variants}: a page has at least one")
        if "*" in vary_on:
            raise ConfigError("vary_on names '*', which matches no request: name the headers")
        named = tuple(header.lower().encode("latin-1") for header in vary_on)
        self.max_body = max_body
        self._rules = Rules(ttl, max_body, named, private, keep_cookies, stale_while_revalidate, stale_if_error)
        self._rules = replace(self._rules, negative=negative)
        self._shelf: Shelf | http_levels.Pages
        self._shelf = shelf = Shelf(cache, max_bytes, max_variants, keep_stale, clock)
        self._get = shelf.cache.get
        self._methods, self._key_query, self._obey = frozenset(methods), key_query, obey_client
        self._now = time.monotonic if clock is None else clock.now
        self._wall = time.time if clock is None else clock.now
        self._said = Said(name)
        self._leaders = Leaders()
        self.levels = levels
        self._pages: http_levels.Pages | None = None
        if levels is not None:
            if cache is not None:
                raise ConfigError("both a cache and levels are given: answers are kept in one of them")
            from fastcascade.caching.http_levels import Pages  # noqa: PLC0415 - asyncio, for those who share

            self._shelf = self._pages = Pages(levels, keep_stale, max_bytes, (self._now, self._wall))

    def guarded_by(self, names: Iterable[str]) -> None:
        """Name further request headers in which credentials are, beside Authorization and Cookie."""
        named = (name.lower().encode("latin-1") for name in names)
        self._rules = replace(self._rules, secrets=tuple(dict.fromkeys((*self._rules.secrets, *named))))

    def find(
        self,
        method: str,
        target: str,
        headers: Headers,
        scope: str | bytes = b"",
        *,
        scheme: str = "http",
        host: str | bytes = b"",
    ) -> Found:
        """What to do with a request.

        `target` is the raw path with its query; `scope` the verified identity, where answers differ by it (empty:
        they are anybody's); `host` is taken from the request's own header unless it is given.
        """
        watched: dict[bytes, list[bytes]] = {}
        said_host = b""
        for name, value in headers:
            if name in WATCHED:
                watched.setdefault(name, []).append(value)
            elif name == b"host":
                # All of several: which one an app believes is not for a cache to guess.
                said_host = said_host + b"," + value if said_host else value
        if not self._key_query:
            target = target.partition("?")[0]
        key = (scope or b"", scheme, (host or said_host).lower(), target)
        now = self._now()
        if not watched and method in self._methods:
            # The way of most requests: nothing is asked, so nothing is parsed.
            for stored in (self._get(key) if self._pages is None else self._pages.get(key, headers)) or ():
                if stored.vary and not fits(stored, headers):
                    continue
                old = now - stored.born
                if old < stored.fresh_for:
                    return Found("hit", plain(stored, method, self._said.hit(stored, old)), (), _SPENT)
                break
        token = Token(method, key, headers, now, self._shelf.serial)
        return self._asked(token, watched)

    def _asked(self, token: Token, watched: dict[bytes, list[bytes]]) -> Found:
        """A request that is not plainly a hit."""
        if self.levels is not None:
            token.since = self.levels.seen
        said: Directives = asked(watched) if self._obey else {}
        if token.method not in self._methods:
            token.why = b"method"
            return Found("bypass", None, (), token)
        kind: Kind = "miss"
        if b"no-store" in said:
            kind, token.why = "bypass", b"request"
        elif past(watched):
            kind, token.why = "bypass", b"bypass"
        else:
            # A HEAD brings no body to keep.
            token.keep = token.method == "GET"
            found = self._seek(token, watched, said)
            if isinstance(found, Found):
                return found
            kind = found
        if b"only-if-cached" in said:
            return Found("gateway timeout", self._said.not_here(), (), token if self._pages is not None else _SPENT)
        known = conditions(token.stored) if kind == "validate" and token.stored else ()
        return Found(kind, None, known, token)

    def _seek(self, token: Token, watched: dict[bytes, list[bytes]], said: Directives) -> Found | Kind:
        """The newest answer chosen by what this request says; or what to do without."""
        variants = token.variants
        if variants is None:
            variants = self._get(token.key) if self._pages is None else self._pages.get(token.key, token.headers)
        if not variants:
            return "miss"
        stored = next((one for one in variants if fits(one, token.headers)), None)
        if stored is None:
            token.why = b"vary-miss"
            return "miss"
        old = token.asked_at - stored.born
        kind = judge(stored, old, said)
        validates = token.keep and bool(stored.etag or stored.modified)
        if kind != "hit":
            token.stored = stored
            token.why = b"stale" if old >= stored.fresh_for else b"request"
            # What a HEAD brings takes no stale answer's place, so it is sent none.
            if kind == "validate" or not token.keep:
                return "validate" if validates else "miss"
        served = answer(stored, token.method, self._said.found(token, stored, old), watched, self._wall())
        if kind == "hit":
            return Found("hit", served, (), _SPENT)
        return Found("stale", served, conditions(stored) if validates else (), token)

    async def further(self, found: Found, *, within: float = WITHIN) -> Found:
        """What there is to do once levels were asked too, of which `find` knows memory alone; else the same again.

        It waits for whoever is asking the app for the same already, here or elsewhere, for `within` seconds at most;
        not for an answer that may be sent stale. Without levels, and after a hit, it does nothing.
        """
        pages, token = self._pages, found.token
        if pages is None or token is _SPENT or found.kind == "bypass":
            return found
        stored = token.stored
        if stored is not None and found.kind == "validate" and self._now() - stored.born < stored.fresh_for:
            return found  # the client wants a newer one than all others do
        stale = found.kind == "stale"
        joins = token.keep and found.kind != "gateway timeout" and not self._rules.for_one(token)
        level, variants = await pages.ask(token, joins=joins, fresh=not stale, within=0.0 if stale else within)
        again = Token(token.method, token.key, token.headers, self._now(), 0)
        again.level, again.variants, lead, token.lead = level, variants, token.lead, None
        found = self._asked(again, _watched(token.headers))
        if lead is not None and found.token is not _SPENT:
            found.token.lead = lead
        return found

    def passed(self, token: Token, status: int, headers: Headers) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
        """The head of the app's answer: the headers to send on, and whether `store` wants the body.

        If not, send the body on as it comes, without a copy. The headers say `stored` where it is wanted.
        """
        kept = self._rules.draft(token, status, headers, None, Moment(self._now(), self._wall())) is not None
        if not kept:
            self._shelf.not_kept(token, status)
        return (*headers, *self._said.forwarded(token, status, kept=kept)), kept

    def store(self, token: Token, status: int, headers: Headers, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Keep the app's whole answer if that is allowed; the headers to send on, if they are not sent yet.

        `headers` are the app's own, not those of `passed`. A body that was cut short must not come here.
        """
        at = Moment(self._now(), self._wall())
        stored = self._rules.draft(token, status, headers, body, at)
        kept = stored is not None and self._shelf.put(token, stored, at.now)
        return (*headers, *self._said.forwarded(token, status, kept=kept))

    def freshened(self, token: Token, headers: Headers) -> Served:
        """The app said 304 to our conditions: the kept answer with its new headers, or a 304 to who has it already."""
        stored = token.stored
        if stored is None or not token.keep or not (stored.etag or stored.modified):
            raise ValueError("nothing was to be validated: pass the app's 304 on")
        at = Moment(self._now(), self._wall())
        headers = lowered(headers)
        etag = next(iter(field(headers, b"etag")), b"")
        # A 304 that names another tag speaks of another answer, and may not freshen this one (4.3.4).
        same = not etag or not stored.etag or etag_in(stored.etag, [etag])
        now_said = merged(stored, headers)
        fresh = self._rules.draft(token, stored.status, now_said, stored.body, at) if same else None
        kept = fresh is not None and self._shelf.put(token, fresh, at.now)
        if not kept:
            self._shelf.drop(token)
        if fresh is None:
            as_said = kept_headers(stored.status, now_said, stored.body, gathered(now_said)) if same else stored.headers
            fresh = replace(stored, headers=as_said, born=at.now)
        # Cookies on a 304 are this client's own.
        cookies = tuple(pair for pair in headers if pair[0] == b"set-cookie")
        extra = (age(at.now - fresh.born), *self._said.forwarded(token, 304, kept=kept), *cookies)
        return answer(fresh, token.method, extra, _watched(token.headers), at.wall)

    def failed(self, token: Token, status: int | None) -> Served | None:
        """The app raised (None), or answered `status`: what may stand in for it (stale-if-error), or None."""
        stored = token.stored
        if status is None or status in _FAILURES:
            self.let_go(token)
        if stored is None or (status is not None and status not in _FAILURES):
            return None
        watched, now = _watched(token.headers), self._now()
        window = stored.on_error
        if self._obey and not stored.strict:
            window = max(window, seconds(asked(watched).get(b"stale-if-error")) or 0)
        old = now - stored.born
        if not window or old >= stored.fresh_for + window:
            return None
        extra = (age(old), *self._said.forwarded(token, status, kept=False, detail=b"stale-if-error"))
        return answer(stored, token.method, extra, watched, self._wall())

    def invalidated(
        self,
        method: str,
        target: str,
        status: int,
        headers: Headers,
        *,
        scheme: str = "http",
        host: str | bytes = b"",
    ) -> None:
        """Tell of any answer that went out: one to an unsafe method that is no error makes its pages forgotten (4.4).

        Besides the target, for every scope and host, those are the answer's Location and Content-Location where
        they are of the same origin, which takes `host` if they are written in full.
        """
        own = host.decode("latin-1") if isinstance(host, bytes) else host
        for page in touched(method, target, status, lowered(headers), (scheme, own)):
            self._shelf.strike(page if self._key_query else page.partition("?")[0])

    @property
    def telling(self) -> bool:
        """Whether others are being told what was invalidated; see `told`."""
        return self._pages is not None and self._pages.telling

    async def told(self) -> None:
        """Come back when all who share the levels were told what was invalidated, or they cannot be for now.

        Awaited before the answer to an unsafe method goes out, its client finds the change wherever it asks next.
        """
        if self._pages is not None:
            await self._pages.told()

    def purge(self, path: str | None = None, *, tag: str | None = None) -> int:
        """Forget a path (as requests write it; every query, host and scope), or a tag, or everything; how many entries.

        Tags are what the app says in Cache-Tag or Surrogate-Key.
        """
        if path is not None and tag is not None:
            raise ValueError("both a path and a tag are given: purge one, then the other")
        shelf = self._shelf
        if not isinstance(shelf, Shelf):
            raise ValueError("these pages are shared with others: await purged()")  # noqa: TRY004 - of this cache
        return shelf.purge(f"path {path}" if path is not None else None if tag is None else f"tag {tag}")

    async def purged(self, path: str | None = None, *, tag: str | None = None) -> bool:
        """What `purge` does, in all levels of all processes; whether all were told, which needs Redis to be there.

        If it is not, it is done here, and told when it is back.
        """
        if self._pages is None:
            self.purge(path, tag=tag)
            return True
        if path is not None and tag is not None:
            raise ValueError("both a path and a tag are given: purge one, then the other")
        return await self._pages.purge(path, tag)

    def lead(self, token: Token, seconds: float = 30.0) -> bool:
        """Whether this request is the one to ask the app for its key: yes until `release`, or the time is over.

        With levels `further` has said so: the answer is the same for all processes.
        """
        if self._pages is not None:
            return token.lead is not None
        return self._leaders.lead(token.key, self._now(), seconds)

    def release(self, token: Token) -> None:
        """The leader is done, however it ended; if it brought nothing, the next of those that wait goes."""
        if token.lead is not None:
            token.lead.give_up()
            token.lead = None
        self._leaders.release(token.key)

    def let_go(self, token: Token) -> None:
        """Nothing is going to be stored: all that wait for it go by themselves."""
        if token.lead is not None:
            token.lead.let_go()
            token.lead = None


def _watched(headers: Headers) -> dict[bytes, list[bytes]]:
    return {name: found for name in WATCHED if (found := field(headers, name))}


def _check(**settings: float | None) -> None:
    for name, value in settings.items():
        if value is not None and not 0 <= value < math.inf:
            raise ConfigError(f"{name} is {value}: take a number from 0 on")
