"""What the proxy says itself, where no app has answered; how requests are let in, and counted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastcascade.wire.endpoint import Caller, Response

if TYPE_CHECKING:
    from fastcascade.gateway.app import Gatekeeper, Gateway

__all__ = ["CUT", "TEXT", "address", "counted", "let_in", "said"]

TEXT: Final = ("content-type", "text/plain; charset=utf-8")
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


def counted(gateway: "Gateway", name: str, status: int, seconds: float, pool: str = "", instance: str = "") -> None:
    """Count a request: by its route, and where a tier and a way would stand by its pool and instance."""
    gateway.metrics.count(name, status, seconds, pool, instance)


async def let_in(gate: "Gatekeeper", headers: Mapping[str, str], path: str) -> Caller | Response:
    """Who asks, or what is answered instead. Nothing of its body counts: no model reads it."""
    entered = gate.enter(headers, path, 0)
    return entered if isinstance(entered, Caller | Response) else await entered


def address(peer: str) -> str:
    """That of a client, without its port and brackets."""
    host = peer.rpartition(":")[0] if peer.count(":") == 1 or peer.startswith("[") else peer
    return host.strip("[]")
