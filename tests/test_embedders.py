"""Embedders: functions, the OpenAI SDK against a server on the loopback, and models that run here, where there are."""

import asyncio
import json
import sys
import threading
from array import array
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcascade.embedders import (
    FunctionEmbedder,
    Model2Vec,
    OpenAIEmbedder,
    SentenceTransformer,
    Vector,
    as_embedder,
    checked,
)
from fastcascade.errors import BackendError, ConfigError
from wire.server import Canned, Seen, WireServer

SECRET = "sk-test-0123456789abcdefghij"


def lengths(texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text that shows which text it was."""
    return [[float(len(text)), 1.0] for text in texts]


async def lengths_later(texts: Sequence[str]) -> list[list[float]]:
    """The same, async."""
    return lengths(texts)


def promised(texts: Sequence[str]) -> Awaitable[list[list[float]]]:
    """A plain function that gives something to wait for."""
    return lengths_later(texts)


class Object:
    """A callable of one's own."""

    async def __call__(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        return np.array(lengths(texts), dtype=np.float32)


class Model:
    """A model as sentence-transformers and model2vec have them; remembers the threads it ran in."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.batches: list[int] = []

    def encode(self, texts: list[str], *, show_progress_bar: bool = True) -> np.ndarray[Any, Any]:
        self.threads.append(threading.current_thread().name)
        self.batches.append(len(texts))
        return np.array(lengths(texts))


EMBEDDERS: list[Callable[[], Any]] = [
    lambda: lengths,
    lambda: lengths_later,
    lambda: partial(lengths_later),
    lambda: promised,
    lambda: lambda texts: (tuple(row) for row in lengths(texts)),
    lambda: lambda texts: [array("d", row) for row in lengths(texts)],
    lambda: lambda texts: np.array(lengths(texts), dtype=np.float16),
    lambda: Object(),
    lambda: Model(),
    lambda: FunctionEmbedder(lengths, batch=2),
    lambda: SentenceTransformer(Model(), batch=2),
    lambda: Model2Vec(Model()),
]


@pytest.mark.parametrize("make", EMBEDDERS)
def test_whatever_embeds_gives_rows_in_order(make: Callable[[], Any]) -> None:
    """A function, plain or async, an object or a model: one row of float32 for each text, in the texts' order."""
    embedder = as_embedder(make())
    texts = ["a", "bbb", "", "cc", "dddd"]
    assert asyncio.run(rows_of(embedder, texts)) == [array("f", row) for row in lengths(texts)]
    assert asyncio.run(rows_of(embedder, [])) == []
    with pytest.raises(TypeError, match="a list of texts, not one text"):
        asyncio.run(rows_of(embedder, "text"))


async def rows_of(embedder: Any, texts: Sequence[str]) -> list[Vector]:
    """What an embedder says, once it is there."""
    rows: list[Vector] = await embedder(texts)
    return rows


def test_batches_are_bounded() -> None:
    """No call is larger than the batch, and none is empty."""
    sizes: list[int] = []

    def counted(texts: list[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return lengths(texts)

    embedder = FunctionEmbedder(counted, batch=3)
    assert len(asyncio.run(embedder(["x"] * 8))) == 8
    assert sizes == [3, 3, 2]


def test_a_model_works_in_one_thread_of_its_own() -> None:
    """However many ask at once, a model is asked by one thread, and the event loop goes on."""
    model = Model()
    embedder = SentenceTransformer(model, batch=2)

    async def many() -> None:
        await asyncio.gather(*(embedder(["a", "b", "c"]) for _ in range(5)))

    asyncio.run(many())
    assert (set(model.threads), sorted(model.batches)) == ({"embedder_0"}, [1] * 5 + [2] * 5)


BAD_ROWS: list[tuple[Any, int, int | None, str]] = [
    ([[1.0]], 2, None, "gave 1 vectors for 2 texts"),
    ([[1.0], [1.0]], 1, None, "gave 2 vectors for 1 texts"),
    ([[1.0], [1.0, 2.0]], 2, None, "vector 1 has 2 dimensions, not 1"),
    ([[1.0]], 1, 2, "vector 0 has 1 dimensions, not 2"),
    ([[]], 1, None, "vector 0 has 0 dimensions, not one or more"),
    (None, 1, None, "no vectors of numbers"),
    ([1.0], 1, None, "no vectors of numbers"),
    (["ab"], 1, None, "no vectors of numbers"),
    ([[None]], 1, None, "no vectors of numbers"),
    ([["1"]], 1, None, "no vectors of numbers"),
]


@pytest.mark.parametrize(("given", "count", "dimensions", "said"), BAD_ROWS)
def test_what_is_no_vectors_is_refused(given: Any, count: int, dimensions: int | None, said: str) -> None:
    """Too few, too many, uneven or none: a `BackendError` of kind malformed that says which."""
    embedder = FunctionEmbedder(lambda texts: given, dimensions=dimensions)
    with pytest.raises(BackendError, match=said) as found:
        checked(given, count, dimensions)
    with pytest.raises(BackendError, match=said) as caught:
        asyncio.run(embedder(["x"] * count))
    assert found.value.failure == caught.value.failure
    assert caught.value.failure.kind == "malformed"


def test_batches_of_two_sizes_are_refused() -> None:
    """Batches whose vectors differ in size are no vectors of one model."""
    embedder = FunctionEmbedder(lambda texts: [[1.0] * len(texts)] * len(texts), batch=2)
    with pytest.raises(BackendError, match="vector 2 has 1 dimensions, not 2"):
        asyncio.run(embedder(["x"] * 3))


BAD_SETTINGS: list[tuple[Callable[[], Any], str]] = [
    (lambda: as_embedder(3), "not int"),
    (lambda: as_embedder("text"), "not str"),
    (lambda: FunctionEmbedder(lengths, batch=0), "batch must be a whole number from 1 on, or None, not 0"),
    (lambda: FunctionEmbedder(lengths, dimensions=True), "dimensions must be a whole number"),
    (lambda: SentenceTransformer(object()), "needs an encode method, which object has not"),
    (lambda: Model2Vec(object()), "needs an encode method"),
    (lambda: Model2Vec("no/such-model"), "'no/such-model' is no folder; .* nothing is downloaded"),
    (lambda: OpenAIEmbedder("", api_key="k"), "a model needs a name"),
    (lambda: OpenAIEmbedder("m"), "no key"),
    (lambda: OpenAIEmbedder("m", base_url="example.com"), "base_url must be like"),
    (lambda: OpenAIEmbedder("m", api_key="k", encoding="hex"), "encoding must be base64 or float"),  # type: ignore[arg-type]
    (lambda: OpenAIEmbedder("m", api_key="k", dimensions=0), "dimensions must be"),
]


@pytest.mark.parametrize(("make", "said"), BAD_SETTINGS)
def test_bad_settings_are_refused(make: Callable[[], Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot work is refused when it is built, by name."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if "Model2Vec" in said or "folder" in said:
        pytest.importorskip("model2vec")
    with pytest.raises(ConfigError, match=said):
        make()


MISSING: list[tuple[str, Callable[[], Any], str]] = [
    ("sentence_transformers", lambda: SentenceTransformer("m"), r"pip install 'fastcascade\[sentence-transformers\]'"),
    ("model2vec", lambda: Model2Vec("m"), r"pip install 'fastcascade\[model2vec\]'"),
    ("openai", lambda: OpenAIEmbedder("m", api_key="k"), r"pip install 'fastcascade\[openai\]'"),
]


@pytest.mark.parametrize(("package", "make", "said"), MISSING)
def test_a_missing_package_names_its_extra(
    package: str, make: Callable[[], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not installed is named when the embedder is built, with what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=said):
        make()


NOT_A_MODEL = {"config.json": "{}", "modules.json": "[]"}


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """A folder that holds no model is an error that names it."""
    pytest.importorskip("model2vec")
    for name, text in NOT_A_MODEL.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="no model can be loaded from"):
        Model2Vec(tmp_path)


@pytest.fixture
def server() -> Iterator[WireServer]:
    """A server of this test's own."""
    pytest.importorskip("openai")
    with WireServer() as running:
        yield running


def encoded(row: list[float], form: str) -> Any:
    """A vector as it goes on the wire."""
    return b64encode(np.array(row, dtype="<f4").tobytes()).decode() if form == "base64" else row


def said(rows: list[list[float]], form: str = "base64", order: Sequence[int] | None = None) -> dict[str, Any]:
    """An endpoint's answer; `order` is that in which it lists the vectors."""
    data = [
        {"object": "embedding", "index": at, "embedding": encoded(rows[at], form)} for at in order or range(len(rows))
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return {"object": "list", "model": "m", "data": data, "usage": usage}


@pytest.mark.parametrize("asked", ["base64", "float"])
@pytest.mark.parametrize("given", ["base64", "float"])
def test_either_encoding_is_read(server: WireServer, asked: Any, given: str) -> None:
    """Vectors are read in the encoding they come in, whichever was asked for, and in the order of their indexes."""
    rows = [[0.1, -2.5], [3.0, 1e-20], [1e30, 0.0]]
    server.reply(200, said(rows, given, order=[2, 0, 1]))
    embedder = OpenAIEmbedder("m", base_url=f"{server.url}/v1", api_key=SECRET, dimensions=2, encoding=asked)
    assert asyncio.run(rows_of(embedder, ["a", "b", "c"])) == [array("f", row) for row in rows]
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.headers["authorization"]) == ("POST", "/v1/embeddings", f"Bearer {SECRET}")
    assert seen.body == {"model": "m", "input": ["a", "b", "c"], "dimensions": 2, "encoding_format": asked}


def test_endpoints_are_asked_in_batches(server: WireServer) -> None:
    """Many texts are several requests over one connection, and one table in their order."""

    def answer(seen: Seen) -> Canned:
        rows = lengths(seen.body["input"])
        return Canned.plain(200, said(rows, order=range(len(rows))[::-1]))

    server.handler = answer
    embedder = OpenAIEmbedder("m", base_url=server.url, batch=4)
    texts = ["x" * at for at in range(1, 11)]
    assert asyncio.run(rows_of(embedder, texts)) == [array("f", row) for row in lengths(texts)]
    assert [len(seen.body["input"]) for seen in server.seen] == [4, 4, 2]
    assert (server.connections, "dimensions" in server.seen[0].body) == (1, False)


def test_each_loop_has_a_client_of_its_own(server: WireServer) -> None:
    """An embedder serves one event loop after another, and can be closed and used again within one."""
    server.handler = lambda seen: Canned.plain(200, said(lengths(seen.body["input"])))
    embedder = OpenAIEmbedder("m", base_url=server.url)

    async def twice() -> None:
        await embedder(["a"])
        await embedder.aclose()
        await embedder(["b"])

    asyncio.run(twice())
    asyncio.run(twice())
    assert (len(server.seen), server.connections) == (4, 4)


FAULTS: list[tuple[int, Any, str, str]] = [
    (429, {"error": {"message": f"slow down, {SECRET}", "type": "rate_limit_error"}}, "rate_limited", "slow down"),
    (401, {"error": {"message": f"Incorrect API key provided: {SECRET}"}}, "auth", "401"),
    (500, {"error": {"message": "oh"}}, "server", "oh"),
    (200, b"<html>", "malformed", "cannot be read"),
    (200, {"data": None}, "malformed", "cannot be read"),
    (200, {"error": {"message": "no such model"}}, "malformed", "cannot be read"),
    (200, {"data": [{"embedding": [1.0]}]}, "malformed", "cannot be read: KeyError"),
    (200, {"data": [{"index": 0, "embedding": "***"}]}, "malformed", "cannot be read"),
    (200, {"data": [{"index": 0, "embedding": "AAA="}]}, "malformed", "cannot be read"),
    (200, {"data": [{"index": 0, "embedding": None}, {"index": 1, "embedding": [1]}]}, "malformed", "no vectors"),
    (200, said([[1.0]]), "malformed", "1 embeddings for 2 texts"),
    (200, said([[1.0], [1.0], [1.0]]), "malformed", "3 embeddings for 2 texts"),
    (200, said([[1.0], [2.0]], order=[0, 0]), "malformed", "or not with their indexes"),
    (200, said([[1.0], [2.0, 3.0]]), "malformed", "vector 1 has 2 dimensions, not 1"),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), FAULTS)
def test_faults_are_told_without_the_key(server: WireServer, status: int, body: Any, kind: str, message: str) -> None:
    """Whatever the endpoint does wrong is a failure of its kind, asked for once, and never shows the key."""
    server.reply(status, body if isinstance(body, bytes) else json.dumps(body).encode())
    embedder = OpenAIEmbedder("m", base_url=server.url, api_key=SECRET)
    with pytest.raises(BackendError, match=message) as caught:
        asyncio.run(embedder(["a", "b"]))
    assert (caught.value.failure.kind, len(server.seen)) == (kind, 1)
    assert SECRET not in f"{caught.value!r} {caught.value.failure} {caught.value.__cause__} {embedder!r}"


def test_a_connection_that_breaks_is_a_failure(server: WireServer) -> None:
    """A response that ends early is one failed call."""
    server.reply(200, said([[1.0]]), fault="cut")
    with pytest.raises(BackendError) as caught:
        asyncio.run(OpenAIEmbedder("m", base_url=server.url)(["a"]))
    assert (caught.value.failure.kind, len(server.seen)) == ("connection", 1)


def test_reprs_say_which_and_keep_secrets() -> None:
    """An embedder shows what it embeds with, and no key."""
    pytest.importorskip("openai")
    openai = OpenAIEmbedder("m", base_url="http://user:pass@localhost/v1", api_key=SECRET, dimensions=8)
    assert repr(openai) == "OpenAIEmbedder('m', base_url='http://[removed]@localhost/v1', dimensions=8)"
    assert SECRET not in str(vars(openai))
    assert repr(FunctionEmbedder(lengths)) == "FunctionEmbedder(lengths)"
    assert repr(SentenceTransformer(Model())) == "SentenceTransformer('Model')"


def test_the_key_of_openai_goes_to_openai_alone(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key in the environment is not sent to another endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server.reply(200, said([[1.0]]))
    asyncio.run(OpenAIEmbedder("m", base_url=server.url)(["a"]))
    assert SECRET not in str(server.seen)
