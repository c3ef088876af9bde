"""fastcascade's gateway: `fastcascade serve` with a file of two tiers, as an operator would write it.

Its gate reads the reply as JSON, which is what firstpass's `json-valid` does; it is an async function, since others are
run in a thread, so that they cannot stop the loop. Calls go out by `backends.Direct` where
this version has it, else through the provider's SDK; the note of a row says which.
"""

import sys
from importlib.util import find_spec

from contender import Contender, Job, port_and_url, version
from site_of import Site
from upstream import HEADERS, LARGE, SMALL
from with_granian import granian, world
from with_nginx import GET

DIRECT = find_spec("fastcascade.backends.direct") is not None
THROUGH = "Direct" if DIRECT else "the anthropic SDK"
CHECKS = """\
import json


async def is_json(request, reply):
    try:
        json.loads(reply.text)
    except ValueError:
        return False
    return True
"""
KEPT = "\n[gateway]\ncache = { ttl = 3600 }\n"


def contenders(job: Job, site: Site) -> list[Contender]:
    up = site.upstream
    others = {"stream": _stream, "tls": _tls, "auth": _guarded, "mix": _mix}
    if job in others:
        return others[job](site)
    config, calls, note = _tiers(up.url, up.url), 1, THROUGH
    if job == "escalate":
        config, calls = _tiers(up.poor, up.url), 2
    elif job == "cache":
        config, calls, note = config + KEPT, 0, "the very same body, by its digest"
    return [] if job == "proxy" else [_gateway("fastcascade", config, expect=b"Paris", calls=calls, note=note)]


def _stream(site: Site) -> list[Contender]:
    config = _tiers(site.upstream.chunks, site.upstream.chunks, gate=False)
    more = {"body": site.streamed, "calls": 1, "expect": b"piece 19", "note": f"no gate; {THROUGH}"}
    return [_gateway("fastcascade", config, **more)]


def _tls(site: Site) -> list[Contender]:
    config = _tiers(site.upstream.url, site.upstream.url)
    plain = _gateway("fastcascade, plain", config, path="/healthz", **GET)
    more = {"role": "rival", "over": plain.name, "tls": site.tls, **GET}
    return [plain, _gateway("fastcascade, TLS", config, path="/healthz", **more)]


def _mix(site: Site) -> list[Contender]:
    more = {"files": world(site), "script": site.mix, "path": site.routes["exact"][0], **GET}
    more["headers"] = {"authorization": f"Bearer {next(iter(site.secrets))}"}
    return [
        granian("fastcascade, RSGI + FastPath", "layers", role="ours", note="our core, no gateway around it", **more),
        granian("fastcascade, CascadeMiddleware", "guarded", environment={"PAGE": site.page}, role="rival",
                note="ASGI, before any app", **more),
    ]  # fmt: skip


def _guarded(site: Site) -> list[Contender]:
    """A cached answer with and without keys: nothing else takes less, so that what keys take shows best."""
    from fastcascade.gateway.key_store import KeyFile

    up = site.upstream
    tiers, path = _tiers(up.url, up.url), site.folder / "keys.json"
    _, secret = KeyFile(path).create("bench")
    note = "a cached answer"
    plain = _gateway("fastcascade, open", tiers + KEPT, expect=b"Paris", calls=0, note=note)
    told = f'{KEPT}keys = "{path}"\n'
    headers = {**HEADERS, "x-api-key": secret}
    more = {"role": "rival", "over": plain.name, "headers": headers, "note": note}
    return [plain, _gateway("fastcascade, keys", tiers + told, expect=b"Paris", calls=0, **more)]


def _tiers(small: str, large: str, *, gate: bool = True) -> str:
    kind = "fastcascade.backends.direct:Direct" if DIRECT else "anthropic"
    return "\n".join(
        f"""[[tiers]]
name = "{name}"
backend = {{ kind = "{kind}", model = "{model}", base_url = "{url}", api_key = "literal:made-up"{
            ', wire = "anthropic"' if DIRECT else ", classic = true"
        } }}
price = {{ input = {price}.0, output = {5 * price}.0 }}
{'gate = "checks:is_json"' if gate and name == "small" else ""}
"""
        for name, model, url, price in (("small", SMALL, small, 1), ("large", LARGE, large, 5))
    )


def _gateway(
    name: str, config: str, *, path: str = "/v1/messages", tls: tuple[str, str] | None = None, **more: object
) -> Contender:
    port, url = port_and_url(path, scheme="https" if tls else "http")
    secure = ["--tls-cert", tls[0], "--tls-key", tls[1]] if tls else []
    return Contender(
        name,
        [sys.executable, "-m", "fastcascade", "serve", "cascade.toml", "--port", str(port), "--drain", "1", *secure],
        url,
        version("fastcascade"),
        more.pop("role", "ours"),  # type: ignore[arg-type]
        {"cascade.toml": config, "checks.py": CHECKS},
        **more,  # type: ignore[arg-type]
    )
