"""A cascade as a dependency of FastAPI, and around functions that know what to ask."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from fastcascade import Answer, Cascade, ConfigError, Message, Request, RequestError, Tier
from fastcascade.dependency import Bound, answered_by, cascade_dependency
from fastcascade.testing import ScriptedBackend
from fastcascade.wire.endpoint import Caller


def cascade_of(*script: Any) -> tuple[Cascade, ScriptedBackend]:
    """A cascade with one tier that plays this script."""
    backend = ScriptedBackend(*script)
    return Cascade(Tier(backend, name="small")), backend


def app_of(cascade: Cascade, **settings: Any) -> TestClient:
    """An app with a route that answers, and one that streams."""
    app = FastAPI()
    given = Depends(cascade_dependency(cascade, **settings))

    @app.post("/help")
    async def ask(question: str, cascade: Annotated[Bound, given]) -> dict[str, str]:
        answer = await cascade.run(question, task="help")
        return {"text": answer.text, "tier": answer.tier}

    @app.post("/stream")
    async def stream(question: str, cascade: Annotated[Bound, given]) -> StreamingResponse:
        return StreamingResponse(cascade.stream(question).text())

    @app.post("/plain")
    def plain(question: str, cascade: Annotated[Bound, given]) -> str:
        return cascade.run_sync(question).text

    return TestClient(app)


@pytest.fixture
def served() -> Iterator[tuple[TestClient, ScriptedBackend]]:
    """An app, and who answers behind it."""
    cascade, backend = cascade_of("one two")
    caller = Caller("me", fields={"customer": "theirs", "task": "theirs"})
    with app_of(cascade, caller=lambda request: caller if "x-me" in request.headers else Caller()) as client:
        yield client, backend


def test_fastapi(served: tuple[TestClient, ScriptedBackend]) -> None:
    """A route gets a cascade with what its headers say; its own words win over them, the caller's over both."""
    client, backend = served
    headers = {"x-cascade-customer": "c", "x-cascade-task": "t", "x-request-id": "abc", "x-cascade-session": "s"}
    assert client.post("/help?question=Hi", headers=headers).json() == {"text": "one two", "tier": "small"}
    assert client.post("/help?question=Hi", headers={**headers, "x-me": "1"}).status_code == 200
    assert client.post("/stream?question=Hi", headers=headers).text == "one two"
    assert client.post("/plain?question=Hi").json() == "one two"
    first, second, third, last = backend.seen
    assert (first.customer, first.task, first.session, first.id) == ("c", "help", "s", "abc")
    assert (second.customer, second.task) == ("theirs", "theirs")
    assert third.task == "t" and last.id.startswith("req_")


def test_fastapi_refuses(served: tuple[TestClient, ScriptedBackend]) -> None:
    """A header that cannot be read is a 400 that names it; it is no question in the app's own documents."""
    client, backend = served
    response = client.post("/help?question=Hi", headers={"x-cascade-deadline": "soon"})
    assert response.status_code == 400 and "x-cascade-deadline" in response.json()["detail"]
    assert not backend.seen
    asked = client.get("/openapi.json").json()["paths"]["/help"]["post"]["parameters"]
    assert [each["name"] for each in asked] == ["question"]


def test_headers_left_alone() -> None:
    """Where clients are not trusted with them, headers say nothing; so it is where nothing says who they are."""
    cascade, backend = cascade_of("Hello")
    dear = {"x-cascade-max-tier": "none", "x-cascade-budget-usd": "1000", "x-cascade-customer": "another"}
    for settings in ({"headers": False}, {}, {"headers": False, "caller": Caller("ann")}):
        with app_of(cascade, **settings) as client:
            assert client.post("/help?question=Hi", headers=dear).status_code == 200
    assert [(each.id, each.budget, each.max_tier) for each in backend.seen] == [("", None, "")] * 3
    assert [each.customer for each in backend.seen] == ["", "", "ann"]
    with app_of(cascade, headers=True) as client:
        assert client.post("/help?question=Hi", headers={"x-cascade-customer": "another"}).status_code == 200
    assert backend.seen[-1].customer == "another"


def test_no_framework() -> None:
    """Importing it loads no framework, no server and no HTTP client."""
    check = (
        "import sys, fastcascade.dependency, fastcascade.clients\n"
        "found = {'fastapi', 'starlette', 'httpx2', 'anthropic', 'openai', 'granian'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


GIVEN: list[Any] = ["Hi", Request.of("Hi"), [Message("user", "Hi")], [{"role": "user", "content": "Hi"}]]


@pytest.mark.parametrize("question", GIVEN)
def test_decorator(question: Any) -> None:
    """A function that gives a question is answered, whatever form the question has, async or plain."""
    cascade, backend = cascade_of("Hello")

    @answered_by(cascade, task="greeting")
    async def greeted(_name: str) -> Any:
        """Greet somebody."""
        await asyncio.sleep(0)
        return question

    @answered_by(cascade)
    def plainly(_name: str) -> Request:
        return Request.of(question)

    answer = asyncio.run(greeted("Ann"))
    assert answer.text == "Hello"
    assert plainly("Ann").text == "Hello"
    assert (backend.seen[0].text, backend.seen[0].task) == ("Hi", "greeting")
    assert greeted.__name__ == "greeted" and greeted.__doc__ == "Greet somebody."
    assert greeted.__annotations__["return"] is Answer


def test_decorator_of_what_is_async_in_disguise() -> None:
    """A function that another decorator has wrapped, and an object with an async `__call__`, are awaited too."""
    cascade, backend = cascade_of("Hello")

    async def asks(name: str) -> str:
        return f"Greet {name}"

    def disguised(name: str) -> Any:
        return asks(name)

    wrapped: Any = answered_by(cascade)(disguised)

    class Asks:
        async def __call__(self, name: str) -> str:
            return f"Greet {name}"

    called: Any = answered_by(cascade)(Asks())

    async def main() -> list[str]:
        return [(await wrapped("Ann")).text, (await called("Bob")).text]

    assert asyncio.run(main()) == ["Hello", "Hello"]
    assert [each.text for each in backend.seen] == ["Greet Ann", "Greet Bob"]


def test_decorator_raises() -> None:
    """What a function raises is its caller's to hear, and nobody is asked."""
    cascade, backend = cascade_of("Hello")

    @answered_by(cascade)
    async def fails() -> str:
        raise KeyError("name")

    @answered_by(cascade)
    async def nothing() -> Any:
        return 7

    with pytest.raises(KeyError):
        asyncio.run(fails())
    with pytest.raises(RequestError, match="cannot make a request"):
        asyncio.run(nothing())
    assert not backend.seen


def test_decorator_refuses() -> None:
    """Fields that no request has, and generators, are found when the function is decorated."""
    cascade, _ = cascade_of("Hello")
    with pytest.raises(ConfigError, match="tsk"):
        answered_by(cascade, tsk="typo")

    def gives() -> Iterator[str]:
        yield "Hi"

    decorator: Any = answered_by(cascade)
    with pytest.raises(ConfigError, match="'gives' is a generator"):
        decorator(gives)


def test_what_is_locked_is_not_read_from_headers() -> None:
    """A caller's locked fields are not those of its headers, and its tenant is its customer."""
    caller = Caller("key", "acme", locked=frozenset({"customer", "priority"}))
    cascade = Cascade(Tier(ScriptedBackend("ok", name="scripted"), name="small"))
    headers = {"x-cascade-customer": "other", "x-cascade-priority": "9", "x-cascade-task": "code"}
    bound = cascade_dependency(cascade, caller=caller)(SimpleNamespace(headers=headers))
    assert (bound.fields["customer"], bound.fields["priority"], bound.fields["task"]) == ("acme", 0, "code")
