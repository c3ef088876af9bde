"""What we are made of, alone: granian with pyreqwest as a proxy that reads nothing, and granian saying hello."""

import json
import sys
from pathlib import Path

from contender import Contender, Job, port_and_url, version
from site_of import Site
from with_nginx import GET

NAME = "granian + pyreqwest"


def contenders(job: Job, site: Site) -> list[Contender]:
    up = site.upstream
    if job in ("proxy", "start"):
        return [granian(NAME, "passing", environment={"UPSTREAM": up.url}, expect=b"Paris", calls=1)]
    if job == "stream":
        told = {"UPSTREAM": up.chunks, "STREAMS": "1"}
        return [granian(NAME, "passing", environment=told, expect=b"piece 19", body=site.streamed, calls=1)]
    if job == "cache":
        return [granian("granian, one answer", "hello", environment={"PAGE": site.page}, note="no look-up at all")]
    if job == "tls":
        plain = granian("granian, plain", "hello", **GET)  # type: ignore[arg-type]
        return [plain, granian("granian, TLS", "hello", tls=site.tls, over=plain.name, **GET)]  # type: ignore[arg-type]
    if job == "mix":
        return [
            granian("granian, RSGI, one answer", "hello", environment={"PAGE": site.page}, script=site.mix, **GET),  # type: ignore[arg-type]
            granian("granian, ASGI, one answer", "asgi", environment={"PAGE": site.page}, script=site.mix, **GET),  # type: ignore[arg-type]
        ]
    return []


def granian(
    name: str, app: str, *, path: str = "/v1/messages", tls: tuple[str, str] | None = None, **more: object
) -> Contender:
    """One of `granian_app.py`, with one worker and one runtime thread, as our own worker has."""
    port, url = port_and_url(path, scheme="https" if tls else "http")
    interface = "asgi" if app in ("asgi", "guarded") else "rsgi"
    secure = ["--ssl-certificate", tls[0], "--ssl-keyfile", tls[1]] if tls else []
    environment = {"APP": app, "PYTHONPATH": str(Path(__file__).parent), **more.pop("environment", {})}  # type: ignore[dict-item]
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        interface,
        "--loop",
        "uvloop",
        "--no-ws",
        "--log-level",
        "error",
    ]
    return Contender(
        name,
        [*command, "--host", "127.0.0.1", "--port", str(port), *secure, "granian_app:app"],
        url,
        version("granian"),
        more.pop("role", "part"),  # type: ignore[arg-type]
        environment=environment,
        **more,  # type: ignore[arg-type]
    )


def world(site: Site) -> dict[str, str]:
    """The mix's world as a file beside the app."""
    return {"world.json": json.dumps({"page": site.page, "secrets": site.secrets, "routes": site.routes})}
