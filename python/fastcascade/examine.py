"""One reply before its gate: the gate's effects go through the ledger, and its faults lose no request."""

from collections.abc import Generator
from math import isfinite
from types import GeneratorType

from fastcascade.backends.failures import scrub
from fastcascade.effects import Call, Check, Effect, Gather, Outcome
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.ledger import Ledger
from fastcascade.tiers import Tier

__all__ = ["examine"]


def examine(ledger: Ledger, tier: Tier, gate: Gate, exam: Exam) -> Generator[Effect, Outcome, Verdict]:
    """Ask a gate. Whatever goes wrong inside it is an abstention."""
    try:
        judging = gate.judge(exam)
        if isinstance(judging, GeneratorType):
            judging = yield from _through(ledger, tier, judging)
        if not isinstance(judging, Verdict):
            return Verdict(None, f"the gate gave {type(judging).__name__}, not a Verdict")
        verdict = gate.calibrated(judging)
        if verdict.score is not None and not (isfinite(verdict.score) and 0.0 <= verdict.score <= 1.0):
            return Verdict(None, f"the gate gave {verdict.score!r}, which is no score from 0 to 1")
    except Exception as error:  # noqa: BLE001 - a user's gate may raise anything
        return Verdict(None, scrub(f"the gate failed: {type(error).__name__}: {error}"))
    return verdict


def _through(
    ledger: Ledger, tier: Tier, judging: Generator[Effect, Outcome, Verdict]
) -> Generator[Effect, Outcome, Verdict]:
    """Pass a gate's effects on, within the budget and into the book."""
    try:
        effect = next(judging)
        while True:
            if type(effect) is Check:
                effect.label = ledger.label(tier.name, effect.purpose)
                effect.timeout = ledger.time_left(effect.timeout)
                outcome = yield effect
                ledger.outcomes[effect.label] = outcome
                ledger.tick(outcome)
            else:
                outcome = yield from _for_gate(ledger, tier, effect)
            effect = judging.send(outcome)
    except StopIteration as done:
        verdict: Verdict = done.value
        return verdict


def _for_gate(ledger: Ledger, tier: Tier, effect: Effect) -> Generator[Effect, Outcome, Outcome]:
    if isinstance(effect, Call):
        if refused := ledger.open(tier, effect):
            return Outcome(None, refused, ledger.now, ledger.now)
        outcome = yield effect
        ledger.charge(tier, effect, outcome)
        return outcome
    if isinstance(effect, Gather):
        return (yield from _gathered(ledger, tier, effect))
    msg = f"a gate may yield Call, Gather and Check, not {type(effect).__name__}"
    raise TypeError(msg)


def _gathered(ledger: Ledger, tier: Tier, effect: Gather) -> Generator[Effect, Outcome, Outcome]:
    """The samples that are allowed; the others come to failures."""
    refused = [ledger.open(tier, call) for call in effect.calls]
    allowed = tuple(call for call, failure in zip(effect.calls, refused, strict=True) if failure is None)
    came: list[Outcome] = []
    if allowed:
        outcome = yield Gather(allowed, effect.enough if len(allowed) == len(effect.calls) else None)
        came = outcome.value
        for call, each in zip(allowed, came, strict=True):
            ledger.charge(tier, call, each)
        ledger.tick(outcome)
    rest = iter(came)
    now = ledger.now
    every = [next(rest) if failure is None else Outcome(None, failure, now, now) for failure in refused]
    return Outcome(every, None, now, now)
