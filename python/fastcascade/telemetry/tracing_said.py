"""What is said of a call, an attempt and a request: names of attributes as OpenTelemetry's GenAI conventions have them.

The conventions are of "development" status, and moved to a repository of their own (semantic-conventions-genai). Names
stand here as literals: the package with their constants renames them with each release. What they do not know is
under `fastcascade.`. No prompt, no answer, no reason of a gate's (which may repeat one) without `texts`; never a
message of a provider's.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from fastcascade.messages import MOST_TOKENS
from fastcascade.telemetry.tracing_texts import STOPS, texts_in, texts_out

if TYPE_CHECKING:
    from fastcascade.answers import Answer, Attempt
    from fastcascade.messages import Reply, Request, Usage
    from fastcascade.telemetry.events import Decision

__all__ = [
    "asked",
    "attempted",
    "decided",
    "failed",
    "fit",
    "passed",
    "place",
    "replied",
    "tier_of",
    "used",
    "verb",
]

Attributes: TypeAlias = dict[str, Any]

LONGEST: Final = 200
"""Letters of a name that somebody else has made up."""
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
LABEL: Final = re.compile(r"(.*)/([a-z_]+)(?:/\d+)?", re.DOTALL)
HOSTS: Final = (
    ("openai.azure.com", "azure.ai.openai"),
    ("inference.ai.azure.com", "azure.ai.inference"),
    ("openai.com", "openai"),
    ("anthropic.com", "anthropic"),
    ("amazonaws.com", "aws.bedrock"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("groq.com", "groq"),
    ("deepseek.com", "deepseek"),
    ("mistral.ai", "mistral_ai"),
    ("moonshot.ai", "moonshot_ai"),
    ("perplexity.ai", "perplexity"),
    ("cohere.com", "cohere"),
    ("x.ai", "x_ai"),
)
"""Who is behind an address, in the conventions' words."""


def tier_of(label: str) -> tuple[str, str]:
    """The tier whose call it is, and what for: of "small/sample/2" these are "small" and "sample"."""
    found = LABEL.fullmatch(label)
    return (found[1], found[2]) if found else (label, "")


@lru_cache(1_024)
def place(url: str | None) -> Mapping[str, Any]:
    """Where that is: host and port, and nothing else of the URL."""
    try:
        at = urlsplit(url or "")
        host, port = at.hostname, at.port
    except ValueError:
        return {}
    if not host:
        return {}
    return {"server.address": host, "server.port": port or (80 if at.scheme == "http" else 443)}


@lru_cache(1_024)
def _at(host: str) -> str:
    """Who is behind an address; empty where that is not known."""
    return next((name for end, name in HOSTS if host == end or host.endswith(f".{end}")), "")


def _provider(backend: Any, host: str) -> str:
    """Who is asked, as far as it is known: by its address, or else by how it speaks."""
    if known := _at(host):
        return known
    speaks: str = getattr(backend, "speaks", "")
    told = getattr(backend, "provider", None)
    if not speaks and isinstance(told, str) and "/" not in told:
        return fit(told)  # as litellm has it
    return speaks or type(backend).__name__.lower()


def asked(backend: Any, request: "Request", label: str, *, stream: bool, texts: bool) -> Attributes:
    """What is known of a call when it is made."""
    url = getattr(backend, "base_url", None) or getattr(backend, "provider", None)
    where = place(url if isinstance(url, str) else None)
    tier, purpose = tier_of(label)
    said: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _provider(backend, where.get("server.address", "")),
        "gen_ai.request.model": fit(str(getattr(backend, "name", ""))),
        **where,
    }
    if tier:
        said |= {"fastcascade.tier": tier, "fastcascade.purpose": purpose}
    if stream:
        said["gen_ai.request.stream"] = True
    for name in ("max_tokens", "temperature", "top_p", "seed"):
        if (value := getattr(request, name)) is not None:
            said[f"gen_ai.request.{name}"] = value
    if request.schema is not None:
        said["gen_ai.output.type"] = "json"
    if texts:
        said |= texts_in(request)
    return said


def passed(name: str, url: str, method: str, *, model: str, speaks: str, stream: bool) -> Attributes:
    """What is known of a request that is passed on when it goes out."""
    said: Attributes = {"http.request.method": _method(method), "fastcascade.instance": fit(name), **place(url)}
    if model:
        said |= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _at(said.get("server.address", "")) or speaks,
            "gen_ai.request.model": fit(model),
        }
        if stream:
            said["gen_ai.request.stream"] = True
    return said


def _method(method: str) -> str:
    return method if method in METHODS else "_OTHER"


def verb(method: str) -> str:
    """A method as names of spans have it: what clients make up is one name, as the conventions say."""
    return method if method in METHODS or not method else "HTTP"


def fit(text: str) -> str:
    """A name that somebody else has made up, cut, and as it can be sent: half of a surrogate pair cannot."""
    text = text[:LONGEST]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def replied(reply: "Reply | None", *, texts: bool) -> Attributes:
    """What is known of a reply."""
    if reply is None:
        return {"fastcascade.empty": True}
    said: Attributes = {"gen_ai.response.finish_reasons": [STOPS.get(reply.stop, reply.stop)]}
    if reply.model:
        said["gen_ai.response.model"] = fit(reply.model)
    if reply.id:
        said["gen_ai.response.id"] = fit(reply.id)
    if reply.usage is not None:
        said |= used(reply.usage)
    if texts:
        said |= texts_out(reply)
    return said


def used(usage: "Usage") -> Attributes:
    """Tokens."""
    counts = (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)
    if max(counts) >= MOST_TOKENS:  # beyond 64 bits the span could not be sent
        return {}
    said: Attributes = {"gen_ai.usage.input_tokens": usage.input, "gen_ai.usage.output_tokens": usage.output}
    if usage.cache_read:
        said["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read
    if usage.cache_write:
        said["gen_ai.usage.cache_write.input_tokens"] = usage.cache_write
    if usage.reasoning:
        said["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning
    return said


def failed(kind: str, status: int | None) -> Attributes:
    """Why there is none; no word of the provider's."""
    said: Attributes = {"error.type": kind}
    if status is not None:
        said["http.response.status_code"] = status
    return said


def attempted(attempt: "Attempt", gate: str, *, texts: bool) -> Attributes:
    """One try of a tier, and what its gate found."""
    said: Attributes = {"fastcascade.tier": attempt.tier, "fastcascade.verdict": attempt.verdict}
    if attempt.score is not None:
        said |= {
            "gen_ai.evaluation.score.value": attempt.score,
            "gen_ai.evaluation.score.label": attempt.verdict,
        }
        if gate:
            said["gen_ai.evaluation.name"] = gate
    if texts and attempt.reason:
        said["gen_ai.evaluation.explanation"] = attempt.reason.encode("utf-8", "replace").decode()
    if attempt.model:
        said["gen_ai.response.model"] = fit(attempt.model)
    if (cost := attempt.cost_usd) is not None:
        said["fastcascade.cost_usd"] = cost
    if attempt.error is not None:
        said |= failed(attempt.error.kind, attempt.error.status)
    return said


def decided(event: "Decision", *, texts: bool, inside: bool = False) -> Attributes:
    """A request that is over; what a cascade `inside` it did is told of by a span of its own."""
    said: Attributes = {"fastcascade.layer": event.layer, "fastcascade.by": event.by}
    if event.status:
        said["http.response.status_code"] = event.status
    if event.method:
        said["http.request.method"] = _method(event.method)
    named = {
        "http.route": "" if event.path == "other" else event.path,
        "fastcascade.request_id": fit(event.id),
        "fastcascade.caller": fit(event.caller),
        "fastcascade.instance": fit(event.detail),
        "gen_ai.workflow.name": event.cascade,
    }
    said |= {name: value for name, value in named.items() if value}
    if event.failure == "cancelled":
        said["fastcascade.cancelled"] = True
    return said if event.answer is None or inside else said | _answered(event.answer, texts=texts)


def _answered(answer: "Answer", *, texts: bool) -> Attributes:
    request, ups = answer.request, ("escalate", "abstain")
    said: Attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "fastcascade.attempts": len(answer.attempts),
        "fastcascade.escalations": sum(each.verdict in ups for each in answer.attempts),
    }
    named: Attributes = {
        "fastcascade.tier": answer.tier,
        "fastcascade.degraded": answer.degraded,
        "fastcascade.via": answer.via,
        "fastcascade.slice": fit(request.route or request.task),
        "fastcascade.review": fit(answer.ticket),
        "gen_ai.response.model": fit(answer.model),
    }
    said |= {name: value for name, value in named.items() if value}
    if answer.confidence is not None:
        said["fastcascade.confidence"] = answer.confidence
    if (cost := answer.cost_usd) is not None:
        said["fastcascade.cost_usd"] = cost
    if texts:
        said |= texts_in(request)
        said |= {} if answer.reply is None else texts_out(answer.reply)
    return said
