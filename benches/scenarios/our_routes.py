"""`fastcascade serve` with the mix's routes, as an operator would write them: no model, pools and routes alone."""

import json
import sys
from collections.abc import Sequence

from contender import Contender, port_and_url, version
from mission_mix import PAGE, SHOWN, Mix

CHECKS = "health = { path = '/healthz', every = 1.0, timeout = 0.5, fall = 2, rise = 2 }"


def answering(mix: Mix, workers: int = 1) -> Contender:
    """Answers all by itself."""
    return _ours(mix, "", "respond = {{ body = {page}, headers = {{ {shown} = {name} }} }}", workers, "respond routes")


def passing(mix: Mix, upstream: str, workers: int = 1) -> Contender:
    """Passes all to one place."""
    there = f"[gateway.pools.app]\ninstances = [{{ url = 'http://{upstream}' }}]\n"
    return _ours(mix, there, TO, workers, "one pool of one")


def backed(mix: Mix, primary: Sequence[str], secondary: Sequence[str]) -> Contender:
    """Passes all to a primary region, and to another where that fails."""
    places = [f"{{ url = 'http://{each}', region = 'primary' }}" for each in primary]
    places += [f"{{ url = 'http://{each}', region = 'secondary', priority = 1 }}" for each in secondary]
    there = f"[gateway.pools.app]\n{CHECKS}\ninstances = [{', '.join(places)}]\n"
    return _ours(mix, there, TO, 1, "priorities, checks each 1 s")


TO = "to = 'app'\nresponse = {{ headers = {{ {shown} = {name} }} }}"


def _ours(mix: Mix, pools: str, does: str, workers: int, note: str) -> Contender:
    keyed = [("path", path, name) for path, name in mix.exact.items()]
    keyed += [("path", f"{folder}{{rest...}}", name) for folder, name in mix.prefix.items()]
    keyed += [("regex", pattern, name) for pattern, name in mix.regex.items()]
    routes = "\n".join(
        f"[[gateway.routes]]\n{key} = {json.dumps(value)}\nname = {json.dumps(name)}\n"
        + does.format(page=json.dumps(PAGE), shown=json.dumps(SHOWN), name=json.dumps(name))
        for key, value, name in keyed
    )
    port, url = port_and_url(mix.asked[0][0])
    command = [sys.executable, "-m", "fastcascade", "serve", "cascade.toml", "--port", str(port), "--drain", "1"]
    return Contender(
        "fastcascade",
        [*command, "--workers", str(workers)],
        url,
        version("fastcascade"),
        "ours",
        files={"cascade.toml": f"{pools}{routes}\n"},
        method="GET",
        headers={},
        body=b"",
        note=note,
    )
