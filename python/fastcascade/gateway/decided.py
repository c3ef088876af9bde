"""What the gateway tells of a request that is over."""

import time
from collections.abc import Mapping
from typing import Final

from fastcascade.gateway.work import Work
from fastcascade.telemetry.events import Decision, layer_of
from fastcascade.wire.endpoint import Response

__all__ = ["counted", "decided"]

COUNTED: Final = frozenset(
    {
        *("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"),
        *("/v1/responses", "/v1/responses/input_tokens", "/v1/models"),
    }
)
"""Paths that are counted by name; what else clients make up is "other"."""


def counted(path: str) -> str:
    """What a path is called where it is counted."""
    return path if path in COUNTED else "other"


def decided(work: Work, method: str, headers: Mapping[str, str], response: Response | None, seconds: float) -> Decision:
    """By whom it was answered, and all that is known of how."""
    done, caller = work.done, work.caller
    status, told = (500, []) if response is None else (response.status, response.headers)
    layer, by, answer, cascade, failure, ladder, model = work.layer, work.by or str(status), None, "", "", None, ""
    if done is not None:
        answer, ladder, failure, model = done.answer, done.ladder, done.failure, done.asked.model
        layer, by = ("dispatch", by) if answer is None else layer_of(answer)
        cascade = "" if ladder is None else ladder.name
    return Decision(
        layer,
        by,
        time.time(),
        seconds,
        next((value for name, value in told if name == "x-request-id"), ""),
        status,
        counted(work.path),
        "" if caller is None else caller.name,
        cascade,
        answer,
        failure,
        ladder,
        headers.get("traceparent", ""),
        work.detail,
        method,
        work.path,
        model,
        work.cut,
    )
