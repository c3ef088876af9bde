"""The console as one object: from a method, a path, headers and a body to what is sent back.

look      who sends it, by which name, with which cookie; pages of other origins are turned away (console_way)
static    scripts and styles, for everybody: the page on which one logs in has them too
login     a form that works without scripts, or a link that is good for once (console_login)
page      for those who have logged in; it holds nobody's data
api       calls (console_calls): a session, a role that is high enough, and for changes the token against forgery
"""

import asyncio
import hmac
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastcascade import __version__
from fastcascade.console import headers as heads
from fastcascade.console.asked import Person, Refusal, Sight
from fastcascade.console.console_calls import Calls, query_of, refused, written
from fastcascade.console.console_login import Logins, form_of
from fastcascade.console.console_way import Way, Ways
from fastcascade.console.pages import PAGES, Pages
from fastcascade.console.sessions import csrf_of
from fastcascade.errors import StoreError
from fastcascade.notices import notify
from fastcascade.wire.endpoint import Response

if TYPE_CHECKING:
    from fastcascade._core import Clock
    from fastcascade.console.people import People
    from fastcascade.console.sessions import Sessions

__all__ = ["BODY", "Console"]

ROOT: Final = "/console/"
API: Final = "/console/api/"
STATIC: Final = "/console/static/"
LOGIN: Final = "/console/login"
ME: Final = "/console/api/me"
LOGOUT: Final = "/console/api/logout"
BODY: Final = 1024 * 1024
"""Bytes of a body; more is answered with 413."""
LOOKED: Final = 1.0
"""Seconds after which it is looked whether the file of people has changed."""
HTML: Final = ("content-type", "text/html; charset=utf-8")
UNKEPT: Final = ("cache-control", "no-store")
UNSAID: Final = ("referrer-policy", "no-referrer")
SAID_HERE: Final = ("referrer-policy", "same-origin")
"""Of the page with the form alone: without a referrer its origin would be sent as "null"."""

log: Final = logging.getLogger("fastcascade")


class Console:
    """The console of one worker.

    Args:
        sight: what it may look at.
        people: who may see it.
        sessions: who has logged in.
        secure: whether connections are TLS.
        calls: what its API answers; all there is by default.
        clock: what tries to log in are counted by; the system's where none is given.
    """

    def __init__(
        self,
        sight: Sight,
        people: "People",
        sessions: "Sessions",
        *,
        secure: bool,
        calls: Calls | None = None,
        clock: "Clock | None" = None,
    ) -> None:
        """Read the pages and the calls that there are."""
        settings = sight.settings
        plain = settings.console is not None and settings.console.allow_plain
        listening = settings.host if settings.is_local and not plain else ""
        self.sight, self.people, self.sessions = sight, people, sessions
        self.largest = BODY
        self._ways = Ways(secure=secure, listening=listening, proxies=settings.proxies)
        self._pages, self._calls = Pages(), calls or Calls()
        self._logins = Logins(people, sessions, clock)
        self._looked = sight.clock()

    async def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, peer: str
    ) -> Response:
        """Answer one request for "/console" or below. Header names are in lower case; only cancellation is raised."""
        way = self._ways.look(method, path, query, headers, body, peer)
        try:
            response = await self._answered(way)
        except Refusal as refusal:
            response = refused(refusal)
        except StoreError as error:
            notify("store off", "the console", str(error))
            response = refused(Refusal(503, "sessions cannot be looked up now; the gateway's log says why"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is answered
            log.error("console: %s %r failed: %s", method, path[:100], type(error).__name__)  # noqa: TRY400 - by name alone: its words may hold what somebody typed
            response = refused(Refusal(500, "something went wrong here"))
        return _closed(way, response)

    async def aclose(self) -> None:
        """Close what was opened: sessions, and what calls have kept."""
        for name, each in self.sight.kept.items():
            try:
                if hasattr(each, "aclose"):
                    await each.aclose()
                elif hasattr(each, "close"):
                    await asyncio.to_thread(each.close)
            except Exception as error:  # noqa: BLE001 - it ends all the same
                log.warning("console: closing %s failed: %s", name, type(error).__name__)
        self.sight.kept.clear()
        await asyncio.to_thread(self.sessions.close)

    async def _answered(self, way: Way) -> Response:
        path = way.path
        if path.startswith(STATIC):
            self._ways.check(way, page=False)
            return self._static(way, path[len(STATIC) :])
        if path.startswith(API):
            self._ways.check(way, page=False)
            return await self._called(way)
        self._ways.check(way, page=True)
        if path == LOGIN:
            return await self._login(way)
        name = "" if path in (ROOT, ROOT[:-1]) else path[len(ROOT) :]
        if name and name not in PAGES:
            raise Refusal(404, "there is no such page")
        way.demand("GET")
        person = await self._person(way)
        if person is None:
            return _to(f"{LOGIN}?next={name}" if name else LOGIN)
        if not name or (PAGES[name].role == "operator" and person.role != "operator"):
            return _to(_home(person))
        body = self._pages.page(name)
        if body is None:
            raise Refusal(404, "there is no such page")
        return Response(200, [HTML, UNKEPT, UNSAID], body)

    def _static(self, way: Way, name: str) -> Response:
        found = self._pages.static.get(name)
        if found is None:
            raise Refusal(404, "there is no such file")
        way.demand("GET")
        told = [("etag", found.tag), ("cache-control", "no-cache")]
        have = {each.strip().removeprefix("W/") for each in way.headers.get("if-none-match", "").split(",")}
        if found.tag in have or "*" in have:
            return Response(304, told, b"")
        return Response(200, [("content-type", found.kind), *told], found.body)

    # The way in and out.

    async def _login(self, way: Way) -> Response:
        way.demand("GET", "POST")
        asked = query_of(way.query)
        after = asked.get("next", "")
        action = f"{LOGIN}?next={after}" if after in PAGES else LOGIN
        try:
            token = await self._token(way, asked)
        except Refusal as refusal:
            page = self._pages.login(action, problem=refusal.message)
            return Response(refusal.status, [HTML, UNKEPT, SAID_HERE, *refused(refusal).headers[1:]], page)
        if not token:
            return Response(200, [HTML, UNKEPT, SAID_HERE], self._pages.login(action))
        person = self.sessions.known(token)
        response = _to(ROOT if person is None else _home(person, after))
        response.headers.append(heads.set_cookie(token, secure=way.secure))
        return response

    async def _token(self, way: Way, asked: Mapping[str, str]) -> str:
        """The token of a new session; empty where none is asked for. Raises `Refusal`."""
        if way.method == "POST":
            form = form_of(way.body)
            return await self._logins.login(form.get("name", ""), form.get("password", ""), way.peer, way.token)
        if "once" not in asked or way.method == "HEAD":
            return ""
        if way.headers.get("sec-fetch-site", "none").lower() in ("cross-site", "same-site"):
            raise Refusal(403, "a link to log in works where it is typed or opened, not from another page")
        return await self._logins.redeem(asked["once"], way.peer, way.token)

    async def _person(self, way: Way) -> Person | None:
        """Whose session it is."""
        now = self.sight.clock()
        if not 0 <= now - self._looked < LOOKED:
            self._looked = now
            await asyncio.to_thread(self.people.look)
        if not way.token:
            return None
        known = self.sessions.known(way.token)
        return known if known is not None else await asyncio.to_thread(self.sessions.find, way.token)

    # Calls.

    async def _called(self, way: Way) -> Response:
        person = await self._person(way)
        if person is None:
            raise Refusal(401, "log in first")
        if way.method not in heads.SAFE:
            self._unforged(way)
        if len(way.body) > BODY:
            raise Refusal(413, f"the body is larger than {BODY} bytes")
        if way.path == ME:
            way.demand("GET")
            return written(self._me(way, person))
        if way.path == LOGOUT:
            way.demand("POST")
            await asyncio.to_thread(self.sessions.end, way.token)
            response = written({"left": True})
            response.headers.append(heads.dropped_cookie(secure=way.secure))
            return response
        return await self._calls.answer(way.method, way.path, way.query, way.body, person, self.sight)

    def _unforged(self, way: Way) -> None:
        """Whether it was sent by a page of ours, which alone can have the token. Raises `Refusal`."""
        shown = way.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), csrf_of(way.token).encode()):
            raise Refusal(403, "x-csrf-token is wrong or missing: /console/api/me says what it is; load the page anew")

    def _me(self, way: Way, person: Person) -> dict[str, Any]:
        return {
            "name": person.name,
            "role": person.role,
            "csrf": csrf_of(way.token),
            "cascades": list(self.sight.cascades),
            "version": __version__,
        }


def _home(person: Person, after: str = "") -> str:
    """Where a person goes first, or where they wanted to, if that is for them."""
    page = PAGES.get(after)
    if page is not None and person.role in ("operator", page.role):
        return ROOT + after
    return ROOT + ("try" if person.role == "operator" else "reviews")


def _to(path: str) -> Response:
    """Go to a page of ours."""
    return Response(303, [("location", quote(path, safe="/?=")), UNKEPT, UNSAID], b"")


def _closed(way: Way, response: Response) -> Response:
    """With what every answer tells the browser."""
    told = response.headers = [*response.headers, *heads.CLOSED]
    names = {name for name, _ in told}
    if "cache-control" not in names:
        told.append(UNKEPT)
    if "referrer-policy" not in names:
        told.append(UNSAID)
    if way.secure:
        told.append(heads.HSTS)
    if way.method == "HEAD" and response.body:
        told.append(("content-length", str(len(response.body))))
        response.body = b""
    return response
