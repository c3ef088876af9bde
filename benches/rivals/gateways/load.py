"""wrk, and what a run of it says."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from contender import Contender
from processes import Absent, program

CONNECTIONS = 64
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True)
class Load:
    """Requests that were answered, in so many seconds; latencies in ms."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int


def script_of(one: Contender) -> str:
    """What wrk sends, as Lua. JSON's quoting of printable ASCII is Lua's too."""
    if one.script:
        return one.script
    lines = [f"wrk.method = {json.dumps(one.method)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in one.headers.items()]
    if one.body:
        lines.append(f"wrk.body = {json.dumps(one.body.decode('ascii'))}")
    return "\n".join(lines) + "\n"


def load(one: Contender, seconds: int, folder: Path) -> Load:
    """Ask it for so long, over `CONNECTIONS` connections that stay open. Raises `Absent`."""
    lua = folder / "ask.lua"
    lua.write_text(script_of(one), encoding="utf-8")
    command = [program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    ran = subprocess.run([*command, "-s", str(lua), one.url], capture_output=True, text=True, check=False, timeout=300)
    done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", ran.stdout)
    if done is None or int(done[1]) == 0:
        raise Absent(f"wrk got no answer: {(ran.stdout + ran.stderr).strip()[-200:]}")
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", ran.stdout)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", ran.stdout)
    lost = int(failed[1]) if failed else 0
    lost += sum(map(int, errors.groups())) if errors else 0
    taken = float(done[2]) * UNITS[done[3]] / 1e3
    return Load(int(done[1]), taken, _latency(ran.stdout, "50"), _latency(ran.stdout, "99"), lost)


def _latency(said: str, percentile: str) -> float:
    found = re.search(rf"\s{percentile}%\s+([\d.]+)(us|ms|s|m)\b", said)
    return float(found[1]) * UNITS[found[2]] if found else float("nan")
