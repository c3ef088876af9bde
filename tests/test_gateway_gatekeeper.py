"""The gateway's gatekeeper: who is let in, what the others are told, and what nobody gets to see."""

import asyncio
import json
import logging
import os
from pathlib import Path

import pytest

from fastcascade import Cascade
from fastcascade.answers import Answer, Attempt, Spent
from fastcascade.backends import Anthropic, OpenAI
from fastcascade.gateway.account import account_of
from fastcascade.gateway.gatekeeper import Entered, KeyGate, Patterns, gatekeeper, secret_of
from fastcascade.gateway.key_store import KeyFile, Keys
from fastcascade.gateway.keys import new_secret
from fastcascade.gateway.meter import Meter
from fastcascade.gateway.settings import Settings
from fastcascade.messages import Reply, Request, Usage
from fastcascade.notices import Notice
from fastcascade.prices import Price
from fastcascade.tiers import Tier
from fastcascade.wire.endpoint import Caller, Done, Response
from fastcascade.wire.format import Asked
from gateways import chat, serving

NOW = 1_800_000_000.0
PATH = "/v1/chat/completions"
MAKE = """
import sys
from fastcascade.gateway.key_store import KeyFile
for turn in range(10):
    KeyFile(sys.argv[1]).create(f"{sys.argv[2]}{turn}")
"""


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> float:
        return self.at


def gate_of(folder: Path, clock: Clock) -> tuple[KeyGate, KeyFile]:
    """A gate with a file of keys that has none yet."""
    path = folder / "keys.json"
    path.write_text('{"keys": []}', encoding="utf-8")
    file = KeyFile(path, clock)
    meter = Meter(account_of("sqlite:used.db", folder), now=clock)
    meter.exchange()
    return KeyGate(Keys(file), meter, now=clock), file


def bearer(secret: str) -> dict[str, str]:
    """Headers with it."""
    return {"authorization": f"Bearer {secret}"}


def entered(got: object) -> Entered:
    """Someone who was let in."""
    assert isinstance(got, Entered), getattr(got, "body", got)
    return got


def refusal(got: object, status: int) -> dict[str, str]:
    """The headers of one who was not, with the message among them."""
    assert isinstance(got, Response)
    assert got.status == status, got.body
    said = json.loads(got.body or b"")
    return {**dict(got.headers), "message": said["error"]["message"]}


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key"])
def test_the_credential_ends_here(tmp_path: Path, name: str) -> None:
    """A key is taken from any of three headers, and taken off them all."""
    gate, file = gate_of(tmp_path, Clock())
    record, secret = file.create("ci", tenant="acme", fields={"customer": "acme"})
    gate.keys.look()
    headers = {name: f"Bearer {secret}" if name == "authorization" else secret, "accept": "*/*"}
    caller = entered(gate.enter(headers, PATH, 10))
    assert headers == {"accept": "*/*"}
    assert (caller.name, caller.tenant, caller.models) == (record.id, "acme", None)
    assert caller.fields == {"customer": "acme"}
    assert secret_of({"authorization": "Basic abc", "x-api-key": "k"}) == "k"


def test_who_is_not_let_in_hears_the_same(
    tmp_path: Path, heard: list[Notice], caplog: pytest.LogCaptureFixture
) -> None:
    """Unknown, revoked and expired are one answer to clients and three to operators, and no secret is in any log."""
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    gate, file = gate_of(tmp_path, clock)
    revoked, first = file.create("old")
    expired, second = file.create("brief", expires=NOW + 60)
    third = new_secret()
    file.revoke("old")
    gate.keys.look()
    entered(gate.enter(bearer(second), PATH, 10))
    clock.at += 60
    said = [refusal(gate.enter(bearer(each), PATH, 10), 401) for each in (first, second, third)]
    assert len({each.pop("x-request-id") for each in said}) == 3
    assert said[0] == said[1] == said[2]
    assert said[0]["www-authenticate"] == 'Bearer realm="gateway", error="invalid_token"'
    assert [(each.about, each.text) for each in heard] == [
        (f"key {revoked.id} (old)", "refused: revoked"),
        (f"key {expired.id} (brief)", "refused: expired"),
    ]
    assert third[:8] in caplog.text
    assert not any(each[:12] in caplog.text for each in (first, second, third))
    mistyped = refusal(gate.enter(bearer(third[:-1] + ("A" if third[-1] != "A" else "B")), PATH, 10), 401)
    assert "mistyped" in mistyped["message"]
    missing = refusal(gate.enter({}, PATH, 10), 401)
    assert missing["www-authenticate"] == 'Bearer realm="gateway"'


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_a_refusal_speaks_the_format(tmp_path: Path, path: str) -> None:
    """A refusal is in the words of the API that was asked."""
    gate, _ = gate_of(tmp_path, Clock())
    got = gate.enter({}, path, 10)
    assert isinstance(got, Response)
    error = json.loads(got.body or b"")
    if path == "/v1/messages":
        assert (error["type"], error["error"]["type"]) == ("error", "authentication_error")
        assert error["request_id"] == dict(got.headers)["request-id"] == dict(got.headers)["x-request-id"]
    else:
        assert error["error"]["code"] == "invalid_api_key"


def test_routes_and_admin(tmp_path: Path) -> None:
    """A key asks where it may; the console is for admin keys, and models are not, unless the key says so."""
    gate, file = gate_of(tmp_path, Clock())
    narrow = bearer(file.create("narrow", routes=["/v1/messages", "/v1/messages/*"])[1])
    plain = bearer(file.create("plain")[1])
    admin = bearer(file.create("admin", admin=True)[1])
    both = bearer(file.create("both", admin=True, models=["chat"])[1])
    gate.keys.look()
    for headers, path, status in (
        (narrow, "/v1/messages", 0),
        (narrow, "/messages/", 0),
        (narrow, "/v1/messages/count_tokens", 0),
        (narrow, PATH, 403),
        (plain, PATH, 0),
        (plain, "/admin/keys", 403),
        (plain, "/console", 403),
        (admin, "/admin/keys", 0),
        (admin, PATH, 403),
        (admin, "/v1/models", 403),
        (both, "/console", 0),
        (both, PATH, 0),
    ):
        got = gate.enter(dict(headers), path, 10)
        assert (got.status if isinstance(got, Response) else 0) == status, path


@pytest.mark.parametrize(
    ("name", "fits"),
    [("chat", True), ("code-big", True), ("code-big/small", False), ("x/fast", True), ("chats", False), ("cod", False)],
)
def test_models_by_pattern(name: str, fits: bool) -> None:
    """A pattern stands for the cascades that fit it, and for tiers where it has a slash."""
    assert (name in Patterns(["chat", "code-*", "*/fast"])) is fits


def test_a_rate_is_told_and_kept(tmp_path: Path) -> None:
    """A limit is told with every answer, and beyond it a client hears when to come again; others are let in."""
    gate, file = gate_of(tmp_path, Clock())
    slow = bearer(file.create("slow", limit="2/day")[1])
    other = bearer(file.create("other", limit="2/day")[1])
    gate.keys.look()
    first = entered(gate.enter(dict(slow), PATH, 10))
    assert first.told[0] == ("ratelimit-policy", '"requests";q=2;w=86400')
    assert first.told[1][1].startswith('"requests";r=1;')
    entered(gate.enter(dict(slow), "/v1/models", 0))
    said = refusal(gate.enter(dict(slow), PATH, 10), 429)
    assert 43_000 < int(said["retry-after"]) <= 43_201
    assert said["ratelimit"].startswith('"requests";r=0;')
    entered(gate.enter(dict(other), PATH, 10))
    file.create("more")
    assert gate.keys.look()
    refusal(gate.enter(dict(slow), PATH, 10), 429)  # the count outlives a change of the file


def done(cost: float, tokens: int = 0) -> Done:
    """A request that did cost so much."""
    request = Request.of("?")
    call = Spent("small/answer", "small", Usage(input=tokens), cost, False, 0.0, 0.1)
    answer = Answer(Reply("yes"), request, "small", attempts=(Attempt("small", "accept", calls=(call,)),))
    return Done(Caller(), Asked(request, "small", {}), answer, 200, 0.1)


def test_tokens_are_counted_as_they_were_used(tmp_path: Path) -> None:
    """What a request was taken for is set right by what it used: more is a debt, and a hit in the cache takes none."""
    gate, file = gate_of(tmp_path, Clock())
    key = bearer(file.create("tokens", tokens_per_minute=1_000)[1])
    gate.keys.look()
    for _ in range(50):
        gate.leave(entered(gate.enter(dict(key), PATH, 4_000)), None)
    gate.leave(entered(gate.enter(dict(key), PATH, 400_000)), done(0.0, 1_500))
    said = refusal(gate.enter(dict(key), PATH, 4), 429)
    assert "tokens per minute" in said["message"]
    assert int(said["retry-after"]) >= 25


def test_a_budget_ends_and_begins_anew(tmp_path: Path, heard: list[Notice]) -> None:
    """A soft budget warns, a hard one refuses until the next day, and free paths stay open."""
    clock = Clock()
    gate, file = gate_of(tmp_path, clock)
    _, secret = file.create("ci", budget_day=1.0, soft_day=0.5)
    gate.keys.look()
    caller = entered(gate.enter(bearer(secret), PATH, 10))
    assert "x-cascade-budget-warning" not in dict(caller.told)
    gate.leave(caller, done(0.75))
    caller = entered(gate.enter(bearer(secret), PATH, 10))
    assert dict(caller.told)["x-cascade-budget-warning"] == "0.75 of 0.5 USD spent this day"
    assert [each.kind for each in heard] == ["budget"]
    gate.leave(caller, done(0.25))
    gate.leave(caller, done(0.25))  # once is all that counts
    said = refusal(gate.enter(bearer(secret), PATH, 10), 402)
    assert said["message"] == "this key's budget of 1 USD per day is spent; it begins anew at 2027-01-16T00:00:00Z"
    assert said["x-should-retry"] == "false"
    assert abs(int(said["retry-after"]) - (86_400 - NOW % 86_400)) <= 1
    entered(gate.enter(bearer(secret), "/v1/models", 0))
    entered(gate.enter(bearer(secret), "/v1/messages/count_tokens", 10))
    entered(gate.enter(bearer(secret), "/v1/responses/input_tokens", 10))
    clock.at += 86_400 - NOW % 86_400
    gate.meter.exchange()
    gate.leave(entered(gate.enter(bearer(secret), PATH, 10)), None)
    clock.at -= 3_600  # a clock set back opens no old day anew
    gate.leave(entered(gate.enter(bearer(secret), PATH, 10)), done(1.0))
    refusal(gate.enter(bearer(secret), PATH, 10), 402)


def test_what_others_hold_is_waited_for(tmp_path: Path) -> None:
    """Where requests in work hold what is left, a client is to come again soon, and takes nothing of its rate."""
    gate, file = gate_of(tmp_path, Clock())
    key = bearer(file.create("ci", budget_day=0.06, limit="3/day")[1])
    gate.keys.look()
    first = entered(gate.enter(dict(key), PATH, 10))
    said = refusal(gate.enter(dict(key), PATH, 10), 429)
    assert "held by its requests in work" in said["message"]
    assert (said["retry-after"], "x-should-retry" in said) == ("2", False)
    gate.leave(first, done(0.01))
    gate.leave(entered(gate.enter(dict(key), PATH, 10)), done(0.05))
    said = refusal(gate.enter(dict(key), PATH, 10), 402)
    assert said["ratelimit"].startswith('"requests";r=1;')


def test_a_running_gateway_takes_changes_up(tmp_path: Path) -> None:
    """Through a real server: a key works once it is made and no more once it is revoked, and no part sees it."""
    seen: list[Request] = []
    file = KeyFile(tmp_path / "keys.json")
    file.create("first")

    async def small(request: Request) -> Reply:
        seen.append(request)
        return Reply("yes")

    async def main() -> None:
        gate = gatekeeper(Settings(keys=Path("keys.json")), tmp_path)
        try:
            async with serving(Cascade(small), gate=gate) as there:
                client = there.client()
                _, secret = file.create("second", fields={"customer": "acme"})
                for status, act in ((200, None), (401, "second")):
                    if act:
                        file.revoke(act)
                    async with asyncio.timeout(10):
                        while (await client.ask("POST", PATH, chat("hi"), bearer(secret))).status != status:  # noqa: ASYNC110 # there is nothing to wait on
                            await asyncio.sleep(0.02)
            assert seen[0].customer == "acme"
            assert all(secret[4:] not in repr(each) for each in seen)
        finally:
            gate.close()

    asyncio.run(main())
    assert os.fspath(tmp_path / "keys.usage.db") in map(str, tmp_path.iterdir())


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_no_provider_sees_a_credential(tmp_path: Path, provider: str) -> None:
    """On the wire to a provider there is our key for it, and nothing of the caller's, whatever its body says."""
    came: list[bytes] = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        came.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def main(key: str) -> None:
        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        backend: Anthropic | OpenAI = OpenAI("m", api_key="ours", base_url=f"{url}/v1")
        if provider == "anthropic":
            backend = Anthropic("m", api_key="ours", base_url=url)
        cascade = Cascade(Tier(backend, price=Price(1, 1)))
        async with server, serving(cascade, gate=gate) as there:
            client = there.client()
            for path, asked in (
                (PATH, {"messages": [{"role": "user", "content": "hi"}]}),
                ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}),
                ("/v1/responses", {"input": "hi"}),
            ):
                body = {"model": "any", **asked, "extra_headers": {"authorization": "theirs", "x-api-key": "theirs"}}
                headers = {**bearer(key), "x-api-key": key, "api-key": key, "cookie": f"k={key}"}
                await client.ask("POST", path, json.dumps(body).encode(), headers)

    gate, file = gate_of(tmp_path, Clock())
    _, secret = file.create("ci")
    gate.keys.look()
    asyncio.run(main(secret))
    assert len(came) >= 3
    for each in came:
        assert secret.encode() not in each
        assert b"ours" in each
        assert b"theirs" not in each.partition(b"\r\n\r\n")[0]
