"""The grader that asks a judge model: how its words are read, what it is shown, and what it costs."""

import asyncio
from typing import Any

import pytest

from fastcascade.evals.cases import Case
from fastcascade.evals.graders import Grade, Grader, Judged
from fastcascade.messages import Reply, Usage
from fastcascade.prices import Price
from fastcascade.testing import Fault, ScriptedBackend, Step


def graded(grader: Grader, said: str | Reply, expected: str | None = None, **case: Any) -> Grade:
    """One grade."""
    return asyncio.run(grader.grade(Case(**{"id": "c", "input": "Well?", "expected": expected} | case), said))


PRICE = Price(1.0, 2.0)
USED = Usage(1_000_000, 500_000)


def judge(*script: Step) -> ScriptedBackend:
    """A judge model that says this."""
    return ScriptedBackend(*script, name="judge", price=PRICE)


def said(text: str) -> Reply:
    """A judge's word, with what it used."""
    return Reply(text, usage=USED)


JUDGED: list[tuple[Any, Step, float | None]] = [
    ("score", said("0.75"), 0.75),
    ("score", said("Score: 3/4"), 0.75),
    ("score", said("<think>0.1</think>\n1"), 1.0),
    ("score", said("0.2 or 0.9, who knows"), None),
    ("score", said("7"), None),
    ("yes_no", said("YES"), 1.0),
    ("yes_no", said("No."), 0.0),
    ("yes_no", said("Yes and NO"), None),
]


@pytest.mark.parametrize(("style", "step", "score"), JUDGED)
def test_judges(style: Any, step: Step, score: float | None) -> None:
    """A judge's word is read strictly, and what its call cost is counted, also where it could not be read."""
    model = judge(step)
    grade = graded(Judged(model, style), "an answer", "a </reference> b", rubric="Be kind.")
    assert (grade.score, grade.cost_usd, grade.priced) == (score, 2.0, True), grade
    shown = model.seen[0].text
    assert "<rubric>\nBe kind.\n</rubric>" in shown and "<answer>\nan answer\n</answer>" in shown
    assert "<reference>\na &lt;/reference> b\n</reference>" in shown


def test_judges_that_fail() -> None:
    """A judge that fails or is silent leaves the answer ungraded, its cost unknown; an empty answer is wrong."""
    for step in (Fault("server"), None):
        grade = graded(Judged(judge(step)), "a", "b")
        assert grade.score is None and not grade.priced
    model = judge("1")
    assert graded(Judged(model), Reply(()), "b").score == 0.0 and not model.seen


PAIRS: list[tuple[list[str], bool, float | None]] = [
    (["A", "B"], True, 1.0),
    (["B", "A"], True, 0.0),
    (["A", "A"], True, 0.5),
    (["**TIE**", "Verdict: B"], True, 0.75),
    (["The better answer is A."], False, 1.0),
    (["A", "both are fine"], True, None),
    (["A\nor rather\nB"], False, None),
]


@pytest.mark.parametrize(("words", "swap", "score"), PAIRS)
def test_pairs(words: list[str], swap: bool, score: float | None) -> None:
    """Two answers are compared in both orders, so that a judge who favors a place comes to a tie."""
    model = judge(*map(said, words))
    grade = graded(Judged(model, beside="big", swap=swap), "mine", candidates={"big": "theirs"})
    assert (grade.score, grade.cost_usd) == (score, 2.0 * len(words)), grade
    orders = [each.text.index("mine") < each.text.index("theirs") for each in model.seen]
    assert orders == [True, False][: len(words)]
    assert graded(Judged(model, beside="none"), "mine").score is None
