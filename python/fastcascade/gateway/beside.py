"""What there is beside the APIs: whether it lives, whether it can answer, and what it has counted.

These are answered though every place for requests is taken.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.gateway import health
from fastcascade.gateway.metrics import Board, exposition, told
from fastcascade.gateway.settings import Settings

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade

__all__ = ["OWN", "Beside"]

Headers = list[tuple[str, str]]

OWN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
TEXT: Final[Headers] = [("content-type", "text/plain; charset=utf-8")]
JSON: Final[Headers] = [("content-type", "application/json")]
EXPOSITION: Final[Headers] = [("content-type", "text/plain; version=0.0.4; charset=utf-8")]


class Beside:
    """Answers at these paths.

    Args:
        settings: whether there are metrics, and for whom.
        cascades: what readiness goes by.
        board: what all workers have counted.
        write: puts there what this one has.
        admin: whether a request with these headers shows a key for the console and admin calls.
    """

    def __init__(
        self,
        settings: Settings,
        cascades: "Mapping[str, Cascade]",
        board: Board,
        write: Callable[[], object],
        *,
        admin: Callable[[Mapping[str, str]], bool] | None = None,
    ) -> None:
        """Keep them."""
        self._settings, self._cascades, self._board, self._write = settings, cascades, board, write
        self._admin = admin
        self._open = not settings.metrics_key and (settings.metrics == "open" or settings.is_local)

    def answer(self, scope: Any, proto: Any, path: str, *, draining: bool) -> None:
        """Answer one request."""
        if scope.method not in ("GET", "HEAD"):
            proto.response_bytes(405, [*TEXT, ("allow", "GET, HEAD")], b"this is read with GET\n")
        elif path == "/healthz":
            proto.response_bytes(200, TEXT, b"ok\n")
        elif path == "/readyz":
            status, body = health.report(self._cascades, draining=draining)
            proto.response_bytes(status, JSON, body)
        elif not self._settings.metrics:
            proto.response_bytes(404, TEXT, b"there are no metrics\n")
        elif not (self._open or self._may_read(scope.headers)):
            proto.response_bytes(401, [*TEXT, ("www-authenticate", "Bearer")], b"metrics need their key\n")
        else:
            self._write()
            proto.response_bytes(200, EXPOSITION, exposition(map(told, self._board.read().values())).encode())

    def _may_read(self, headers: Any) -> bool:
        key = self._settings.metrics_key
        said = headers.get("authorization") or ""
        if key and hmac.compare_digest(said.encode(), f"Bearer {key}".encode()):
            return True
        return self._admin is not None and self._admin(dict(headers.items()))
