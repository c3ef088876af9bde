"""What the doctor says of what is passed on as it is, and of what is read by operators alone: metrics.

A name with a star has no model that could be asked a question. So it is seen whether its provider can be reached, and
online the provider is asked which models it has: that costs nothing, and shows whether the key is good.
"""

from collections.abc import Iterator

from fastcascade.cli import doctor_network as network
from fastcascade.cli.doctor_patient import Finding, Patient, Status
from fastcascade.config.models import STAR, Raw
from fastcascade.gateway.key_store import KeyFile
from fastcascade.gateway.settings import Settings

__all__ = ["asked", "metrics", "observed", "reached"]


def reached(patient: Patient) -> Iterator[Finding]:
    """The providers of names with a star, and whether there is a key for them."""
    for name, raw in patient.raws().items():
        shown, more = network.shown(raw.base_url), () if raw.ca is None else (raw.ca,)
        wrong = patient.reach(raw.base_url, patient.timeout, *more)
        if wrong:
            todo = "look at its base_url, at the network, and at the proxy"
            yield Finding("reach", "fail", f"{name}: {shown} cannot be reached: {wrong}", todo)
        else:
            yield Finding("reach", "ok", f"{name}: {shown} can be reached; no model is asked for a name with a star")
        if not raw.sends_key:
            yield Finding("secrets", "warn", f"{name}: {shown} is asked without a key", "give it an api_key, if it has")


def asked(patient: Patient) -> Iterator[Finding]:
    """Which models they have, where that may be asked."""
    for name, raw in patient.raws().items() if patient.online else ():
        status, found = patient.models(raw, max(patient.timeout, 30.0))
        yield _listed(name, raw, status, found)


def _listed(name: str, raw: Raw, status: int, found: list[str]) -> Finding:
    shown, fitting = network.shown(raw.base_url), [each for each in found if each.startswith(name.rstrip(STAR))]
    if status in (401, 403):
        return Finding("answers", "fail", f"{name}: auth", "look at its key: it is not good")
    if status != 200:
        said = f"{name}: {shown} does not say which models it has ({status or 'no answer'})"
        return Finding("answers", "warn", f"{said}: its key is not tried", "ask it for a model by hand")
    if not fitting:
        said = f"{name}: none of the {len(found)} models that {shown} lists begins so"
        return Finding("answers", "warn", said, "look at the name before the star")
    return Finding("answers", "ok", f"{name}: its key is good for {len(fitting)} model(s), such as {fitting[0]}")


def observed(patient: Patient) -> Iterator[Finding]:
    """What is passed on and not observed, though that is the mode."""
    told = patient.settings
    if told is None or patient.whole is None or told.mode != "observe":
        return
    for name, model in patient.whole.models.items():
        if (model.raw is not None or model.through is not None) and not model.instead:
            said = f"{name} is passed on and not observed: there is no cascade to compare it with"
            yield Finding("observe", "warn", said, "name the cascade that is to take its place: instead = 'NAME'")
        elif model.raw is not None and model.raw.price is None and model.raw.prices is None:
            said = f"what {name} costs is not known, and so not what would be saved"
            yield Finding(
                "observe", "warn", said, "give it a price = { input = ..., output = ... }, or a file [prices]"
            )


def metrics(patient: Patient) -> Iterator[Finding]:
    """Who can read what has been counted, where others can reach it."""
    told = patient.settings
    if told is None or told.is_local or not told.metrics:
        return
    if told.metrics_key:
        yield Finding("metrics", "ok", "/metrics is for those who have its key")
    elif told.metrics == "open":
        said = f"whoever reaches {told.host} can read /metrics: names of models, traffic and what it costs"
        yield Finding("metrics", "warn", said, "metrics_key = 'env:NAME', or metrics = true")
    else:
        status: Status = "ok" if (working := _admins(told, patient.now().timestamp())) else "warn"
        said = f"/metrics is for keys that are admin, of which {working} work"
        yield Finding("metrics", status, said, "" if working else "fastcascade keys create --admin, or metrics_key")


def _admins(told: Settings, now: float) -> int:
    try:
        return sum(each.admin and not each.ended(now) for each in KeyFile(told.keys).read()) if told.keys else 0
    except (OSError, ValueError):  # which is told of where keys are looked at
        return 0
