"""What the doctor says of routes and of the pools that they lead to."""

from collections.abc import Iterator
from importlib.util import find_spec

from fastcascade.cli import doctor_network as network
from fastcascade.cli.doctor_patient import Finding, Patient

__all__ = ["pools"]


def pools(patient: Patient) -> Iterator[Finding]:
    """Whether each instance can be reached, which pools nobody asks, and what routes need beside."""
    told = patient.settings
    if told is None or not (told.routes or told.pools):
        return
    used = {each.to for each in told.routes if each.to}
    for name, pool in told.pools.items():
        if name not in used:
            yield Finding("routes", "warn", f"no route leads to the pool {name}", "give a route to = its name")
        for each in pool.instances:
            shown = network.shown(each.url)
            wrong = patient.reach(each.url, patient.timeout, *(() if pool.ca is None else (pool.ca,)))
            if wrong:
                todo = "look at its url, at the network, and whether it runs"
                yield Finding("reach", "fail", f"{name}: {shown} cannot be reached: {wrong}", todo)
            else:
                yield Finding("reach", "ok", f"{name}: {shown} can be reached")
        if len(pool.instances) > 1 and pool.health is None:
            todo = "health = { path = '/healthz' }"
            yield Finding("routes", "warn", f"{name}: an instance that hangs is found by its calls alone", todo)
    if told.keys is None and any(each.guard for each in told.routes):
        todo = "fastcascade keys create, and keys = 'keys.json' in [gateway]"
        yield Finding("routes", "fail", "a route has guard = true, and there are no keys to ask for", todo)
    if told.websockets and find_spec("websockets") is None:
        yield Finding("extras", "fail", "not installed: websockets", "pip install 'fastcascade[gateway]'")
    if told.routes:
        yield Finding("routes", "ok", f"{len(told.routes)} route(s), {len(told.pools)} pool(s)")
