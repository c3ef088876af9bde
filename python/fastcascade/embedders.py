"""Texts to vectors: any function, an OpenAI-compatible endpoint, or a model in this process.

An embedder takes texts and gives a vector for each, in their order. Whatever it gives is looked at here, so that
what comes out is rows of float32, as many as there were texts and all of one size. No model is ever downloaded.
"""

from abc import ABC, abstractmethod
from array import array
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from inspect import isawaitable, iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from fastcascade.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = [
    "Embedder",
    "FunctionEmbedder",
    "Model2Vec",
    "OpenAIEmbedder",
    "SentenceTransformer",
    "Vector",
    "as_embedder",
    "checked",
]

Vector: TypeAlias = "array[float]"
"""Numbers of 32 bits; the core reads them where they lie."""

LITTLE: Final = array("H", [1]).tobytes()[0] == 1


class Embedder(Protocol):
    """Turns texts into vectors."""

    async def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]:
        """A vector for each text, in their order. Raises `BackendError`; never retries by itself."""
        ...


def as_embedder(given: Any) -> "Embedder":
    """An embedder of whatever can be one: a function, plain or async, or a model with an `encode` method."""
    if isinstance(given, Batches):
        return given
    if not isinstance(given, str) and callable(getattr(given, "encode", None)):
        return Local(type(given).__name__, given)
    if callable(given):
        return FunctionEmbedder(given)
    msg = f"an embedder is a function from a list of texts to vectors, not {type(given).__name__}"
    raise ConfigError(msg)


def checked(given: Any, count: int, dimensions: int | None = None) -> list[Vector]:
    """What an embedder gave, as rows of float32; `BackendError` where it is not `count` rows of one size."""
    try:
        rows = [_row(row) for row in given]
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"the embedder gave no vectors of numbers: {error}"
        raise BackendError("malformed", msg) from None
    if len(rows) != count:
        msg = f"the embedder gave {len(rows)} vectors for {count} texts"
        raise BackendError("malformed", msg)
    size = dimensions or (len(rows[0]) if rows else 0)
    for at, row in enumerate(rows):
        if len(row) != size or not size:
            msg = f"the embedder's vector {at} has {len(row)} dimensions, not {size or 'one or more'}"
            raise BackendError("malformed", msg)
    return rows


class Batches(ABC):
    """An embedder that sends at most `batch` texts at once."""

    def __init__(self, batch: int | None, dimensions: int | None = None) -> None:
        """Check the sizes."""
        for name, size in (("batch", batch), ("dimensions", dimensions)):
            if size is not None and (type(size) is not int or size < 1):
                msg = f"{name} must be a whole number from 1 on, or None, not {size!r}"
                raise ConfigError(msg)
        self.batch = batch
        self.dimensions = dimensions

    async def __call__(self, texts: Sequence[str], /) -> list[Vector]:
        """Embed batch by batch."""
        if isinstance(texts, str):
            msg = "an embedder takes a list of texts, not one text; write [text]"
            raise TypeError(msg)
        rows: list[Vector] = []
        for part in _parts(list(texts), self.batch):
            rows += checked(await self._embed(part), len(part), self.dimensions)
        return checked(rows, len(rows), self.dimensions)  # all batches of one size

    @abstractmethod
    async def _embed(self, texts: list[str]) -> Any:
        """One batch; it is never empty."""


class FunctionEmbedder(Batches):
    """A function from a list of texts to a list of vectors, async or plain. A plain one is run in a thread."""

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        *,
        batch: int | None = None,
        dimensions: int | None = None,
    ) -> None:
        """Take the function; it must bear being called from several threads at once, if it is plain."""
        super().__init__(batch, dimensions)
        self._function: Any = function
        call = getattr(type(function), "__call__", None)  # noqa: B004 # not whether it is there, but of what kind
        self._plain = not iscoroutinefunction(function) and not iscoroutinefunction(call)

    async def _embed(self, texts: list[str]) -> Any:
        if not self._plain:
            return await self._function(texts)
        from asyncio import to_thread  # noqa: PLC0415 # importing the package must not load asyncio

        found = await to_thread(self._function, texts)
        return await found if isawaitable(found) else found

    def __repr__(self) -> str:
        """Show which function."""
        name = getattr(self._function, "__qualname__", None) or type(self._function).__name__
        return f"FunctionEmbedder({name})"


class OpenAIEmbedder(Batches):
    """A model behind an endpoint that speaks OpenAI's embeddings, through their SDK.

        OpenAIEmbedder("text-embedding-3-small")                                 # key from OPENAI_API_KEY
        OpenAIEmbedder("bge-m3", base_url="http://127.0.0.1:8000/v1")            # vLLM, Ollama...: no key needed

    The key in OPENAI_API_KEY is sent only where no `base_url` is given. `dimensions` asks for shorter vectors, which
    not every model can give. Vectors are asked for in base64, a third of the size; set `encoding="float"` for an
    endpoint that knows no other. The SDK's own retries are off.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        dimensions: int | None = None,
        batch: int = 256,
        timeout: float | None = None,
        encoding: Literal["base64", "float"] = "base64",
    ) -> None:
        """Check the settings and load the SDK; nothing is sent."""
        super().__init__(batch, dimensions)
        from fastcascade.backends import failures, openai_wire  # noqa: PLC0415 # for those who embed with OpenAI
        from fastcascade.backends.clients import PerLoop  # noqa: PLC0415
        from fastcascade.backends.openai_client import NO_KEY, checked_url, key_for, sdk, tls  # noqa: PLC0415

        if not model:
            raise ConfigError("a model needs a name")
        if encoding not in ("base64", "float"):
            msg = f"encoding must be base64 or float, not {encoding!r}"
            raise ConfigError(msg)
        self.model = model
        self.base_url = failures.scrub(checked_url(base_url))
        self.encoding = encoding
        key, library = key_for(api_key, base_url), sdk()
        options: dict[str, Any] = {"api_key": key, "base_url": base_url, "max_retries": 0}
        if timeout is not None:
            options["timeout"] = timeout
        self._clients: PerLoop[AsyncOpenAI] = PerLoop(
            lambda: library.AsyncOpenAI(**options, http_client=library.DefaultAsyncHttpxClient(verify=tls())),
            lambda made: made.close(),
        )
        hide = partial(failures.scrub, secrets=(key,) if key != NO_KEY else ())
        self._dialect = openai_wire.Dialect(hide=hide)

    async def _embed(self, texts: list[str]) -> Any:
        from fastcascade.backends.openai_failures import Failures  # noqa: PLC0415 # it is there, as the SDK is

        sent: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": self.encoding}
        if self.dimensions is not None:
            sent["dimensions"] = self.dimensions
        with Failures(self._dialect) as failures:
            response = await self._clients.get().embeddings.with_raw_response.create(**sent)
            return self._read(response.http_response, len(texts))
        raise failures.failure

    def _read(self, response: Any, count: int) -> list[Any]:
        try:
            # The SDK's own reading makes a Python number of each, and takes what lacks an index.
            data = response.json()["data"]
            rows = {item["index"]: _decoded(item["embedding"]) for item in data}
        except (ValueError, KeyError, TypeError) as error:
            msg = self._dialect.hide(f"the embeddings cannot be read: {type(error).__name__}: {error}")
            raise BackendError("malformed", msg, status=200) from None
        if len(data) != count or any(at not in rows for at in range(count)):
            msg = f"the endpoint gave {len(data)} embeddings for {count} texts, or not with their indexes"
            raise BackendError("malformed", msg, status=200)
        return [rows[at] for at in range(count)]

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self._clients.aclose()

    def __repr__(self) -> str:
        """Show which model of which endpoint, and no secret."""
        where = f", base_url={self.base_url!r}" if self.base_url else ""
        size = f", dimensions={self.dimensions}" if self.dimensions else ""
        return f"OpenAIEmbedder({self.model!r}{where}{size})"


class Local(Batches):
    """A model in this process, which works in a thread of its own, one batch after another."""

    def __init__(self, name: str, model: Any, batch: int = 32) -> None:
        """Keep the model; the thread begins with the first text."""
        super().__init__(batch)
        if not callable(getattr(model, "encode", None)):
            msg = f"a model needs an encode method, which {type(model).__name__} has not"
            raise ConfigError(msg)
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 # for those who have a model here

        self.name = name
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")

    async def _embed(self, texts: list[str]) -> Any:
        from asyncio import get_running_loop  # noqa: PLC0415 # importing the package must not load asyncio

        return await get_running_loop().run_in_executor(self._thread, self._encode, texts)

    def _encode(self, texts: list[str]) -> Any:
        return self._model.encode(texts)

    def __repr__(self) -> str:
        """Show which model."""
        return f"{type(self).__name__}({self.name!r})"


class SentenceTransformer(Local):
    """A model of sentence-transformers: one that is loaded, its folder, or a name that is in the hub's own cache.

    Loading takes seconds. `device` is as in sentence-transformers: None takes the best there is.
    """

    def __init__(self, model: Any, *, batch: int = 32, device: str | None = None) -> None:
        """Load the model, from this machine alone."""
        if isinstance(model, str | Path):
            package = _package("sentence_transformers", "sentence-transformers", "SentenceTransformer")
            settings = {"device": device, "local_files_only": True}
            name, model = str(model), _loaded(package.SentenceTransformer, model, settings)
        else:
            name = type(model).__name__
        super().__init__(name, model, batch)

    def _encode(self, texts: list[str]) -> Any:
        return self._model.encode(texts, show_progress_bar=False)


class Model2Vec(Local):
    """A model of model2vec, which needs no more than a look-up for each token: one that is loaded, or its folder."""

    def __init__(self, model: Any, *, batch: int = 1024) -> None:
        """Load the model, from this machine alone."""
        if isinstance(model, str | Path):
            package = _package("model2vec", "model2vec", "Model2Vec")
            if not Path(model).is_dir():  # model2vec would look for it on the hub
                msg = f"{str(model)!r} is no folder; give the folder of a model or a loaded one: nothing is downloaded"
                raise ConfigError(msg)
            name, model = str(model), _loaded(package.StaticModel.from_pretrained, model, {})
        else:
            name = type(model).__name__
        super().__init__(name, model, batch)


def _package(name: str, extra: str, wanted_by: str) -> Any:
    try:
        return import_module(name)  # it takes its time, which only those pay who want it
    except ImportError:
        msg = f"{wanted_by} needs a package that is not installed: pip install 'fastcascade[{extra}]'"
        raise ConfigError(msg) from None


def _loaded(load: Callable[..., Any], model: str | Path, settings: Mapping[str, Any]) -> Any:
    try:
        return load(str(model), **settings)
    except (OSError, ValueError, KeyError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        msg = f"no model can be loaded from {str(model)!r}, and nothing is downloaded: {why}"
        raise ConfigError(msg) from error


def _parts(texts: list[str], batch: int | None) -> Iterator[list[str]]:
    size = batch or len(texts) or 1
    return (texts[at : at + size] for at in range(0, len(texts), size))


def _row(row: Any) -> Vector:
    if isinstance(row, array) and row.typecode == "f":
        return row
    return array("f", row.tolist() if hasattr(row, "tolist") else row)


def _decoded(embedding: Any) -> Any:
    if not isinstance(embedding, str):
        return embedding
    row = array("f")
    row.frombytes(b64decode(embedding, validate=True))
    if not LITTLE:
        row.byteswap()
    return row
