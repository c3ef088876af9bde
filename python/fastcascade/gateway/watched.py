"""Files that are looked at from time to time: whether they changed, and have stayed as they are since."""

from pathlib import Path

from fastcascade.gateway import tls
from fastcascade.gateway.settings import Tls

__all__ = ["Watched"]

Look = dict[str, tuple[int, int, int]]


class Watched:
    """The cascade's file, the Python files beside it, and certificates."""

    def __init__(self, file: Path) -> None:
        """Remember nothing before the first look."""
        self._file = file
        self._served: Look | None = None
        self._last: Look = {}

    def changed(self, secure: Tls | None) -> bool:
        """Whether what is there now differs from what was there; told once, when it is the same at two looks."""
        look = self._look(secure)
        steady, self._last = look == self._last, look
        if self._served is None:
            self._served = look
        if not steady or look == self._served:
            return False
        self._served = look
        return True

    def _look(self, secure: Tls | None) -> Look:
        found: Look = {}
        for path in (self._file, *self._file.parent.glob("*.py"), *tls.files(secure)):
            try:
                stat = path.stat()
            except OSError:
                found[str(path)] = (0, 0, 0)
            else:
                found[str(path)] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found
