"""The promises of the whole, under ten thousand random schedules of faults. `chaos.py` draws them."""

import logging
from collections.abc import Iterator
from math import inf

import pytest

from chaos import PROMPT, SECRET, World
from fastcascade import notices
from fastcascade.entry import Instance
from fastcascade.fallbacks.retry import Allowance

SCHEDULES = 10_000
AT_ONCE = 500


class Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """What the package logs, all of it, and nobody else hears."""
    monkeypatch.setattr(notices, "EVERY", 0.0)
    handler, log = Heard(), logging.getLogger("fastcascade")
    log.addHandler(handler)
    before, log.propagate = log.propagate, False
    yield handler
    log.propagate = before
    log.removeHandler(handler)


@pytest.mark.parametrize("first", range(0, SCHEDULES, AT_ONCE))
def test_the_invariants_hold_under_random_faults(first: int, heard: Heard) -> None:
    """Everybody is answered in time, nobody is called too often or too soon, no review is lost, and all gets well."""
    broken: dict[int, list[str]] = {}
    for seed in range(first, first + AT_ONCE):
        world = World(seed)
        world.run()
        if found := world.broken():
            broken[seed] = found
    assert not broken
    assert heard.lines
    assert not [line for line in heard.lines if PROMPT in line or SECRET in line]


def found_by(monkeypatch: pytest.MonkeyPatch, target: object, name: str, sabotage: object, seeds: int = 60) -> str:
    """What the checks say of schedules run with a part replaced by one that does not do its work."""
    monkeypatch.setattr(target, name, sabotage)
    said = []
    for seed in range(seeds):
        world = World(seed)
        world.run()
        said += world.broken()
    return "\n".join(said)


@pytest.mark.usefixtures("heard")
def test_the_checks_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that ignores the times named, or its retry budget, or forgets to count calls as over, is found out."""
    with monkeypatch.context() as patch:
        assert "3: " in found_by(patch, Instance, "close_until", lambda _self, _when: None)
    with monkeypatch.context() as patch:
        assert "2: " in found_by(patch, Allowance, "withdraw", lambda _self, _now: True)
    with monkeypatch.context() as patch:
        assert "5: " in found_by(patch, Instance, "end", lambda _self: None)
    with monkeypatch.context() as patch:
        assert "5: " in found_by(patch, Instance, "close_until", lambda self, _when: setattr(self, "closed_until", inf))
