"""A file that is its owner's alone, changed by one process at a time and replaced whole.

A change is written to a file beside it that then takes its place: whoever reads sees the old or the new, never half.
"""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final, TypeAlias

from fastcascade.errors import ConfigError

__all__ = ["GONE", "OwnedFile", "Stamp"]

Stamp: TypeAlias = tuple[int, int, int]
GONE: Final[Stamp] = (0, 0, 0)
"""The stamp of a file that is not there."""


class OwnedFile:
    """One file of JSON.

    Args:
        path: the file; made when first written, readable by its owner alone.
        most: bytes that are read of it; what is larger is none of ours.
    """

    def __init__(self, path: str | os.PathLike[str], most: int) -> None:
        """Read nothing yet."""
        self.path: Final = Path(path)
        self._most: Final = most

    def stamp(self) -> Stamp:
        """What changes whenever the file does."""
        try:
            found = self.path.stat()
        except OSError:
            return GONE
        return found.st_ctime_ns, found.st_size, found.st_ino  # that of rights too: they may be what was in the way

    def load(self) -> Any:
        """What it says; None where that is no JSON. Raises `FileNotFoundError`, or `ConfigError`."""
        try:
            with self.path.open("rb") as opened:
                text = opened.read(self._most + 1)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}; see to its rights") from None
        try:
            return json.loads(text) if len(text) <= self._most else None
        except (ValueError, RecursionError):
            return None

    def replace(self, said: Any) -> None:
        """Put this in the place of what was there. Raises `ConfigError`."""
        try:
            handle, name = mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # its owner's alone: 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as opened:
                    self._owned(handle)
                    json.dump(said, opened, indent=1, ensure_ascii=False)
                    opened.write("\n")
                    opened.flush()
                    os.fsync(opened.fileno())
                os.replace(name, self.path)  # noqa: PTH105 - both are names
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)  # noqa: PTH108 - as above
                raise
        except OSError as error:
            raise self._unwritable(error) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all processes. The lock has a file of its own: this one is replaced at each change."""
        try:
            handle = os.open(f"{self.path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _owned(self, handle: int) -> None:
        """Give a file the rights of the one whose place it takes: who could read that, the gateway too, still can."""
        with suppress(OSError):
            before = self.path.stat()
            now = os.fstat(handle)
            if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
                os.fchown(handle, before.st_uid, before.st_gid)
            os.fchmod(handle, stat.S_IMODE(before.st_mode))

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"{self.path}: cannot be written: {error.strerror}; see whether its folder is there, and to its rights"
        )
