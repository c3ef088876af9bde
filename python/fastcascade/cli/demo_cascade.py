"""The cascade of `fastcascade demo`: rules, then a cheap model that must agree with itself, then a large one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from fastcascade.answers import Answer
from fastcascade.backends.backend import Backend
from fastcascade.backends.recorded import Recorded
from fastcascade.backends.rules import Rules
from fastcascade.cascade import Cascade
from fastcascade.cli.demo_questions import Question, same
from fastcascade.gates.consistency import Consistency
from fastcascade.messages import Budget
from fastcascade.prices import Price
from fastcascade.recording import Recording, record, replay
from fastcascade.tiers import Tier

__all__ = ["ACCEPT", "MAX_TOKENS", "MODELS", "PRICES", "SAMPLES", "Asked", "Trial", "ask_all", "recorded", "rules"]

ACCEPT: Final = 0.6
SAMPLES: Final = 3
MAX_TOKENS: Final = 1_000
TIMEOUT: Final = 60.0
LARGE_CALL: Final = "large/answer"
DAY: Final = "2026-11-04"
PRICES: Final = {
    "claude-haiku-4-5": Price(1.0, 5.0, 0.10, 1.25, date=DAY),
    "claude-sonnet-4-6": Price(3.0, 15.0, 0.30, 3.75, date=DAY),
    "claude-opus-4-6": Price(5.0, 25.0, 0.50, 6.25, date=DAY),
}
"""US dollars per million tokens, as the sheet of genai-prices 0.2.3 has them. All of these take a temperature."""
MODELS: Final = ("claude-haiku-4-5", "claude-opus-4-6")
"""The models whose prices the recording is counted at, and which the real API is asked for."""


def rules() -> Rules:
    """What the shop answers without a model."""
    return Rules(
        {
            r"(?i)\b(?:forgot|reset|lost)\b.{0,30}\bpassword": "Choose 'Forgot password' on the login page.",
            r"(?i)\bwhere\b.{0,20}\border\s+#?(?P<order>\d{4,})": "Follow your parcel at shop.example/orders/{order}.",
            r"(?i)\binvoice\b.{0,20}\border\s+#?(?P<order>\d{4,})": "It is at shop.example/orders/{order}/invoice.",
            r"(?i)\bunsubscribe\b": "Each newsletter ends with a link to leave it.",
            r"(?i)\bdelete\b.{0,20}\baccount\b": "Open 'My account', 'Privacy', 'Delete account'.",
        },
        faq={
            "What are your opening hours?": "Monday to Friday, 9:00 to 17:00.",
            "What payment methods do you accept?": "Card, PayPal, bank transfer, or invoice from the second order on.",
            "Do you have a phone number I can call?": "Yes: it is at shop.example/contact.",
        },
        template=True,
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """The cascade, the large model alone to compare with, and what is asked. `live` is the real API."""

    cascade: Cascade
    alone: Cascade
    questions: tuple[Question, ...]
    models: tuple[str, str]
    prices: tuple[Price, Price]
    live: bool = False

    @classmethod
    def of(
        cls,
        cheap: Backend,
        large: Backend,
        asked: Iterable[Question],
        prices: tuple[Price, Price],
        accept: float = ACCEPT,
        budget: Budget | None = None,
    ) -> "Trial":
        """Build it around two models; with a budget they are real."""
        # All samples are taken, also those that could not change the vote, so that every threshold can be replayed.
        gate = Consistency(k=SAMPLES, temperature=0.7, agree=same, early=False)
        above = Tier(large, name="large", price=prices[1], max_tokens=MAX_TOKENS, timeout=TIMEOUT)
        cascade = Cascade(
            Tier(rules()),
            Tier(
                cheap, gate=gate, accept=accept, name="cheap", price=prices[0], max_tokens=MAX_TOKENS, timeout=TIMEOUT
            ),
            above,
            budget=budget,
        )
        models = (cheap.name, large.name)
        return cls(cascade, Cascade(above, budget=budget), tuple(asked), models, prices, live=budget is not None)

    @property
    def accept(self) -> float:
        """The share of replies that must agree."""
        return self.cascade.tiers[1].accept


def recorded(asked: Iterable[Question], accept: float = ACCEPT) -> Trial:
    """The cascade over recorded answers: no key, no network."""
    asked = tuple(asked)
    cheap, large = MODELS
    return Trial.of(
        Recorded({each.ask: each.cheap for each in asked}, name=cheap, strict=False),
        Recorded({each.ask: each.large for each in asked}, name=large),
        asked,
        (PRICES[cheap], PRICES[large]),
        accept,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, what the cascade answered, what the large model alone answers, and every call of both."""

    question: Question
    answer: Answer
    alone: Answer
    recording: Recording

    @property
    def path(self) -> tuple[str, ...]:
        """The tiers that were tried, in order."""
        return tuple(attempt.tier for attempt in self.answer.attempts)

    @property
    def large_usd(self) -> float | None:
        """What the large model alone costs; None where it gave no reply, or its price is not known."""
        return self.alone.cost_usd if self.alone.tier else None

    @property
    def right(self) -> bool | None:
        """Whether the answer is right; None where there is none, or no one answer is."""
        return self.question.is_right(self.answer.text) if self.answer.tier else None

    @property
    def alone_right(self) -> bool | None:
        """Whether the large model alone is right; None likewise."""
        return self.question.is_right(self.alone.text) if self.alone.tier else None

    @property
    def went_on(self) -> str:
        """Why the cheap model's reply was not the last: "escalated", "fell back", or empty."""
        above = self.path[-1] == "large"
        judged = next((attempt for attempt in self.answer.attempts if attempt.tier == "cheap"), None)
        if judged is None or not above:
            return ""
        return "fell back" if judged.verdict in ("failed", "empty") else "escalated"

    @property
    def failures(self) -> list[str]:
        """What went wrong, by tier."""
        tried = (*self.answer.attempts, *self.alone.attempts)
        return [f"{attempt.tier}: {attempt.error.kind}: {attempt.error.message}" for attempt in tried if attempt.error]

    def at(self, trial: Trial, accept: float) -> "Asked":
        """What would have come of it at another threshold, without a call."""
        other = trial.cascade.adjusted(accept={"cheap": accept})
        return Asked(self.question, replay(other, self.recording), self.alone, self.recording)


async def ask_all(trial: Trial, told: Callable[[Asked], None]) -> list[Asked]:
    """Ask every question, and tell of each as it is answered."""
    found = []
    try:
        for question in trial.questions:
            asked = await _ask(trial, question)
            told(asked)
            found.append(asked)
    finally:
        await trial.cascade.aclose()
    return found


async def _ask(trial: Trial, question: Question) -> Asked:
    request = question.request
    answer = await trial.cascade.run(request)
    if not trial.live:
        recording = await record(trial.cascade, request)
    elif LARGE_CALL in answer.outcomes:
        recording = Recording.of(answer)
    else:
        # The large model is asked too, or there would be nothing to compare with.
        alone = await trial.alone.run(request)
        recording = Recording(request, {**alone.outcomes, **answer.outcomes})
    return Asked(question, answer, replay(trial.alone, recording), recording)
