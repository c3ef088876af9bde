"""What all contenders of a run share: the upstream, a certificate, a page, and the requests of the mix."""

import json
from dataclasses import dataclass
from pathlib import Path

from upstream import Upstream, question

from world import World

PAGE = ("<!doctype html><title>A page</title><p>" + "What stands here is two kilobytes of text. " * 60)[:2048]
ASKED = 2_000  # requests of the mix, which wrk sends in turn


@dataclass
class Site:
    """The run's surroundings. `routes` are of the mission's mix: 92 % exact, 7 % prefix, 1 % regex."""

    upstream: Upstream
    folder: Path
    tls: tuple[str, str]
    routes: dict[str, list[str]]
    secrets: dict[str, str]
    mix: str
    page: str = PAGE
    streamed: bytes = question(stream=True)


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate for localhost with its key, as files."""
    import trustme

    made = trustme.CA().issue_cert("localhost", "127.0.0.1")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    return str(cert), str(key)


def site(upstream: Upstream, folder: Path) -> Site:
    """Made anew for each run; the mix is the same each time."""
    world = World(tenants=50, entries=500, hit_share=0.0, calls=ASKED)
    asked = [(path, secret) for path, _, secret in world.args]
    routes = {"exact": list(world.exact), "prefix": list(world.prefixes), "regex": list(world.regexes)}
    return Site(upstream, folder, certificate(folder), routes, world.credentials, _mixed(asked))


def _mixed(asked: list[tuple[str, str]]) -> str:
    """Lua for wrk: GETs whose bytes are made before the first is sent."""
    rows = "\n".join(f"  {{{json.dumps(path)}, {json.dumps(secret)}}}," for path, secret in asked)
    return f"""local asked = {{
{rows}
}}
local ready, nth = {{}}, 0
function init(args)
  for i, each in ipairs(asked) do
    ready[i] = wrk.format("GET", each[1], {{["authorization"] = "Bearer " .. each[2]}})
  end
end
function request()
  nth = nth % #ready + 1
  return ready[nth]
end
"""
