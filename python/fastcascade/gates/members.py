"""How a gate made of gates asks its members, so that each call's name in a recording says which of them made it."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import replace

from fastcascade.effects import Call, Check, Effect, Gather, Outcome
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict

__all__ = ["asked", "beyond"]


def asked(place: int, judging: Judging) -> Generator[Effect, Outcome, Verdict]:
    """The verdict of the member at this place, counted from 1. The purposes of its calls tell the place.

    Without it a call's name would depend on how many members before it were asked, which another threshold changes.
    """
    if isinstance(judging, Verdict):
        return judging
    try:
        effect = next(judging)
        while True:
            effect = judging.send((yield _placed(place, effect)))
    except StopIteration as done:
        verdict: Verdict = done.value
        return verdict
    finally:
        judging.close()


def beyond(
    members: Iterable[tuple[int, Gate]], exam: Exam, conclude: Callable[[], Verdict]
) -> Generator[Effect, Outcome, Verdict]:
    """Ask members whose word no longer matters, nor what goes wrong in them, so that it is recorded."""
    verdict = conclude()
    for place, member in members:
        with suppress(Exception):
            yield from asked(place, member.judge(exam))
    return verdict


def _placed(place: int, effect: Effect) -> Effect:
    match effect:
        case Call(purpose=purpose) | Check(purpose=purpose):
            return replace(effect, purpose=_purpose(place, purpose))
        case Gather(calls):
            return replace(
                effect, calls=tuple([replace(call, purpose=_purpose(place, call.purpose)) for call in calls])
            )
        case _:
            return effect


def _purpose(place: int, purpose: str) -> str:
    """`judge.2` of the second member, `judge.2.3` of the third in the second; first places at the end are left out."""
    what, dot, within = purpose.partition(".")
    if dot:
        return f"{what}.{place}.{within}"
    return purpose if place == 1 else f"{what}.{place}"
