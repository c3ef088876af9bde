"""Texts that stand for something else: `env:NAME`, `file:path`, `module:attribute`.

Secrets are never in the file. Where they come from is in it, and they are looked up when it is loaded.
"""

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from fastcascade.config.mistakes import Mistakes, meant

__all__ = ["FUNCTION", "NotFound", "References", "is_secret"]

FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
REFERENCE: Final = re.compile(r"(?:([A-Za-z]+) )?(env|file|literal):(.*)", re.DOTALL)
"""A scheme such as `Bearer` may stand before it, in a header."""
VARIABLE: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
SECRET: Final = frozenset({"authorization", "cookie", "credential", "credentials", "password", "secret", "token"})
KEYS: Final = re.compile(
    r"(?:sk|pk|rk|gsk|xai|hf|fw|pplx|nvapi|csk|tgp|whsec|ghp|glpat)[-_][\w.=+/-]{12,}|(?:AIza|AKIA|ASIA)[\w-]{12,}"
    r"|[a-z]+://[^\s/@:]*:[^\s/@]+@\S*"  # the password in a URL
)
ADVICE: Final = "write 'env:NAME' for a variable of the environment, or 'file:path' for a file that holds it"


class NotFound(Exception):
    """What a text stands for cannot be had; the message says why."""


def is_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret. `key` alone is the name of one."""
    words = re.split(r"[-_ ]", name.casefold())
    return words[-1] in SECRET or (words[-1] == "key" and len(words) > 1)


class References:
    """Looks things up, for one file.

    Args:
        folder: where paths begin.
        mistakes: is told what must not be repeated.
        functions: whether code may be named.
    """

    def __init__(self, folder: Path | None, mistakes: Mistakes, *, functions: bool = True) -> None:
        """Keep them."""
        self.folder = folder
        self.mistakes = mistakes
        self.functions = functions

    def text(self, text: str, *, secret: bool) -> str:
        """What a text comes to. A secret must be a reference; any other text may be."""
        found = REFERENCE.fullmatch(text)
        if found is not None and (secret or found[1] is None):
            scheme, kind, name = found.groups()
            if kind == "literal" or secret or (kind == "env" and VARIABLE.fullmatch(name)):
                value = self._value(kind, name)
                if kind != "literal" or secret:
                    self.mistakes.hide(value, f"{kind}:{name}" if kind != "literal" else "[removed]")
                return f"{scheme} {value}" if scheme else value
        if secret or KEYS.fullmatch(text):
            self.mistakes.hide(text, "[removed]")
            what = "a secret may not stand in the file" if secret else "this looks like a secret, which may not be here"
            msg = f"{what}; {ADVICE}"
            raise NotFound(msg)
        return text

    def _value(self, kind: str, name: str) -> str:
        if kind == "literal":
            return name
        if kind == "env":
            return self._variable(name)
        try:
            value = Path(self.path(name)).read_text(encoding="utf-8").strip()
        except OSError as error:
            msg = f"the file {name!r} cannot be read: {error.strerror or type(error).__name__}"
            raise NotFound(msg) from None
        except ValueError:
            msg = f"the file {name!r} does not hold a text in UTF-8"
            raise NotFound(msg) from None
        if not value:
            msg = f"the file {name!r} is empty"
            raise NotFound(msg)
        return value

    def _variable(self, name: str) -> str:
        if not VARIABLE.fullmatch(name):
            raise NotFound("after 'env:' the name of a variable is wanted: letters, digits and _")
        value = os.environ.get(name)
        if value is None:
            near = meant(name, os.environ)
            hint = f"; did you mean {near}?" if near else ""
            msg = f"the environment has no variable {name}{hint}"
            raise NotFound(msg)
        if not value.strip():
            msg = f"the variable {name} is empty"
            raise NotFound(msg)
        return value.strip()

    def path(self, text: str) -> str:
        """A path, from where the file is."""
        path = Path(text).expanduser()
        return str(path if self.folder is None else self.folder / path)

    def object(self, text: str) -> Any:
        """What `module:attribute` names."""
        if not FUNCTION.fullmatch(text):
            msg = f"{text!r} is not of the form 'module:attribute'"
            raise NotFound(msg)
        if not self.functions:
            msg = f"{text!r} is code, which a published file may name only where --allow-functions is said"
            raise NotFound(msg)
        module, _, attribute = text.partition(":")
        try:
            found: Any = import_module(module)
        except Exception as error:  # noqa: BLE001 - a user's module may raise anything
            msg = f"{module!r} cannot be imported: {type(error).__name__}: {error}"
            raise NotFound(msg) from None
        names = dir(found)
        for part in attribute.split("."):
            if not hasattr(found, part):
                near = meant(part, names)
                msg = f"{module!r} has no {attribute!r}" + (f"; did you mean {near!r}?" if near else "")
                raise NotFound(msg)
            found = getattr(found, part)
            names = dir(found)
        return found
