"""The access log: one line of JSON for each request, of names and numbers alone; no headers, no bodies, no query."""

import json
import logging
import time
from typing import Final

from fastcascade.gateway.work import Work

__all__ = ["entry", "log"]

log: Final = logging.getLogger("fastcascade.access")
LONGEST: Final = 200
"""Characters of a path that are shown: it is the client's, and may be anything."""


def entry(work: Work, method: str, status: int, seconds: float, request_id: str, via: str) -> None:
    """Write the line."""
    said: dict[str, object] = {
        "at": round(time.time(), 3),
        "id": request_id[:LONGEST],
        "method": method,
        "path": work.path[:LONGEST],
        "status": status,
        "seconds": round(seconds, 6),
    }
    if work.caller is not None and work.caller.name:
        said["caller"] = work.caller.name
    if work.cut:
        said["cut"] = work.cut
    if via:
        said["via"] = via
    done = work.done
    if done is not None:
        said["model"] = done.asked.model[:LONGEST]
        if done.failure:
            said["failure"] = done.failure
        if done.answer is not None:
            said["tier"] = done.answer.tier
            said["cost_usd"] = done.answer.cost_usd
            if done.answer.degraded:
                said["degraded"] = done.answer.degraded
    log.info("%s", json.dumps(said))
