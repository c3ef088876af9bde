"""What lies in files or in stores: keys, accounts, reviews, certificates, the log of what is observed."""

import os
from collections.abc import Iterator
from typing import Final

from fastcascade import config
from fastcascade.cli import doctor_network as network
from fastcascade.cli.doctor_patient import Finding, Patient, Status
from fastcascade.cli.keys_fit import misfits
from fastcascade.errors import ConfigError
from fastcascade.gateway import tls
from fastcascade.gateway.account import beside
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.keys import KeyRecord

__all__ = ["account", "certificate", "keys", "log", "reviews"]

SOON: Final = 21
"""Days before its end at which a certificate is to be replaced."""


def keys(patient: Patient) -> Iterator[Finding]:
    """The file of keys: there, its owner's alone, with a key that works; and what each names is there."""
    file = patient.settings.keys if patient.settings is not None else None
    if file is None:
        return
    try:
        mode = file.stat().st_mode
        now = patient.now().timestamp()
        working = [each for each in KeyFile(file).read() if not each.ended(now)]
    except OSError as error:
        said = f"{file} cannot be read: {error.strerror or type(error).__name__}"
        yield Finding("keys", "fail", said, "fastcascade keys create makes it")
    except ConfigError as error:
        yield Finding("keys", "fail", str(error), "mend it, or make new keys with fastcascade keys create")
    else:
        if mode & 0o077:
            yield Finding("keys", "warn", f"{file} may be read or written by others", f"chmod 600 {file}")
        if working:
            yield Finding("keys", "ok", f"{len(working)} key(s) that work in {file}")
            yield from _unfit(patient.whole, working)
        else:
            yield Finding("keys", "warn", f"none in {file} works: nobody can come in", "fastcascade keys create")


def _unfit(whole: config.File | None, working: list[KeyRecord]) -> Iterator[Finding]:
    """What keys name that is not in the file: whoever has such a key is refused, and cannot mend it."""
    for record in working:
        for each in misfits(record, whole) if whole is not None else ():
            status: Status = "fail" if each.grave else "warn"
            todo = "mend it in the file of keys, or make another with fastcascade keys create --config"
            yield Finding("keys", status, f"key {record.id} ({record.name}): {each.said}", todo)


def account(patient: Patient) -> Iterator[Finding]:
    """Where it is kept what keys have used."""
    told = patient.settings
    if told is None or told.keys is None:
        return
    wrong = network.store(told.account or beside(told.keys), patient.file.resolve().parent, patient.timeout)
    if wrong:
        yield Finding("account", "fail", f"it cannot be reached: {wrong}", "start it, or mend gateway.account")
    else:
        yield Finding("account", "ok", "it can be reached")


def reviews(patient: Patient) -> Iterator[Finding]:
    """Where questions wait for people."""
    for name, cascade in patient.cascades.items():
        review = cascade.chain.review
        desk = getattr(review, "desk", None)
        path = getattr(
            getattr(getattr(desk, "store", None), "_file", None), "path", None
        )  # of SQLite; others have none
        if path is not None:
            wrong = network.store(f"sqlite:{path}", patient.file.resolve().parent, patient.timeout)
            status: Status = "fail" if wrong else "ok"
            todo = "mend the store of its fallback 'review'" if wrong else ""
            yield Finding("reviews", status, f"{name}: {wrong or 'the store can be reached'}", todo)


def certificate(patient: Patient) -> Iterator[Finding]:
    """The certificate that is served: with its key, and for how long."""
    told = patient.settings.tls if patient.settings is not None else None
    if told is None:
        return
    try:
        tls.checked(told)
    except ConfigError as error:
        yield Finding("certificate", "fail", str(error), "give a certificate with its own key, both as PEM")
        return
    ends = network.expiry(told.cert, told.key)
    days = None if ends is None else (ends - patient.now()).total_seconds() / 86_400
    if days is None or days < 0:
        yield Finding("certificate", "fail", f"{told.cert} has expired, or is not yet good", "have a new one issued")
    elif days < SOON:
        todo = "have a new one issued; SIGHUP serves it"
        yield Finding("certificate", "warn", f"{told.cert} ends in {days:.0f} days", todo)
    else:
        yield Finding("certificate", "ok", f"{told.cert} is good for {days:.0f} days")


def log(patient: Patient) -> Iterator[Finding]:
    """Where it is noted what the cascade would have done."""
    told = patient.settings
    if told is None or not told.observes:
        return
    file = patient.file.resolve().parent / (told.observe.log or "observe.jsonl")
    if os.access(file if file.exists() else file.parent, os.W_OK):
        yield Finding("observe", "ok", f"at most {told.observe.usd:g} USD a day, noted in {file}")
    else:
        yield Finding("observe", "fail", f"{file} cannot be written", "let the gateway write there, or set observe.log")
