"""Headers of the console: what each answer tells the browser, cookies, and whether a request comes from its own pages.

A page of another origin can make a browser send requests here, and the browser says so: `sec-fetch-site` cannot be set
by a page, nor can `origin`. Clients that are no browsers send neither, and have no cookie that somebody else could use.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

__all__ = ["CLOSED", "HSTS", "POLICY", "cookie_name", "cookies", "crossed", "dropped_cookie", "own_name", "set_cookie"]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CLOSED: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),  # for browsers that do not know frame-ancestors
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
    ),
)
"""Of each answer, whatever it is."""
HSTS: Final = ("strict-transport-security", "max-age=31536000")
"""Where the connection is TLS alone: without, a browser would lock its owner out."""
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
SAFE: Final = frozenset({"GET", "HEAD"})
PORTS: Final = {"http": 80, "https": 443}
LOCAL: Final = re.compile(r"(?:[a-z0-9_-]+\.)*localhost", re.ASCII)


def cookie_name(*, secure: bool) -> str:
    """How the cookie is called. A browser takes `__Host-` from this very host over TLS alone."""
    return "__Host-fastcascade" if secure else "fastcascade_console"


def set_cookie(token: str, *, secure: bool) -> tuple[str, str]:
    """The cookie that holds a session: out of reach of scripts, and not sent along from other sites.

    It has no age of its own: the browser forgets it when it is closed, the server after its hours.
    """
    more = "; Secure" if secure else ""
    return "set-cookie", f"{cookie_name(secure=secure)}={token}; Path=/; HttpOnly; SameSite=Strict{more}"


def dropped_cookie(*, secure: bool) -> tuple[str, str]:
    """Take the cookie back."""
    kind, said = set_cookie("", secure=secure)
    return kind, f"{said}; Max-Age=0"


def cookies(headers: Mapping[str, str], *, secure: bool) -> str:
    """The token that the cookie holds; empty where there is none, or more than one that differ.

    Several of one name are set by another site of the same domain, to have its own session taken for this person's.
    """
    name, found = cookie_name(secure=secure), set()
    for piece in re.split("[;,]", headers.get("cookie", "")):  # headers of one name were joined by commas
        key, _, value = piece.strip().partition("=")
        if key == name and TOKEN.fullmatch(value):
            found.add(value)
    return found.pop() if len(found) == 1 else ""


def own_name(host: str, listening: str) -> bool:
    """Whether a gateway that only this machine reaches is asked by a name of this machine.

    A page of another site may have its name lead to 127.0.0.1 after it was loaded; the browser then takes the gateway
    for that site. It would have no cookie of ours, but could try passwords; by its name it is known.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == listening.lower() or LOCAL.fullmatch(name):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def crossed(method: str, headers: Mapping[str, str], host: str, *, page: bool) -> bool:
    """Whether another origin's page has sent this. To go to a `page` by a link is everybody's right."""
    site = headers.get("sec-fetch-site", "").lower()
    if method in SAFE:
        return not page and site in ("cross-site", "same-site")
    if site not in ("", "same-origin"):
        return True
    origin = headers.get("origin")
    if origin is None or (origin == "null" and site):
        return False
    return not (_same(origin, host) if host else site)  # of HTTP/2 the name may not be known


def _same(origin: str, host: str) -> bool:
    try:
        ours, theirs = urlsplit(f"//{host}"), urlsplit(origin)
        usual = PORTS.get(theirs.scheme, 0)
        same = (theirs.hostname, theirs.port or usual) == (ours.hostname, ours.port or usual)
    except ValueError:
        return False
    return bool(same and usual and theirs.hostname and origin.count("/") == 2 and "@" not in origin)
