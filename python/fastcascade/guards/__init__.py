"""What stands before an app: who may ask, how often, and what is written down of it. No I/O in any of it.

    guard       the protocol: what a guard sees (`Call`), and what it may end a request with (`Ending`)
    keys        where a credential may stand in a request
    limits      how often; whose address it is behind proxies
    refusal     401, 403, 404, 405 and 429 with the headers that belong to them
    access_log  one structured record a request

`CascadeMiddleware` (ASGI) and `WsgiMiddleware` put them around an app.
"""

from fastcascade.guards.access_log import AccessLog, JsonFormatter
from fastcascade.guards.guard import Call, Ending, Guard, Proceed, WsgiGuard, WsgiProceed
from fastcascade.guards.keys import Credentials
from fastcascade.guards.limits import Proxies, RateFields
from fastcascade.guards.refusal import Refusals

__all__ = [
    "AccessLog",
    "Call",
    "Credentials",
    "Ending",
    "Guard",
    "JsonFormatter",
    "Proceed",
    "Proxies",
    "RateFields",
    "Refusals",
    "WsgiGuard",
    "WsgiProceed",
]
