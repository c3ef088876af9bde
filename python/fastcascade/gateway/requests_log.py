"""The access log: one line of JSON for each request, of names and numbers alone; no headers, no bodies, no query."""

import json
import logging
from typing import Final

from fastcascade.telemetry.events import Decision, Event

__all__ = ["hear", "log"]

log: Final = logging.getLogger("fastcascade.access")
LONGEST: Final = 200
"""Characters of a path that are shown: it is the client's, and may be anything."""


def hear(event: Event) -> None:
    """Write the line: subscribed to a gateway's events where it has an access log."""
    if type(event) is not Decision:
        return
    answer = event.answer
    said: dict[str, object] = {
        "at": round(event.at, 3),
        "id": event.id[:LONGEST],
        "method": event.method,
        "path": event.target[:LONGEST],
        "status": event.status,
        "seconds": round(event.seconds or 0.0, 6),
        "layer": event.layer,
    }
    if event.caller:
        said["caller"] = event.caller
    if event.cut:
        said["cut"] = event.cut
    via: str = answer.via if answer is not None else "cache" if event.layer == "cache" else ""
    if event.detail and event.layer == "match":
        via = f"{event.by}/{event.detail}"  # the pool and the instance of a route
    if via:
        said["via"] = via
    if event.model:
        said["model"] = event.model[:LONGEST]
    if event.failure:
        said["failure"] = event.failure
    if answer is not None:
        said["tier"] = answer.tier
        said["cost_usd"] = answer.cost_usd
        if answer.degraded:
            said["degraded"] = answer.degraded
    log.info("%s", json.dumps(said))
