"""What the SDK backends share: what a failure means, when to ask again, what may be told, a client for each loop."""

import asyncio
import gc
import json
from collections.abc import Callable
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.backends.clients import PerLoop
from fastcascade.backends.failures import LONGEST_MESSAGE, LONGEST_WAIT, failure_kind, retry_after, scrub
from wire.server import WireServer

NOON = 1_445_428_800.0  # Wed, 21 Oct 2015 12:00:00 GMT


@pytest.mark.parametrize(
    ("status", "error_type", "expected"),
    [
        (400, "invalid_request_error", "bad_request"),
        (401, "", "auth"),
        (403, "", "auth"),
        (404, "", "not_found"),
        (408, "", "timeout"),
        (418, "overloaded_error", "bad_request"),
        (402, "", "billing"),
        (403, "billing_error", "billing"),
        (429, "insufficient_quota", "billing"),
        (429, "tokens", "rate_limited"),
        (409, "", "conflict"),
        (425, "", "conflict"),
        (410, "", "not_found"),
        (400, "model_not_found", "not_found"),
        (403, "model_not_found", "not_found"),
        (404, "file_expired", "bad_request"),
        (400, "content_filter", "bad_request"),
        (200, "content_filter", "bad_request"),
        (499, "", "cut"),
        (501, "", "unsupported"),
        (500, "", "server"),
        (500, "overloaded_error", "overloaded"),
        (503, "", "overloaded"),
        (504, "timeout_error", "server"),
        (529, "", "overloaded"),
        (200, "overloaded_error", "overloaded"),
        (200, "rate_limit_error", "rate_limited"),
        (200, "never_heard_of", "server"),
        (0, "", "server"),
        (302, "", "server"),
    ],
)
def test_what_a_failure_means(status: int, error_type: str, expected: str) -> None:
    """The status decides, unless the type says more than it does, or the status says that nothing is wrong."""
    assert failure_kind(status, error_type) == failure_kind(status, None, error_type) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("invalid_request_error", "model_not_found"), "not_found"),
        (("insufficient_quota", "rate_limit_exceeded"), "billing"),
        (("billing_error", "organization_on_hold"), "auth"),
        (("rate_limit_error", None), "rate_limited"),
        (({"a": 1}, ["content_filter"], 429), "rate_limited"),
    ],
)
def test_the_most_exact_word_counts(words: tuple[object, ...], expected: str) -> None:
    """Of several words the last that is known decides, and what is no text is passed over."""
    assert failure_kind(429, *words) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": " 2.5 "}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "9", "retry-after-ms": "soon"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Wed, 21 Oct 2015 12:01:30 -0000"}, 90.0),
        ({"retry-after": "Wed, 21 Oct 2015 11:59:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_WAIT),
        ({"retry-after": "999999999999999"}, LONGEST_WAIT),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "\u0663"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 99 Oct 2015 12:00:00 GMT"}, None),
    ],
)
def test_when_to_ask_again(headers: dict[str, str], expected: float | None) -> None:
    """Seconds, milliseconds and dates are read, and what is neither is not guessed at."""
    assert retry_after(headers, NOON) == expected


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_any_header_is_bounded(value: str, now: float) -> None:
    """Whatever a server sends, the wait is none or between zero and a day."""
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: value}, now)
        assert wait is None or 0.0 <= wait <= LONGEST_WAIT


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-abcdefghijklmnop",
        "sk-proj-abc_DEF-123456789",
        "sk-abcd***********wxyz",
        "gsk_abcdefghijklmnop",
        "AIzaSyAbcdefghijklmnop",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
@pytest.mark.parametrize(
    "told", ["{}", "Incorrect API key provided: {}. Try again", "{{'x-api-key': '{}'}}", "Bearer {}!"]
)
def test_keys_are_not_repeated(secret: str, told: str) -> None:
    """What looks like a key is taken out of a message, wherever it stands."""
    assert secret not in scrub(told.format(secret))


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("max_tokens: 4096 > 1024, the most for claude-3-5-sonnet-20241022", None),
        ("messages.1.content.0.tool_use.id: call_123 is used twice (req_011CSHoEeqs5C35K2UUqR7Fy)", None),
        ("https://me:hunter2@x.test/v1 is gone", "https://[removed]@x.test/v1 is gone"),
        ("password=hunter2 is wrong", "[removed] is wrong"),
        ("my own word: swordfish", "my own word: [removed]"),
    ],
)
def test_the_rest_of_a_message_stays(told: str, kept: str | None) -> None:
    """What is no secret is told as it is, and a secret that is known is found whatever it looks like."""
    assert scrub(told, ["swordfish", ""]) == (told if kept is None else kept)


def test_long_messages_are_cut() -> None:
    """A page is not told whole, and a key that the cut would halve is not told at all."""
    page = "x " * LONGEST_MESSAGE + "sk-ant-api03-abcdefghijklmnop"
    assert len(scrub(page)) < LONGEST_MESSAGE + 10
    for at in range(LONGEST_MESSAGE - 30, LONGEST_MESSAGE + 1):
        assert "sk-" not in scrub("x" * at + " sk-ant-api03-abcdefghijklmnop")


class Client:
    """Remembers the loop that closed it."""

    closed_in: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        self.closed_in = asyncio.get_running_loop()


def test_a_client_for_each_loop() -> None:
    """A loop gets one client, another loop another; each is closed in its own loop, as that ends."""
    clients = PerLoop(Client, Client.close)

    async def use() -> tuple[Client, asyncio.AbstractEventLoop]:
        client = clients.get()
        assert clients.get() is client and client.closed_in is None
        return client, asyncio.get_running_loop()

    (one, first), (two, second) = asyncio.run(use()), asyncio.run(use())
    assert one is not two
    assert (one.closed_in, two.closed_in) == (first, second)


def test_closing_by_hand() -> None:
    """After `aclose` a loop has a new client; to close what was never made, or without a way to close, does nothing."""

    async def use(clients: PerLoop[Client]) -> tuple[Client, Client]:
        await clients.aclose()
        old = clients.get()
        await clients.aclose()
        return old, clients.get()

    for close, closed in ((Client.close, True), (None, False)):
        old, new = asyncio.run(use(PerLoop(Client, close)))
        assert old is not new
        assert (old.closed_in is not None) == closed


def test_dead_loops_are_forgotten() -> None:
    """A client that refers to its loop, as a pool does, keeps neither alive once another loop has asked."""

    class Bound(Client):
        def __init__(self) -> None:
            self.loop = asyncio.get_running_loop()

    clients = PerLoop(Bound)

    async def use() -> None:
        clients.get()

    for _ in range(5):
        asyncio.run(use())
    gc.collect()
    assert sum(type(each) is Bound for each in gc.get_objects()) <= 1


def test_no_loop_no_client() -> None:
    """Where no loop runs there is no client to be had."""
    with pytest.raises(RuntimeError):
        PerLoop(Client).get()


def posted(url: str) -> bytes:
    """Ask the server as plainly as can be."""
    with urlopen(Request(f"{url}/v1", json.dumps({"n": 1}).encode(), {"X-Name": "value"})) as answer:  # noqa: S310 # ours
        body: bytes = answer.read()
    return body


@pytest.mark.parametrize("queue", [WireServer.reply, WireServer.stream])
def test_the_wire_server(queue: Callable[..., None]) -> None:
    """The server answers what was queued, in order, and remembers what was asked."""
    with WireServer() as server:
        for said in (b"one", b"two"):
            queue(server, **({"body": said} if queue is WireServer.reply else {"events": [said]}))
            assert posted(server.url) == said
        seen = server.seen[0]
        assert (seen.method, seen.path, seen.headers["x-name"], seen.body) == ("POST", "/v1", "value", {"n": 1})


def test_the_wire_server_tells_on_itself() -> None:
    """What goes wrong inside the server comes out at its end, and is noted on what went wrong outside."""
    with pytest.raises(ExceptionGroup) as caught, WireServer() as server, pytest.raises(OSError):  # noqa: PT011 # any will do
        posted(server.url)
    assert "no response was queued" in str(caught.value.exceptions[0])
    with pytest.raises(OSError) as outside, WireServer() as server:  # noqa: PT011
        posted(server.url)
    assert "no response was queued" in outside.value.__notes__[0]
