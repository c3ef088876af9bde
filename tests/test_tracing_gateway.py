"""Traces through the gateway and the middleware: what comes in is the parent, what goes out says which span asks."""

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from fastcascade import Cascade, Tier
from fastcascade.asgi import CascadeMiddleware
from fastcascade.backends.direct import Direct
from fastcascade.gateway.passthrough import Passthrough
from fastcascade.gateway.proxy_settings import ProxyRoute
from fastcascade.telemetry.events import HUB
from fastcascade.wsgi import WsgiMiddleware
from gateways import Client, chat, client_of, running, serving
from proxied import behind, ok, pool, routed
from test_tracing_sent import HOSTILE
from traced import PARENT, SECRET, Collector, Kept, Says, asks, ladder, traced
from wire import openai as gpt
from wire.server import WireServer

CHAT = "/v1/chat/completions"
TRACE = PARENT[3:35]
ENDS = ["--port", "0", "--drain", "10"]


def within(kept: Kept) -> None:
    """All belongs to the trace that came in."""
    assert {f"{each.context.trace_id:032x}" for each in kept.spans if each.context} == {TRACE}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_request_to_the_gateway_is_a_tree_below_what_came_in(stream: bool) -> None:
    """The server's span is the child of the client's; attempts and calls stand below it."""

    async def main() -> None:
        async with serving(ladder(gate=not stream)) as there:
            said = await there.client().post(CHAT, chat("hello", stream=stream), traceparent=PARENT)
            assert said.status == 200

    with traced() as kept:
        asyncio.run(main())
    root = kept.one("POST")
    assert root.name == f"POST {CHAT}"
    assert root.kind is SpanKind.SERVER
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT[36:52]
    said = root.attributes or {}
    assert (said["http.response.status_code"], said["http.route"]) == (200, CHAT)
    assert f"POST {CHAT} > attempt small > chat haiku" in kept.tree()
    within(kept)


def test_requests_at_once_at_the_gateway_do_not_mix() -> None:
    """Each of many at the same time has a trace of its own, and every call stands in that of its request."""

    async def main() -> None:
        async with serving(ladder()) as there:
            clients = [there.client() for _ in range(8)]

            async def ask(client: Client, number: int) -> None:
                for at in range(5):
                    parent = f"00-{number:016x}{at:016x}-b7ad6b7169203331-01"
                    if number == 0:
                        parent = f"00-{'f' * 16}{at:016x}-b7ad6b7169203331-01"
                    assert (await client.post(CHAT, chat("hello"), traceparent=parent)).status == 200

            await asyncio.gather(*(ask(client, number) for number, client in enumerate(clients)))

    with traced() as kept:
        asyncio.run(main())
    sizes: dict[int, int] = {}
    for each in kept.spans:
        assert each.context is not None
        sizes[each.context.trace_id] = sizes.get(each.context.trace_id, 0) + 1
    assert sorted(sizes.values()) == [5] * 40


def test_hostile_headers_begin_a_trace_of_their_own() -> None:
    """Whatever a client sends, it is answered, and its trace is a new one."""
    sent = [each for each in HOSTILE if each.isascii() and "\n" not in each]

    async def main() -> None:
        async with serving(ladder(gate=False)) as there:
            client = there.client()
            for parent in sent:
                assert (await client.post(CHAT, chat("hello"), traceparent=parent, tracestate="\t,,")).status == 200

    with traced() as kept:
        asyncio.run(main())
    roots = kept.named("POST")
    assert len(roots) == len(sent)
    assert all(each.parent is None for each in roots)


def test_what_is_passed_through_says_which_span_asks() -> None:
    """A pass-through's provider gets the call's own `traceparent`, whole and as a stream; no key is in any span."""

    async def main(url: str) -> None:
        there = Passthrough(f"{url}/v1", SECRET, "openai", name="theirs")
        sent = {"content-type": "application/json", "traceparent": PARENT}
        for stream in (False, True):
            with tracer().begun(sent, served=True):
                response = await there.handle("POST", CHAT, sent, chat("hello", stream=stream, model="gpt"))
                assert response.status == 200
                if response.pieces is not None:
                    async for _ in response.pieces:
                        pass
        await there.aclose()

    whole = gpt.completion("Hi")
    with WireServer() as server, traced() as kept:
        server.reply(200, whole)
        server.stream(gpt.frames(whole))
        asyncio.run(main(server.url))
    calls = kept.named("chat gpt")
    assert [each.headers["traceparent"] for each in server.seen] == [asks(each) for each in calls]
    for each in calls:
        assert (each.attributes or {})["gen_ai.usage.output_tokens"] == 34
        assert each.kind is SpanKind.CLIENT
    within(kept)
    assert SECRET not in kept.everything()


def tracer() -> Any:
    """Who traces now."""
    from fastcascade import spans  # noqa: PLC0415 - what is set there changes

    assert spans.tracer is not None
    return spans.tracer


def test_a_route_says_which_span_asks() -> None:
    """An app behind the gateway gets the `traceparent` of its own call, in the place of the client's; once."""

    async def main() -> None:
        async with behind(ok(b"hello")) as app, routed([ProxyRoute("*", to="app")], {"app": pool(app)}) as there:
            said = await there.client().get("/page", traceparent=PARENT, tracestate="a=1")
            assert said.body == b"hello"
            got.extend(app.asked[0].pairs)

    got: list[tuple[str, str]] = []
    with traced() as kept:
        asyncio.run(main())
    call = kept.one("GET") if len(kept.named("GET")) == 1 else kept.named("GET")[-1]
    assert [value for name, value in got if name == "traceparent"] == [asks(call)]
    assert [value for name, value in got if name == "tracestate"] == ["a=1"]
    assert call.kind is SpanKind.CLIENT
    assert (call.attributes or {})["http.response.status_code"] == 200
    within(kept)


def test_a_route_that_nobody_answers_has_failed() -> None:
    """The call that met nobody is an error, and so is the request."""

    async def main() -> None:
        async with behind() as app:
            gone = pool(app, retries=0)
        async with routed([ProxyRoute("*", to="app")], {"app": gone}) as there:
            assert (await there.client().get("/page")).status == 503

    with traced() as kept:
        asyncio.run(main())
    assert sorted(str((each.attributes or {})["error.type"]) for each in kept.spans) == ["503", "connection"]
    assert all(each.status.status_code is StatusCode.ERROR for each in kept.spans)


def test_without_tracing_a_route_passes_the_clients_own_on() -> None:
    """Nobody's trace is cut where this gateway has no part in it."""

    async def main() -> None:
        async with behind(ok(b"hello")) as app, routed([ProxyRoute("*", to="app")], {"app": pool(app)}) as there:
            await there.client().get("/page", traceparent=PARENT)
            assert app.asked[0].headers["traceparent"] == PARENT

    asyncio.run(main())


# The middleware.


def test_an_app_behind_the_asgi_middleware_runs_below_its_span() -> None:
    """The middleware's span is the parent of the app's own, and of the cascade that it asks."""
    cascade, inside = ladder(), []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        inside.append(trace.get_current_span().get_span_context())
        answer = await cascade.run("hello")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer.text.encode()})

    async def main() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/ask",
            "query_string": b"",
            "headers": [(b"traceparent", PARENT.encode())],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_message: Any) -> None: ...

        await CascadeMiddleware(app)(scope, receive, send)
        assert trace.get_current_span().get_span_context().is_valid is False

    with traced() as kept:
        asyncio.run(main())
    (root,) = [each for each in kept.spans if each.kind is SpanKind.SERVER]
    assert inside == [root.context]
    assert f"{root.name} > invoke_workflow support > attempt small > chat haiku" in kept.tree()
    assert len(kept.spans) == 6
    within(kept)


def test_an_app_behind_the_wsgi_middleware_runs_below_its_span() -> None:
    """Likewise for plain code; the span ends with the body."""
    cascade, inside = ladder(), []

    def app(_environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        inside.append(trace.get_current_span().get_span_context())
        start_response("200 OK", [])
        return [cascade.run_sync("hello").text.encode()]

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/ask",
        "HTTP_TRACEPARENT": PARENT,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }
    with traced() as kept:
        body: Any = WsgiMiddleware(app)(environ, lambda *_: len)
        assert b"".join(body) == b"I am opus"
        if hasattr(body, "close"):
            body.close()
    (root,) = [each for each in kept.spans if each.kind is SpanKind.SERVER]
    assert inside == [root.context]
    assert f"{root.name} > invoke_workflow support > attempt small > chat haiku" in kept.tree()
    within(kept)


# A process of its own.

FILE = """
[gateway]
linger = 0.0
{gateway}
[[tiers]]
name = "small"
backend = {{ kind = "openai", model = "m", base_url = "{url}/v1", api_key = "env:PROVIDER_KEY" }}
"""


def written(folder: Path, url: str, gateway: str) -> str:
    """A file to serve."""
    file = folder / "cascade.toml"
    file.write_text(FILE.format(url=url, gateway=gateway), encoding="utf-8")
    return str(file)


def test_a_gateway_sends_its_traces_to_a_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file says, to where OpenTelemetry's variables point: the whole tree, and what waits at the end too."""
    with Collector() as collector, WireServer() as provider:
        monkeypatch.setenv("PROVIDER_KEY", SECRET)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=made-up-secret")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
        provider.reply(200, gpt.completion("Hi"))
        file = written(tmp_path, provider.url, '[gateway.tracing]\nservice = "shop"\n')
        with running(file, *ENDS) as (process, port):

            async def main() -> None:
                async with client_of(port) as client:
                    sent = {"traceparent": PARENT, "authorization": "Bearer client-secret-0123456789"}
                    said = await client.ask("POST", CHAT, chat("the prompt"), sent)
                    assert (said.status, json.loads(said.body)["choices"][0]["message"]["content"]) == (200, "Hi")

            asyncio.run(main())
            process.signal(15)
            assert process.end() == 0
        found = collector.wait(3)
    by_name = {each.name.partition(" ")[0]: each for each in found}
    root, attempt, call = by_name["POST"], by_name["attempt"], by_name["chat"]
    assert collector.services == {"shop"}
    assert {each.trace_id.hex() for each in found} == {TRACE}
    assert root.parent_span_id.hex() == PARENT[36:52]
    assert (attempt.parent_span_id, call.parent_span_id) == (root.span_id, attempt.span_id)
    assert provider.seen[0].headers["traceparent"][:53] == f"00-{TRACE}-{call.span_id.hex()}-"
    everything = "".join(map(str, found))
    for secret in (SECRET, "client-secret", "made-up-secret", "the prompt"):
        assert secret not in everything


def test_a_collector_that_is_away_keeps_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway whose spans nobody takes answers, and ends when it is told to."""
    monkeypatch.setenv("PROVIDER_KEY", SECRET)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with WireServer() as provider:
        provider.reply(200, gpt.completion("Hi"))
        file = written(tmp_path, provider.url, "[gateway.tracing]\n")
        with running(file, *ENDS) as (process, port):

            async def main() -> None:
                async with client_of(port) as client:
                    assert (await client.post(CHAT, chat("hello"))).status == 200

            asyncio.run(main())
            process.signal(15)
            assert process.end() == 0


def test_a_dead_client_and_its_upstream_are_told_apart() -> None:
    """A client that goes away is no error of the server's: 499, and the call below was given up."""
    slow = Says("slow")

    async def main() -> None:
        asked, free, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def complete(_request: Any, /) -> Any:
            asked.set()
            await free.wait()

        slow.complete = complete  # type: ignore[method-assign]
        async with serving(Cascade(Tier(slow, name="slow"))) as there:
            client = there.client()
            body = chat("hello")
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            await client.send(head + body)
            await asked.wait()
            end = HUB.subscribe(lambda _: over.set())
            await client.close()
            async with asyncio.timeout(15):
                await over.wait()
            end()

    with traced() as kept:
        asyncio.run(main())
    root, call = kept.one("POST"), kept.one("chat")
    assert (root.attributes or {})["http.response.status_code"] == 499
    assert root.status.status_code is StatusCode.UNSET
    assert (call.attributes or {})["fastcascade.cancelled"] is True


def test_direct_without_tracing_sends_no_traceparent() -> None:
    """Nothing is added to what is sent where nobody traces."""

    async def main(url: str) -> None:
        backend = Direct("m", wire="openai", base_url=f"{url}/v1")
        await Cascade(Tier(backend)).run("hello")
        await backend.aclose()

    with WireServer() as server:
        server.reply(200, gpt.completion("Hi"))
        asyncio.run(main(server.url))
    assert "traceparent" not in server.seen[0].headers
