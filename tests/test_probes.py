"""The backends' own signs of life, through the real SDKs, against a server on the loopback."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from fastcascade.backends.litellm import LiteLLM
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance
from fastcascade.errors import BackendError, FailureKind
from wire.asking import KEY as OPENAI_KEY
from wire.asking import asking
from wire.claude import KEY as CLAUDE_KEY
from wire.claude import backend
from wire.server import WireServer

KEYS = (OPENAI_KEY, CLAUDE_KEY)
Probing = Callable[[WireServer], Awaitable[None]]


async def claude(server: WireServer) -> None:
    """Probe through Anthropic's SDK."""
    await backend(server).probe()


async def openai(server: WireServer) -> None:
    """Probe through OpenAI's SDK."""
    async with asking(server) as model:
        await model.probe()


PROBES = [
    pytest.param(claude, marks=pytest.mark.skipif(find_spec("anthropic") is None, reason="anthropic is not installed")),
    pytest.param(openai, marks=pytest.mark.skipif(find_spec("openai") is None, reason="openai is not installed")),
]


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    with WireServer() as running:
        yield running


@pytest.mark.parametrize(
    ("probe", "path"), [(*PROBES[0].values, "/v1/models?limit=1"), (*PROBES[1].values, "/v1/models/small")]
)
def test_what_is_asked(server: WireServer, probe: Probing, path: str) -> None:
    """A probe is one request for the name of a model, with the key and without a body: it costs no tokens."""
    pytest.importorskip("anthropic" if probe is claude else "openai")
    server.reply(200, {"object": "list", "data": []})
    asyncio.run(_whole(probe(server)))
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("GET", path, None)
    assert any(key in value for key in KEYS for value in seen.headers.values())


async def _whole(probing: Awaitable[None]) -> None:
    await probing


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 405, 408, 409, 429])
def test_whoever_answers_is_alive(server: WireServer, probe: Probing, status: int) -> None:
    """Any answer below 500 is a sign of life, be it no JSON and a refusal."""
    server.reply(status, b"<html>no</html>" if status != 204 else b"", {"content-type": "text/html"})
    asyncio.run(_whole(probe(server)))
    assert len(server.seen) == 1


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(
    ("status", "kind"), [(500, "server"), (502, "server"), (503, "overloaded"), (529, "overloaded")]
)
def test_whoever_fails_is_not(server: WireServer, probe: Probing, status: int, kind: FailureKind) -> None:
    """A failure of the server's is none, and is told after a single try and without the key."""
    key = CLAUDE_KEY if probe is claude else OPENAI_KEY
    server.reply(status, {"error": {"type": "api_error", "message": f"not with {key}"}})
    with pytest.raises(BackendError) as caught:
        asyncio.run(_whole(probe(server)))
    assert caught.value.failure.kind == kind
    assert key not in f"{caught.value!r} {caught.value.failure}"
    assert caught.value.__context__ is None  # it would hold the request, and with it the key
    assert len(server.seen) == 1


@pytest.mark.parametrize("probe", PROBES)
def test_no_answer_is_not(server: WireServer, probe: Probing) -> None:
    """A connection that is reset is no sign of life."""
    server.reply(200, {"data": []}, fault="reset")
    with pytest.raises(BackendError) as caught:
        asyncio.run(_whole(probe(server)))
    assert caught.value.failure.kind in ("connection", "cut")


@pytest.mark.parametrize("probe", PROBES)
def test_nobody_there(probe: Probing) -> None:
    """Where nobody listens, the probe says that there is no connection."""
    with WireServer() as gone:
        pass
    with pytest.raises(BackendError) as caught:
        asyncio.run(_whole(probe(gone)))
    assert caught.value.failure.kind == "connection"


def test_clients_for_other_clouds(server: WireServer) -> None:
    """A client that has no list of models is probed all the same: what its cloud answers is a sign of life."""
    anthropic = pytest.importorskip("anthropic")
    from fastcascade.backends.anthropic import Anthropic  # noqa: PLC0415 - where its SDK is

    async def probe() -> None:
        client = anthropic.AsyncAnthropicVertex(
            region="eu", project_id="p", access_token="made-up", base_url=f"{server.url}/v1"
        )
        server.reply(404, b"no such path")
        await Anthropic("m", client=client).probe()
        server.reply(503, b"")
        with pytest.raises(BackendError):
            await Anthropic("m", client=client).probe()
        await client.close()

    asyncio.run(probe())


# litellm has no call that costs nothing. Where it says where it will ask, the host is called.

ADDRESSES: list[tuple[str, dict[str, Any], tuple[str, int] | None]] = [
    ("openai/small", {"api_base": "http://127.0.0.1:8123/v1"}, ("127.0.0.1", 8123)),
    ("openai/small", {"base_url": "https://models.example/v1"}, ("models.example", 443)),
    ("groq/llama-3.3-70b-versatile", {}, ("api.groq.com", 443)),
    ("gpt-5-mini", {}, None),
    ("nobody/knows-this", {}, None),
]


@pytest.mark.skipif(find_spec("litellm") is None, reason="litellm is not installed: it wants openai before 3")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "params", "place"), ADDRESSES)
def test_where_litellm_asks(
    model: str,
    params: dict[str, Any],
    place: tuple[str, int] | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The address is what it was told, or what litellm itself says of the provider; finding out prints nothing."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    effects = Health(random=lambda: 0.0).watching([Instance(LiteLLM(model, **params))], lambda _: None)(0.0)
    effect: Any = next(effects)
    found = None if not hasattr(effect, "call") else effect.call.function.args
    effects.close()
    assert found == place
    assert capsys.readouterr().out == ""
