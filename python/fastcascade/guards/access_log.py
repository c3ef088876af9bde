"""One structured record a request, by the logging module: logger `fastcascade.access`, everything in its fields.

    logging.getLogger("fastcascade.access").setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())

No query, no header but the request's id, no body: that is where secrets are. What comes from a client is cut and its
control characters are escaped, so that nobody can write lines of their own into the log.
"""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Final

from fastcascade.guards.guard import Call

__all__ = ["DECIDED", "FIELDS", "AccessLog", "JsonFormatter", "safe"]

FIELDS: Final = (
    "method",
    "path",
    "status",
    "bytes",
    "seconds",
    "client",
    "identity",
    "tenant",
    "cache",
    "degraded",
    "disconnected",
    "broken",
    "request_id",
)
DECIDED: Final = (
    "layer",
    "by",
    "caller",
    "cascade",
    "tier",
    "model",
    "via",
    "confidence",
    "cost_usd",
    "attempts",
    "escalations",
    "failure",
    "instance",
    "trace_id",
    "span_id",
    "prompt",
    "answer",
)
"""What a record of a decision has beside those, in `telemetry.logs`."""
LONGEST: Final = 512
"""Letters of anything that comes from a client."""


def safe(text: str) -> str:
    """The text with control characters, line ends of any kind and lone surrogates escaped, and cut when it is long."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + "..."
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class AccessLog:
    """Writes the record of a request when it is over.

    Args:
        logger: the logger, or its name.
        level: at which level; a status from 500 on, or an answer that broke off, is a warning.
    """

    def __init__(self, logger: logging.Logger | str = "fastcascade.access", level: int = logging.INFO) -> None:
        """See above."""
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    def wanted(self) -> bool:
        """Whether anybody would read it: without that, requests are not even timed."""
        return self._logger.isEnabledFor(self._level) or self._logger.isEnabledFor(logging.WARNING)

    def write(self, call: Call, started: float) -> None:
        """Write the record; `started` by `time.perf_counter`."""
        status = call.status
        level = self._level if status < 500 and not call.broken else max(self._level, logging.WARNING)
        if not self._logger.isEnabledFor(level):
            return
        identity = call.identity
        path = safe(call.template)
        method = safe(call.method)
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "bytes": call.sent,
            "seconds": round(time.perf_counter() - started, 6),
            "client": safe(call.client),
            "identity": "" if identity is None else safe(identity.name),
            "tenant": "" if identity is None else safe(identity.tenant or ""),
            "cache": call.cache,
            "degraded": call.degraded,
            "disconnected": call.gone,
            "broken": call.broken,
            "request_id": safe(call.request_id),
        }
        # As `log` does, without looking for the line of code that calls: that is always this one, and half the time.
        logger, said = self._logger, (method, path, status)
        logger.handle(logger.makeRecord(logger.name, level, __file__, 0, "%s %s %d", said, None, "write", fields))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and the fields of an access record or a decision."""

    def format(self, record: logging.LogRecord) -> str:
        """See above."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in (*FIELDS, *DECIDED) if name in record.__dict__}
        if record.exc_text:  # as a filter has left it, which may have taken secrets out
            line["error"] = record.exc_text
        elif record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
