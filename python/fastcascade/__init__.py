"""Answer every request on the cheapest path that is good enough, prove that it was, and never hard-fail.

The core is loaded at once. The model cascade, which brings asyncio with it, is loaded when one of its names is first
used, so that a server that only routes does not pay for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastcascade._core import (
    Cache,
    CacheStats,
    Clock,
    FastPath,
    Hit,
    Identity,
    Key,
    KeyRing,
    Match,
    PathPolicy,
    PatternSet,
    Quota,
    RateLimiter,
    Refused,
    Routed,
    Router,
    Step,
    TextPolicy,
    VectorSet,
    __version__,
    cosine,
)
from fastcascade.errors import (
    AnswerError,
    BackendError,
    ConfigError,
    CredentialError,
    Failure,
    FailureKind,
    FastcascadeError,
    IncompleteAnswer,
    InReview,
    NoAnswer,
    PathError,
    PatternError,
    RequestError,
    RouteConflict,
    RouteError,
    StoreError,
    WireError,
)
from fastcascade.routing import Route

if TYPE_CHECKING:
    from fastcascade.answer_stream import AnswerStream
    from fastcascade.answers import Answer, Attempt, Spent
    from fastcascade.asgi import CascadeMiddleware
    from fastcascade.caching.answers import AnswerCache
    from fastcascade.cascade import Cascade
    from fastcascade.clients import http_client
    from fastcascade.dependency import answered_by, cascade_dependency
    from fastcascade.effects import Outcome
    from fastcascade.entry.instance import Instance
    from fastcascade.entry.pool import Pool
    from fastcascade.fallbacks.hedge import Hedge
    from fastcascade.lanes import Lane, Lanes, Sessions
    from fastcascade.messages import (
        Budget,
        Delta,
        Image,
        Message,
        Opaque,
        Reply,
        Request,
        Text,
        Thinking,
        Token,
        Tool,
        ToolCall,
        ToolResult,
        Usage,
    )
    from fastcascade.policies import Everything, ExpectedGain, Threshold
    from fastcascade.prices import Price, PriceSheet
    from fastcascade.recording import Recording, record, replay
    from fastcascade.reviews.desk import ReviewDesk
    from fastcascade.semantic import SemanticRoutes
    from fastcascade.tiers import Tier
    from fastcascade.wsgi import WsgiMiddleware

__all__ = [
    "Answer",
    "AnswerCache",
    "AnswerError",
    "AnswerStream",
    "Attempt",
    "BackendError",
    "Budget",
    "Cache",
    "CacheStats",
    "Cascade",
    "CascadeMiddleware",
    "Clock",
    "ConfigError",
    "CredentialError",
    "Delta",
    "Everything",
    "ExpectedGain",
    "Failure",
    "FailureKind",
    "FastPath",
    "FastcascadeError",
    "Hedge",
    "Hit",
    "Identity",
    "Image",
    "InReview",
    "IncompleteAnswer",
    "Instance",
    "Key",
    "KeyRing",
    "Lane",
    "Lanes",
    "Match",
    "Message",
    "NoAnswer",
    "Opaque",
    "Outcome",
    "PathError",
    "PathPolicy",
    "PatternError",
    "PatternSet",
    "Pool",
    "Price",
    "PriceSheet",
    "Quota",
    "RateLimiter",
    "Recording",
    "Refused",
    "Reply",
    "Request",
    "RequestError",
    "ReviewDesk",
    "Route",
    "RouteConflict",
    "RouteError",
    "Routed",
    "Router",
    "SemanticRoutes",
    "Sessions",
    "Spent",
    "Step",
    "StoreError",
    "Text",
    "TextPolicy",
    "Thinking",
    "Threshold",
    "Tier",
    "Token",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "VectorSet",
    "WireError",
    "WsgiMiddleware",
    "__version__",
    "answered_by",
    "cascade_dependency",
    "cosine",
    "http_client",
    "record",
    "replay",
]

_LATER = {
    "answer_stream": "AnswerStream",
    "answers": "Answer Attempt Spent",
    "asgi": "CascadeMiddleware",
    "caching.answers": "AnswerCache",
    "cascade": "Cascade",
    "clients": "http_client",
    "dependency": "answered_by cascade_dependency",
    "fallbacks.hedge": "Hedge",
    "effects": "Outcome",
    "entry.instance": "Instance",
    "entry.pool": "Pool",
    "lanes": "Lane Lanes Sessions",
    "messages": "Budget Delta Image Message Opaque Reply Request Text Thinking Token Tool ToolCall ToolResult Usage",
    "policies": "Everything ExpectedGain Threshold",
    "prices": "Price PriceSheet",
    "recording": "Recording record replay",
    "reviews.desk": "ReviewDesk",
    "semantic": "SemanticRoutes",
    "tiers": "Tier",
    "wsgi": "WsgiMiddleware",
}
_PACKAGES = frozenset(
    ("backends", "caching", "config", "drills", "entry", "fallbacks", "gates", "notices", "reviews", "stores")
)
_WHERE = {name: module for module, names in _LATER.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load what belongs to the model cascade when it is first named."""
    if name in _WHERE:
        found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name in _PACKAGES:
        found = import_module(f"{__name__}.{name}")
    else:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name the later ones too."""
    return sorted({*globals(), *__all__})
