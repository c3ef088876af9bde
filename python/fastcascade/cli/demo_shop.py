"""What the customers of the demo's shop ask: questions without end, whose right answers are worked out from the rules.

The shop is made up, and so are its customers and its models (demo_models.py). What decides between them is real.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

__all__ = ["DISPUTED", "KINDS", "Question", "drawn", "known"]

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FREE_FROM: Final = 50.0
SHIPPING: Final = 4.90
RETURN: Final = timedelta(days=30)
YEAR: Final = 2026
WARRANTY: Final = 24
CUT_OFF: Final = 14
FRIDAY: Final = 4


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the kind of case it is, and its right answer; empty where no model is to answer it."""

    ask: str
    task: str
    right: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question: how it is asked, how it is read again, what is right; how hard it is for a small model."""

    task: str
    ask: Callable[[random.Random], str]
    pattern: re.Pattern[str]
    right: Callable[[re.Match[str]], str]
    hard: float


def _returned(found: re.Match[str]) -> str:
    came = date.fromisoformat(found[1])
    until = came + RETURN
    return f"{until.day} {until:%B}"


def _shipped(found: re.Match[str]) -> str:
    return "0" if float(found[1]) >= FREE_FROM else f"{SHIPPING:.2f}"


def _leaves(found: re.Match[str]) -> str:
    day = DAYS.index(found[2])
    if int(found[1]) >= CUT_OFF or day > FRIDAY:
        day = 0 if day >= FRIDAY else day + 1
    return DAYS[day]


def _covered(found: re.Match[str]) -> str:
    return "yes" if int(found[1]) <= WARRANTY else "no"


def _paid(found: re.Match[str]) -> str:
    goods = int(found[1]) * float(found[2]) + int(found[3]) * float(found[4])
    return f"{goods if goods >= FREE_FROM else goods + SHIPPING:.2f}"


def _day(rng: random.Random) -> str:
    return (date(YEAR, 1, 1) + timedelta(days=rng.randrange(300))).isoformat()


KINDS: Final = (
    Kind(
        "returns",
        lambda rng: f"My parcel came on {_day(rng)}. Until which day can I return it?",
        re.compile(r"My parcel came on (\d{4}-\d\d-\d\d)\. Until"),
        _returned,
        0.35,
    ),
    Kind(
        "shipping",
        lambda rng: f"I order for {rng.randrange(900, 9_900) / 100:.2f} euros within the EU. What is the shipping?",
        re.compile(r"I order for (\d+\.\d\d) euros"),
        _shipped,
        0.1,
    ),
    Kind(
        "dispatch",
        lambda rng: (
            f"I ordered at {rng.randrange(8, 22)}:{rng.randrange(60):02} on {rng.choice(DAYS)}. When does it leave?"
        ),
        re.compile(r"I ordered at (\d+):\d\d on (\w+)\."),
        _leaves,
        0.3,
    ),
    Kind(
        "warranty",
        lambda rng: f"My kettle is {rng.randrange(3, 40)} months old and stopped working. Is it under warranty?",
        re.compile(r"My kettle is (\d+) months old"),
        _covered,
        0.08,
    ),
    Kind(
        "totals",
        lambda rng: (
            f"I buy {rng.randrange(2, 9)} lamps at {rng.randrange(300, 2_900) / 100:.2f} euros and "
            f"{rng.randrange(2, 9)} cups at {rng.randrange(200, 900) / 100:.2f}. What do I pay, with shipping?"
        ),
        re.compile(r"I buy (\d+) lamps at (\d+\.\d\d) euros and (\d+) cups at (\d+\.\d\d)\."),
        _paid,
        0.6,
    ),
)
SETTLED: Final = (
    ("account", "I forgot my password, how do I reset it?"),
    ("account", "Please delete my account."),
    ("hours", "What are your opening hours?"),
    ("payment", "What payment methods do you accept?"),
)
"""What rules answer."""
DISPUTE: Final = "The courier says that I signed for order {}, and I did not. Who pays?"
DISPUTED: Final = re.compile(r"signed for order \d+.*Who pays", re.DOTALL)
"""What no model is to answer."""
SHARES: Final = (("again", 0.30), ("settled", 0.15), ("tracked", 0.12), ("disputed", 0.02))
POPULAR: Final = 24


def known(text: str) -> tuple[Kind, str] | None:
    """The kind of a question and its right answer, read from its words alone."""
    for kind in KINDS:
        found = kind.pattern.search(text)
        if found is not None:
            return kind, kind.right(found)
    return None


def drawn(rng: random.Random) -> Question:
    """The next customer's question: some ask what was asked before."""
    place = rng.random()
    for name, share in SHARES:
        if place < share:
            return _special(name, rng)
        place -= share
    return _asked(rng.choice(KINDS), rng)


def _special(name: str, rng: random.Random) -> Question:
    if name == "settled":
        task, ask = rng.choice(SETTLED)
        return Question(ask, task)
    if name == "tracked":
        return Question(f"Where is my order {rng.randrange(10_000, 99_999)}?", "orders")
    if name == "disputed":
        return Question(DISPUTE.format(rng.randrange(10_000, 99_999)), "disputes")
    popular = random.Random(rng.randrange(POPULAR))  # one of a few, whoever asks
    return _asked(popular.choice(KINDS), popular)


def _asked(kind: Kind, rng: random.Random) -> Question:
    ask = kind.ask(rng)
    found = known(ask)
    return Question(ask, kind.task, found[1] if found is not None else "")
