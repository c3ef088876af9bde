"""Numbers for the guard of the semantic cache: digits for words, one name for a unit, a day and its month as one."""

import re
from typing import Final

__all__ = ["DATES", "NAME", "NUMBER", "amount", "counted", "dated"]


def _row(text: str, mark: str | None = None) -> list[str]:
    return text.split(mark)


NAME: Final = "\ue000"
"""Stands before a name; of no use in a text, and taken out of those that come."""
NUMBER: Final = re.compile(r"([$€£#]?)([+-]?\d+(?:,\d{3})*(?:\.\d+)*)(st|nd|rd|th|[a-z%€$°µ]*)", re.IGNORECASE)

MONTHS: Final = {
    name: str(at)
    for at, names in enumerate(
        _row(
            "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sep sept|"
            "october oct|"
            "november nov|december dec",
            "|",
        ),
        1,
    )
    for name in names.split()
}

UNITS: Final = {
    name: line.split()[0]
    for line in (
        "second seconds sec secs",
        "minute minutes mins min",
        "hour hours hrs hr h",
        "day days",
        "week weeks",
        "month months",
        "year years yrs yr",
        "millisecond milliseconds ms",
        "milligram milligrams mg",
        "microgram micrograms mcg",
        "gram grams gramme grammes g",
        "kilogram kilograms kg kilo kilos",
        "milliliter milliliters millilitre millilitres ml",
        "liter liters litre litres l",
        "meter meters metre metres",
        "kilometer kilometers kilometre kilometres km",
        "centimeter centimeters centimetre centimetres cm",
        "millimeter millimeters millimetre millimetres mm",
        "foot feet ft",
        "percent % pct",
        "dollar dollars $",
        "euro euros €",
        "celsius °c",
        "fahrenheit °f",
        "time times",
    )
    for name in line.split()
}
"""What may follow a number, or be written to it."""

SPOKEN: Final = {
    word: number
    for number, word in enumerate(
        _row(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        )
    )
}
SPOKEN.update(
    {word: 10 * tens for tens, word in enumerate(_row("twenty thirty forty fifty sixty seventy eighty ninety"), 2)}
)

_ORDINALS: Final = {
    word: f"{number}th"
    for number, word in enumerate(_row("first second third fourth fifth sixth seventh eighth ninth tenth"), 1)
}
_SCALES: Final = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_DEGREES: Final = {
    f"{NAME}C": "celsius",
    f"{NAME}Celsius": "celsius",
    f"{NAME}F": "fahrenheit",
    f"{NAME}Fahrenheit": "fahrenheit",
    "°C": "celsius",
    "°F": "fahrenheit",
    "°c": "celsius",
    "°f": "fahrenheit",
}
_OFTEN: Final = {"once": "1", "twice": "2", "thrice": "3"}


DATES: Final = frozenset(MONTHS) - {"may", "march", "mar", "jan", "jun", "sep"} | {
    f"{day}day{s}" for day in ("mon", "tues", "wednes", "thurs", "fri", "satur", "sun") for s in ("", "s")
}


def amount(sign: str, digits: str, unit: str) -> list[str]:
    """What `NUMBER` found, as tokens; none where it is no amount but a name."""
    digits = digits.replace(",", "")
    low = unit.lower()
    if sign == "#":
        return [digits] if not unit else []
    if low in {"st", "nd", "rd", "th"}:
        return [f"{digits}th"] if not sign else []
    if sign:
        return [digits, UNITS.get(sign, sign), *([low] if low else [])]
    if not unit:
        return [digits]
    known = UNITS.get(unit) or UNITS.get(low if unit.isupper() and len(unit) > 1 else unit)
    if known is None and unit in {"C", "F"}:
        known = {"C": "celsius", "F": "fahrenheit"}[unit]
    return [digits, known] if known else []


def counted(given: list[str]) -> list[str]:
    """Words that say a number as digits, and units by one name each."""
    found: list[str] = []
    at = 0
    while at < len(given):
        word = given[at]
        at += 1
        value = SPOKEN.get(word)
        if value is not None:
            at, value = _spoken(given, at, value)
            found.append(str(value))
        elif word in _OFTEN:
            found += [_OFTEN[word], "time"]
        elif word in _ORDINALS:
            found.append(_ORDINALS[word])
        elif found and found[-1][0].isdigit() and not found[-1].endswith("th"):
            if word in {"degree", "degrees", "°"} and at < len(given):
                continue
            if word in _DEGREES:
                found.append(_DEGREES[word])
            else:
                found.append(UNITS.get(word, word))
        else:
            found.append(word)
    return found


def _spoken(given: list[str], at: int, value: int) -> tuple[int, int]:
    total = 0
    while at < len(given):
        word = given[at]
        if word in _SCALES:
            scale = _SCALES[word]
            total, value = (total, value * 100) if scale == 100 else (total + value * scale, 0)
        elif word in SPOKEN and value % 10 == 0 and value and (SPOKEN[word] < 10 or value % 100 == 0):
            value += SPOKEN[word]
        else:
            break
        at += 1
    return at, total + value


def dated(given: list[str]) -> list[str]:
    """A month with a day, either first, as one token."""
    for at, word in enumerate(given):
        month = MONTHS.get(word.removeprefix(NAME).lower())
        if month is None:
            continue
        after = given[at + 1] if at + 1 < len(given) else ""
        if _day(after):
            return dated([*given[:at], f"{month}m{_day(after)}", *given[at + 2 :]])
        start = at - 2 if at > 1 and given[at - 1] == "of" else at - 1
        if start >= 0 and _day(given[start]):
            return dated([*given[:start], f"{month}m{_day(given[start])}", *given[at + 1 :]])
    return given


def _day(token: str) -> str:
    digits = token.removesuffix("th")
    return digits if digits.isdigit() and len(digits) < 3 else ""
