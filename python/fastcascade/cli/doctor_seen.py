"""What `fastcascade doctor` says of what looks at a gateway: the store of decisions, the console, traces."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

from fastcascade.cli.doctor_patient import Finding, Patient
from fastcascade.errors import ConfigError

__all__ = ["seen"]


def seen(patient: Patient) -> Iterator[Finding]:
    """Those that the file asks for."""
    told = patient.settings
    if told is None:
        return
    folder = patient.file.resolve().parent
    if told.decisions is not None:
        path = folder / told.decisions.file
        kept = path if path.exists() else path.parent
        if os.access(kept, os.W_OK):
            texts = "with texts" if told.decisions.texts else "without texts"
            bound = f"{told.decisions.days:g} days, {told.decisions.megabytes:g} MB at most"
            yield Finding("decisions", "ok", f"kept in {path}, {texts}: {bound}")
        else:
            todo = "make the folder, or name another file in gateway.decisions"
            yield Finding("decisions", "fail", f"{path} cannot be written", todo)
    if told.console is not None:
        from fastcascade.console.served import console_of  # noqa: PLC0415 - for those who have one

        try:
            console_of(told, folder, None, {}, str)
        except ConfigError as error:
            yield Finding("console", "fail", str(error), "until then the gateway does not start")
        else:
            yield Finding("console", "ok", f"at /console/, for those of {told.console.people}")
        if told.console.run is not None and not (folder / told.console.run).exists():
            todo = "make it with `fastcascade record`; until then calibration goes by the grades that there are"
            yield Finding("console", "warn", f"there is no recording {told.console.run}", todo)
    if told.tracing is not None:
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
            yield Finding("tracing", "fail", "it needs opentelemetry", "pip install 'fastcascade[otel]'")
        else:
            yield Finding("tracing", "ok", "what makes spans is there; where they go is said by OTEL_* variables")
