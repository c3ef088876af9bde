"""A grader that asks a judge model, by a rubric, against what is expected, or beside another answer.

What the judge is shown is kept between tags as a gate's judge is (fastcascade/gates/shown.py), and a score or a yes
is read as strictly (fastcascade/gates/said.py). A judge is a model with errors of its own: grade some cases by hand,
and see how often it agrees, before its figures are believed.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from fastcascade.backends.backend import Backend
from fastcascade.blocks import Message, Text
from fastcascade.drive import Driver
from fastcascade.effects import Call, Outcome
from fastcascade.errors import ConfigError
from fastcascade.evals.graders.grader import Grade, read, ungraded
from fastcascade.gates.check import line
from fastcascade.gates.gate import Exam, Verdict
from fastcascade.gates.judge import SHOWN, Judge
from fastcascade.gates.said import concluded
from fastcascade.gates.shown import ESCAPES, sections
from fastcascade.messages import Reply, Request
from fastcascade.prices import PriceSheet
from fastcascade.tiers import cost_of

if TYPE_CHECKING:
    from fastcascade.evals.cases import Case

__all__ = ["Judged"]

TASK: Final = (
    "You grade an assistant's answer. Where a reference is given, it is right, and an answer that says the same in "
    "other words is right too. Where a rubric is given, grade by it and by nothing else."
)
PAIR: Final = (
    "You compare two assistants' answers to the same question, <answer_a> and <answer_b>. The order in which they "
    "stand means nothing, nor does their length. Where a reference is given, it is right. Where a rubric is given, "
    "compare by it and by nothing else."
)
PAIR_FORM: Final = "Reply with one word: A if the first answer is better, B if the second is, TIE if neither is."
WINNER: Final = re.compile(
    r"[\W_]{0,8}(?:(?:the )?(?:answer|better|better answer|verdict|winner)(?: is)?[\W_]{1,8})?(a|b|tie)[\W_]{0,8}",
    re.IGNORECASE,
)
WORTH: Final = {"a": 1.0, "tie": 0.5, "b": 0.0}


class Judged:
    """Ask `backend`, a model, how right an answer is. What cannot be read of its reply leaves the answer ungraded.

    With `beside`, the answer is compared with another of the same case: 1 is better, 0.5 a tie, 0 worse. Judges favor
    a place, so `swap` asks twice, with the places changed, and takes the mean: one that names the same place twice
    has seen no difference, and that is 0.5.

    Args:
        backend: the judge. It should not be one of the models that are graded: models favor their own.
        style: "score" for a number from 0 to 1, "yes_no" for right or wrong; of no matter with `beside`.
        beside: "expected", or the name of one of the case's candidates.
        swap: with `beside`, whether to ask twice.
        prompt: what it is told to grade, in place of "how right an answer is".
        sheet: what models cost, where the backend does not know.
        max_characters: of each thing that is shown; of more, the middle is left out.
        max_tokens: of its reply; models that think before they speak need more than the default.
        temperature: None for a judge that takes none.
        timeout: seconds for each call.
    """

    def __init__(  # noqa: PLR0913 - the settings of one thing, named
        self,
        backend: Backend,
        style: Literal["score", "yes_no"] = "score",
        *,
        beside: str | None = None,
        swap: bool = True,
        prompt: str | None = None,
        sheet: PriceSheet | None = None,
        max_characters: int = 16_000,
        max_tokens: int | None = None,
        temperature: float | None = 0.0,
        timeout: float | None = None,
    ) -> None:
        """Check the settings."""
        if style not in ("score", "yes_no"):
            raise ConfigError(f"a judge that grades has the style score or yes_no, not {style!r}")
        self.judge = Judge(
            backend,
            style,
            prompt=prompt or TASK,
            max_characters=max_characters,
            max_tokens=max_tokens,
            temperature=temperature,
            logprobs=False,  # a grade is what was said; how sure the judge was is another matter
            timeout=timeout,
        )
        self.backend = backend
        self.beside = beside
        self.swap = swap
        self.sheet = sheet or PriceSheet()
        self._pair = (Text(f"{prompt or PAIR}\n\n{SHOWN}\n\n{PAIR_FORM}"),)

    async def grade(self, case: "Case", reply: Reply | str, /) -> Grade:
        """Ask the judge, once or twice."""
        given = Reply((Text(reply),)) if isinstance(reply, str) else reply
        if given.empty:
            return Grade(0.0, "the answer is empty")
        return await (self._alone(case, given) if self.beside is None else self._beside(case, given, self.beside))

    async def _alone(self, case: "Case", reply: Reply) -> Grade:
        exam = Exam(case.request, reply, self.backend)
        steps = self.judge.judge(exam)
        asked = next(steps)
        asked.request = self._with_reference(case, asked.request)
        outcome = await Driver().perform(asked)
        try:
            steps.send(outcome)
        except StopIteration as done:
            verdict: Verdict = done.value
            return self._priced(verdict.score, verdict.reason, [outcome])
        return ungraded("the judge would ask more than once")  # it never does: a judge asks one question

    def _with_reference(self, case: "Case", request: Request) -> Request:
        """What the judge is asked, and before it what is right, and what to look for."""
        shown = "\n".join([*self._known(case), request.messages[0].text])
        return replace(request, messages=(Message("user", (Text(shown),)),))

    def _known(self, case: "Case", *, reference: bool = True) -> Iterator[str]:
        for name, text in (("rubric", case.rubric), ("reference", case.expected if reference else None)):
            if text:
                yield _tagged(name, text, self.judge.max_characters)

    async def _beside(self, case: "Case", reply: Reply, name: str) -> Grade:
        other = case.expected if name == "expected" else case.candidates.get(name)
        if other is None:
            return ungraded(
                f"case {case.id!r} has no {name if name == 'expected' else f'candidate {name!r}'} to compare"
            )
        pair = (read(reply), read(other))
        outcomes: list[Outcome] = []
        scores: list[float] = []
        for swapped in (False, True) if self.swap else (False,):
            request = self._compared(case, pair[::-1] if swapped else pair, reference=name != "expected")
            outcome = await Driver().perform(Call(self.judge.backend, request, "judge", timeout=self.judge.timeout))
            outcomes.append(outcome)
            score, reason = _winner(outcome)
            if score is None:
                return self._priced(None, reason, outcomes)
            scores.append(1.0 - score if swapped else score)
        said = " and ".join({1.0: "better", 0.5: "a tie", 0.0: "worse"}[each] for each in scores)
        return self._priced(sum(scores) / len(scores), f"the judge found it {said} beside {name}", outcomes)

    def _compared(self, case: "Case", pair: tuple[str, ...], *, reference: bool) -> Request:
        most = self.judge.max_characters
        asked = list(sections(Exam(case.request, Reply(""), self.backend), most))[:-1]  # without the answer's own
        answers = [_tagged(name, text, most) for name, text in zip(("answer_a", "answer_b"), pair, strict=True)]
        shown = "\n".join([*self._known(case, reference=reference), *asked, *answers])
        return Request(
            (Message("user", (Text(f"{shown}\n\nCompare the answers. {PAIR_FORM}"),)),),
            self._pair,
            max_tokens=self.judge.max_tokens,
            temperature=self.judge.temperature,
        )

    def _priced(self, score: float | None, reason: str, outcomes: list[Outcome]) -> Grade:
        """A grade with what the calls for it cost. What a call that failed cost is not known."""
        costs = [
            cost_of(self.backend, each.value, self.sheet) if isinstance(each.value, Reply) else None
            for each in outcomes
        ]
        return Grade(score, reason, sum(cost for cost in costs if cost), priced=None not in costs)


def _winner(outcome: Outcome) -> tuple[float | None, str]:
    """What the first of two answers is worth beside the second, or why that cannot be said."""
    if outcome.failure is not None:
        return None, f"the judge failed ({outcome.failure.kind}): {line(outcome.failure.message)}"
    said = outcome.value
    if not isinstance(said, Reply) or not said.text.strip():
        return None, "the judge said nothing"
    lines = [each for each in concluded(said.text).splitlines() if each.strip()] or [""]
    found = {each[1].casefold() for each in map(WINNER.fullmatch, (lines[0], lines[-1])) if each}
    if len(found) != 1 or said.stop in ("length", "refusal"):
        return None, f"the judge said neither A, B nor TIE alone: {line(said.text)!r}"
    return WORTH[found.pop()], ""


def _tagged(name: str, text: str, most: int) -> str:
    """A text between tags that nothing in it can end; of more than `most` characters the middle is left out."""
    if len(text) > most:
        half = most // 2
        left = f'<left_out characters="{len(text) - most}"/>'
        text = f"{text[:half].translate(ESCAPES)}{left}{text[len(text) - (most - half) :].translate(ESCAPES)}"
    else:
        text = text.translate(ESCAPES)
    return f"<{name}>\n{text}\n</{name}>"
