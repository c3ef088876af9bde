"""Graders by name: from a short text, from a table of a settings file, or from a case that says its own."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastcascade.backends.backend import Backend
from fastcascade.config.mistakes import meant
from fastcascade.config.references import FUNCTION
from fastcascade.errors import ConfigError
from fastcascade.evals.graders.forms import Schema
from fastcascade.evals.graders.grader import Grader
from fastcascade.evals.graders.judged import Judged
from fastcascade.evals.graders.numbers import Numeric
from fastcascade.evals.graders.own import Function, Subprocess
from fastcascade.evals.graders.words import Choice, Exact, Normalized, Regex

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["grader_for", "grader_of"]

GRADERS: Final[Mapping[str, Any]] = {
    "exact": Exact,
    "normalized": Normalized,
    "numeric": Numeric,
    "regex": Regex,
    "schema": Schema,
    "choice": Choice,
    "function": Function,
    "subprocess": Subprocess,
    "judged": Judged,
}
ALSO: Final = {"normalised": "normalized"}
"""How others spell it."""
FIRST: Final = {
    "numeric": "relative",
    "regex": "pattern",
    "choice": "letters",
    "function": "function",
    "subprocess": "command",
    "judged": "style",
}
"""What stands after the colon: `numeric:0.01`."""
RUNS: Final = frozenset({"function", "subprocess"})
"""What runs code that its text names."""


def grader_of(given: str | Mapping[str, Any], *, judge: Backend | None = None) -> Grader:
    """The grader that a short text or a table stands for.

        "exact"  "normalized"  "numeric"  "numeric:0.01"  "regex"  "regex:PATTERN"  "choice"  "choice:ABCD"
        "schema"  "judged"  "judged:yes_no"  "module:function"  "subprocess:pytest -q {answer}"
        {"kind": "numeric", "relative": 0.01}

    Args:
        given: the text, or the table.
        judge: the model that "judged" asks.
    """
    kind, settings = _parts(given) if isinstance(given, str) else _table(given)
    made = GRADERS[kind]
    known = [name for name in inspect.signature(made).parameters if name != "backend"]
    if stray := [name for name in settings if name not in known]:
        near = meant(stray[0], known)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known) or 'none'}"
        raise ConfigError(f"the grader {kind} has no setting {stray[0]!r}; {hint}")
    if kind == "judged":
        if judge is None:
            raise ConfigError("the grader 'judged' needs a model to ask: give one as judge")
        settings["backend"] = judge
    try:
        grader: Grader = made(**settings)
    except TypeError as error:
        raise ConfigError(f"the grader {kind} cannot be made of {settings!r}: {error}") from None
    return grader


def grader_for(case: "Case", default: Grader, *, judge: Backend | None = None, trust: bool = False) -> Grader:
    """The grader of this case: its own where it names one, else the default.

    A grader that runs code which the case names, a function or a command, is refused unless `trust` is set: a file of
    cases is data, and one from elsewhere must not run what it likes.
    """
    if case.grader is None:
        return default
    try:
        kind, _ = _parts(case.grader)
        made = grader_of(case.grader, judge=judge) if trust or kind not in RUNS else None
    except ConfigError as error:
        raise ConfigError(f"the grader of case {case.id!r}: {error}") from None
    if made is None:
        msg = f"the grader of case {case.id!r} is {case.grader!r}, which runs code; pass trust=True for your own cases"
        raise ConfigError(msg)
    return made


def _parts(text: str) -> tuple[str, dict[str, Any]]:
    """What a short text names, and its settings."""
    kind, colon, rest = text.partition(":")
    kind = ALSO.get(kind.strip(), kind.strip())
    if kind in FIRST and colon:
        return kind, {FIRST[kind]: _number(text, rest) if kind == "numeric" else rest.strip()}
    if kind in GRADERS and not colon:
        if kind in RUNS:
            raise ConfigError(f"the grader {kind!r} needs to be told what to run: '{kind}:...'")
        return kind, {}
    if kind not in GRADERS and FUNCTION.fullmatch(text):
        return "function", {"function": text}
    raise _unknown(text, kind)


def _table(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    settings = dict(given)
    kind = settings.pop("kind", None)
    kind = ALSO.get(kind, kind) if isinstance(kind, str) else kind
    if kind not in GRADERS:
        raise _unknown(kind, str(kind))
    return kind, settings


def _number(text: str, given: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise ConfigError(f"{text!r}: a tolerance is a number, as in 'numeric:0.01'") from None


def _unknown(given: Any, kind: str) -> ConfigError:
    near = meant(kind, GRADERS)
    hint = f"did you mean {near!r}?" if near else "or name a function: 'module:function'"
    return ConfigError(f"there is no grader {given!r}; known are {', '.join(GRADERS)}; {hint}")
