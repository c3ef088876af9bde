"""The drills' server: what the real SDKs make of it, well and faulty, on and off, and killed."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.openai import OpenAI
from fastcascade.errors import BackendError, ConfigError, Failure, FailureKind
from fastcascade.messages import Delta, Reply, Request, Usage
from fastcascade.testing import (
    CutStream,
    Error,
    FaultyProcess,
    FaultyServer,
    Garbage,
    Latency,
    Plan,
    Refused,
    Reset,
    SlowBytes,
    StallStream,
    Timeout,
    Trouble,
    WrongContent,
)
from fastcascade.testing.faulty_server import Asked, main

pytest.importorskip("anthropic")
pytest.importorskip("openai")

ECHO = "ok: Hi there you"


def anthropic(url: str, timeout: float | None = None) -> Any:
    """The real SDK, against this server."""
    return Anthropic("any", api_key="made-up", base_url=url, timeout=timeout)


def openai(url: str, timeout: float | None = None) -> Any:
    """Likewise."""
    return OpenAI("any", base_url=f"{url}/v1", timeout=timeout)


SDKS = pytest.mark.parametrize("sdk", [anthropic, openai])
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
Sdk = Callable[..., Any]


@pytest.fixture(scope="module")
def shared_server() -> Iterator[FaultyServer]:
    """One server for all tests that only change its plan."""
    with FaultyServer() as running:
        yield running


@pytest.fixture
def server(shared_server: FaultyServer) -> FaultyServer:
    """The server, with nothing wrong."""
    shared_server.plan.clear()
    return shared_server


def ask(
    make: Sdk, url: str, stream: bool = False, request: Request | str = "Hi there you", patience: float | None = None
) -> tuple[Reply | Failure, int]:
    """What asking once comes to, and how many pieces came."""

    async def go() -> tuple[Reply | Failure, int]:
        backend, pieces = make(url, patience), 0
        last: Any = None
        try:
            if not stream:
                return await backend.complete(Request.of(request)), 0
            async for last in backend.stream(Request.of(request)):
                pieces += isinstance(last, Delta)
        except BackendError as error:
            return error.failure, pieces
        finally:
            await backend.aclose()
        assert isinstance(last, Reply)
        return last, pieces

    return asyncio.run(go())


def kind(asked: tuple[Reply | Failure, int]) -> str:
    """The kind of the failure, or what was said."""
    return asked[0].kind if isinstance(asked[0], Failure) else asked[0].text


@SDKS
@STREAMS
def test_it_answers(server: FaultyServer, sdk: Sdk, stream: bool) -> None:
    """Both SDKs read its replies, whole and piece by piece, with what they cost; the prompt comes back."""
    reply, pieces = ask(sdk, server.url, stream)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.stop, reply.model, reply.usage) == (ECHO, "end", "any", Usage(3, 4))
    assert pieces == (4 if stream else 0)


@STREAMS
def test_it_gives_logprobs(server: FaultyServer, stream: bool) -> None:
    """Where they are asked for, each word comes with what it weighed."""
    reply, _ = ask(openai, server.url, stream, Request.of("Hi", logprobs=0))
    assert isinstance(reply, Reply) and reply.logprobs
    assert [token.text for token in reply.logprobs] == ["ok: ", "Hi"]


def test_it_lists_models(server: FaultyServer) -> None:
    """Both SDKs can look at its models: what a probe does, which fails as planned, and counts apart."""
    from anthropic import AsyncAnthropic  # noqa: PLC0415 # may not be installed
    from openai import AsyncOpenAI, RateLimitError  # noqa: PLC0415

    async def go() -> list[str]:
        found = []
        async with AsyncAnthropic(api_key="x", base_url=server.url, max_retries=0) as one:
            found += [model.id async for model in one.models.list()]
            found.append((await one.models.retrieve("claude")).id)
        async with AsyncOpenAI(api_key="x", base_url=f"{server.url}/v1", max_retries=0) as other:
            found += [model.id async for model in other.models.list()]
            found.append((await other.models.retrieve("gpt")).id)
            server.plan.set(Error("rate_limited"))
            with pytest.raises(RateLimitError):
                await other.models.list()
        return found

    before = server.calls, server.probes
    assert asyncio.run(go()) == ["faulty", "claude", "faulty", "gpt"]
    assert (server.calls, server.probes) == (before[0], before[1] + 5)


@pytest.mark.parametrize(
    ("answer", "said"), [("always this", "always this"), (lambda asked: f"{asked.model} {asked.prompt[:2]}", "any Hi")]
)
@SDKS
def test_it_says_what_it_is_told(answer: Any, said: str, sdk: Sdk) -> None:
    """The answer is a text, or a function of the request."""
    with FaultyServer(answer) as server:
        assert kind(ask(sdk, server.url)) == said


# The fault; what it comes to whole and streamed, and in how many pieces. A kind, or a text.
CASES: list[tuple[tuple[Trouble, ...], str, str, int]] = [
    ((Error("rate_limited"),), "rate_limited", "rate_limited", 0),
    ((Error("overloaded"),), "overloaded", "overloaded", 0),
    ((Error("overloaded", 529),), "overloaded", "overloaded", 0),
    ((Error("server"),), "server", "server", 0),
    ((Error("server", 502),), "server", "server", 0),
    ((Error("auth"),), "auth", "auth", 0),
    ((Error("auth", 403),), "auth", "auth", 0),
    ((Error("billing"),), "billing", "billing", 0),
    ((Error("conflict"),), "conflict", "conflict", 0),
    ((Error("not_found"),), "not_found", "not_found", 0),
    ((Error("not_found", 410),), "not_found", "not_found", 0),
    ((Error("bad_request"),), "bad_request", "bad_request", 0),
    ((Error("timeout"),), "timeout", "timeout", 0),
    ((Error("bug"),), "server", "server", 0),
    ((Timeout(),), "timeout", "timeout", 0),
    ((Latency(60.0),), "timeout", "timeout", 0),
    ((Latency(0.001, 0.001),), ECHO, ECHO, 4),
    ((Refused(),), "connection", "connection", 0),
    ((Reset(),), "connection", "connection", 0),
    ((Reset(0.001),), "connection", "connection", 0),
    ((Reset(after=2),), "cut", "cut", 2),
    ((CutStream(0),), "cut", "cut", 0),
    ((CutStream(3),), "cut", "cut", 3),
    ((CutStream(99),), "cut", "cut", 4),
    ((StallStream(0),), "timeout", "timeout", 0),
    ((StallStream(3),), "timeout", "timeout", 3),
    ((SlowBytes(0.001),), ECHO, ECHO, 4),
    ((SlowBytes(60.0),), "timeout", "timeout", 0),
    ((SlowBytes(0.001), CutStream(2)), "cut", "cut", 2),
    ((Garbage(),), "malformed", "malformed", 0),
    ((Garbage("text/html"),), "malformed", "cut", 0),  # a page has no event in it, nor their end
    ((WrongContent("no"),), "no", "no", 1),
    ((WrongContent(),), "", "", 0),
]


@SDKS
@STREAMS
@pytest.mark.parametrize("case", CASES, ids=[repr(faults) for faults, *_ in CASES])
def test_what_each_fault_comes_to(
    server: FaultyServer, case: tuple[tuple[Trouble, ...], str, str, int], sdk: Sdk, stream: bool
) -> None:
    """Each fault on the wire comes to the failure it should, through either SDK; then all is well again."""
    faults, whole, streamed, pieces = case
    if sdk is openai and whole == "cut":
        whole = "connection"  # the SDK reads a whole body itself, and tells the two apart no more
    server.plan.set(*faults)
    # What would never come is given up soon, but not before what does come has had its time.
    endless = streamed == "timeout" and not isinstance(faults[0], Error)
    asked = ask(sdk, server.url, stream, patience=(0.5 if pieces else 0.1) if endless else None)
    assert (kind(asked), asked[1]) == ((streamed, pieces) if stream else (whole, 0))
    server.plan.clear()
    assert kind(ask(sdk, server.url, stream)) == ECHO


@SDKS
@STREAMS
@pytest.mark.parametrize("stop", ["end", "length", "refusal"])
def test_how_a_wrong_reply_ends(server: FaultyServer, sdk: Sdk, stream: bool, stop: Any) -> None:
    """A refusal, and a reply that is out of tokens, are read as such."""
    server.plan.set(WrongContent("I cannot help with that", stop))
    reply, _ = ask(sdk, server.url, stream)
    assert isinstance(reply, Reply) and (reply.text, reply.stop) == ("I cannot help with that", stop)


@SDKS
@pytest.mark.parametrize("told", ["seconds", "ms", "date"])
@pytest.mark.parametrize("wait", [5.0, 0.25, 100.0])
def test_how_long_to_wait(server: FaultyServer, sdk: Sdk, told: Any, wait: float) -> None:
    """Retry-After is understood in each of its forms; a date, which has no fractions, is never too early."""
    server.plan.set(Error("rate_limited", retry_after=wait, told=told))
    before = time.time()
    failure, _ = ask(sdk, server.url)
    after = time.time()
    assert isinstance(failure, Failure) and failure.status == 429 and failure.retry_after is not None
    if told == "date":
        assert wait - (after - before) <= failure.retry_after <= wait + 1.0
    else:
        assert failure.retry_after == wait


def test_a_rate_strikes_a_share() -> None:
    """At a rate, some calls fail and others do not: those that the plan's seed says."""
    kinds: list[FailureKind] = ["server", "rate_limited"]
    one, other = (Plan(*map(Error, kinds), rate=0.4, seed=5) for _ in range(2))
    with FaultyServer(plan=one) as server:
        came = [kind(ask(openai, server.url)) for _ in range(12)]
        drawn = [other.draw(0.0).fault for _ in came]
        assert came == [fault.kind if isinstance(fault, Error) else ECHO for fault in drawn]
        assert len(set(came)) == 3
        assert (server.calls, server.served) == (12, came.count(ECHO))
        assert server.struck == {"Error": 12 - came.count(ECHO)}
        assert len(server.times) == 12 and server.times == sorted(server.times)


@SDKS
def test_off_and_on(sdk: Sdk) -> None:
    """Off, a server refuses connections and counts nothing; on again, it answers on the same port."""
    with FaultyServer() as server:
        url = server.url
        for _ in range(3):
            assert kind(ask(sdk, url)) == ECHO
            server.off()
            server.off()
            assert kind(ask(sdk, url)) == "connection"
            server.on()
            server.on()
        assert (server.url, server.calls) == (url, 3)
    assert kind(ask(sdk, url)) == "connection"


@STREAMS
def test_what_is_under_way_breaks_when_it_goes_off(stream: bool) -> None:
    """Going off resets the connections there are, as when a process dies."""
    came = threading.Event()

    def answer(asked: Asked) -> str:
        came.set()
        return asked.prompt

    with FaultyServer(answer) as server:
        server.plan.set(StallStream(2 if stream else 0))

        async def go() -> str:
            backend, loop = OpenAI("any", base_url=f"{server.url}/v1"), asyncio.get_running_loop()
            try:
                if stream:
                    pieces = 0
                    async for _ in backend.stream(Request.of("one two")):
                        pieces += 1
                        if pieces == 2:
                            await loop.run_in_executor(None, server.off)
                else:
                    task = asyncio.ensure_future(backend.complete(Request.of("one two")))
                    await loop.run_in_executor(None, came.wait)
                    await loop.run_in_executor(None, server.off)
                    await task
            except BackendError as error:
                return error.failure.kind
            finally:
                await backend.aclose()
            return "answered"

        assert asyncio.run(go()) == ("cut" if stream else "connection")


def test_an_outage_by_time() -> None:
    """A server whose plan refuses for a time does not listen until it is over, and then does by itself."""
    with FaultyServer() as server:
        now = time.monotonic()
        server.plan.between(now - 1.0, now + 1000.0, Refused())
        assert kind(ask(openai, server.url)) == "connection"
        server.plan.clear()
        assert kind(ask(openai, server.url)) == ECHO
        server.plan.between(now - 1.0, time.monotonic() + 0.1, Refused())
        while kind(ask(openai, server.url)) != ECHO:
            pass
        assert server.calls == 2


def test_an_answer_that_fails() -> None:
    """A function that raises makes a 500, and the end of `with` says what went wrong, unless the test did."""

    def broken(asked: Asked) -> str:
        raise LookupError(asked.path)

    def go(error: type[Exception] | None) -> None:
        with FaultyServer(broken) as server:
            assert kind(ask(anthropic, server.url)) == "server"
            if error is not None:
                raise error

    with pytest.raises(ExceptionGroup, match="answer failed") as caught:
        go(None)
    assert [str(each) for each in caught.value.exceptions] == ["/v1/messages"]
    with pytest.raises(ZeroDivisionError):
        go(ZeroDivisionError)


def test_an_answer_may_change_the_plan() -> None:
    """What is called in the server's own thread can switch it, and waits for nothing."""
    plan = Plan()

    def once(asked: Asked) -> str:
        plan.set(Error("overloaded"))
        return "the last one"

    with FaultyServer(once, plan=plan) as running:
        assert [kind(ask(openai, running.url)) for _ in range(2)] == ["the last one", "overloaded"]


def fetch(server: FaultyServer, method: str, path: str, body: bytes | list[bytes] = b"") -> tuple[int, Any]:
    """A plain request, in chunks where it is given in parts."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    try:
        connection.request(method, path, iter(body) if isinstance(body, list) else body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_plain_requests(server: FaultyServer) -> None:
    """Paths it does not have are 404, a body that is no JSON is as an empty one, and a body may come in chunks."""
    assert fetch(server, "GET", "/health")[0] == 200
    assert fetch(server, "GET", "/v1/odd")[0] == 404
    assert fetch(server, "POST", "/v1/odd", b"{}")[0] == 404
    for body, said in [
        (b"{oops", "ok: "),
        (b"[1]", "ok: "),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "ok: x"),
    ]:
        status, found = fetch(server, "POST", "/v1/chat/completions?a=b", body)
        assert (status, found["choices"][0]["message"]["content"]) == (200, said)
    parts = [b'{"messages": [{"role": "user", ', b'"content": [{"type": "text", "text": "x"}]}]}']
    assert fetch(server, "POST", "/v1/messages", parts)[1]["content"] == [{"type": "text", "text": "ok: x"}]


def test_a_port_that_is_taken() -> None:
    """A port that another has is found when the server is made, not later; so is one that there cannot be."""
    with FaultyServer() as server:
        for port in (server.port, 70_000):
            with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 cannot be had"):
                FaultyServer(port=port)


@SDKS
def test_a_process_killed_and_started_again(sdk: Sdk) -> None:
    """A server killed with SIGKILL refuses connections; started on the same port it answers, with other faults."""
    with FaultyProcess() as server:
        url, first = server.url, server.pid
        assert kind(ask(sdk, url)) == ECHO
        assert server.counts() == {"calls": 1, "served": 1, "probes": 0, "connections": 2, "struck": {}}
        with pytest.raises(ConfigError, match="kill it before"):
            server.start()
        server.kill()
        server.kill()
        assert (server.pid, first is None) == (None, False)
        assert kind(ask(sdk, url)) == "connection"
        server.start("error:rate_limited,retry_after=7")
        assert server.url == url and server.pid != first
        failure, _ = ask(sdk, url)
        assert isinstance(failure, Failure) and (failure.kind, failure.retry_after) == ("rate_limited", 7.0)
        assert server.counts()["struck"] == {"Error": 1}
        second = server.pid
        assert second is not None
        os.kill(second, signal.SIGKILL)
    assert kind(ask(sdk, url)) == "connection"


def test_a_process_that_cannot_start() -> None:
    """What is wrong with the settings is said at once; a port that is taken, when it is started."""
    with pytest.raises(ConfigError, match="no fault is called 'odd'"):
        FaultyProcess(faults=["odd"])
    with FaultyServer() as other, pytest.raises(ConfigError, match="did not start"):
        FaultyProcess(port=other.port).start()


@pytest.mark.parametrize(
    ("arguments", "told"), [(["--fault=odd"], "no fault is called"), (["--rate=2"], "a plan's rate must be")]
)
def test_a_command_that_cannot_work(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what is wrong with it, and ends with 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_a_process_ends_with_its_maker() -> None:
    """When whoever started a server is gone, so is the server: its standard input has ended."""
    command = [sys.executable, "-m", "fastcascade.testing.faulty_server", "--until-eof", "--answer=x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        assert kind(ask(openai, url)) == "x"
        process.communicate()
        assert process.returncode == 0
