"""firstpass: a cascade behind the Messages API as one Rust program, from the Python registry.

Its gate is `json-valid`, and it keeps receipts in SQLite, as it does by default. What it gives on is not what the model
said byte for byte, as with us: it is read and written anew.
"""

import json

from contender import Contender, Job, port_and_url
from processes import program
from site_of import Site
from upstream import HEADERS, LARGE, SMALL, version_of

KEY = "made-up-key-of-the-bench"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$yo3CVWepAHVc6s5fmYzIMg$qkV+s41AXnqqD/6i1tTlkxZ6pmRqU7sgn431zWIBlC8"
"""Of `KEY`, with the parameters that its own library has by default."""
CONFIG = """\
[[provider]]
id = "cheap"
dialect = "anthropic"
base_url = "{small}"
api_key_env = "MODEL_KEY"

[[provider]]
id = "dear"
dialect = "anthropic"
base_url = "{large}"
api_key_env = "MODEL_KEY"

[[price]]
model = "cheap/{first}"
input_per_mtok = 1.0
output_per_mtok = 5.0

[[price]]
model = "dear/{second}"
input_per_mtok = 5.0
output_per_mtok = 25.0

[[route]]
match = {{}}
mode = "enforce"
ladder = ["cheap/{first}", "dear/{second}"]
gates = ["{gate}"]
"""
CACHE = "\n[escalation.verified_cache]\nttl_secs = 3600\nmax_entries = 10000\n"


def contenders(job: Job, site: Site) -> list[Contender]:
    up = site.upstream
    if job in ("accept", "start"):
        return [_firstpass("firstpass", up.url, up.url, calls=1)]
    if job == "escalate":
        return [_firstpass("firstpass", up.poor, up.url, calls=2)]
    if job == "cache":
        return [_firstpass("firstpass, verified_cache", up.url, up.url, more=CACHE, calls=0)]
    if job == "stream":
        note = "it holds all back until its gate has passed"
        one = _firstpass("firstpass, enforcing", up.chunks, up.chunks, gate="non-empty", calls=1, note=note)
        one.body, one.expect = site.streamed, b"piece 19"
        return [one]
    if job == "auth":
        plain = _firstpass("firstpass, open", up.url, up.url, calls=1)
        note = "Argon2 for each request"
        guarded = _firstpass("firstpass, keys", up.url, up.url, calls=1, over=plain.name, note=note, slow=True)
        guarded.environment |= {"FIRSTPASS_REQUIRE_AUTH": "true", "FIRSTPASS_TENANT_KEYS_JSON": _keys()}
        guarded.headers = {**HEADERS, "authorization": f"Bearer bench.{KEY}"}
        return [plain, guarded]
    return []


def _keys() -> str:
    """Tenants with their keys' hashes."""
    return json.dumps({"bench": HASH})


def _firstpass(
    name: str, small: str, large: str, *, gate: str = "json-valid", more: str = "", **told: object
) -> Contender:
    found = program("firstpass")
    port, url = port_and_url()
    config = CONFIG.format(small=small, large=large, first=SMALL, second=LARGE, gate=gate) + more
    environment = {
        "FIRSTPASS_MODE": "enforce",
        "FIRSTPASS_CONFIG": "firstpass.toml",
        "FIRSTPASS_DB": "firstpass.db",
        "FIRSTPASS_BIND": f"127.0.0.1:{port}",
        "FIRSTPASS_PROMPT_SALT": "made-up",
        "MODEL_KEY": "made-up",
        "RUST_LOG": "error",
        "TOKIO_WORKER_THREADS": "1",
    }
    return Contender(
        name,
        [found, "up"],
        url,
        version_of([found, "--version"], r"(\d+\.\d+\.\d+)"),
        files={"firstpass.toml": config},
        environment=environment,
        **{"expect": b"Paris", **told},  # type: ignore[arg-type]
    )
