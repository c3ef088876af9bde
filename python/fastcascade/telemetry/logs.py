"""One structured record for each decision, by the logging module or by structlog.

    log_decisions()                                 # logger `fastcascade.decisions`, everything in its fields
    log_decisions(structlog.get_logger())           # event "decision", with key-values
    log_decisions(level=logging.DEBUG, texts=True)  # with what was asked and said

Names and numbers alone, without `texts`. Secrets are taken out, here and wherever else `Redacting` is put.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastcascade import spans
from fastcascade.guards.access_log import safe
from fastcascade.telemetry.events import HUB, Decision, Event, Events
from fastcascade.telemetry.redacting import Redacting

if TYPE_CHECKING:
    from fastcascade.answers import Answer

__all__ = ["Redacting", "log_decisions"]

ERRORS: Final = 500
METHODS: Final = {level: name.lower() for name, level in logging.getLevelNamesMapping().items() if level}
"""How structlog calls a level; not all of its loggers take one by its number."""
LOOSE: Final = ("request_id", "method", "caller", "instance", "model", "prompt", "answer")
"""Fields that hold what others have made up; all else are words of ours and names of the operator's."""
UPWARD: Final = ("escalate", "abstain")


def log_decisions(
    logger: Any = None,
    *,
    level: int = logging.INFO,
    texts: bool = False,
    events: Events = HUB,
    redact: Redacting | None = None,
) -> Callable[[], None]:
    """Write a record of each decision from here on. Comes to a function that ends it.

    Args:
        logger: a logger of the logging module, or one of structlog's; `fastcascade.decisions` by default.
        level: at which level; what went wrong here, a status from 500 on or a failure, is a warning.
        texts: whether what was asked and said is in it.
        events: whose: of all in this process, or of one gateway (`gateway.events`).
        redact: takes secrets out; one with the environment's by default.
    """
    to = logging.getLogger("fastcascade.decisions") if logger is None else logger
    cleaned = redact or Redacting()
    plain = isinstance(to, logging.Logger)

    def hear(event: Event) -> None:
        if type(event) is not Decision:
            return
        at = max(level, logging.WARNING) if _wrong(event) else level
        if plain and not to.isEnabledFor(at):
            return
        said = _fields(event, texts=texts)
        loose = "\n".join(said.get(name, "") for name in LOOSE)
        if cleaned.text(loose) != loose:  # all at once first: it is rare
            said |= {name: cleaned.text(said[name]) for name in LOOSE if name in said}
        said |= _span()
        if plain:
            to.log(at, "decision", extra=said)
        else:
            getattr(to, METHODS.get(at, "info"))("decision", **said)

    return events.subscribe(hear)


def _wrong(event: Decision) -> bool:
    if event.status:
        return event.status >= ERRORS
    return event.failure not in ("", "cancelled")


def _fields(event: Decision, *, texts: bool) -> dict[str, Any]:
    """What there is to say; what is empty is left out."""
    said: dict[str, Any] = {"layer": event.layer, "by": event.by}
    if event.seconds is not None:
        said["seconds"] = round(event.seconds, 6)
    named = {
        "request_id": safe(event.id),
        "method": safe(event.method),
        "path": event.path,
        "status": event.status,
        "caller": safe(event.caller),
        "cascade": event.cascade,
        "failure": event.failure,
        "instance": safe(event.detail),
    }
    said |= {name: value for name, value in named.items() if value}
    return said if event.answer is None else said | _answered(event.answer, texts=texts)


def _answered(answer: "Answer", *, texts: bool) -> dict[str, Any]:
    attempts = answer.attempts
    said: dict[str, Any] = {
        "cost_usd": answer.cost_usd,  # null is not known
        "attempts": [{"tier": each.tier, "verdict": each.verdict, "score": each.score} for each in attempts],
        "escalations": sum(each.verdict in UPWARD for each in attempts),
    }
    named = {
        "tier": answer.tier,
        "model": safe(answer.model),
        "via": answer.via,
        "degraded": answer.degraded,
        "confidence": answer.confidence,
    }
    said |= {name: value for name, value in named.items() if value not in ("", None)}
    if texts:
        said["prompt"] = "\n".join(each.text for each in answer.request.messages)
        said["answer"] = answer.text
    return said


def _span() -> dict[str, str]:
    """Which span this belongs to, where something traces: so that logs and traces can be laid side by side."""
    parent = spans.headers().get("traceparent", "").split("-")
    return {"trace_id": parent[1], "span_id": parent[2]} if len(parent) > 2 else {}
