"""What becomes of a failed call: every exception of the SDKs and every HTTP status, its kind and its remedy."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, get_args
from unittest.mock import Mock, patch

import pytest

from fastcascade.backends.anthropic import Anthropic
from fastcascade.backends.failures import REFUSALS, scrub
from fastcascade.backends.openai_failures import Failures
from fastcascade.backends.openai_wire import Dialect
from fastcascade.errors import BackendError, Failure, FailureKind
from fastcascade.fallbacks.remedies import PASSING, REMEDIES, UNDONE, Remedy, undone
from fastcascade.messages import Request

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")
import httpx2  # noqa: E402 - comes with either

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1")
KINDS = get_args(FailureKind)


# The table itself.


def test_every_kind_has_its_remedy() -> None:
    """No kind of failure is without a remedy, and no row is for what is no failure."""
    assert sorted(REMEDIES) == sorted(KINDS)
    assert set(REMEDIES.values()) == set(get_args(Remedy))


def test_what_passes_is_what_may_be_asked_elsewhere() -> None:
    """A pause is worth while only after what is done about by asking again; where to has nothing to do with it."""
    assert REMEDIES.keys() > PASSING
    assert {REMEDIES[kind] for kind in PASSING} == {"retry", "next key", "next region"}
    assert {kind for kind, remedy in REMEDIES.items() if remedy == "retry"} <= PASSING
    assert PASSING.isdisjoint({"auth", "billing", "not_found", "full"})


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_certainly_not_done(kind: FailureKind) -> None:
    """A refusal before any work leaves nothing done; what may have worked and lost its answer is not among them."""
    lost = {"timeout", "cancelled", "overloaded", "server", "connection", "cut", "malformed", "conflict"}
    assert (kind in UNDONE) == (kind not in lost | {"missing", "bug"})
    assert undone(Failure(kind, "x", 429)) == undone(Failure(kind, "x")) == (kind in UNDONE)
    assert not undone(Failure(kind, "x", 200))


def test_the_table_cannot_be_changed() -> None:
    """One user's wishes are a `Retry`'s, and never everybody's."""
    with pytest.raises(TypeError):
        REMEDIES["bug"] = "retry"  # type: ignore[index] # which is the point


# The exceptions of the SDKs.

BAD: tuple[FailureKind, Remedy] = ("bad_request", "next tier")
AUTH: tuple[FailureKind, Remedy] = ("auth", "next key")
BILLING: tuple[FailureKind, Remedy] = ("billing", "next key")
SERVER: tuple[FailureKind, Remedy] = ("server", "next region")
LIMITED: tuple[FailureKind, Remedy] = ("rate_limited", "next key")
BUSY: tuple[FailureKind, Remedy] = ("overloaded", "next region")
CONNECTION: tuple[FailureKind, Remedy] = ("connection", "next region")
TIMEOUT: tuple[FailureKind, Remedy] = ("timeout", "next region")
MALFORMED: tuple[FailureKind, Remedy] = ("malformed", "next region")
MISSING: tuple[FailureKind, Remedy] = ("not_found", "next region")
CONFLICT: tuple[FailureKind, Remedy] = ("conflict", "retry")
BUG: tuple[FailureKind, Remedy] = ("bug", "next tier")
UNSUPPORTED: tuple[FailureKind, Remedy] = ("unsupported", "next tier")
CUT: tuple[FailureKind, Remedy] = ("cut", "next region")
REFUSED: tuple[str, Remedy] = ("refusal", "next tier")

ANTHROPIC: dict[str, tuple[str, Remedy]] = {
    "APIConnectionError": CONNECTION,
    "APIError": SERVER,
    "APIResponseValidationError": MALFORMED,
    "APIStatusError": BAD,  # made here with a status that has no class of its own, 418
    "APITimeoutError": TIMEOUT,
    "APIWebhookValidationError": SERVER,  # not raised by a call
    "AnthropicError": SERVER,
    "AuthenticationError": AUTH,
    "BadRequestError": BAD,
    "CMEKContextUnavailableError": BUSY,
    "CMEKKeyDisabledError": AUTH,
    "CMEKKeyNetworkBlockedError": AUTH,
    "CMEKKeyUnreachableError": BUSY,
    "ClaudeCodeKeyCreatorNotMemberError": AUTH,
    "ClaudeCodeVersionTooOldError": BAD,
    "ClientClosedRequestError": CUT,
    "ConflictError": CONFLICT,
    "ContentTooLargeError": BAD,
    "ContractSpendLimitReachedError": BILLING,
    "CredentialsError": AUTH,
    "EnforcedSpendLimitReachedError": BILLING,
    "GatewayTimeoutError": SERVER,
    "HTTPNotImplementedError": UNSUPPORTED,
    "IdentityTokenFileError": AUTH,
    "InternalServerError": SERVER,
    "LinkedOrganizationBillingUnavailableError": BILLING,
    "LinkedOrganizationSpendLimitReachedError": BILLING,
    "NotFoundError": MISSING,
    "OrganizationOnHoldError": AUTH,
    "OrganizationTypeNotSupportedError": BAD,
    "OverloadedError": BUSY,
    "ParentOrganizationRequiredError": BAD,
    "PaymentRequiredError": BILLING,
    "PermissionDeniedError": AUTH,
    "PreconditionFailedError": BAD,
    "RampLimitExceededError": LIMITED,
    "RateLimitError": LIMITED,
    "RequestBodyEncodingInvalidError": BAD,
    "RequestBodyEncodingUnsupportedError": BAD,
    "RequestBodyTooLargeAfterDecodingError": BAD,
    "RequestHeaderFieldsTooLargeError": BAD,
    "RequestTimeoutError": TIMEOUT,
    "RetryableError": SERVER,
    "SandboxEgressRestrictedError": AUTH,
    "ServiceUnavailableError": BUSY,
    "UnprocessableEntityError": BAD,
    "WorkloadIdentityError": AUTH,
}
OPENAI: dict[str, tuple[str, Remedy]] = {
    "APIConnectionError": CONNECTION,
    "APIError": SERVER,
    "APIResponseValidationError": MALFORMED,
    "APIStatusError": BAD,  # as above
    "APITimeoutError": TIMEOUT,
    "AuthenticationError": AUTH,
    "BadRequestError": BAD,
    "ConflictError": CONFLICT,
    "ContentFilterFinishReasonError": REFUSED,
    "InternalServerError": SERVER,
    "InvalidWebhookSignatureError": BUG,  # not raised by a call, as the next and those of web sockets
    "LengthFinishReasonError": MALFORMED,
    "NotFoundError": MISSING,
    "OAuthError": AUTH,  # made here with a 400
    "OpenAIError": AUTH,  # raised bare where there are no credentials
    "PermissionDeniedError": AUTH,
    "RateLimitError": LIMITED,
    "SubjectTokenProviderError": AUTH,
    "UnprocessableEntityError": BAD,
    "WebSocketConnectionClosedError": CONNECTION,
    "WebSocketQueueFullError": CONNECTION,
    "_AmbiguousModuleClientUsageError": AUTH,  # of clients at the module's level, which are not used here
}
STATUS_OF = {"APIStatusError": 418, "InternalServerError": 500, "OAuthError": 400}
CODES: dict[type, tuple[int, str]] = {
    made: (status, code)
    for (status, code), made in import_module("anthropic._error_classes").ERROR_CLASSES.items()
    if code
}


def exceptions(sdk: ModuleType) -> dict[str, type[Exception]]:
    """Every exception that an SDK has in its own name or among its exceptions."""
    found = [*vars(sdk).values(), *vars(import_module(f"{sdk.__name__}._exceptions")).values()]
    own = [each for each in found if isinstance(each, type) and issubclass(each, Exception)]
    return {each.__name__: each for each in own if each.__module__.partition(".")[0] == sdk.__name__}


def answered(status: int, said: Any = None) -> Any:
    """A response of the SDKs' own HTTP library."""
    return httpx2.Response(status, request=REQUEST, json=said)


def raised(sdk: ModuleType, which: type[Exception]) -> Exception:
    """Such an exception as the SDK itself would make it."""
    make: Any = which
    name = which.__name__
    if issubclass(which, sdk.APIStatusError):
        status, code = CODES.get(which) or (STATUS_OF.get(name) or make.status_code, None)
        body = {"error": {"type": "some_error", "message": "no", "details": {"error_code": code}}}
        if name == "OAuthError":
            return make(response=answered(status), body={"error": "invalid_grant"})  # type: ignore[no-any-return]
        return make("no", response=answered(status), body=body)  # type: ignore[no-any-return]
    if name == "APIResponseValidationError":
        return make(answered(200), None)  # type: ignore[no-any-return]
    if issubclass(which, sdk.APIConnectionError):
        return make(request=REQUEST)  # type: ignore[no-any-return]
    if issubclass(which, sdk.APIError):
        return make("no", REQUEST, body=None)  # type: ignore[no-any-return]
    arguments: dict[str, dict[str, Any]] = {
        "ContentFilterFinishReasonError": {},
        "LengthFinishReasonError": {"completion": SimpleNamespace(usage=None)},
        "WebSocketConnectionClosedError": {"message": "no", "unsent_messages": []},
        "_AmbiguousModuleClientUsageError": {},
    }
    return make(**arguments[name]) if name in arguments else make("no")  # type: ignore[no-any-return]


def by_anthropic(error: Exception) -> str:
    """What our backend makes of it, asked as it is by a cascade."""
    model = Anthropic("claude", api_key="k")
    raising = Mock(side_effect=error)
    try:
        with patch.object(model, "_asked", raising):
            model.complete(Request.of("hi")).send(None)  # nothing in it waits
    except BackendError as meant:
        return meant.failure.kind
    except Exception as other:  # noqa: BLE001 - whatever it is
        assert other is error
    return "bug"  # what a driver makes of all that is no BackendError


def by_openai(error: Exception) -> str:
    """What our backends for chat completions make of it; refusals are replies."""
    failures = Failures(Dialect())
    try:
        with failures:
            Mock(side_effect=error)()
        return failures.settle().stop
    except BackendError as meant:
        return meant.failure.kind
    except Exception as other:  # noqa: BLE001 - whatever it is
        assert other is error
    return "bug"


def remedy_of(kind: Any) -> Remedy:
    """What is done about it; a refusal is a reply that is not good enough."""
    return "next tier" if kind == "refusal" else REMEDIES[kind]


@pytest.mark.parametrize(("sdk", "rows"), [(anthropic, ANTHROPIC), (openai, OPENAI)])
def test_every_exception_has_a_row(sdk: ModuleType, rows: dict[str, Any]) -> None:
    """An exception that an SDK gains, or loses, is noticed here."""
    assert sorted(exceptions(sdk)) == sorted(rows)


@pytest.mark.parametrize("name", ANTHROPIC)
def test_each_exception_of_anthropics(name: str) -> None:
    """Each comes to the kind and the remedy of its row."""
    kind = by_anthropic(raised(anthropic, exceptions(anthropic)[name]))
    assert (kind, remedy_of(kind)) == ANTHROPIC[name]


@pytest.mark.parametrize("name", OPENAI)
def test_each_exception_of_openais(name: str) -> None:
    """Each comes to the kind and the remedy of its row."""
    kind = by_openai(raised(openai, exceptions(openai)[name]))
    assert (kind, remedy_of(kind)) == OPENAI[name]


# Statuses.

STATUSES: dict[int, tuple[str, Remedy]] = {
    **dict.fromkeys((400, 405, 406, 411, 412, 413, 414, 415, 421, 422, 423, 424, 426, 428, 431, 451), BAD),
    401: AUTH,
    402: BILLING,
    403: AUTH,
    404: MISSING,
    408: TIMEOUT,
    409: CONFLICT,
    410: MISSING,
    425: CONFLICT,
    429: LIMITED,
    499: CUT,
    **dict.fromkeys((500, 502, 504, 505, 507, 508, 511, 520, 521, 522, 523, 524, 525, 526, 530, 598, 599), SERVER),
    501: UNSUPPORTED,
    503: BUSY,
    529: BUSY,
}


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[Any, Any]]:
    """The SDKs' clients, which know what exception a status is."""
    given = {"api_key": "k", "http_client": httpx2.AsyncClient(verify=False)}  # nothing is sent
    yield anthropic.AsyncAnthropic(**given), openai.AsyncOpenAI(**given)
    asyncio.run(given["http_client"].aclose())  # type: ignore[attr-defined]


def status_error(client: Any, status: int, said: Any) -> Exception:
    """What an SDK makes of such a response."""
    return client._make_status_error("no", body=said, response=answered(status, said))  # type: ignore[no-any-return] # noqa: SLF001


@pytest.mark.parametrize("status", range(400, 600))
def test_each_status(clients: tuple[Any, Any], status: int) -> None:
    """Each status of note comes to its row whoever says it, and the others to that of their hundred."""
    expected = STATUSES.get(status, BAD if status < 500 else SERVER)
    for client, meaning in zip(clients, (by_anthropic, by_openai), strict=True):
        for said in (None, {"error": {"message": "no"}}):
            kind = meaning(status_error(client, status, said))
            assert (kind, remedy_of(kind)) == expected


CODED: dict[str, tuple[str, Remedy]] = {
    "claude_code_key_creator_not_member": AUTH,
    "cmek_key_disabled": AUTH,
    "cmek_key_network_blocked": AUTH,
    "contract_spend_limit_reached": BILLING,
    "enforced_spend_limit_reached": BILLING,
    "file_expired": BAD,
    "organization_on_hold": AUTH,
    "request_body_timeout": TIMEOUT,
    "thread_continue_in_flight": CONFLICT,
    "thread_not_found": BAD,
    "user_profile_billing_not_authorized": BILLING,
    "user_profile_not_billable": BILLING,
}


def test_the_codes_of_anthropics(clients: tuple[Any, Any]) -> None:
    """Of the errors with codes, those whose code says more come to their row, and the rest to that of their status."""
    assert CODED.keys() <= {code for _, code in CODES.values()}
    for status, code in CODES.values():
        body = {"error": {"type": "some_error", "message": "no", "details": {"error_code": code}}}
        kind = by_anthropic(status_error(clients[0], status, body))
        assert (kind, remedy_of(kind)) == CODED.get(code, STATUSES[status]), code


def chat_error(client: Any, status: int, **error: Any) -> Exception:
    """What OpenAI's SDK makes of such a body."""
    body = {"error": {"message": "no", "type": None, "param": None, "code": None, **error}}
    return status_error(client, status, body)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, BILLING),
        (429, {"type": "insufficient_quota", "code": "project_spend_limit_exceeded"}, BILLING),
        (429, {"code": "credit_balance_exhausted"}, BILLING),
        (429, {"type": "requests", "code": "rate_limit_exceeded"}, LIMITED),
        (400, {"code": "model_not_found"}, MISSING),
        (403, {"code": "model_not_found"}, MISSING),
        (404, {"code": "model_not_found"}, MISSING),
        (400, {"code": "model_decommissioned"}, MISSING),
        (400, {"code": "context_length_exceeded"}, BAD),
        (400, {"code": "invalid_api_key"}, AUTH),
        (500, {"type": ["odd"], "code": 7}, SERVER),
    ],
)
def test_the_codes_of_chat_completions(
    clients: tuple[Any, Any], status: int, error: dict[str, Any], expected: tuple[str, Remedy]
) -> None:
    """Where a code says more than the status, it decides."""
    kind = by_openai(chat_error(clients[1], status, **error))
    assert (kind, remedy_of(kind)) == expected


# Refusals of the content.


@pytest.mark.parametrize("word", sorted(REFUSALS))
@pytest.mark.parametrize("at", ["code", "type", "innererror"])
def test_a_refusal_of_the_content_is_a_reply(clients: tuple[Any, Any], word: str, at: str) -> None:
    """A model that will not answer this has replied, with nothing, so that the next tier is asked."""
    failures = Failures(Dialect(hide=lambda said: scrub(said, ["swordfish"])))
    with failures:
        value = {"code": word} if at == "innererror" else word
        raise chat_error(clients[1], 400, **{at: value}, message="not swordfish")
    reply = failures.settle()
    assert (reply.stop, reply.empty, reply.raw_stop, reply.usage) == ("refusal", True, word, None)
    assert reply.extra == {"openai": {"refused": "400: not [removed]"}}
    assert (failures.failure.failure.kind, failures.failure.failure.status) == ("bad_request", 400)


def test_a_refusal_that_comes_too_late_is_a_failure(clients: tuple[Any, Any]) -> None:
    """When a reply has begun, to refuse the rest is no reply of its own, and the next tier's turn all the same."""
    failures = Failures(Dialect())
    failures.begun = True
    with failures:
        raise chat_error(clients[1], 400, code="content_filter")
    with pytest.raises(BackendError) as caught:
        failures.settle()
    assert caught.value.failure.kind == "bad_request"
