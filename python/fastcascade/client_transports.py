"""Transports of httpx2 that answer from an endpoint in this process: nothing is sent anywhere."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
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
        body = await request.aread()
        patience = _patience(request)
        said = await _asked(self.endpoint, self.caller, request, body, patience)
        if said.pieces is None:
            return httpx2.Response(said.status, headers=said.headers, content=said.body)
        return httpx2.Response(said.status, headers=said.headers, stream=_AsyncPieces(said.pieces, patience, request))


class SyncTransport(httpx2.BaseTransport):
    """Answers plain code, from the event loop in the background."""

    def __init__(self, endpoint: Endpoint, caller: Caller) -> None:
        """Answer from this endpoint, as this caller."""
        self.endpoint, self.caller = endpoint, caller

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        body = request.read()
        patience = _patience(request)
        said = background.result(_asked(self.endpoint, self.caller, request, body, patience))
        if said.pieces is None:
            return httpx2.Response(said.status, headers=said.headers, content=said.body)
        stream = _SyncPieces(said.pieces, self.endpoint.patience(patience), request)
        return httpx2.Response(said.status, headers=said.headers, stream=stream)


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


async def _asked(
    endpoint: Endpoint, caller: Caller, request: httpx2.Request, body: bytes, patience: float | None
) -> Response:
    headers = {}
    for name, value in request.headers.raw:
        key = name.lower()
        if key not in LEFT_OUT and not key.startswith(b"x-stainless-"):
            headers[key.decode("latin-1")] = value.decode("latin-1")
    path = request.url.path
    start = path.find("/v1/")  # a base URL may have a path of its own
    within = None if patience is None else patience - min(EARLIER, patience / 4)
    return await endpoint.handle(
        request.method, path[start:] if start > 0 else path, headers, body, caller, within=within
    )


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
