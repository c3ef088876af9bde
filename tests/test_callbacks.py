"""Callbacks: where they may go, how they are signed, and what comes of each kind of receiver."""

import asyncio
import base64
import json
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError, RequestError
from fastcascade.messages import Reply, Request, Text, ToolCall
from fastcascade.reviews.callbacks import Callbacks, Delivery, new_secret, signed, verify
from fastcascade.stores.reviews import Review

KEY = b"k" * 32
OTHER = b"o" * 32
ENDED = 1_700_000_000.0
NOW = ENDED + 5.0
REVIEW = Review(
    "rv_ticket",
    Request.of("the question", id="r1"),
    "failed",
    created=ENDED - 60.0,
    state="answered",
    answer=Reply("the answer", model="human"),
    ended=ENDED,
)
# The example of the Standard Webhooks project; its own library signs it so.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
VECTOR_TIME = 1_614_265_330.0


# Signatures.


def test_the_standards_own_example() -> None:
    """What the standard's library signs is signed the same here, and checks."""
    key = base64.b64decode(VECTOR_SECRET.removeprefix("whsec_"))
    assert signed(VECTOR["webhook-id"], VECTOR_BODY, [key], VECTOR_TIME + 0.9) == VECTOR
    assert verify(VECTOR_BODY, VECTOR, VECTOR_SECRET, VECTOR_TIME) == {"test": 2432232314}


GOOD = VECTOR["webhook-signature"]
CHECKS: list[tuple[dict[str, str], Any, float, str]] = [
    ({}, VECTOR_SECRET, 0.0, ""),
    ({}, [OTHER, VECTOR_SECRET], 0.0, ""),
    ({}, VECTOR_SECRET, 299.0, ""),
    ({}, VECTOR_SECRET, -299.0, ""),
    ({"webhook-signature": f"v1a,abc v1,AAAA {GOOD} v2,x"}, VECTOR_SECRET, 0.0, ""),
    ({}, OTHER, 0.0, "no signature"),
    ({}, [], 0.0, "no signature"),
    ({}, VECTOR_SECRET, 301.0, "too long ago"),
    ({}, VECTOR_SECRET, -301.0, "too long ago"),
    ({"webhook-signature": ""}, VECTOR_SECRET, 0.0, "no signature"),
    ({"webhook-signature": GOOD[3:]}, VECTOR_SECRET, 0.0, "no signature"),
    ({"webhook-signature": GOOD.replace("v1,", "v2,")}, VECTOR_SECRET, 0.0, "no signature"),
    ({"webhook-signature": "v1,\N{SNOWMAN}"}, VECTOR_SECRET, 0.0, "no signature"),
    ({"webhook-id": "msg_other"}, VECTOR_SECRET, 0.0, "no signature"),
    ({"webhook-timestamp": "1614265331"}, VECTOR_SECRET, 0.0, "no signature"),
    ({"webhook-timestamp": "1_614_265_330"}, VECTOR_SECRET, 0.0, "whole seconds"),
    ({"webhook-timestamp": "nan"}, VECTOR_SECRET, 0.0, "whole seconds"),
    ({"webhook-timestamp": "-1"}, VECTOR_SECRET, 0.0, "whole seconds"),
]


@pytest.mark.parametrize(("changed", "secret", "late", "refused"), CHECKS)
def test_what_checks_and_what_does_not(changed: dict[str, str], secret: Any, late: float, refused: str) -> None:
    """A callback checks with one right signature of a secret one has, in time, and else is refused with the reason."""
    headers = {**VECTOR, **changed}
    if not refused:
        assert verify(VECTOR_BODY, headers, secret, VECTOR_TIME + late)
        return
    with pytest.raises(RequestError, match=refused):
        verify(VECTOR_BODY, headers, secret, VECTOR_TIME + late)


@pytest.mark.parametrize("name", VECTOR)
def test_a_header_that_is_missing(name: str) -> None:
    """Each of the three headers is needed, however its name is written."""
    written = {each.title(): value for each, value in VECTOR.items()}
    assert verify(VECTOR_BODY.decode(), written, VECTOR_SECRET, VECTOR_TIME)
    del written[name.title()]
    with pytest.raises(RequestError, match=name):
        verify(VECTOR_BODY, written, VECTOR_SECRET, VECTOR_TIME)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_object(body: bytes) -> None:
    """What is signed and is no object in JSON is refused as the caller's fault, not by another exception."""
    with pytest.raises(RequestError, match="object in JSON"):
        verify(body, signed("msg_1", body, [KEY], NOW), KEY, NOW)


@given(st.binary(max_size=60), st.data())
def test_any_change_is_seen(body: bytes, data: st.DataObject) -> None:
    """A body, id or time that is not what was signed does not check, whatever the change."""
    body = b'{"a":"' + base64.b64encode(body) + b'"}'
    headers = signed("msg_1", body, [OTHER, KEY], NOW)
    assert verify(body, headers, KEY, NOW)
    place = data.draw(st.integers(0, len(body) - 1))
    flipped = bytearray(body)
    flipped[place] ^= data.draw(st.integers(1, 255))
    for other_body, other in (
        (bytes(flipped), headers),
        (body, {**headers, "webhook-id": data.draw(st.text(max_size=5))}),
        (body, {**headers, "webhook-timestamp": str(int(NOW) + data.draw(st.integers(1, 200)))}),
        (body, {**headers, "webhook-signature": data.draw(st.text(max_size=60))}),
    ):
        with pytest.raises(RequestError):
            verify(other_body, other, KEY, NOW)


@pytest.mark.parametrize(
    "secret", ["", "a plain text of some length", "whsec_", "whsec_???", "whsec_c2hvcnQ=", b"short"]
)
def test_a_secret_that_is_none(secret: str | bytes, told: Callable[[BaseException], str]) -> None:
    """A secret that is too short or cannot be read is refused when it is given, and is not repeated."""
    with pytest.raises(ConfigError) as caught:
        Callbacks(["https://a.example"], secret)
    assert len(secret) < 7 or str(secret) not in told(caught.value)


def test_a_new_secret_is_new_and_works() -> None:
    """Each new secret is another, and signs."""
    one, two = new_secret(), new_secret()
    assert one != two and Callbacks(["https://a.example"], [one, two])


# Where they may go.

PREFIXES = ["https://a.example/hooks", "https://b.example:8443", "http://localhost:9000/x/", "https://[2001:db8::1]"]
ALLOWED = [
    "https://a.example/hooks",
    "https://a.example/hooks/",
    "https://A.EXAMPLE:443/hooks/me?to=x&y=/../",
    "HTTPS://a.example/hooks/a%20b/@me;v=1",
    "https://b.example:8443",
    "https://b.example:8443/any/thing",
    "https://b.example:8443?q=1",
    "http://localhost:9000/x/y",
    "http://localhost:9000/x",
    "https://[2001:DB8::1]/a",
]
REFUSED = [
    "",
    "a.example/hooks",
    "//a.example/hooks",
    "ftp://a.example/hooks",
    "http://a.example/hooks",
    "https://a.example",
    "https://a.example/",
    "https://a.example/hook",
    "https://a.example/hooks2",
    "https://a.example/Hooks",
    "https://a.example/%68ooks",
    "https://a.example/hooks/../admin",
    "https://a.example/hooks/./x",
    "https://a.example/hooks/%2e%2e/admin",
    "https://a.example/hooks/%252E%252e/admin",
    "https://a.example/hooks/..;/admin",
    "https://a.example/hooks/..%2fadmin",
    "https://a.example/hooks/..%5cadmin",
    "https://a.example/hooks%2f..",
    "https://a.example/hooks/%00",
    "https://a.example/hooks/%0d%0aX:1",
    "https://a.example/hooks//x",
    "https://a.example//hooks/x",
    "https://a.example/hooks#there",
    "https://a.example/hooks#",
    "https://a.example/hooks/%zz",
    "https://a.example/hooks/\\x",
    "https://a.example/hooks x",
    "https://a.example/hooks\n",
    "https://a.exa\tmple/hooks",
    " https://a.example/hooks",
    "https://a.example/hooks/\N{LATIN SMALL LETTER E WITH ACUTE}",
    "https://a.example.evil/hooks",
    "https://a.example@evil.example/hooks",
    "https://evil.example\\@a.example/hooks",
    "https://user@a.example/hooks",
    "https://user:hunter2@a.example/hooks",
    "https://@a.example/hooks",
    "https://a.example./hooks",
    "https://xa.example/hooks",
    "https://a.example:8443/hooks",
    "https://a.example:/hooks",
    "https://a.example:0/hooks",
    "https://a.example:65536/hooks",
    "https://a.example:+443/hooks",
    "https://a.example:\N{ARABIC-INDIC DIGIT FOUR}43/hooks",
    "https://b.example",
    "https://b.example:84430/",
    "https://localhost:9000/x",
    "http://localhost/x",
    "http://127.0.0.1:9000/x",
    "https://[2001:db8::2]/a",
    "https://2001:db8::1/a",
    "https://a.example/hooks/" + "x" * 2_048,
]


@pytest.mark.parametrize("url", ALLOWED)
def test_urls_below_a_prefix_are_allowed(url: str) -> None:
    """What is at a prefix or below it may be called."""
    Callbacks(PREFIXES, KEY).check(url)


@pytest.mark.parametrize("url", REFUSED)
def test_all_other_urls_are_refused(url: str, told: Callable[[BaseException], str]) -> None:
    """What is elsewhere, or could be read as being elsewhere, is refused; what may be secret in it is not repeated."""
    callbacks = Callbacks(PREFIXES, KEY)
    with pytest.raises(RequestError) as caught:
        callbacks.check(url)
    assert "hunter2" not in told(caught.value) and "hooks" not in told(caught.value)
    assert asyncio.run(callbacks.send(replace(REVIEW, callback=url), NOW)) == Delivery(
        taken=False, why="not allowed here"
    )


HOSTS = ("https://", "http://", "a.example", "evil", "@", ":", "443", "[", "]", "::1")
PATHS = ("/", "/hooks", "/hooks/", "hooks", ".", "..", "%2e", "%2F", "\\", "?", "#", ";", "x", "%")
SPACES = ("\t", "\n", " ", "\N{FULLWIDTH SOLIDUS}")
PIECES = st.sampled_from(HOSTS + PATHS + SPACES)
BELOW = Callbacks(["https://a.example/hooks"], KEY)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_is_allowed_is_there_for_other_readers_too(rest: str) -> None:
    """Whatever is allowed, the standard library reads as the same host and a path below the prefix."""
    url = f"https://a.example{rest}"
    try:
        BELOW.check(url)
    except RequestError:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname, parts.port or 443, parts.username) == ("https", "a.example", 443, None)
    assert f"{parts.path}/".startswith("/hooks/") and ".." not in parts.path.split("/") and not parts.fragment


BAD: list[tuple[Any, Any, dict[str, Any], str]] = [
    ("https://a.example", KEY, {}, "list"),
    (["https://a.example"], None, {}, "new_secret"),
    (["https://a.example"], [], {}, "new_secret"),
    (["http://a.example"], KEY, {}, "https"),
    (["https://me:hunter2@a.example"], KEY, {}, "no name, password"),
    (["https://a.example/x?y"], KEY, {}, "query"),
    (["a.example"], KEY, {}, "https://host"),
    ({"https://a.example": []}, KEY, {}, "new_secret"),
    (["https://a.example"], KEY, {"timeout": 0}, "timeout"),
]


@pytest.mark.parametrize(("prefixes", "secret", "more", "says"), BAD)
def test_settings_that_cannot_work(
    prefixes: Any, secret: Any, more: dict[str, Any], says: str, told: Callable[[BaseException], str]
) -> None:
    """Settings that cannot work are refused when they are given, with no secret in what is said."""
    with pytest.raises(ConfigError, match=says) as caught:
        Callbacks(prefixes, secret, **more)
    assert "hunter2" not in told(caught.value)


def test_a_context_that_trusts_everybody_is_refused() -> None:
    """Certificates are checked, also where one brings one's own."""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    with pytest.raises(ConfigError, match="checks no certificates"):
        Callbacks(["https://a.example"], KEY, context=blind)


def test_no_secret_is_shown() -> None:
    """What is printed of callbacks holds neither secrets nor paths, which may be secret too."""
    shown = repr(Callbacks({"https://a.example/hush": new_secret()}))
    assert shown == "Callbacks(['https://a.example'])"
    assert not Callbacks() and Callbacks(PREFIXES, KEY)


# What is sent.


class Posted:
    """Stands for the network: keeps what was sent, and answers as told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers) or [200]
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        self.sent.append((url, headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, tuple) else (answer, {})


def sending(callbacks: Callbacks, review: Review = REVIEW, url: str = "https://a.example/me") -> Delivery:
    """Try once."""
    return asyncio.run(callbacks.send(replace(review, callback=url), NOW))


def test_what_a_callback_says() -> None:
    """A callback names the review, how it ended and the answer, and nothing about who answered, or what was asked."""
    posted = Posted()
    review = replace(REVIEW, note="easy", reviewer="ann")
    assert sending(Callbacks(["https://a.example"], KEY, post=posted), review) == Delivery(taken=True, why="200")
    url, headers, body = posted.sent[0]
    assert url == "https://a.example/me" and headers["content-type"] == "application/json"
    assert verify(body, headers, KEY, NOW) == {
        "type": "review.answered",
        "timestamp": "2023-11-14T22:13:20Z",
        "ticket": "rv_ticket",
        "request_id": "r1",
        "state": "answered",
        "why": "failed",
        "created": ENDED - 60.0,
        "ended": ENDED,
        "answer": {"text": "the answer", "model": "human"},
    }
    assert "ticket" not in headers["webhook-id"] and b"question" not in body


def test_a_callback_of_an_answer_with_tools_and_of_none() -> None:
    """An answer that is more than text is sent block by block, and of an expired review that there is none."""
    posted = Posted()
    callbacks = Callbacks(["https://a.example"], KEY, post=posted)
    sending(callbacks, replace(REVIEW, answer=Reply((Text("\ud800"), ToolCall("1", "look")))))
    sending(callbacks, replace(REVIEW, state="expired", answer=None))
    first, second = (json.loads(body) for _, _, body in posted.sent)
    assert [block["kind:"] for block in first["answer"]["content"]] == ["Text", "ToolCall"]
    assert second["type"] == "review.expired" and second["answer"] is None


def test_each_prefix_its_own_secret() -> None:
    """The secret of the longest prefix signs, all of its secrets do, and no other."""
    posted = Posted()
    third = b"3" * 24
    own = {"https://a.example": KEY, "https://a.example/b": [OTHER, third]}
    callbacks = Callbacks(own, post=posted)
    sending(callbacks, url="https://a.example/c")
    sending(callbacks, url="https://a.example/b/c")
    (_, one, body), (_, two, _) = posted.sent
    assert verify(body, one, KEY, NOW) and verify(body, two, OTHER, NOW) and verify(body, two, third, NOW)
    for headers, secret in ((one, [OTHER, third]), (two, KEY)):
        with pytest.raises(RequestError):
            verify(body, headers, secret, NOW)


ANSWERS: list[tuple[Any, Delivery]] = [
    (200, Delivery(taken=True, why="200")),
    (204, Delivery(taken=True, why="204")),
    (302, Delivery(taken=False, why="302")),
    (404, Delivery(taken=False, why="404")),
    (410, Delivery(taken=False, gone=True, why="410")),
    ((429, {"retry-after": "90"}), Delivery(taken=False, wait=90.0, why="429")),
    ((503, {"Retry-After": "Tue, 14 Nov 2023 22:14:25 GMT"}), Delivery(taken=False, wait=60.0, why="503")),
    ((200, {"retry-after": "90"}), Delivery(taken=True, why="200")),
    (OSError("hush"), Delivery(taken=False, why="OSError")),
    (ValueError("hush"), Delivery(taken=False, why="ValueError")),
    (("odd", None), Delivery(taken=False, why="TypeError")),
]


@pytest.mark.parametrize(("answer", "delivery"), ANSWERS)
def test_what_an_answer_means(answer: Any, delivery: Delivery) -> None:
    """2xx is taken, 410 is never again, all else is to be tried again, after the wait that was asked for."""
    assert sending(Callbacks(["https://a.example"], KEY, post=Posted(answer))) == delivery


FAILED = Delivery(taken=False, why="500")


@given(st.integers(0, 100), st.floats(0.0, 2e5), st.none() | st.floats(0.0, 1e5))
def test_when_to_try_again(calls: int, later: float, wait: float | None) -> None:
    """The wait grows up to an hour and a bit, is never shorter than asked for, and ends a day after the review did."""
    now = ENDED + later
    again = BELOW.again(replace(REVIEW, calls=calls), replace(FAILED, wait=wait), now)
    if again is None:
        assert calls >= 4 and later > 86_400.0 - 4_501.0
        return
    least = min(3_600.0, 5.0 * 2.0**calls)
    assert max(least, min(wait or 0.0, 3_600.0)) <= again - now + 1e-6
    assert again - now <= max(1.25 * least, min(wait or 0.0, 3_600.0)) + 1e-6
    assert calls < 4 or again <= ENDED + 86_400.0


def test_what_is_gone_is_never_tried_again() -> None:
    """A receiver that says 410 is left alone, however early."""
    assert Callbacks(["https://a.example"], KEY).again(REVIEW, Delivery(taken=False, gone=True), ENDED) is None


# Real sockets.


class Receiver(BaseHTTPRequestHandler):
    """A receiver as people write them: checks the signature, and answers as told."""

    answers: ClassVar[list[int]] = []
    seen: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        said = verify(body, dict(self.headers), KEY, NOW)
        self.seen.append({**said, "id": self.headers["webhook-id"], "path": self.path, "host": self.headers["host"]})
        self.send_response(self.answers.pop(0))
        if self.path == "/moved":
            self.send_header("location", "/there")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - likewise
        """Be quiet."""


def test_a_real_server() -> None:
    """A real server sees a right signature each time, the same id, and gets no second request after a redirect."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            host = f"127.0.0.1:{server.server_port}"
            Receiver.answers[:], Receiver.seen[:] = [500, 200, 307], []
            callbacks = Callbacks([f"http://{host}"], KEY)
            came = [sending(callbacks, url=f"http://{host}{path}") for path in ("/me?a=1", "/me?a=1", "/moved")]
        finally:
            server.shutdown()
            thread.join()
    assert [each.why for each in came] == ["500", "200", "307"]
    assert [each.taken for each in came] == [False, True, False]
    assert [each["path"] for each in Receiver.seen] == ["/me?a=1", "/me?a=1", "/moved"]
    assert len({each["id"] for each in Receiver.seen}) == 1
    assert {each["host"] for each in Receiver.seen} == {host}


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that does this with each connection; comes to its port."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(answer: bytes) -> Serve:
    """Make a receiver that says this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await reader.read(1 << 20)  # the body, or until it hangs up

    return serve


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    while await reader.read(1 << 16):
        pass


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be always about to answer."""
    for _ in range(10_000):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" if writer.transport.get_write_buffer_size() == 0 else b"")
        await asyncio.sleep(0.005)
        if reader.at_eof():
            return


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up hard."""
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


RECEIVERS: list[tuple[str, Serve, Delivery]] = [
    ("plain", answering(b"HTTP/1.1 200 OK\r\n\r\n"), Delivery(taken=True, why="200")),
    ("bare lines", answering(b"HTTP/1.0 202\nserver: x\n\n"), Delivery(taken=True, why="202")),
    (
        "early hints",
        answering(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 \r\n\r\n"),
        Delivery(True, why="201"),
    ),
    ("wait", answering(b"HTTP/1.1 429 No\r\nretry-after: 7\r\n\r\n"), Delivery(taken=False, wait=7.0, why="429")),
    ("gone", answering(b"HTTP/1.1 410 Gone\r\n\r\n"), Delivery(taken=False, gone=True, why="410")),
    ("endless body", answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000), Delivery(taken=True, why="200")),
    ("hangs up", answering(b""), Delivery(taken=False, why="ConnectionError")),
    ("half a head", answering(b"HTTP/1.1 200 OK\r\nserver: x"), Delivery(taken=False, why="ConnectionError")),
    ("not HTTP", answering(b"SSH-2.0-x\r\n\r\n"), Delivery(taken=False, why="ConnectionError")),
    ("HTTP/2", answering(b"HTTP/2 200\r\n\r\n"), Delivery(taken=False, why="ConnectionError")),
    ("endless line", answering(b"HTTP/1.1 200 " + b"x" * 200_000), Delivery(taken=False, why="ValueError")),
    ("endless head", answering(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300), Delivery(False, why="ConnectionError")),
    ("hangs", hangs, Delivery(taken=False, why="TimeoutError")),
    ("drips", drips, Delivery(taken=False, why="TimeoutError")),
    ("resets", resets, Delivery(taken=False, why="ConnectionResetError")),
]


@pytest.mark.parametrize(("serve", "delivery"), [pytest.param(*rest, id=name) for name, *rest in RECEIVERS])
def test_receivers_of_all_kinds(serve: Serve, delivery: Delivery) -> None:
    """Whatever a receiver does, a try ends by itself and says what came of it."""

    async def main() -> Delivery:
        async with served(serve) as port:
            url = f"http://127.0.0.1:{port}"
            timeout = 0.2 if delivery.why == "TimeoutError" else 30.0
            return await Callbacks([url], KEY, timeout=timeout).send(replace(REVIEW, callback=url), NOW)

    assert asyncio.run(main()) == delivery


def test_nobody_there() -> None:
    """A receiver that is off is an error to try again after, and no exception."""

    async def main() -> Delivery:
        async with served(hangs) as port:
            pass
        url = f"http://localhost:{port}"
        return await Callbacks([url], KEY).send(replace(REVIEW, callback=url), NOW)

    came = asyncio.run(main())
    assert not came.taken and came.why in {"ConnectionRefusedError", "OSError"}


TRUST: list[tuple[str, bool, str, str]] = [
    ("the right name", True, "localhost", "200"),
    ("another's name", True, "127.0.0.1", "SSLCertVerificationError"),
    ("a stranger", False, "localhost", "SSLCertVerificationError"),
]


@pytest.mark.parametrize(("trusted", "host", "why"), [pytest.param(*rest, id=name) for name, *rest in TRUST])
def test_certificates_are_checked(trusted: bool, host: str, why: str) -> None:
    """Over TLS only the server whose certificate is trusted and is for this very name is told anything."""
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(serving)
    context = ssl.create_default_context()
    if trusted:
        authority.configure_trust(context)
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read(1 << 20)

    async def main() -> Delivery:
        async with served(serve, serving) as port:
            url = f"https://{host}:{port}/hook"
            callbacks = Callbacks([url], KEY, context=context if trusted else None)
            return await callbacks.send(replace(REVIEW, callback=url), NOW)

    assert asyncio.run(main()) == Delivery(taken=why == "200", why=why)
    assert bool(heads) == (why == "200")


def test_a_tls_handshake_that_hangs() -> None:
    """A receiver that takes the connection and never speaks TLS is given up like any other, and leaves nothing open."""

    async def main() -> Delivery:
        async with served(hangs) as port:
            url = f"https://127.0.0.1:{port}"
            return await Callbacks([url], KEY, timeout=0.2).send(replace(REVIEW, callback=url), NOW)

    assert asyncio.run(main()) == Delivery(taken=False, why="TimeoutError")
