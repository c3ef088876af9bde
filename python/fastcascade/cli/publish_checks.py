"""A file as `serve` would read it, before it is published: what is wrong, what is secret, what lies beside it."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fastcascade import config
from fastcascade.config.mistakes import Mistakes
from fastcascade.config.references import FUNCTION, KEYS, REFERENCE, is_secret
from fastcascade.config.whole import read, text_of
from fastcascade.errors import ConfigError
from fastcascade.gateway.settings import Settings
from fastcascade.shared.published import LARGEST

__all__ = ["checked"]

LOOKED_UP: Final = re.compile(r"""(["'])((?:[A-Za-z]+ )?)(env|file):([^"'\n]+)\1""")
"""A reference, as it stands in the file."""
SOMETHING: Final = "stands-for-what-is-elsewhere"


def checked(file: Path, folder: Path | None = None, *, secrets: bool = False) -> tuple[str, list[str]]:
    """Its text, and what is to be known of it. Raises `ConfigError` where it is not to be published.

    Args:
        file: what is to be published.
        folder: where its relative paths begin; its own by default.
        secrets: whether it may hold secrets in clear.
    """
    folder = (file.parent if folder is None else folder).resolve()
    text = text_of(file, Mistakes(str(file)))
    if len(text.encode()) > LARGEST:
        raise ConfigError(f"{file}: larger than {LARGEST} bytes, which is too much to publish")
    if not secrets and (where := _in_clear(text)):
        raise ConfigError(
            f"{file}: {where}: a secret in clear would be published with it; write 'env:NAME' or 'file:path', "
            "or say --with-secrets"
        )
    stood_in, elsewhere = _stood_in(text, folder)
    whole = read(stood_in, Mistakes(str(file)), folder)
    whole.settings.check_open(guarded=whole.settings.keys is not None)
    return text, [*elsewhere, *_beside(whole, folder, text)]


def _in_clear(text: str) -> str:
    """Where a secret stands; empty where none does."""
    for number, line in enumerate(text.splitlines(), 1):
        if KEYS.search(line):  # in a comment too
            return f"line {number}"
    try:
        said = tomllib.loads(text)
    except (ValueError, RecursionError):
        return ""  # it is read once more, to say what is wrong
    return next((path for path, key, value in _texts(said) if _tells(key, value)), "")


def _tells(key: str, value: str) -> bool:
    found = REFERENCE.fullmatch(value)
    kind = found[2] if found is not None else ""
    return kind == "literal" or (is_secret(key) and kind not in ("env", "file"))


def _texts(said: Any, path: str = "", key: str = "") -> Iterator[tuple[str, str, str]]:
    """All texts in it, each with its path and its key."""
    if isinstance(said, dict):
        for name, value in said.items():
            yield from _texts(value, f"{path}.{name}" if path else name, name)
    elif isinstance(said, list):
        for number, value in enumerate(said):
            yield from _texts(value, f"{path}[{number}]", key)
    elif isinstance(said, str):
        yield path, key, said


def _stood_in(text: str, folder: Path) -> tuple[str, list[str]]:
    """The text with something in place of what only gateways can look up, and what that is."""
    missing: dict[str, None] = {}

    def instead(found: re.Match[str]) -> str:
        quote, scheme, kind, name = found.groups()
        there = os.environ.get(name, "").strip() if kind == "env" else (folder / Path(name).expanduser()).is_file()
        if there:
            return found[0]
        missing[f"{kind}:{name}"] = None
        return f"{quote}{scheme}literal:{SOMETHING}{quote}"

    stood_in = LOOKED_UP.sub(instead, text)
    return stood_in, [f"{each} is not known here; each gateway looks it up where it runs" for each in missing]


def _beside(whole: config.File, folder: Path, text: str) -> Iterator[str]:
    """What each gateway must have in its --folder, and may not be here."""
    for path in _files(whole.settings):
        inside = path.is_relative_to(folder)
        shown = path.relative_to(folder) if inside else path
        if not path.exists():
            yield f"{shown} is not here; each gateway must have it{' in its --folder' if inside else ''}"
        elif inside:
            yield f"{shown} is not published; each gateway must have it in its --folder"
    said = tomllib.loads(text)
    named = sorted({value for _, key, value in _texts(said) if _is_code(key, value)})
    if named:
        yield f"it names code ({', '.join(named)}); gateways refuse that but with --allow-functions"


def _is_code(key: str, value: str) -> bool:
    """Whether it is read as the name of code, as far as can be told without its place."""
    return bool(FUNCTION.fullmatch(value)) and not REFERENCE.fullmatch(value) and key in ("function", "kind")


def _files(told: Settings) -> Iterator[Path]:
    if told.keys is not None:
        yield told.keys
    if told.tls is not None:
        yield from (each for each in (told.tls.cert, told.tls.key, told.tls.client_ca) if each is not None)
