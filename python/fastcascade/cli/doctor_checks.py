"""What the doctor looks at, one function for each matter; each gives findings, and none raises."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from fastcascade import config
from fastcascade.cli import doctor_files as files
from fastcascade.cli import doctor_network as network
from fastcascade.cli import doctor_passed as passed
from fastcascade.cli import doctor_pools as routed
from fastcascade.cli import doctor_seen as seeing
from fastcascade.cli import doctor_shared as sharing
from fastcascade.cli.doctor_patient import Finding, Patient, Status
from fastcascade.errors import ConfigError
from fastcascade.gateway.listening import listen

__all__ = ["Finding", "examined"]

OLD: Final = 180
"""Days after which a price is to be looked up again."""
SPARE: Final = 256
"""Descriptors that a worker needs beside its connections."""
SKEW: Final = 30.0
"""Seconds that the clock may differ from a provider's."""
DRIFT: Final = 1.0
NEEDED: Final = ("granian", "uvloop")
SECRET: Final = re.compile(r"the environment has no variable|the variable \w+ is empty|the file .* (?:cannot|is empty)")


def examined(file: Path, *, online: bool = False, timeout: float = 5.0, **how: Any) -> list[Finding]:
    """All findings on a file."""
    patient = Patient(file, online, timeout, **how)
    found = list(_file(patient))
    for look in LOOKS:
        found += look(patient)
    return found


def _file(patient: Patient) -> Iterator[Finding]:
    with suppress(ConfigError):
        patient.settings = config.load_settings(patient.file)
    try:
        patient.whole = config.load_all(patient.file)
    except ConfigError as error:
        for line in str(error).split("\n"):
            if SECRET.search(line):
                yield Finding("secrets", "fail", line, "set it where the gateway runs")
            else:
                yield Finding("config", "fail", line, "mend the line")
        return
    count = sum(len(each.tiers) for each in patient.whole.cascades.values())
    yield Finding("config", "ok", f"{len(patient.whole.cascades)} cascade(s) with {count} tiers")
    yield Finding("secrets", "ok", "all that the file names are there")


def _extras(_patient: Patient) -> Iterator[Finding]:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        yield Finding("extras", "fail", f"not installed: {', '.join(missing)}", "pip install 'fastcascade[gateway]'")


def _strangers(patient: Patient) -> Iterator[Finding]:
    if patient.settings is None:
        return
    try:
        whole = patient.whole
        nothing = whole is not None and not (whole.cascades or whole.models)
        patient.settings.check_open(guarded=nothing or patient.settings.keys is not None)
    except ConfigError as error:
        yield Finding("callers", "fail", str(error), "fastcascade keys create, and keys = 'keys.json' in [gateway]")


def _prices(patient: Patient) -> Iterator[Finding]:
    observes = patient.settings is not None and patient.settings.observes
    today = patient.now().date()
    for name, cascade in patient.cascades.items():
        for tier in cascade.rungs:
            label = f"{name}/{tier.name}"
            if tier.free:
                continue
            price = tier.rate(cascade.prices)
            if price is None:
                status: Status = "fail" if observes else "warn"
                yield Finding("prices", status, f"that of {label} is not known", "give its tier a price with a date")
            elif not price.date:
                todo = f'look it up, and add date = "{today}"'
                yield Finding("prices", "warn", f"that of {label} has no date", todo)
            elif (days := (today - date.fromisoformat(price.date)).days) > OLD:
                todo = "look it up again, or pip install -U genai-prices"
                yield Finding("prices", "warn", f"that of {label} is {days} days old", todo)
            else:
                said = f"{label}: {price.input:g} and {price.output:g} USD a million tokens, of {price.date}"
                yield Finding("prices", "ok", said)


def _port(patient: Patient) -> Iterator[Finding]:
    told = patient.settings
    if told is None:
        return
    try:
        with closing(listen(told.host, told.port)):
            yield Finding("port", "ok", f"{told.host}:{told.port} is free")
    except ConfigError as error:
        status: Status = "warn" if "taken" in str(error) else "fail"
        yield Finding("port", status, str(error), "none, if it is this gateway that runs there already")


def _limits(patient: Patient) -> Iterator[Finding]:
    if patient.settings is None:
        return
    have, limits = patient.descriptors(), patient.settings.limits
    # Of each request in work there may be one connection in and one out.
    want = limits.connections + limits.requests + SPARE
    if have < want:
        said = f"{have} descriptors, and a worker at its limits needs {want}"
        yield Finding("descriptors", "warn", said, f"ulimit -n {want}, or lower gateway.limits.connections")
    else:
        yield Finding("descriptors", "ok", f"{have}, of which a worker needs {want} at most")


def _reach(patient: Patient) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for label, backend in patient.backends().items():
        url = str(getattr(backend, "provider", "") or "")
        if "://" not in url:
            continue
        if url not in seen:
            seen[url] = patient.reach(url, patient.timeout)
        shown = network.shown(url)
        if seen[url]:
            todo = "look at its base_url, at the network, and at the proxy"
            yield Finding("reach", "fail", f"{label}: {shown} cannot be reached: {seen[url]}", todo)
        else:
            yield Finding("reach", "ok", f"{label}: {shown} can be reached")


def _online(patient: Patient) -> Iterator[Finding]:
    backends = patient.backends()
    if not patient.online or not backends:
        return
    for label, wrong in patient.ask(backends, max(patient.timeout, 30.0)).items():
        if wrong:
            todo = "look at its key and its model; 'auth' is a key that is not good"
            yield Finding("answers", "fail", f"{label}: {wrong}", todo)
        else:
            yield Finding("answers", "ok", label)


def _clock(patient: Patient) -> Iterator[Finding]:
    drift = patient.drift()
    if drift > DRIFT:
        said = f"it was set while this ran: it moved {drift:.1f} s against the steady one"
        yield Finding("clock", "warn", said, "let it be kept by NTP")
    if not patient.online:
        return
    for url in patient.providers():
        theirs = patient.date(url, patient.timeout)
        if theirs is None:
            continue
        apart = abs((patient.now() - theirs).total_seconds())
        if apart > SKEW:
            said = f"it is {apart:.0f} s away from that of {network.shown(url)}"
            yield Finding("clock", "fail", said, "set it, and let it be kept by NTP")
        else:
            yield Finding("clock", "ok", f"within {SKEW:g} s of that of {network.shown(url)}")


def _name(_patient: Patient) -> Iterator[Finding]:
    """Whether this machine knows itself: many servers wait for seconds where it does not."""
    try:
        socket.getaddrinfo("localhost", None)
    except OSError:
        yield Finding("names", "warn", "localhost has no address here", "mend /etc/hosts")


LOOKS: Final[tuple[Callable[[Patient], Iterator[Finding]], ...]] = (
    _extras,
    _strangers,
    passed.metrics,
    _prices,
    files.keys,
    files.account,
    sharing.shared,
    files.reviews,
    seeing.seen,
    files.certificate,
    _port,
    _limits,
    files.log,
    passed.observed,
    _name,
    _reach,
    passed.reached,
    routed.pools,
    _online,
    passed.asked,
    _clock,
)
