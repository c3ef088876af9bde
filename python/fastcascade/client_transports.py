"""Transports of httpx2 that answer from an endpoint in this process: nothing is sent anywhere."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from datetime import timedelta
from time import perf_counter
from typing import Any, Final, TypeVar

import httpx2

from fastcascade import background
from fastcascade.wire.endpoint import Caller, Endpoint, Response

__all__ = ["AsyncTransport", "SyncTransport", "made"]

T = TypeVar("T")

LEFT_OUT: Final = frozenset(
    {
        *(b"authorization", b"cookie", b"proxy-authorization", b"x-api-key"),
        *(b"accept", b"accept-encoding", b"connection", b"content-length", b"content-type", b"host", b"user-agent"),
    }
)
"""Headers that nobody here reads: a provider's credentials, and what is between an SDK and a server."""
EARLIER: Final = 0.25
"""Seconds before an SDK gives up that the cascade's deadline is; a quarter of a time that is under a second."""


class AsyncTransport(httpx2.AsyncBaseTransport):
    """Answers in the event loop of whoever asks."""

    def __init__(self, endpoint: Endpoint, caller: Caller) -> None:
        """Answer from this endpoint, as this caller."""
        self.endpoint, self.caller = endpoint, caller

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        began = perf_counter()
        body = await request.aread()
        patience = _patience(request)
        method, path, headers, within = _read(request, patience)
        said = await self.endpoint.handle(method, path, headers, body, self.caller, within=within)
        if said.pieces is None:
            return _whole(said, began)
        return httpx2.Response(said.status, headers=said.headers, stream=_AsyncPieces(said.pieces, patience, request))


class SyncTransport(httpx2.BaseTransport):
    """Answers plain code: in its own thread as far as that goes, then from the event loop in the background."""

    def __init__(self, endpoint: Endpoint, caller: Caller) -> None:
        """Answer from this endpoint, as this caller."""
        self.endpoint, self.caller = endpoint, caller

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        began = perf_counter()
        body = request.read()
        patience = _patience(request)
        method, path, headers, within = _read(request, patience)
        said = self.endpoint.handle_plain(method, path, headers, body, self.caller, within=within)
        if said.pieces is None:
            return _whole(said, began)
        stream = _SyncPieces(said.pieces, self.endpoint.patience(patience), request)
        return httpx2.Response(said.status, headers=said.headers, stream=stream)


def _whole(said: Response, began: float) -> httpx2.Response:
    """An answer that is read already, and noted as such: to let httpx2 read it takes longer than all else here."""
    body = said.body or b""
    headers = [*said.headers, ("content-length", str(len(body)))]
    response = httpx2.Response(said.status, headers=headers, stream=httpx2.ByteStream(body))
    response._content = body  # noqa: SLF001 - where it were kept elsewhere, the stream would be read
    response.is_closed = response.is_stream_consumed = True
    response.elapsed = timedelta(seconds=perf_counter() - began)
    return response


class _Pieces:
    """The bytes of a stream. One that is neither read to its end nor closed is dropped with whoever held it."""

    def __init__(self, pieces: Any, patience: float | None, request: httpx2.Request) -> None:
        self._pieces, self._patience, self._request = pieces, patience, request

    def _following(self) -> Coroutine[Any, Any, bytes | None]:
        return _in_time(anext(self._pieces, None), self._patience, self._request)

    def __del__(self) -> None:
        self._pieces.drop()


class _AsyncPieces(_Pieces, httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._following()) is not None:
            yield piece

    async def aclose(self) -> None:
        await self._pieces.aclose()


class _SyncPieces(_Pieces, httpx2.SyncByteStream):
    """Each wait takes all that has come meanwhile, so that few trips to the loop are made."""

    def __iter__(self) -> Iterator[bytes]:
        while (piece := background.result(self._following())) is not None:
            yield piece

    def close(self) -> None:
        background.result(self._pieces.aclose())


def _read(request: httpx2.Request, patience: float | None) -> tuple[str, str, dict[str, str], float | None]:
    """The method, the path, the headers that somebody here reads, and how long the answer may take."""
    headers = {}
    for name, value in request.headers.raw:
        key = _KEYS.get(name)
        if key is None:
            key = _key(name)
        if key:
            headers[key] = value.decode("latin-1")
    path = request.url.path
    start = path.find("/v1/")  # a base URL may have a path of its own
    within = None if patience is None else patience - min(EARLIER, patience / 4)
    return request.method, path[start:] if start > 0 else path, headers, within


_KEYS: dict[bytes, str] = {}
"""What names of headers are as keys; empty for those that nobody here reads. An SDK sends the same few."""
MOST_KEYS: Final = 256


def _key(name: bytes) -> str:
    lower = name.lower()
    key = "" if lower in LEFT_OUT or lower.startswith(b"x-stainless-") else lower.decode("latin-1")
    if len(_KEYS) < MOST_KEYS:
        _KEYS[name] = key
    return key


async def _in_time(work: Awaitable[T], patience: float | None, request: httpx2.Request) -> T:
    """Wait as long as the SDK was told to."""
    if patience is None:
        return await work
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        msg = f"no answer within {patience:g} s"
        raise httpx2.ReadTimeout(msg, request=request) from None


def _patience(request: httpx2.Request) -> float | None:
    """Seconds that whoever asks will wait for each thing."""
    limits: dict[str, float | None] = request.extensions.get("timeout") or {}
    return limits.get("read")


def made(endpoint: Endpoint, caller: Caller, *, sync: bool) -> httpx2.AsyncClient | httpx2.Client:
    """A client with one of these. Its timeout is httpx2's own default, in the place of which SDKs put theirs."""
    if sync:
        return httpx2.Client(transport=SyncTransport(endpoint, caller), trust_env=False)
    return httpx2.AsyncClient(transport=AsyncTransport(endpoint, caller), trust_env=False)
