"""`/admin/...`: what operators ask of a running gateway, with a key that is `admin`.

POST /admin/purge    {"tag": "customer:acme"}, {"path": "/prices"} or {"everything": true}
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.gateway.purges import Purge
from fastcascade.wire.endpoint import Response

if TYPE_CHECKING:
    from fastcascade.gateway.purges import Purges

__all__ = ["CALLS", "answered"]

CALLS: Final = frozenset({"/admin/purge"})
"""Paths that are the gateway's own, whatever its routes say."""
JSON: Final = ("content-type", "application/json")
SAY: Final = 'say what to purge: {"tag": "NAME"}, {"path": "/PATH"} or {"everything": true}'


async def answered(purges: "Purges", method: str, body: bytes, *, guarded: bool) -> Response:
    """Answer one such request; whether the key may, has been seen to."""
    if not guarded:
        return _said(403, {"error": "admin calls need a key, and this gateway has none: set gateway.keys"})
    if method != "POST":
        response = _said(405, {"error": "a purge is asked for with POST"})
        response.headers.append(("allow", "POST"))
        return response
    what = _meant(body)
    if what is None:
        return _said(400, {"error": SAY})
    told = await purges.purge(what)
    return _said(200, {"purged": True, "everywhere": told})


def _meant(body: bytes) -> Purge | None:
    try:
        said: Any = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, Mapping) or len(said) != 1:
        return None
    ((name, value),) = said.items()
    if name == "everything" and value is True:
        return Purge()
    if name == "tag" and isinstance(value, str) and value:
        return Purge(tag=value)
    if name == "path" and isinstance(value, str) and value.startswith("/"):
        return Purge(path=value)
    return None


def _said(status: int, body: Mapping[str, Any]) -> Response:
    return Response(status, [JSON], json.dumps(body).encode() + b"\n")
