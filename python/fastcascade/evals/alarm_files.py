"""An alarm that goes on after a restart: without, evidence that took weeks is gone with each release.

    alarm = KeptAlarm(QualityAlarm(0.95, floor=shadow.floor), "alarm.json")     # goes on from the file, if it is there
    alarm.hear(label)                                                            # and writes it anew

One process to a file: of two, the later would write over what the earlier has heard. Each worker may have its own, with
its share of `delta`; or one process hears all. An `EscalationWatch` takes every request: save it now and then.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from fastcascade.errors import ConfigError
from fastcascade.evals.shadow_labels import Label
from fastcascade.notices import notify

__all__ = ["Heard", "KeptAlarm", "Stateful", "resume_state", "save_state"]


class Stateful(Protocol):
    """What has a state, as JSON can hold it: the alarms, and `EscalationWatch`."""

    def state(self) -> dict[str, Any]:
        """All of it."""
        ...

    def resume(self, state: Mapping[str, Any], /) -> None:
        """Go on from there."""
        ...


class Heard(Stateful, Protocol):
    """What takes labels besides: `QualityAlarm`, `QualityAlarms`."""

    def hear(self, label: Label | None, /) -> Any:
        """Take a label."""
        ...


A = TypeVar("A", bound=Heard)


def resume_state(alarm: Stateful, path: str | Path) -> bool:
    """Go on from the file; False where there is none. One that does not fit is refused, by name."""
    path = Path(path)
    try:
        alarm.resume(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:  # a ConfigError among them
        raise ConfigError(f"{path}: {error}; take the file away to begin anew") from None
    return True


def save_state(alarm: Stateful, path: str | Path) -> bool:
    """Write how it stands in the place of what is there. One that fails is a notice, and False."""
    path, name = Path(path), ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(alarm.state(), file, allow_nan=False)
        Path(name).replace(path)
    except OSError as error:
        notify("at risk", str(path), f"an alarm is not written down: {error.strerror or error}")
        if name:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)
        return False
    return True


class KeptAlarm(Generic[A]):
    """An alarm, and the file in which it stands as it stood after the last label.

    Args:
        alarm: it, with the settings it had; others are refused.
        path: the file. A write that fails is made up for by the next.
    """

    def __init__(self, alarm: A, path: str | Path) -> None:
        """Go on from the file."""
        self.alarm = alarm
        self.path = Path(path)
        self._lock = Lock()
        resume_state(alarm, self.path)

    def hear(self, label: Label | None) -> bool:
        """Take a label. Whether something goes off now."""
        if label is None or label.propensity is None or label.population != "accepted":
            return False
        with self._lock:
            fires = bool(self.alarm.hear(label))
            save_state(self.alarm, self.path)
        return fires
