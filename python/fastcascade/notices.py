"""What an operator should hear of: a model that is gone, a breaker that opened, traffic that moved to another region.

A notice holds names and kinds of failure, never a prompt, an answer or what a provider said word for word. Each goes
to the log (`fastcascade`, at its own level) and to whoever has subscribed. Of the same news about the same thing
one a minute is logged; subscribers get all.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal, TypeAlias

__all__ = ["Notice", "NoticeKind", "notify", "quiet", "subscribe"]

NoticeKind: TypeAlias = Literal[
    "model gone",  # 404 or 410 for the name of a model
    "auth failed",  # a key is not taken, or its account has no money
    "breaker",  # a circuit changed its state
    "ejected",  # an instance is left out for a while
    "died",  # active checks found an instance dead
    "returned",  # an instance is back
    "failed over",  # requests go to another group of instances
    "overloaded",  # requests are turned away
    "degraded",  # a fallback answered
    "store off",  # a store cannot be reached
    "at risk",  # a store may lose what it has taken
    "review",  # reviews wait too long
    "quality",  # answers that were accepted are worse than was promised
    "admission",  # the policy file of what the small tier has earned is broken, gone or old
    "escalation",  # the escalation rate drifts, or is above a line
    "keys",  # a key of the gateway's that has ended was tried
    "budget",  # a key's soft budget is passed, or what it spends is not known
    "drill",  # a drill began, ended, or found a fault
]

LOUD: Final = frozenset({"model gone", "auth failed", "died", "store off", "quality"})
EVERY: Final = 60.0
"""Seconds between two lines in the log of the same kind about the same thing."""
MOST: Final = 1_000
"""Things remembered, so that names which vary cannot fill memory."""

log: Final = logging.getLogger("fastcascade")


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of news: of what kind, about whom, and in a few words; `at` in seconds since 1970."""

    kind: NoticeKind
    about: str
    text: str
    at: float = field(default_factory=time.time)

    @property
    def level(self) -> int:
        """How loud it is, as the logging module counts."""
        if self.kind in LOUD:
            return logging.ERROR
        return logging.INFO if self.kind == "returned" else logging.WARNING


_quiet: ContextVar[bool] = ContextVar("fastcascade_quiet", default=False)
_subscribers: list[Callable[[Notice], object]] = []
_logged: dict[tuple[str, str, str], float] = {}
_lock = Lock()


def subscribe(listener: Callable[[Notice], object]) -> Callable[[], None]:
    """Hear of everything: to count it, or to page someone. Comes to a function that ends it.

    A listener is called where the news is made, and must not wait; what it raises is logged and dropped.
    """
    _subscribers.append(listener)

    def end() -> None:
        if listener in _subscribers:
            _subscribers.remove(listener)

    return end


def notify(kind: NoticeKind, about: str, text: str) -> None:
    """Tell everybody. Nothing that goes wrong with that reaches the caller."""
    if _quiet.get():
        return
    notice = Notice(kind, about, text)
    if _is_new(notice):
        log.log(notice.level, "%s: %s: %s", kind, about, text)
    for listener in tuple(_subscribers):
        try:
            listener(notice)
        except Exception as error:  # noqa: BLE001 - a listener's fault is no matter of the request's
            log.warning("a subscriber to notices failed: %s", type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Tell nobody of what is done in here: it is for show, and no operator need hear of it."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _is_new(notice: Notice) -> bool:
    heard = (notice.kind, notice.about, notice.text)
    with _lock:
        last = _logged.get(heard)
        if last is not None and notice.at - last < EVERY:
            return False
        if len(_logged) >= MOST:
            _logged.clear()
        _logged[heard] = notice.at
    return True
