"""Copies of what was published, in a folder of the gateway's own: each version as it was, and which was good last."""

import os
import re
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from fastcascade.errors import ConfigError

__all__ = ["Copies", "Copy", "default_folder"]

BEFORE: Final = 10
"""Versions that are left: another gateway, with the same folder, may run them still."""
HEX: Final = re.compile(r"[0-9a-f]{16}")


class Copy(NamedTuple):
    """One version."""

    file: Path
    number: int


class Copies:
    """Those of one name. Files are their owner's alone, and are there whole or not at all.

    Args:
        folder: where they are; made where it is missing.
        name: what they are versions of.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Keep where."""
        self.folder, self._name = folder, name
        self._pointer = folder / f"{name}.good"

    def make(self) -> None:
        """Make the folder. `ConfigError` where it cannot be written."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigError(f"{self.folder} cannot hold copies of what is published: {why}; see --copies") from None

    def write(self, number: int, text: str) -> Path:
        """Put a version there. `OSError`."""
        file = self.folder / f"{self._name}.{number}.{_short(text.encode())}.toml"
        if not file.exists():
            self._put(file, text.encode())
        return file

    def good(self) -> Copy | None:
        """The version that was served last, if it is there as it was."""
        try:
            file = self.folder / self._pointer.read_text(encoding="utf-8").strip()
            *_, number, short, _ = file.name.split(".")
            if file.parent == self.folder and HEX.fullmatch(short) and short == _short(file.read_bytes()):
                return Copy(file, int(number))
        except (OSError, ValueError):
            pass
        return None

    def keep(self, file: Path) -> None:
        """Take note that this one is good; those well before it go, which no gateway runs any more. `OSError`."""
        self._put(self._pointer, f"{file.name}\n".encode())
        mine = re.compile(re.escape(self._name) + r"\.(\d+)\.[0-9a-f]{16}\.toml")
        this = mine.fullmatch(file.name)
        for each in self.folder.iterdir():
            found = mine.fullmatch(each.name)
            if found and this and int(found[1]) < int(this[1]) - BEFORE:
                with suppress(OSError):
                    each.unlink()

    def _put(self, file: Path, text: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=f".{self._name}.")  # with 0600
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as to:
                to.write(text)
                to.flush()
                os.fsync(to.fileno())
            made.replace(file)
        except BaseException:
            with suppress(OSError):
                made.unlink()
            raise


def default_folder() -> Path:
    """Where a program keeps what it can do without, by the conventions of the system."""
    told = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (told if told.is_absolute() else Path.home() / ".local" / "state") / "fastcascade"


def _short(text: bytes) -> str:
    return sha256(text).hexdigest()[:16]
