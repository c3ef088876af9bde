"""What the exceptions of the OpenAI SDK mean, and of those that are made like them."""

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from fastcascade.backends.failures import REFUSALS, failure_kind, retry_after
from fastcascade.backends.openai_wire import Dialect
from fastcascade.errors import BackendError, FailureKind
from fastcascade.messages import Reply

if TYPE_CHECKING:
    import openai

__all__ = ["Failures"]

REQUEST_ID: Final = "x-request-id"
WIRE: Final = frozenset({"EndOfStream", "RequestError", "OSError"})
"""What breaks below the SDK while a stream is read, by class name: it rides on httpx or httpx2, by its version."""
OTHERS: Final[dict[str, FailureKind]] = {
    "UnicodeEncodeError": "unsupported",  # what UTF-8 cannot hold
    "JSONDecodeError": "malformed",  # of a reply, which the SDK reads itself only under litellm
    "UnsupportedParamsError": "unsupported",  # litellm's own
    "BudgetExceededError": "billing",  # litellm's own
    "LengthFinishReasonError": "malformed",  # what was to be parsed is not whole
    "WebSocketConnectionClosedError": "connection",
    "WebSocketQueueFullError": "connection",
    "OpenAIError": "auth",  # credentials that could not be had
}
"""What is raised where the provider itself says nothing, by class name."""
REFUSING: Final = frozenset({"ContentFilterFinishReasonError", "ContentPolicyViolationError"})
"""What the SDK and litellm raise where a model will not answer, by class name."""
TIMEOUTS: Final = frozenset({"TimeoutException", "TimeoutError"})


class Failures:
    """Keeps what an SDK raises within `with` as the `BackendError` it means; what it does not know goes on.

        with Failures(dialect) as failures:
            ...
            return reply
        return failures.settle()

    What is raised after the block has no context, for the words of an SDK's own exceptions are not scrubbed. Once
    `begun`, a connection that breaks has cut a reply.
    """

    def __init__(self, dialect: Dialect) -> None:
        """Keep how secrets are hidden."""
        self.begun = False
        self.request_id = ""
        self.failure = BackendError("bug", "nothing was raised and nothing replied")
        self.refusal: Reply | None = None
        self._dialect = dialect

    def __enter__(self) -> Self:
        """Begin to watch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep what it means."""
        if not isinstance(error, Exception):
            return False
        meant = error if isinstance(error, BackendError) else self._meant(error)
        if meant is None:
            return False
        meant.__context__ = None
        self.failure = meant
        return True

    def settle(self) -> Reply:
        """What the call came to: a model that will not answer this has replied; all else is raised.

        So that it goes to the next tier as every refusal does, and counts neither against the place nor against the
        key. One that comes when something has been said already has cut a reply.
        """
        if self.refusal is not None and not self.begun:
            return self.refusal
        raise self.failure

    def _meant(self, error: Exception) -> BackendError | None:
        import openai  # noqa: PLC0415 # it was there when the backend was built

        names = {each.__name__ for each in type(error).__mro__}
        if isinstance(error, openai.APITimeoutError) or names & TIMEOUTS:
            return self._made("timeout", "no answer within its time")
        if isinstance(error, openai.APIConnectionError) or names & WIRE:
            return self._broken(error)
        if isinstance(error, openai.APIError) and "UnsupportedParamsError" not in names:
            return self._said(error)
        if names & REFUSING:
            return self._refused("content_filter", self._made("bad_request", str(error)))
        for name, kind in OTHERS.items():
            if name in names:
                return self._made(kind, str(error) or type(error).__name__)
        return None

    def _broken(self, error: Exception) -> BackendError:
        below = error.__cause__ or error
        why = f"{type(below).__name__}: {below}" if str(below) else type(below).__name__
        if self.begun:
            return self._made("cut", f"the connection broke while the reply was read: {why}")
        return self._made("connection", f"no connection, or none that lasted: {why}")

    def _said(self, error: "openai.APIError") -> BackendError:
        """What the provider itself says is wrong."""
        status = getattr(error, "status_code", None)
        headers = getattr(getattr(error, "response", None), "headers", None)
        headers = headers or getattr(error, "litellm_response_headers", None) or {}
        names = {each.__name__ for each in type(error).__mro__}
        words = _words(error)
        kind = failure_kind(status or 200, *words)
        if "APIResponseValidationError" in names:  # with a status of 200
            kind = "malformed"
        elif "OAuthError" in names:  # a token that could not be had, with a 400 as with a 401
            kind = "auth"
        said = error.body.get("message") if isinstance(error.body, dict) else None
        message = f"{status or 'an error'}: {said or error}"
        request_id = headers.get(REQUEST_ID) or self.request_id
        meant = BackendError(
            kind, self._dialect.hide(message), status=status, retry_after=retry_after(headers), request_id=request_id
        )
        refusing = [word for word in words if word in REFUSALS] or ["content_filter"] * bool(names & REFUSING)
        return self._refused(refusing[0], meant) if refusing else meant

    def _refused(self, word: str, meant: BackendError) -> BackendError:
        """Keep a refusal as the reply it is, for `settle`."""
        said = {"refused": meant.failure.message}
        self.refusal = Reply(
            (), stop="refusal", id=meant.failure.request_id, raw_stop=word, extra={self._dialect.by: said}
        )
        return meant

    def _made(self, kind: FailureKind, message: str) -> BackendError:
        return BackendError(kind, self._dialect.hide(message), request_id=self.request_id)


def _words(error: "openai.APIError") -> list[str]:
    """What an error is called: its type, its code, and what Azure says within."""
    within = error.body.get("innererror") if isinstance(error.body, dict) else None
    words: list[object] = [error.type, within.get("code") if isinstance(within, dict) else None, error.code]
    return [word for word in words if isinstance(word, str)]
