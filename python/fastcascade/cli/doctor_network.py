"""How the doctor looks outside: hosts, clocks, stores and certificates, each within a time. No key is ever said."""

import asyncio
import http.client
import json
import resource
import socket
import sqlite3
import ssl
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from fastcascade.config.models import Raw
from fastcascade.errors import BackendError
from fastcascade.messages import Request

__all__ = ["ask", "date", "descriptors", "drift", "expiry", "models", "reach", "shown", "store"]

PORTS: Final = {"https": 443, "http": 80, "redis": 6379, "rediss": 6379}
SECURE: Final = frozenset({"https", "rediss"})
BROKEN: Final = (OSError, http.client.HTTPException, ValueError)
VERSION: Final = "2023-06-01"
"""Any of the API's: all list models alike."""
MOST: Final = 4 * 1024 * 1024
"""Bytes of a list of models."""
QUESTION: Final = Request.of("Say ok.", max_tokens=16)
_began: Final = (time.time(), time.monotonic())


def shown(url: str) -> str:
    """The host and the port of a URL, without whoever asks."""
    parts = urlsplit(url)
    return f"{parts.hostname or '?'}:{parts.port or PORTS.get(parts.scheme, 0)}"


def reach(url: str, timeout: float, ca: Path | None = None) -> str:
    """Look the host up, connect, and shake hands where that is due; what went wrong.

    `ca` is a file of certificates to trust in place of the system's. Where there is a proxy it is the proxy that is
    reached: what lies behind it is seen only by asking.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme, "")
    if proxy and not proxy_bypass(parts.netloc):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "its name has no address"
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if parts.scheme in SECURE:
                with ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"no TLS: {error.reason or type(error).__name__}"
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def date(url: str, timeout: float) -> datetime | None:
    """The clock of a server, by the header of whatever it answers to one who shows no key."""
    with closing(_connection(url, timeout)) as made, suppress(*BROKEN, TypeError):
        made.request("HEAD", "/")
        return parsedate_to_datetime(made.getresponse().getheader("date") or "")
    return None


def models(raw: Raw, timeout: float) -> tuple[int, list[str]]:
    """Ask a provider which models it has: the status of its answer, 0 without one, and their names."""
    path = urlsplit(raw.base_url).path.rstrip("/")
    path += "/v1/models?limit=1000" if raw.wire == "anthropic" else "/models"
    headers = {"authorization": f"Bearer {raw.api_key}"} if raw.api_key else {}
    if raw.wire == "anthropic":
        headers["anthropic-version"] = VERSION
    with suppress(*BROKEN), closing(_connection(raw.base_url, timeout, raw.ca)) as made:
        made.request("GET", path, headers={**headers, **raw.headers})
        answer = made.getresponse()
        try:
            listed = json.loads(answer.read(MOST))["data"]
            return answer.status, [str(each["id"]) for each in listed]
        except (ValueError, TypeError, KeyError, RecursionError):
            return (answer.status if answer.status != 200 else 0), []
    return 0, []


def _connection(url: str, timeout: float, ca: Path | None = None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)


def ask(backends: Mapping[str, Any], timeout: float) -> Mapping[str, str]:
    """Ask each for a word or two; what went wrong, by name."""

    async def one(backend: Any) -> str:
        try:
            async with asyncio.timeout(timeout):
                await backend.complete(QUESTION)
        except TimeoutError:
            return f"no answer within {timeout:g} s"
        except BackendError as error:
            return f"{error.failure.kind}"
        except Exception as error:  # noqa: BLE001 - its words may hold a key
            return type(error).__name__
        finally:
            close = getattr(backend, "aclose", None)
            if close is not None:
                await close()
        return ""

    async def every() -> list[str]:
        return await asyncio.gather(*(one(each) for each in backends.values()))

    return dict(zip(backends, asyncio.run(every()), strict=True))


def descriptors() -> int:
    """How many files and sockets a process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**31 if soft == resource.RLIM_INFINITY else soft


def drift() -> float:
    """Seconds that the wall clock has moved against the steady one since this was loaded."""
    wall, steady = _began
    return abs((time.time() - wall) - (time.monotonic() - steady))


def store(account: str, folder: Path, timeout: float) -> str:
    """Whether what is kept can be kept; what went wrong."""
    if account.startswith("sqlite:"):
        return _sqlite(folder / account.removeprefix("sqlite:"))
    if account.startswith("unix://"):
        return _unix(urlsplit(account).path, timeout)
    return reach(account, timeout)


def _sqlite(path: Path) -> str:
    if not path.exists():
        return "" if path.parent.is_dir() else f"there is no folder {path.parent}"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=1)) as opened:
            opened.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return ""


def _unix(path: str, timeout: float) -> str:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(timeout)
        try:
            made.connect(path)
        except OSError as error:
            return error.strerror or type(error).__name__
    return ""


def expiry(cert: Path, key: Path) -> datetime | None:
    """When a certificate ends, found by shaking hands with it; None where it is not good now."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(cert, key)
    client.load_verify_locations(cert)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trusted because it is this one, whoever signed it
    to, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, to)
    theirs = server.wrap_bio(to, back, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return None
    told = ours.getpeercert()
    ends = told.get("notAfter") if told else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None
