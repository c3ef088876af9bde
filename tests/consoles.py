"""What tests of the console share: a site with two people, workers on the same files, and a browser's cookies."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastcascade import Clock
from fastcascade.console.asked import Asked, Call, Refusal, Said, Sight
from fastcascade.console.console import Console
from fastcascade.console.console_calls import Calls
from fastcascade.console.people import People
from fastcascade.console.people_file import PeopleFile
from fastcascade.console.people_record import Cost
from fastcascade.console.sessions import Sessions
from fastcascade.errors import ConfigError, RequestError, StoreError
from fastcascade.gateway.settings import Settings
from fastcascade.gateway.settings_seen import ConsoleSettings
from fastcascade.wire.endpoint import Response

__all__ = ["CALLS", "CHEAP", "HOST", "NOW", "Site", "Visitor", "told"]

CHEAP = Cost(1024, 8, 1)
"""So that a test need not wait for a hash."""
HOST = "127.0.0.1:8080"
NOW = 1_800_000_000.0


async def _echo(asked: Asked) -> Said:
    return Said(value={"body": asked.body, "query": dict(asked.query), "name": asked.person.name, "rest": asked.rest})


async def _fails(asked: Asked) -> Said:
    errors: dict[str, Exception] = {
        "bug": ValueError("what somebody typed"),
        "config": ConfigError("a threshold is at most 1"),
        "request": RequestError("there is no such decision"),
        "store": StoreError("reviews.db: it is locked"),
        "refusal": Refusal(409, "somebody else has it"),
    }
    raise errors[asked.rest]


async def _nan(_asked: Asked) -> Said:
    return Said(value={"mean": float("nan"), "n": [1.5, float("inf")]})


async def _picture(_asked: Asked) -> Said:
    return Said(kind="image/svg+xml", raw=b"<svg/>")


CALLS: Mapping[tuple[str, str], Call] = {
    ("GET", "/console/api/echo"): Call(_echo),
    ("POST", "/console/api/echo"): Call(_echo),
    ("GET", "/console/api/desk"): Call(_echo, role="reviewer"),
    ("POST", "/console/api/desk/*"): Call(_echo, role="reviewer"),
    ("GET", "/console/api/fails/*"): Call(_fails),
    ("GET", "/console/api/nan"): Call(_nan),
    ("GET", "/console/api/picture"): Call(_picture),
}


@dataclass
class Site:
    """A folder with a file of people and one of sessions; each `console` is one worker on it."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    hours: float = 12.0
    secrets: dict[str, str] = field(default_factory=dict)
    consoles: list[Console] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let two people in."""
        self.file = PeopleFile(self.folder / "console.json", cost=CHEAP)
        self.secrets["ada"] = self.file.add("ada")[1]
        self.secrets["rex"] = self.file.add("rex", "reviewer")[1]

    def now(self) -> float:
        return NOW + self.clock.now()

    def console(self, *, secure: bool = False, **settings: Any) -> Console:
        people = People(self.file)
        sessions = Sessions(self.folder / "console.db", people, hours=self.hours, now=self.now)
        given = Settings(**{"console": ConsoleSettings(), **settings})
        sight = Sight({}, given, self.folder, clock=self.clock.now, now=self.now)
        made = Console(sight, people, sessions, secure=secure, calls=Calls([CALLS]), clock=self.clock)
        self.consoles.append(made)
        return made

    def visitor(self, console: Console | None = None, **more: Any) -> "Visitor":
        """Somebody; where no worker is named, of the first one there is."""
        return Visitor(self, console or (self.consoles[0] if self.consoles else self.console()), **more)

    def close(self) -> None:
        async def close() -> None:
            for each in self.consoles:
                await each.aclose()

        asyncio.run(close())


@dataclass
class Visitor:
    """Somebody with a browser, which keeps the cookie and says where a request comes from."""

    site: Site
    console: Console
    peer: str = "192.0.2.7:4711"
    host: str = HOST
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=lambda: {"sec-fetch-site": "same-origin"})

    async def ask(
        self, method: str, path: str, body: bytes | Any = b"", headers: Mapping[str, str | None] | None = None
    ) -> Response:
        """A request; headers that are None are left out."""
        path, _, query = path.partition("?")
        sent: dict[str, str | None] = {"host": self.host, **self.headers}
        if self.cookie:
            sent["cookie"] = self.cookie
        if self.csrf and method not in ("GET", "HEAD"):
            sent["x-csrf-token"] = self.csrf
        sent |= headers or {}
        given = {name: value for name, value in sent.items() if value is not None}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self.console.handle(method, path, query, given, raw, self.peer)
        for name, value in response.headers:
            if name == "set-cookie":
                pair = value.split(";")[0]
                self.cookie = "" if pair.endswith("=") else pair
        return response

    async def get(self, path: str, **headers: str | None) -> Response:
        return await self.ask("GET", path, b"", {name.replace("_", "-"): each for name, each in headers.items()})

    async def login(
        self, name: str = "ada", password: str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Response:
        """Fill in the form, and where that is right learn the token against forgery."""
        typed = self.site.secrets.get(name, "") if password is None else password
        form = urlencode({"name": name, "password": typed}).encode()
        response = await self.ask("POST", "/console/login", form, headers)
        if response.status == 303:
            self.csrf = json.loads((await self.ask("GET", "/console/api/me", b"", headers)).body or b"{}")["csrf"]
        return response


def told(response: Response, name: str) -> str:
    """A header of a response that is there once; empty where it is not."""
    found = [value for each, value in response.headers if each == name]
    assert len(found) <= 1, found
    return found[0] if found else ""
