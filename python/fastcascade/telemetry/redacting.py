"""Takes secrets out of what is logged: for the logging module and for structlog.

    handler.addFilter(Redacting())                                       # logging: on a handler, which sees all loggers
    structlog.configure(processors=[..., Redacting(), JSONRenderer()])   # structlog: before the renderer

What is taken out: the values of environment variables that are credentials by their names, whatever has the shape of
a key (of providers and clouds, tokens of the web, passwords in URLs, keys of the gateway's own), and the values of
fields that are called like one. A key that is all hex digits looks like any digest: that is known by its value alone.
"""

import os
import re
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from fastcascade.backends.failures import KEYS

if TYPE_CHECKING:
    import logging

__all__ = ["REMOVED", "Redacting"]

REMOVED: Final = "[removed]"
SHORTEST: Final = 6
"""Letters of a value that is looked for wherever it stands; shorter ones are words."""
NAMES: Final = re.compile(
    r"(?i)(?:key|token|secret|password|passwd|credential|auth(?!or)|cookie)(?!s?_?(?:sock|file|path|url))"
)
"""What the name of a variable has in it that holds a credential."""
FIELDS: Final = re.compile(
    r"(?ix) (?:.*[-_.])? (?:authorization | (?:set-)?cookie | pass(?:word|wd) | secret | credentials? |"
    r"(?:x-)? (?:api|access|secret|private)[-_]?key | (?:access|auth|api|refresh|id|session|csrf)[-_]?token | token )"
)
"""What a field is called whose value is one."""
KNOWN: Final = (
    *KEYS[:-1],
    re.compile(r"fck_[\w-]{6,}"),  # a key of the gateway's
    # A password in a URL may hold a slash; it ends before another URL, or a text of many would take time by its square.
    re.compile(r"(?<=://)[^\s/@:]*+:(?:(?!://)[^\s@])++(?=@)"),
    re.compile(
        r"\b(?:sk|pk|rk|whsec|github_pat|gh[opsru]|xox[abeoprs]|ya29|AIza|dop_v1|npm|pypi|shpat|SG)[-_.][\w.-]{8,}"
    ),
    re.compile(r"\bAIza[\w-]{20,}|\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"),
    re.compile(
        r"""(?ix) (?:secret|private|access|shared|account|api|client|session|auth)[-_\ ]?(?:access|account)?[-_\ ]?
        (?:key|secret|token|password) ["']? \s? [:=] \s? ["']? (?!\s) [^\s"',;}]{4,}"""
    ),
    re.compile(r"(?i)\b(?:set-)?cookie[\"']?\s?[:=]\s?[^\r\n]+"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # Letters and digits mixed, and not all of them hex: a digest or an id of a trace is no secret.
    re.compile(r"\b(?![0-9a-f]+\b)(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{32,}\b"),
)
ESCAPED: Final = r"(?<=\\[nrt])"
"""Behind a line's end in a text that was written as a repr or as JSON: there a letter stands before the key."""


def _anywhere(shape: re.Pattern[str]) -> re.Pattern[str]:
    """A shape that begins where a word does, or behind an escape."""
    found = shape.pattern
    for start in (r"\b", "(?<![a-z])"):
        found = found.replace(start, f"(?:{start}|{ESCAPED})", 1)
    return re.compile(found, shape.flags)


SHAPES: Final = tuple(map(_anywhere, KNOWN))
PLAIN: Final = (bool, int, float, type(None))
OWN: Final = frozenset(
    {
        *("args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "levelname", "levelno"),
        *("lineno", "message", "module", "msecs", "msg", "name", "pathname", "process", "processName"),
        *("relativeCreated", "stack_info", "taskName", "thread", "threadName"),
    }
)
"""What every record has."""


class Redacting:
    """Takes secrets out of records of the logging module, as a filter, and of events of structlog, as a processor.

    Args:
        secrets: values that are secrets, whatever they look like.
        environ: variables, of which those are taken that are credentials by their names, and passwords within URLs.
    """

    def __init__(self, secrets: Iterable[str] = (), *, environ: Mapping[str, str] | None = None) -> None:
        """Look at the environment once, now."""
        found = {each for each in secrets if each}
        for name, value in (os.environ if environ is None else environ).items():
            found.update(_held(name, value))
        longest_first = sorted(found, key=len, reverse=True)  # or a part of one would leave the rest of another
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def text(self, text: str) -> str:
        """A text without them."""
        if self._secrets is not None:
            text = self._secrets.sub(REMOVED, text)
        for shape in SHAPES:
            text = shape.sub(REMOVED, text)
        return text

    def value(self, value: Any, name: str = "") -> Any:
        """A value without them: containers through and through; another thing as its repr, where that has one."""
        if name and FIELDS.fullmatch(name) is not None and value:
            return REMOVED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each, str(key)) for key, each in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(map(self.value, value))
        return self._shown(value)

    def _shown(self, value: Any) -> Any:
        if isinstance(value, bytes | bytearray):
            shown = value.decode("utf-8", "backslashreplace")
        else:
            try:
                shown = f"{value!r}\n{value}"
            except Exception:  # noqa: BLE001 - a thing of anybody's, which is not to end the logging of it
                return f"<{type(value).__name__}>"
        return value if (cleaned := self.text(shown)) == shown else cleaned.partition("\n")[0]

    # The logging module.

    def filter(self, record: "logging.LogRecord") -> bool:
        """Take them out of a record: its message, arguments, fields, and the texts of its exception."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - logging would show what does not fit together, with all that is in it
            record.msg, record.args = f"{record.msg} {record.args!r}", None
            message = record.getMessage()
        if (cleaned := self.text(message)) != message:
            record.msg, record.args = cleaned, None
        elif record.args:
            record.args = self.value(record.args)
        if record.exc_info and not record.exc_text:
            told = _told(record.exc_info)
            if (cleaned := self.text(told)) != told:
                record.exc_text, record.exc_info = cleaned, None
        elif record.exc_text:
            record.exc_text = self.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self.text(record.stack_info)
        for name in record.__dict__.keys() - OWN:
            record.__dict__[name] = self.value(record.__dict__[name], name)
        return True

    # structlog.

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take them out of an event."""
        del logger, method
        error = event.get("exc_info")
        told = _told(error) if error else ""
        if told and (cleaned := self.text(told)) != told:
            event["exception"] = cleaned
            del event["exc_info"]
        for name, value in event.items():
            if name != "exc_info":
                event[name] = self.value(value, name)
        return event


def _held(name: str, value: str) -> Iterable[str]:
    """What of a variable is secret."""
    value = value.strip()
    if "://" in value:
        try:
            password = urlsplit(value).password
        except ValueError:
            password = None
        return () if password is None or len(password) < SHORTEST else {password, unquote(password)}
    return (value,) if NAMES.search(name) is not None and len(value) >= SHORTEST else ()


def _told(error: Any) -> str:
    """An exception as it would be written, its causes too."""
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception(error)).rstrip("\n")
    if isinstance(error, tuple):
        return "".join(traceback.format_exception(*error)).rstrip("\n")
    return traceback.format_exc().rstrip("\n") if error else ""
