"""The gateway as an application, served in this process: what it answers, bounds, keeps, counts and lets go."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from fastcascade import Cascade, ConfigError, Tier
from fastcascade.backends import Function
from fastcascade.entry import Instance, Pool
from fastcascade.gateway.health import report
from fastcascade.gateway.limits import length_of
from fastcascade.gateway.metrics import Board, Metrics, exposition, told
from fastcascade.gateway.settings import Kept, Limits, Settings
from fastcascade.telemetry.events import Decision
from fastcascade.wire.endpoint import Caller, Done, Response
from gateways import Held, chat, raw, serving
from real import until

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
PATHS = [CHAT, MESSAGES, RESPONSES]


def run(main: Callable[[], Awaitable[None]]) -> None:
    """In a loop of its own, and within a time."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(bounded())


def said(path: str, error: Any) -> str:
    """The message of an error, which stands where the format of that path has it."""
    assert error["type"] == "error" if path == MESSAGES else "type" in error["error"]
    return str(error["error"]["message"])


def held(backend: Held) -> Cascade:
    """A cascade of this alone."""
    return Cascade(Tier(backend))


def counting(calls: list[str]) -> Cascade:
    """A cascade that answers with the number of the call."""

    async def numbered(request: Any) -> str:
        calls.append(request.text)
        return f"answer {len(calls)}"

    return Cascade(Tier(numbered, name="small"))


class Gate:
    """Callers by their key."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self.left: list[tuple[Caller, Done | None]] = []

    def enter(self, headers: Mapping[str, str], path: str, body_length: int, /) -> Caller | Response:
        key = headers.get("x-api-key", "")
        if not key:
            return Response(401, [("content-type", "application/json")], b'{"error": "no key"}')
        self.entered.append(body_length)
        return Caller(name=key)

    def leave(self, caller: Caller, done: Done | None, /) -> None:
        self.left.append((caller, done))


def test_a_query_and_headers_sent_twice_reach_the_endpoint_whole() -> None:
    """The query stands behind the path, what comes twice is a list, and of a credential the last one counts."""

    class Told:
        async def handle(
            self, method: str, path: str, headers: Mapping[str, str], body: bytes, caller: Caller
        ) -> Response:
            told = [method, path, headers["anthropic-beta"], caller.name]
            return Response(200, [("content-type", "application/json")], json.dumps(told).encode())

    async def main() -> None:
        async with serving(held(Held()), gate=Gate()) as there:
            there.gateway.endpoint = Told()  # type: ignore[assignment]
            head = f"POST {MESSAGES}?beta=true HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nconnection: close\r\n"
            twice = "anthropic-beta: one\r\nanthropic-beta: two\r\nx-api-key: ann\r\nx-api-key: bob\r\n\r\n{}"
            reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
            writer.write((head + twice).encode())
            found = await reader.read()
            writer.close()
            assert b'["POST", "/v1/messages?beta=true", "one, two", "bob"]' in found

    run(main)


@pytest.mark.parametrize("path", PATHS)
def test_a_body_beyond_its_bound_is_refused_in_the_formats_words(path: str) -> None:
    """Whether its length is told or it comes in chunks, it is answered with 413 and nobody is asked."""

    async def main() -> None:
        calls: list[str] = []
        async with serving(counting(calls), limits=Limits(body=1000)) as there:
            told = await there.client().post(path, b"x" * 1001)
            chunk = b"300\r\n" + b"x" * 0x300 + b"\r\n"
            client = there.client()
            await client.send(raw("POST", path, headers={"transfer-encoding": "chunked"}) + chunk * 2)
            chunked = await client.head()
            assert (told.status, chunked.status, calls) == (413, 413, [])
            assert said(path, told.json()) == "the body is larger than 1000 bytes"

    run(main)


def test_a_chunked_body_within_its_bound_is_answered() -> None:
    """Chunks come together as the body they are pieces of."""

    async def main() -> None:
        async with serving(counting([])) as there:
            body, client = chat("hi"), there.client()
            pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
            await client.send(raw("POST", CHAT, headers={"transfer-encoding": "chunked"}) + pieces)
            assert (await client.head()).status == 200
            await client.close()

    run(main)


@pytest.mark.parametrize("headers", [{"content-length": "500"}, {"transfer-encoding": "chunked"}])
def test_a_body_that_does_not_come_is_given_up(headers: dict[str, str]) -> None:
    """A client that sends its body too slowly is answered with 408, and its connection is closed."""

    async def main() -> None:
        async with serving(counting([]), limits=Limits(reading=0.15)) as there:
            client = there.client()
            await client.send(raw("POST", MESSAGES, headers=headers) + b"3\r\nabc")
            answer = await client.head()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            await client.close()

    run(main)


def test_a_head_that_is_too_large_or_does_not_come_is_refused() -> None:
    """Headers beyond their bound are answered with 431; a head that never ends, with the end of the connection."""

    async def main() -> None:
        async with serving(counting([]), limits=Limits(head=8192, idle=0.2)) as there:
            large = await there.client().get("/healthz", padding="x" * 9000)
            client = there.client()
            await client.send(b"GET /healthz HTTP/1.1\r\nhost: lo")
            reader, _ = await client.open()
            rest = await asyncio.wait_for(reader.read(), 10)
            await client.close()
            assert large.status == 431
            assert rest == b"" or b" 408 " in rest

    run(main)


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    """The bound on the whole is answered with 504, cancels what is asked upstream, and counts as the status it was."""

    async def main() -> None:
        backend = Held()
        async with serving(held(backend), limits=Limits(whole=0.15)) as there:
            answer = await there.client().post(CHAT, chat("hi"))
            assert answer.status == 504 and "longer than 0.15 s" in said(CHAT, answer.json())
            await asyncio.wait_for(backend.cancelled.wait(), 5)

    run(main)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_stream_that_is_given_up_says_so_at_its_end(path: str) -> None:
    """Nobody takes the pieces there are for a whole answer: the last event is an error."""

    async def main() -> None:
        backend = Held()
        async with serving(held(backend), limits=Limits(whole=0.3)) as there:
            answer = await there.client().post(path, chat("hi", stream=True, max_tokens=9))
            assert answer.status == 200 and b"good" in answer.body
            last = answer.body.strip().split(b"\n\n")[-1].split(b"data: ")[1]
            assert "longer than" in said(path, json.loads(last))
            assert backend.cancelled.is_set()

    run(main)


def test_health_is_told_while_every_place_is_taken() -> None:
    """With as many requests in work as there may be, more are told when to come back; health checks are answered."""

    async def main() -> None:
        backend = Held()
        async with serving(held(backend), limits=Limits(requests=2, connections=50, retry=3)) as there:
            waiting = [asyncio.ensure_future(there.client().post(CHAT, chat("hi"))) for _ in range(2)]
            await until(lambda: there.gateway.busy == 2, "both to be in work")
            more = await there.client().post(MESSAGES, chat("hi"))
            assert (more.status, more.headers["retry-after"]) == (503, "3")
            assert said(MESSAGES, more.json())
            assert (await there.client().get("/healthz")).body == b"ok\n"
            assert (await there.client().get("/readyz")).json() == {"ready": True}
            backend.free.set()
            assert [(await each).status for each in waiting] == [200, 200]
            assert there.gateway.busy == 0

    run(main)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_cancels_what_is_asked(stream: bool) -> None:
    """The call upstream ends, the place is free again, and the gate is told once, with the trace."""

    async def main() -> None:
        backend, gate = Held(), Gate()
        async with serving(held(backend), gate=gate) as there:
            client = there.client()
            await client.send(raw("POST", CHAT, chat("hi", stream=stream), {"x-api-key": "ann"}))
            await asyncio.wait_for(backend.asked.wait(), 5)
            if stream:
                assert (await client.head()).status == 200
            await client.close()
            await asyncio.wait_for(backend.cancelled.wait(), 5)
            await until(lambda: not there.gateway.busy, "all to be let go")
            [(caller, done)] = gate.left
            assert caller.name == "ann" and done is not None and done.status == 499
            assert done.answer is not None and done.answer.attempts

    run(main)


def test_pieces_are_passed_on_as_they_come() -> None:
    """The first piece is read by the client while the second is still to be said."""

    async def main() -> None:
        backend = Held()
        async with serving(held(backend)) as there:
            client = there.client()
            await client.send(raw("POST", CHAT, chat("hi", stream=True)))
            await client.head()
            seen = b""
            async for piece in client.pieces():
                seen += piece
                if b"good" in seen and not backend.free.is_set():
                    assert b"!" not in seen
                    backend.free.set()
            assert b"!" in seen and seen.endswith(b"data: [DONE]\n\n")
            await client.close()

    run(main)


def test_a_client_may_leave_many_times() -> None:
    """Hundreds of clients that come and go leave nothing in work."""

    async def main() -> None:
        backend = Held()
        async with serving(held(backend)) as there:

            async def leave() -> None:
                client = there.client()
                await client.send(raw("POST", CHAT, chat("hi", stream=True)))
                await client.head()
                await client.close()

            await asyncio.gather(*(leave() for _ in range(200)))
            await until(lambda: not there.gateway.busy, "all to be let go")
            assert backend.calls == 200

    run(main)


def test_a_thousand_streams_at_once() -> None:
    """One worker holds a thousand streams, each with its first piece out, and ends each whole."""

    async def main() -> None:
        backend = Held()
        async with serving(held(backend)) as there:
            clients = [there.client() for _ in range(1000)]

            async def begin(client: Any) -> None:
                await client.send(raw("POST", CHAT, chat("hi", stream=True)))
                assert (await client.head()).status == 200

            async def finish(client: Any) -> bytes:
                pieces = [piece async for piece in client.pieces()]
                await client.close()
                return b"".join(pieces)

            for start in range(0, 1000, 100):  # no more than a listener's queue takes at once
                await asyncio.gather(*(begin(client) for client in clients[start : start + 100]))
            assert there.gateway.busy == 1000
            backend.free.set()
            whole = await asyncio.gather(*(finish(client) for client in clients))
            assert all(each.endswith(b"data: [DONE]\n\n") for each in whole)

    run(main)


SAME = [
    ({}, {}, True),
    ({"x-api-key": "bob"}, {}, False),
    ({"x-cascade-min-tier": "small"}, {}, False),
    ({"x-cascade-regenerate": "true"}, {}, False),
    ({"anthropic-version": "2023-06-01"}, {}, False),
    ({"x-request-id": "another"}, {}, True),
    ({"user-agent": "another"}, {}, True),
    ({}, {"temperature": 0.0}, False),
    ({}, {"stream": True}, False),
]


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize(("headers", "more", "kept"), SAME)
def test_the_very_same_request_is_answered_from_the_cache(
    headers: dict[str, str], more: dict[str, Any], kept: bool, guarded: bool
) -> None:
    """The same bytes of the same caller, with no header that matters changed: then, and only then, nobody is asked."""

    async def main() -> None:
        calls: list[str] = []
        async with serving(counting(calls), gate=Gate() if guarded else None, cache=Kept()) as there:
            client = there.client()
            base = {"x-api-key": "ann", "content-type": "application/json"}
            first = await client.ask("POST", CHAT, chat("hi", temperature=0), base)
            second = await client.ask("POST", CHAT, chat("hi", **{"temperature": 0, **more}), {**base, **headers})
            assert (first.status, second.status) == (200, 200)
            assert len(calls) == (1 if kept else 2)
            assert (second.headers.get("x-cascade-via") == "cache") is kept
            if kept:
                assert second.body == first.body and second.headers["x-cascade-tier"] == "small"
                assert second.headers["x-cascade-cost-usd"] == "0"
                assert second.headers["x-request-id"] == headers.get("x-request-id", second.headers["x-request-id"])
                assert second.headers["x-request-id"] != first.headers["x-request-id"]
            await client.close()

    run(main)


@pytest.mark.parametrize(("temperature", "every", "kept"), [(0, False, True), (0.7, False, False), (0.7, True, True)])
def test_what_was_drawn_by_chance_is_kept_only_if_wanted(temperature: float, every: bool, kept: bool) -> None:
    """Without `every`, answers are kept for temperature zero alone."""

    async def main() -> None:
        calls: list[str] = []
        async with serving(counting(calls), cache=Kept(every=every)) as there:
            for _ in range(2):
                await there.client().post(CHAT, chat("hi", temperature=temperature))
            assert len(calls) == (1 if kept else 2)

    run(main)


def test_who_may_ask_for_less_than_before_is_not_given_what_was_kept() -> None:
    """Once a key's models were taken from it, it is no longer answered from the cache for these."""

    async def main() -> None:
        calls: list[str] = []

        class Lessening(Gate):
            models: frozenset[str] | None = None

            def enter(self, headers: Mapping[str, str], path: str, body_length: int, /) -> Caller | Response:
                return Caller(name="ann", models=self.models)

        gate = Lessening()
        async with serving(counting(calls), gate=gate, cache=Kept(every=True)) as there:
            body = json.dumps({"model": "cascade", "messages": [{"role": "user", "content": "hi"}]}).encode()
            statuses = []
            for models in (None, frozenset({"cascade"}), frozenset({"cascade"}), frozenset({"other"})):
                gate.models = models
                statuses.append((await there.client().post(CHAT, body)).status)
            assert (statuses, len(calls)) == ([200, 200, 200, 404], 2)

    run(main)


def test_what_falls_short_is_not_kept() -> None:
    """An answer that was made beforehand, since nobody could be asked, is asked for anew the next time."""

    async def main() -> None:
        calls = 0

        async def broken(_request: Any) -> str:
            nonlocal calls
            calls += 1
            raise ValueError

        async with serving(Cascade(Tier(broken)), cache=Kept(every=True)) as there:
            said_first = await there.client().post(CHAT, chat("hi"))
            said_second = await there.client().post(CHAT, chat("hi"))
            assert calls == 2 and "cache" not in (
                said_first.headers.get("x-cascade-via"), said_second.headers.get("x-cascade-via"),
            )  # fmt: skip

    run(main)


def test_the_gate_lets_in_or_answers_and_hears_of_each_once() -> None:
    """Who has no key gets the gate's own answer before the body is read; who has is told of when it is over."""

    async def main() -> None:
        gate = Gate()
        async with serving(counting([]), gate=gate) as there:
            body = chat("hi")
            assert (await there.client().post(CHAT, body)).status == 401
            assert (await there.client().post(CHAT, body, x_api_key="ann")).status == 200
            assert (await there.client().post(CHAT, b"{", x_api_key="ann")).status == 400
            assert (await there.client().get("/v1/models", **{"x-api-key": "ann"})).status == 200
            assert gate.entered == [len(body), 1, 0]
            assert [(caller.name, done is not None) for caller, done in gate.left] == [
                ("ann", True), ("ann", False), ("ann", False),
            ]  # fmt: skip

    run(main)


def test_a_gate_that_breaks_is_answered_and_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets a 500 in its format, and the log the name of what went wrong, not what it said."""

    class Broken(Gate):
        def enter(self, headers: Mapping[str, str], path: str, body_length: int, /) -> Caller | Response:
            raise KeyError("sk-secret")

    async def main() -> None:
        async with serving(counting([]), gate=Broken()) as there:
            answer = await there.client().post(MESSAGES, chat("hi"))
            assert answer.status == 500 and said(MESSAGES, answer.json())
            assert b"sk-secret" not in answer.body

    run(main)
    assert "KeyError" in caplog.text and "sk-secret" not in caplog.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
def test_what_is_no_json_is_the_callers_fault(path: str, body: bytes) -> None:
    """It is answered with 400 in the words of the format."""

    async def main() -> None:
        async with serving(counting([])) as there:
            answer = await there.client().post(path, body)
            assert answer.status == 400 and said(path, answer.json())

    run(main)


def test_ready_is_who_can_ask_somebody() -> None:
    """Not while every instance of every tier is shut, nor while it drains; a tier without a pool can be asked."""

    async def echo(request: Any) -> str:
        return str(request.text)

    pool = Pool(Instance(Function(echo), name="one"), Instance(Function(echo), name="two"), name="both")
    alone, beside = Cascade(Tier(pool)), Cascade(Tier(pool), Tier(echo, name="two"))
    assert report({"a": alone}, draining=False)[0] == 200
    pool.force("one", "open")
    assert report({"a": alone}, draining=False)[0] == 200
    pool.force("two", "open")
    status, body = report({"a": alone}, draining=False)
    assert status == 503 and json.loads(body) == {"ready": False, "why": "no tier can be asked", "shut": ["a"]}
    assert report({"a": alone, "b": beside}, draining=False)[0] == 200
    assert report({"b": beside}, draining=True)[0] == 503


def test_one_that_drains_says_so() -> None:
    """It still answers, tells each client to connect anew, and is not ready."""

    async def main() -> None:
        async with serving(counting([])) as there:
            there.gateway.drain()
            answer = await there.client().post(CHAT, chat("hi"))
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert (await there.client().get("/readyz")).status == 503
            assert (await there.client().get("/healthz")).status == 200

    run(main)


def test_metrics_count_what_was_answered() -> None:
    """Requests by path, status, tier and way; the times; hits; and the paths that clients make up all as one."""

    async def main() -> None:
        async with serving(counting([]), cache=Kept()) as there:
            for _ in range(3):
                await there.client().post(CHAT, chat("hi", temperature=0))
            for made_up in ("/a", "/b"):
                await there.client().get(made_up)
            text = (await there.client().get("/metrics")).body.decode()
            counted = [line.split('worker="0",')[1] for line in text.splitlines() if "requests_total{" in line]
            assert counted == [
                'path="/v1/chat/completions",status="200",tier="small",via=""} 1',
                'path="/v1/chat/completions",status="200",tier="small",via="cache"} 2',
                'path="other",status="404",tier="",via=""} 2',
            ]
            assert 'request_seconds_bucket{worker="0",path="/v1/chat/completions",le="+Inf"} 3' in text
            assert 'cache_hits_total{worker="0"} 2' in text

    run(main)


def test_metrics_may_have_a_key() -> None:
    """Where one is set, nobody reads them without it; it is not in the settings' repr."""

    async def main() -> None:
        async with serving(counting([]), metrics_key="sesame") as there:
            assert (await there.client().get("/metrics")).status == 401
            assert (await there.client().get("/metrics", authorization="Bearer other")).status == 401
            assert (await there.client().get("/metrics", authorization="Bearer sesame")).status == 200
            assert "sesame" not in repr(there.gateway.settings)
        async with serving(counting([]), metrics=False) as there:
            assert (await there.client().get("/metrics")).status == 404

    run(main)


def test_families_stand_together_whoever_counted() -> None:
    """The texts of several workers become one in which each family has one head, as Prometheus asks."""
    texts = []
    for worker in ("0", "1"):
        metrics = Metrics()
        metrics(Decision("match", 'a "tier"\n', 0.0, 0.3, status=200, path="/v1/messages"))
        texts.append(told(metrics.packed(worker, {"fastcascade_in_flight": 2})))
    text = exposition(texts)
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)) and "# TYPE fastcascade_request_seconds histogram" in heads
    assert text.count(r'tier="a \"tier\"\n"') == 2
    assert text.index('in_flight{worker="0"}') < text.index('in_flight{worker="1"}')


def test_a_board_holds_what_was_written_last() -> None:
    """Each place has its own, a longer or shorter one takes its place whole, and what is too long is refused."""
    board = Board(3, 64)
    board.write(0, b"one")
    board.write(2, b"three, at some length")
    assert board.write(2, b"3")
    assert board.read() == {0: b"one", 2: b"3"}
    assert not board.write(2, b"0123456789" * 9)
    assert board.read()[2] == b"3"
    board.clear(2)
    assert 2 not in board.read()


def test_of_too_many_routes_the_counts_are_told_without_histograms() -> None:
    """What is too much for its place is told in part, and what took no time has no histogram at all."""
    metrics = Metrics()
    for number in range(100):
        metrics(Decision("match", "200", 0.0, 0.1, status=200, path=f"/routes/{number}"))
    metrics(Decision("match", "200", 0.0, None, status=200, path="/ping"))
    whole, part = (told(metrics.packed("0", {}, whole=each)) for each in (True, False))
    assert whole.count("fastcascade_request_seconds_count") == 100
    assert "fastcascade_request_seconds" not in part
    assert part.count("fastcascade_requests_total") == whole.count("fastcascade_requests_total") == 101


def test_the_access_log_has_names_and_numbers_alone(caplog: pytest.LogCaptureFixture) -> None:
    """One line of JSON a request, without query, headers, prompt or answer; none unless it is wanted."""
    caplog.set_level(logging.INFO, "fastcascade.access")

    async def main() -> None:
        for wanted in (False, True):
            async with serving(counting([]), gate=Gate(), access_log=wanted) as there:
                await there.client().post(f"{CHAT}?key=secret", chat("secret"), x_api_key="ann", cookie="secret")

    run(main)
    [line] = [each.getMessage() for each in caplog.records if each.name == "fastcascade.access"]
    told = json.loads(line)
    assert "secret" not in line
    assert (told["path"], told["status"], told["caller"], told["tier"]) == (CHAT, 200, "ann", "small")
    assert told["id"].startswith("req_")


def test_http_2_is_spoken() -> None:
    """A client that begins with HTTP/2's preface is answered with a frame of settings."""

    async def main() -> None:
        async with serving(counting([])) as there:
            client = there.client()
            await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            reader, _ = await client.open()
            head = await asyncio.wait_for(reader.readexactly(9), 5)
            assert head[3] == 4
            await client.close()

    run(main)


def test_a_body_has_the_length_that_it_is_framed_with() -> None:
    """A length beside chunks is not believed, and HTTP/2 needs none."""
    assert length_of({"content-length": "5", "transfer-encoding": "chunked"}) == -1
    assert [length_of({}), length_of({}, framed=True), length_of({"content-length": "7"}, framed=True)] == [0, -1, 7]


def test_expect_100_continue_is_honored() -> None:
    """A client that waits to be asked for its body is asked for it."""

    async def main() -> None:
        async with serving(counting([])) as there:
            client, body = there.client(), chat("hi")
            head = raw("POST", CHAT, headers={"content-length": str(len(body)), "expect": "100-continue"})
            await client.send(head)
            assert (await client.head()).status == 100
            await client.send(body)
            assert (await client.head()).status == 200
            await client.close()

    run(main)


WRONG = [
    ({"port": 70_000}, "port must be"),
    ({"workers": 0}, "workers must be"),
    ({"drain": 0}, "drain must be"),
    ({"drain": 1, "linger": 1}, "linger shorter"),
]


@pytest.mark.parametrize(("settings", "problem"), WRONG)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], problem: str) -> None:
    """When they are made, with the name of the one at fault."""
    with pytest.raises(ConfigError, match=problem):
        Settings(**settings)


@pytest.mark.parametrize("limits", [{"body": 0}, {"head": 10}, {"reading": 0}, {"requests": 9, "connections": 9}])
def test_limits_that_cannot_work_are_refused(limits: dict[str, Any]) -> None:
    """Likewise."""
    with pytest.raises(ConfigError, match=next(iter(limits))):
        Limits(**limits)


OPEN = [("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("localhost", False), ("0.0.0.0", True)]  # noqa: S104


@pytest.mark.parametrize(("host", "refused"), [*OPEN, ("::", True), ("10.0.0.1", True), ("example.org", True)])
def test_strangers_are_not_served_by_accident(host: str, refused: bool) -> None:
    """An address that others can reach needs keys, or somebody who says that anyone may."""
    Settings(host=host).check_open(guarded=True)
    Settings(host=host, allow_anyone=True).check_open(guarded=False)
    if refused:
        with pytest.raises(ConfigError, match="--allow-anyone"):
            Settings(host=host).check_open(guarded=False)
    else:
        Settings(host=host).check_open(guarded=False)
