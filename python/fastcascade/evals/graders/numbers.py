"""A grader that compares numbers."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastcascade.evals.graders.grader import Grade, read, ungraded, within
from fastcascade.evals.graders.words import boxed
from fastcascade.gates.agreement import last_number
from fastcascade.messages import Reply

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["Numeric"]

PERCENT: Final = re.compile(r"[ }]{0,2}\\?(?:[%\N{FULLWIDTH PERCENT SIGN}]|per ?cent\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Numeric:
    r"""Right where the last number in the answer is the one expected, or close to it.

    Read as numbers are written: 1,234.5, -2e3, 3/4, \frac{3}{4}; of a text with a \boxed{...} what stands in the last
    one. Where one of both is in percent and the other is bare, 12% is both 12 and 0.12, as questions ask for either.
    Signs of units and money do not count. Close is within `relative` of what is expected, or `absolute`, whichever
    is more; numbers are compared as floats, so that whole ones above 2**53 are not told apart.

    Args:
        relative: the share of what is expected that an answer may be off.
        absolute: by how much it may be off whatever is expected: of use where that is 0.
    """

    relative: float = 1e-6
    absolute: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        within("the relative tolerance", self.relative)
        within("the absolute tolerance", self.absolute)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Read both, and compare."""
        expected = None if case.expected is None else _number(case.expected)
        if expected is None:
            return ungraded(f"case {case.id!r} expects no number")
        said = _number(read(reply))
        if said is None:
            return Grade(0.0, "there is no number in the answer")
        right, percent = expected
        value, in_percent = said
        values = [value]
        if in_percent and not percent:
            values.append(value / 100)
        elif percent and not in_percent:
            values.append(value * 100)
        close = any(self._close(each, right) for each in values)
        return Grade(float(close), f"{value:.10g}{'%' * in_percent} is {'' if close else 'not '}{right:.10g}")

    def _close(self, value: float, right: float) -> bool:
        return abs(value - right) <= max(self.relative * abs(right), self.absolute)


def _number(text: str) -> tuple[float, bool] | None:
    """The last number in a text, and whether it is in percent; None where there is none."""
    inner = boxed(text)
    value = last_number(inner) if inner else None
    if value is None:
        inner, value = text, last_number(text)
    if value is None:
        return None
    last = next((place for place in range(len(inner) - 1, -1, -1) if inner[place].isdigit()), -1)
    return value, PERCENT.match(inner, last + 1) is not None
