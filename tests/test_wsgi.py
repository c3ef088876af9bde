"""`WsgiMiddleware` around a WSGI app, between two validators of the protocol."""

import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Clock, ConfigError, KeyRing, Quota, RateLimiter, Route
from fastcascade.caching.http import HttpCache
from fastcascade.guards import Call, Ending, WsgiProceed
from fastcascade.wsgi import WsgiMiddleware

ANN, BOB = "ann-" + "a" * 40, "bob-" + "b" * 40
PLAIN = [("Content-Type", "text/plain")]
CACHED = [*PLAIN, ("Cache-Control", "public, max-age=60")]
FLEETING = [*PLAIN, ("Cache-Control", "public, max-age=10, stale-while-revalidate=60, stale-if-error=600")]


@dataclass
class Seen:
    """What a client has been sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def environ_of(path: str = "/", method: str = "GET", headers: Any = (), **more: Any) -> dict[str, Any]:
    """The environ of a request."""
    environ: dict[str, Any] = {}
    path, _, query = path.partition("?")
    setup_testing_defaults(environ)
    environ |= {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method, "REMOTE_ADDR": "198.51.100.7"}
    environ |= {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers}
    environ.pop("CONTENT_TYPE", None)
    return environ | more


def ask(app: Any, path: str = "/", method: str = "GET", headers: Any = (), **more: Any) -> Seen:
    """One request, with the protocol asserted on both sides of the app that is asked."""
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        assert not head or exc_info
        head[:] = [status, headers]
        return written.append

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = validator(app)(environ_of(path, method, headers, **more), start_response)
        try:
            body = b"".join(list(result))
        finally:
            result.close()  # type: ignore[attr-defined]
    found = Seen(int(head[0][:3]), {name.lower(): value for name, value in head[1]}, b"".join(written) + body)
    if "content-length" in found.headers and method != "HEAD" and found.status != 304:
        assert int(found.headers["content-length"]) == len(found.body)
    return found


def says(*pieces: bytes, status: str = "200 OK", headers: Any = PLAIN, asked: list[Any] | None = None) -> Any:
    """An app that says this, and notes the environs it was asked with."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        if asked is not None:
            asked.append(environ)
        start_response(status, list(headers))
        yield from pieces

    return validator(app)


@pytest.fixture
def keys() -> KeyRing:
    """Two identities."""
    ring = KeyRing()
    ring.add(ANN, "ann", ["read"])
    ring.add(BOB, "bob")
    return ring


def key(secret: str) -> tuple[tuple[str, str], ...]:
    """A request's credential."""
    return (("authorization", f"Bearer {secret}"),)


def test_guards_answer_as_under_asgi(keys: KeyRing) -> None:
    """401, 403, 404, 405 and 429 come with their headers, and the app is not asked."""
    asked: list[Any] = []
    clock = Clock()
    routes = [Route("GET /x", 1, scopes=["read"]), Route("/open", 2, public=True)]
    limit = RateLimiter(Quota(1, "minute"), clock=clock)
    app = WsgiMiddleware(says(b"ok", asked=asked), keys=keys, router=routes, strict=True, limit=limit)
    assert ask(app, "/x").headers["www-authenticate"] == 'Bearer realm="api"'
    assert ask(app, "/x", headers=key("no")).status == 401
    assert ask(app, "/x", headers=key(BOB)).status == 403
    assert ask(app, "/y", headers=key(ANN)).status == 404
    assert "GET" in ask(app, "/x", "POST", headers=key(ANN)).headers["allow"]
    assert ask(app, "/x/../y").status == 400 and ask(app, "/\xff").status == 400
    assert not asked
    assert ask(app, "/x", headers=key(ANN)).body == b"ok" and asked[0]["fastcascade.call"].identity.name == "ann"
    assert ask(app, "/x", headers=key(ANN)).headers["retry-after"] == "60"


def test_cached_answers_never_cross_identities(keys: KeyRing) -> None:
    """What ann was answered is found by ann alone, and what a route declares public by all."""
    asked: list[Any] = []
    routes = [Route("/news", 1, public=True), Route("/mine", 2)]
    app = WsgiMiddleware(says(b"x", headers=CACHED, asked=asked), keys=keys, cache=True, router=routes)
    for path in ("/news", "/mine"):
        for who in (ANN, BOB, ANN):
            assert ask(app, path, headers=(("x-api-key", who),)).body == b"x"
    assert [environ["PATH_INFO"] for environ in asked] == ["/news", "/mine", "/mine"]
    assert ask(app, "/mine").status == 401


def test_pieces_go_out_one_by_one() -> None:
    """A stream stays one: nothing is read ahead but the first piece, and `close` reaches the app's iterable."""
    made: list[int] = []
    closed: list[bool] = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(3):
                made.append(number)
                yield b"%d" % number

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", CACHED)
        return Pieces()

    around = WsgiMiddleware(app, cache=True, log=True, fallback="sorry")
    result = iter(around(environ_of(), lambda *_: len))
    assert made == [0]
    assert [(next(result), len(made)) for _ in range(3)] == [(b"0", 1), (b"1", 2), (b"2", 3)]
    result.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert ask(around).body == b"012" and len(made) == 6  # given up before its end, so it was not kept
    assert ask(around).body == b"012" and len(made) == 6


def test_the_file_wrapper_is_the_servers() -> None:
    """A file that the app wraps is given to the server as that very object."""
    files: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [*CACHED, ("Content-Length", "4")])
        files.append(environ["wsgi.file_wrapper"](io.BytesIO(b"file")))
        return files[0]

    around = WsgiMiddleware(app, cache=True, log=True, fallback="sorry")
    environ = environ_of() | {"wsgi.file_wrapper": FileWrapper}
    assert around(environ, lambda *_: len) is files[0]


def test_the_write_callable_works() -> None:
    """What is written goes out before what is returned, and is kept with it."""
    asked: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        asked.append(environ)
        write = start_response("200 OK", CACHED)
        write(b"written ")
        return [b"returned"]

    around = WsgiMiddleware(app, cache=True, log=True)
    assert [ask(around).body for _ in range(2)] == [b"written returned"] * 2 and len(asked) == 1


def test_stale_answers_are_fetched_anew_behind() -> None:
    """Within stale-while-revalidate the old answer goes out at once, and a thread renews it."""
    clock, renewed = Clock(), threading.Event()
    asked: list[int] = []

    class Numbered(list[bytes]):
        def close(self) -> None:
            if len(asked) == 2:
                renewed.set()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        asked.append(1)
        start_response("200 OK", FLEETING)
        return Numbered([b"%d" % len(asked)])

    around = WsgiMiddleware(app, cache=HttpCache(clock=clock))
    assert ask(around).body == b"1"
    clock.advance(20)
    assert ask(around).body == b"1" and renewed.wait(10)
    assert ask(around).body == b"2" and len(asked) == 2


@pytest.mark.parametrize("how", ["raises", "raises late", "says 500"])
def test_failures_are_stood_in_for(how: str) -> None:
    """An app that fails before its first piece is stood in for by a stale answer, then by the fallback."""
    clock, works = Clock(), True

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        if not works and how == "raises":
            raise ZeroDivisionError
        start_response("200 OK" if works or how != "says 500" else "500 Oh", FLEETING)
        if not works and how == "raises late":
            raise ZeroDivisionError
        yield b"x"

    around = WsgiMiddleware(app, cache=HttpCache(clock=clock), fallback=lambda call, error: type(error).__name__)
    ask(around)
    works = False
    clock.advance(100)
    seen = ask(around)
    assert (seen.status, seen.body, seen.headers["x-cascade-degraded"]) == (200, b"x", "stale")
    clock.advance(1000)
    seen = ask(around)
    assert (seen.status, seen.headers["x-cascade-degraded"]) == (200, "fallback")
    assert seen.body == (b"NoneType" if how == "says 500" else b"ZeroDivisionError")


def test_errors_after_the_beginning_go_on() -> None:
    """Once a piece is out nothing can stand in: the error reaches the server, and nothing is kept."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", CACHED)
        yield b"half"
        raise ZeroDivisionError

    around = WsgiMiddleware(app, cache=True, fallback="sorry")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            ask(around)


def test_a_304_renews_what_is_kept_and_a_post_forgets_it() -> None:
    """A condition of ours is sent to the app; its 304 becomes the kept body; an unsafe method ends all that."""
    clock, conditions = Clock(), []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        condition = environ.get("HTTP_IF_NONE_MATCH")
        conditions.append(condition)
        heads = [("ETag", '"1"'), ("Cache-Control", "max-age=10")]
        start_response("304 Not Modified" if condition else "200 OK", heads if condition else [*PLAIN, *heads])
        return [b"" if condition else b"whole"]

    around = WsgiMiddleware(app, cache=HttpCache(clock=clock))
    ask(around)
    clock.advance(20)
    assert ask(around).body == b"whole" and conditions == [None, '"1"']
    ask(around, method="POST")
    ask(around)
    assert conditions == [None, '"1"', None, None]


def test_guards_of_ones_own() -> None:
    """A plain function is a guard: it ends the request, changes headers, and hears of the end."""
    told: list[str] = []

    def guard(call: Call, proceed: WsgiProceed) -> Ending | None:
        if call.header("x-stop"):
            return Ending.text(418, "stop")
        call.on_head(lambda status, headers: headers.append(("x-seen", str(status))))
        call.on_end(lambda call: told.append(f"{call.status} {call.sent}"))
        return proceed()

    app = WsgiMiddleware(says(b"abc"), guards=[guard])
    assert ask(app).headers["x-seen"] == "200" and told == ["200 3"]
    assert ask(app, headers=(("x-stop", "1"),)).status == 418


def test_one_record_a_request(keys: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    """The record is written when the body is closed, whole or not."""
    caplog.set_level(logging.INFO, "fastcascade.access")
    app = WsgiMiddleware(says(b"abc", b"def"), keys=keys, log=True)
    ask(app, "/x?y=z", headers=key(ANN))
    result = iter(app(environ_of("/x", headers=key(ANN)), lambda *_: len))
    next(result)
    result.close()  # type: ignore[attr-defined]
    whole, cut = (record.__dict__ for record in caplog.records)
    assert (whole["path"], whole["status"], whole["bytes"], whole["disconnected"]) == ("/x", 200, 6, False)
    assert (cut["bytes"], cut["disconnected"], cut["identity"], cut["client"]) == (3, True, "ann", "198.51.100.7")


def test_an_async_fallback_is_no_use() -> None:
    """A coroutine cannot be awaited here: a plain text stands in, and single flight is refused when built."""

    async def late(call: Call, error: BaseException | None) -> str:
        return "late"

    def broken(environ: Any, start_response: Any) -> list[bytes]:
        raise ZeroDivisionError

    assert b"try again" in ask(WsgiMiddleware(broken, fallback=late)).body
    with pytest.raises(ConfigError):
        WsgiMiddleware(broken, cache=True, single_flight=True)


@given(
    st.lists(st.binary(max_size=8), max_size=5),
    st.sampled_from(["200 OK", "201 Created", "404 Not Found", "500 Oh", "503 Busy"]),
    st.sampled_from([CACHED, FLEETING, PLAIN]),
    st.sampled_from(["GET", "POST", "OPTIONS"]),
)
def test_whatever_an_app_says_goes_out_in_order(pieces: list[bytes], status: str, headers: Any, method: str) -> None:
    """With everything on, any answer keeps the protocol, and a repeated request gets the same answer."""
    app = says(*pieces, status=status, headers=headers)
    around = WsgiMiddleware(app, cache=True, log=True, fallback="sorry", limit=Quota(9, "day"), tell_limits=True)
    seen = [ask(around, "/x", method) for _ in range(3)]
    body = b"sorry" if status == "500 Oh" else b"".join(pieces)
    assert {one.body for one in seen} == {body} and len({one.status for one in seen}) == 1


@pytest.mark.parametrize(("method", "path"), [("get", "/x"), ("GET", "/x/"), ("GET", "//x"), ("GET", "/y")])
def test_what_apps_read_alike_is_guarded_alike(method: str, path: str) -> None:
    """Letters of a method and slashes too many, for which some frameworks have no eye, lead past no scope."""
    ring = KeyRing()
    ring.add(BOB, "bob")
    routes = [Route("GET /x", 1, scopes=["read"]), Route("/y/", 1, scopes=["read"])]

    def app(environ: Any, start_response: Any) -> Any:
        raise AssertionError

    guarded = WsgiMiddleware(app, keys=ring, router=routes)
    answered: list[str] = []
    environ = environ_of(path, method, [("x-api-key", BOB)])

    def start_response(status: str, _: Any) -> Any:
        answered.append(status)

    list(guarded(environ, start_response))
    assert answered == ["403 Forbidden"]
