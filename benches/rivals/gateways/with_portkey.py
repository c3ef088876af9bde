"""Portkey's gateway on Node: a proxy that is told the provider by headers.

It has no gate to escalate by, and no cache outside its cloud. `PORTKEY` names the folder that
`npm install @portkey-ai/gateway` was run in, by default the current one.
"""

import json
import os
from pathlib import Path

from contender import Contender, Job, port_and_url
from processes import Absent, program
from site_of import Site
from upstream import HEADERS


def contenders(job: Job, site: Site) -> list[Contender]:
    if job in ("accept", "start"):
        return [_portkey(site.upstream.url, expect=b"Paris", calls=1)]
    if job == "stream":
        return [_portkey(site.upstream.chunks, expect=b"piece 19", body=site.streamed, calls=1)]
    return []


def _portkey(upstream: str, **more: object) -> Contender:
    package = Path(os.environ.get("PORTKEY", ".")) / "node_modules/@portkey-ai/gateway"
    start = (package / "build/start-server.js").resolve()
    if not start.exists():
        raise Absent("@portkey-ai/gateway is not installed (npm install it, and name the folder in PORTKEY)")
    port, url = port_and_url()
    headers = {**HEADERS, "x-portkey-provider": "anthropic", "x-portkey-custom-host": f"{upstream}/v1"}
    said = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return Contender(
        "portkey",
        [program("node"), str(start), f"--port={port}", "--headless"],
        url,
        said["version"],
        environment={"NODE_ENV": "production"},
        headers=headers,
        note="a proxy to one model: no gate",
        **more,  # type: ignore[arg-type]
    )
