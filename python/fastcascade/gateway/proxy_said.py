"""What the proxy says itself, where no app has answered; how requests are let in, and counted."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastcascade.telemetry.events import Decision
from fastcascade.wire.endpoint import Caller, Response

if TYPE_CHECKING:
    from fastcascade.gateway.app import Gatekeeper, Gateway
    from fastcascade.gateway.work import Work
    from fastcascade.telemetry.events import Layer

__all__ = ["CUT", "TEXT", "address", "counted", "let_in", "said"]

TEXT: Final = ("content-type", "text/plain; charset=utf-8")
GUARDED: Final = frozenset({401, 402, 403, 429})
"""What is said to those who may not pass."""
CUT: Final = {
    "slow": (408, "the body did not arrive in time"),
    "late": (504, "the answer took too long"),
    "drained": (503, "the server is being shut down; ask again"),
    "gone": (499, ""),
    "unread": (499, ""),
}
"""By why a request was ended early: what is said of it."""


def said(proto: Any, status: int, message: str, more: Sequence[tuple[str, str]] = ()) -> None:
    """Say something ourselves."""
    proto.response_bytes(status, [TEXT, *more], f"{message}\n".encode())


def counted(  # noqa: PLR0913 - all that is known of it
    gateway: "Gateway",
    name: str,
    status: int,
    seconds: float | None,
    pool: str = "",
    instance: str = "",
    *,
    layer: "Layer | None" = None,
    method: str = "",
    request_id: str = "",
    work: "Work | None" = None,
    parent: str = "",
) -> None:
    """Tell of a request that is over: by its route, its pool and its instance."""
    if layer is None:
        layer = "guard" if status in GUARDED and not instance else "match"
    by = str(status) if layer == "guard" else pool
    caller = None if work is None else work.caller
    gateway.tell(
        Decision(
            layer,
            by,
            time.time(),
            seconds,
            request_id,
            status,
            name,
            "" if caller is None else caller.name,
            parent=parent,
            detail=instance,
            method=method,
            target="" if work is None else work.path,
            cut="" if work is None else work.cut,
        )
    )


async def let_in(gate: "Gatekeeper", headers: Mapping[str, str], path: str) -> Caller | Response:
    """Who asks, or what is answered instead. Nothing of its body counts: no model reads it."""
    entered = gate.enter(headers, path, 0)
    return entered if isinstance(entered, Caller | Response) else await entered


def address(peer: str) -> str:
    """That of a client, without its port and brackets."""
    host = peer.rpartition(":")[0] if peer.count(":") == 1 or peer.startswith("[") else peer
    return host.strip("[]")
