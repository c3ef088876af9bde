"""Claude, through Anthropic's own SDK: `pip install 'fastcascade[anthropic]'`.

The SDK is imported when a backend is built, so that no one else pays for it. Its retries are off: whether to ask
again is for the cascade to say, which has a budget. Requests and replies are translated in `anthropic_wire.py`
and `anthropic_reply.py`.
"""

import os
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastcascade import spans
from fastcascade.backends.anthropic_reply import Assembly, named, raise_error, read
from fastcascade.backends.anthropic_wire import Sent, Style, write
from fastcascade.backends.clients import PerLoop, account
from fastcascade.backends.failures import failure_kind, retry_after, scrub
from fastcascade.errors import BackendError, ConfigError, FailureKind
from fastcascade.messages import Delta, Reply, Request

if TYPE_CHECKING:
    from fastcascade.prices import Price

__all__ = ["Anthropic"]

ANTHROPIC: Final = "https://api.anthropic.com"
SECRET: Final = ("auth", "cookie", "key", "secret", "token")
"""What the name of a header has in it whose value must not be repeated."""
END: Final = object()
AFTERTHOUGHT: Final = 0.2
"""Seconds to wait for the end of a stream that has said all, since a connection read to its end can be used again."""


class Anthropic:
    """A model behind the Messages API, at Anthropic or wherever `base_url` points.

    Current models take neither `temperature` nor `top_p` nor a number of tokens to think: what of a request is not
    sent is named in the reply's `extra["anthropic"]["not_sent"]`. Set `classic` for models up to Claude 4.6, and for
    other servers that speak the older form: these are asked as of API version 2023-06-01, with the temperature (at
    most 1, and not while thinking, which the API refuses) or else `top_p`, and with the thinking tokens as given.

    Thinking that Anthropic did not sign is not sent, since it would be refused. Without `max_tokens` a request
    gets this backend's, and its thinking tokens beside it, which the API counts as output. A schema goes out as
    structured output, or, where it allows keys it does not name, as an instruction: the API would forbid them.
    """

    speaks = "anthropic"
    remote = True  # asked over a network: a tier makes it a pool, which retries

    def __init__(  # noqa: PLR0913 # the settings of one thing, all but the first named
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: Any = None,
        max_tokens: int = 4096,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        price: "Price | None" = None,
        classic: bool = False,
    ) -> None:
        """Check the settings; no connection is made.

        Args:
            model: the model's name, as the provider has it.
            api_key: else `ANTHROPIC_API_KEY`, or whatever else the SDK finds to prove who asks.
            base_url: of another server that speaks the same language.
            client: an `AsyncAnthropic` of your own, or one for Bedrock, Vertex or Foundry. It stays yours to close.
            max_tokens: for requests that do not say.
            timeout: in seconds, for each read; the SDK's own is ten minutes.
            headers: sent with every request.
            price: what the model costs, where the price sheet does not know.
            classic: whether the model takes a temperature and a number of thinking tokens.
        """
        self._sdk, self._http = _imported()
        _check(model, api_key, max_tokens, timeout)
        self.name = model
        self.gives: frozenset[str] = frozenset()
        self.price = price
        self.base_url = base_url
        given = str(client.base_url) if client is not None and hasattr(client, "base_url") else None
        self.provider = base_url or given or os.environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC  # whose prices hold
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._style = Style(model, max_tokens, classic, self._sdk.transform_schema)
        self._key = api_key
        self._clients: PerLoop[Any] | None = None
        if client is not None:
            self._given = self._lent(client)
        else:
            self._key, self._token = _credentials(self._sdk, api_key, self._headers)
            self._clients = PerLoop(self._connect, _close)
        self._secrets = self._known_secrets(client)
        who = sorted(map(str, self._secrets)) or [str(id(client))]  # an address, which means nothing elsewhere
        # Who share its rate limits.
        self.account = account("anthropic", self.provider, model, who, lasting=bool(self._secrets))

    async def complete(self, request: Request, /) -> Reply:
        """Ask, and wait for the whole reply."""
        sent = write(request, self._style)
        request_id, began = "", False
        try:
            async with self._asked(sent) as response:
                began, request_id = True, response.request_id or ""
                message = await response.json()
            return read(message, request_id=request_id, not_sent=sent.not_sent)
        except Exception as error:  # noqa: BLE001 # sorted out below, where it is no longer a context that is kept
            failure = self._failure(error, began, request_id)
        try:
            raise failure
        finally:
            del failure  # which has this frame in its traceback: a circle that waits for the collector

    async def stream(self, request: Request, /) -> AsyncIterator[Delta | Reply]:
        """Ask, and give the reply as it comes; at last the whole."""
        sent = write(request, self._style)
        request_id, began = "", False
        reply: Reply | None = None
        failure: Exception | None = None
        assembly = Assembly()
        try:
            async with self._asked(sent, stream=True) as response:
                began, request_id = True, response.request_id or ""
                events = await self._events(response)
                while not assembly.done and (event := await anext(events, END)) is not END:
                    delta = assembly.feed(event)
                    if delta is not None:
                        yield delta
                if assembly.done:
                    await _drain(events)
                    reply = assembly.reply(request_id=request_id, not_sent=sent.not_sent)
        except Exception as error:  # noqa: BLE001 # as in `complete`
            failure = self._failure(error, began, request_id)
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # as in `complete`
        if reply is None:
            raise BackendError("cut", "the stream ended without message_stop", request_id=request_id)
        yield reply

    async def probe(self) -> None:
        """See whether anybody is there: ask for the name of one model, which costs no tokens.

        Whatever is answered, short of a failure of the server's, is a sign of life: a key that is refused too. Raises
        `BackendError`.
        """
        client = self._given if self._clients is None else self._clients.get()
        try:  # by its path: the clients for other clouds have no list of models, and answer all the same
            await client.get("/v1/models", cast_to=self._http.Response, options={"params": {"limit": 1}})
        except Exception as error:  # noqa: BLE001 # as in `complete`
            failure = self._failure(error, began=False, request_id="")
        else:
            return
        if not (isinstance(failure, BackendError) and 0 < (failure.failure.status or 0) < 500):
            raise failure

    async def aclose(self) -> None:
        """Close the connections of the running event loop; a client that was given stays open."""
        if self._clients is not None:
            await self._clients.aclose()

    def __repr__(self) -> str:
        """Show which model, and where; never the key."""
        where = "" if self.base_url is None else f", base_url={scrub(self.base_url, self._secrets)!r}"
        classic = ", classic=True" if self._style.classic else ""
        return f"Anthropic({self.name!r}{where}, max_tokens={self._style.max_tokens}{classic})"

    def _asked(self, sent: Sent, *, stream: bool = False) -> Any:
        client = self._given if self._clients is None else self._clients.get()
        rest = dict(sent.body)
        return client.messages.with_streaming_response.create(
            model=rest.pop("model"),
            max_tokens=rest.pop("max_tokens"),
            messages=rest.pop("messages"),
            stream=stream,
            extra_body=rest,
            extra_headers={**sent.headers, **spans.headers()},
            timeout=client.timeout,  # said again, as the SDK refuses to wait long for a reply where it is not
        )

    async def _events(self, response: Any) -> Any:
        """The events of a stream, as they are. Where there is no stream, the error that came in its place."""
        if response.headers.get("content-type", "").startswith("application/json"):
            body = await response.json()
            if isinstance(body, dict) and body.get("type") == "error":
                raise_error(body)
            raise BackendError("malformed", "a whole answer came where a stream was asked for")
        return await response.parse(to=self._sdk.AsyncStream[object])

    def _connect(self) -> Any:
        settings: dict[str, Any] = {} if self._timeout is None else {"timeout": self._timeout}
        return self._sdk.AsyncAnthropic(
            api_key=self._key,
            auth_token=self._token,
            base_url=self.base_url,
            max_retries=0,
            default_headers=self._headers or None,
            http_client=self._sdk.DefaultAsyncHttpxClient(verify=_tls(), **settings),
            **settings,
        )

    def _lent(self, client: Any) -> Any:
        if self._key is not None or self.base_url is not None:
            raise ConfigError("a client has a key and a base_url of its own: give api_key and base_url, or client")
        if isinstance(client, self._sdk.Anthropic) or not hasattr(client, "with_options"):
            raise ConfigError(f"client must be one of the SDK's async clients, not {type(client).__name__}")
        settings: dict[str, Any] = {} if self._timeout is None else {"timeout": self._timeout}
        return client.with_options(max_retries=0, default_headers=self._headers or None, **settings)

    def _known_secrets(self, client: Any) -> tuple[str, ...]:
        owner, names = (self, ("_key", "_token")) if client is None else (client, ("api_key", "auth_token"))
        values = [getattr(owner, name, None) for name in names]
        values += [value for name, value in self._headers.items() if any(word in name.lower() for word in SECRET)]
        return tuple(value for value in values if isinstance(value, str) and value)

    def _failure(self, error: Exception, began: bool, request_id: str) -> Exception:  # noqa: FBT001 # internal
        """What an exception means; one that nobody meant is given back as it is."""
        if isinstance(error, BackendError):
            had = error.failure
            return BackendError(
                had.kind,
                scrub(had.message, self._secrets),
                status=had.status,
                retry_after=had.retry_after,
                request_id=request_id or had.request_id,
            )
        if isinstance(error, self._sdk.APIStatusError):
            return self._refusal(error, request_id)
        kind = self._kind(error, began)
        if kind is None:
            return error
        cause = error.__cause__ or error
        return BackendError(
            kind, scrub(f"{type(cause).__name__}: {cause}".rstrip(": "), self._secrets), request_id=request_id
        )

    def _refusal(self, error: Any, request_id: str) -> BackendError:
        body: dict[str, Any] = error.body if isinstance(error.body, dict) else {}
        found = body.get("error")
        what: dict[str, Any] = found if isinstance(found, dict) else {}
        message = str(what.get("message") or what.get("type") or error.message)
        return BackendError(
            failure_kind(error.status_code, *named(what)),
            scrub(message, self._secrets),
            status=error.status_code,
            retry_after=retry_after(error.response.headers),
            request_id=error.request_id or request_id or str(body.get("request_id") or ""),
        )

    def _kind(self, error: Exception, began: bool) -> FailureKind | None:  # noqa: FBT001, PLR0911 # a table
        sdk, http = self._sdk, self._http
        if isinstance(error, (sdk.APITimeoutError, http.TimeoutException)):
            return "timeout"
        if isinstance(error, sdk.APIConnectionError):
            return "connection"
        if isinstance(error, (sdk.APIResponseValidationError, http.DecodingError)):
            return "malformed"
        if isinstance(error, http.TransportError):
            # A connection that ends too soon says so; one that goes on, and breaks the rules, is another matter.
            return "malformed" if "illegal" in str(error) else "cut"
        if isinstance(error, (ValueError, TypeError, RecursionError)):
            if began:
                return "malformed" if not isinstance(error, TypeError) else None
            return "auth" if "authentication" in str(error) else "unsupported"
        if isinstance(error, sdk.AnthropicError):
            names = {each.__name__ for each in type(error).__mro__}
            return "auth" if names & {"CredentialsError", "WorkloadIdentityError"} else "server"
        return None


def _imported() -> tuple[Any, Any]:
    try:
        import anthropic  # noqa: PLC0415 # a second of imports, for those who use it
        import httpx2  # noqa: PLC0415
    except ImportError:
        raise ConfigError("Anthropic needs Anthropic's SDK: pip install 'fastcascade[anthropic]'") from None
    return anthropic, httpx2


def _check(model: str, api_key: str | None, max_tokens: int, timeout: float | None) -> None:
    if not model:
        raise ConfigError("model must be the name of a model, not an empty text")
    if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key != ""):
        raise ConfigError("api_key is empty, or holds what cannot be sent: look for blanks and line ends around it")
    if max_tokens < 1:
        raise ConfigError(f"max_tokens must be at least 1, not {max_tokens!r}")
    if timeout is not None and not timeout > 0:
        raise ConfigError(f"timeout must be above zero, not {timeout!r}; None is the SDK's own")


def _credentials(sdk: Any, api_key: str | None, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The key or the token to send, looked for now, so that a missing one is found before the first request."""
    key = api_key or os.environ.get("ANTHROPIC_API_KEY") or None
    token = None if key else os.environ.get("ANTHROPIC_AUTH_TOKEN") or None
    if key or token or any(name.lower() in ("authorization", "x-api-key") for name in headers):
        return key, token
    from anthropic.lib.credentials import default_credentials  # noqa: PLC0415 # as in `_imported`

    try:
        found = default_credentials()
    except (sdk.AnthropicError, OSError, ValueError) as error:
        raise ConfigError(f"Anthropic's credentials cannot be read: {scrub(str(error))}") from None
    if found is None:
        raise ConfigError("there is no key for Anthropic: give api_key, or set ANTHROPIC_API_KEY")
    return None, None


@cache
def _tls() -> Any:
    """The certificates that are trusted, read once: it takes longer than all the rest of making a client."""
    import httpx2  # noqa: PLC0415 # as in `_imported`

    return httpx2.create_ssl_context()


async def _close(client: Any) -> None:
    await client.close()


async def _drain(events: Any) -> None:
    """Read on to the end, which has nothing to say any more and can do no harm."""
    from asyncio import timeout  # noqa: PLC0415 # importing the package must not load asyncio

    try:
        async with timeout(AFTERTHOUGHT):
            while await anext(events, END) is not END:
                pass
    except Exception:  # noqa: BLE001 # the reply is whole
        return
