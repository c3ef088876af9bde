"""Consistency: ask the same model again, and see how many of the replies say the same.

After Wang et al., Self-Consistency Improves Chain of Thought Reasoning in Language Models (2023), and Yue et al.,
Large Language Model Cascades with Mixture of Thoughts Representations (2024). Here the vote does not choose the
answer: it is always the reply that was judged, and the score is the share of the replies that agree with it. So
where the threshold is below one half, a reply may be accepted that most of the others contradict.
"""

import inspect
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from fastcascade.effects import Call, Check, Effect, Gather, Outcome
from fastcascade.errors import ConfigError
from fastcascade.gates.agreement import Agreement, agreement
from fastcascade.gates.check import failed, line, patience, unit
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.gates.similarity import Embedder, cosine, embedding, vectors
from fastcascade.messages import Reply, Request

__all__ = ["Consistency"]

Agree: TypeAlias = Literal["normalized", "exact", "numeric", "json", "embedding"] | Callable[[str, str], bool]
NEEDED = 2
"""Replies that must have spoken: one alone agrees with itself."""


class Consistency(Gate):
    """The share of `k` replies that agree with the one that is judged.

    Samples that fail are not counted; where fewer than two replies spoke, the gate abstains, as it does where the
    judged reply holds nothing to compare. A sample that holds nothing to compare spoke, and disagrees.

    Args:
        k: replies in all. The judged one is the first of them, so that k - 1 more are asked for; with
            `count_first=False` it has no vote, and k more are.
        temperature: of the samples; the judged reply has the request's own. None leaves it as it is, as does a
            request that thinks, which providers sample at one fixed temperature.
        agree: when two texts say the same (see agreement.py), or a quick function of the two. Replies with tool
            calls always compare their calls.
        embedder: texts -> vectors, for `agree="embedding"`; texts agree from a cosine of `similar` on.
        tolerance: relative, of `agree="numeric"`.
        early: stop, and cancel what is under way, once no outcome of the rest could change whether the reply is
            accepted. The score is then the share so far. It needs to be known what accepts: the exam's `accept`
            where it has one, else the `threshold` given here; where neither is given, all are waited for. It has
            no effect on embeddings, which are compared together. Fit a calibration with `early=False`.
        timeout: seconds for each sample.
    """

    name = "consistency"

    def __init__(  # noqa: PLR0913 - the settings of one thing, named
        self,
        k: int = 3,
        *,
        temperature: float | None = 0.7,
        agree: Agree = "normalized",
        embedder: Embedder | None = None,
        similar: float = 0.9,
        tolerance: float = 1e-6,
        early: bool = True,
        count_first: bool = True,
        timeout: float | None = None,
        threshold: float | None = None,
    ) -> None:
        """Check the settings."""
        if type(k) is not int or k < NEEDED:
            msg = f"consistency needs k of 2 replies at least, not {k!r}: one alone agrees with itself"
            raise ConfigError(msg)
        if temperature is not None and not 0 < temperature <= 2:
            msg = f"consistency needs a temperature above 0, up to 2, or None, not {temperature!r}: else all are one"
            raise ConfigError(msg)
        if (agree == "embedding") != (embedder is not None):
            raise ConfigError("consistency needs an embedder for agree='embedding', and for nothing else")
        if callable(agree) and inspect.iscoroutinefunction(agree):
            raise ConfigError("consistency compares while samples come in: its function cannot be async")
        if not 0 <= tolerance < 1:
            msg = f"consistency's tolerance must be from 0 to below 1, not {tolerance!r}"
            raise ConfigError(msg)
        self.k = k
        self.temperature = temperature
        self.agree = agree
        self.embedder = None if embedder is None else embedding(embedder)
        self.similar = unit("consistency's similar", similar)
        self.early = early
        self.count_first = count_first
        self.timeout = patience("consistency's timeout", timeout)
        self.threshold = type(self).threshold if threshold is None else unit("consistency's threshold", threshold)
        self._decides = None if threshold is None else self.threshold
        self._agreement = agreement(agree, tolerance)

    def judge(self, exam: Exam, /) -> Generator[Effect, Outcome, Verdict]:
        """Have the samples made, and count the votes."""
        vote = Vote(self._agreement, exam.clean(exam.reply), self.count_first, exam.clean)
        if vote.fault:
            return Verdict(None, vote.fault)
        samples = self._samples(exam.request, self.k - self.count_first)
        calls = tuple(Call(exam.backend, each, "sample", self.timeout) for each in samples)
        gathered = yield Gather(calls, self._enough(vote, exam))
        if gathered.failure:
            return failed("the samples", gathered.failure)
        vote.count(gathered.value)
        if self.embedder and vote.others and not vote.fault:
            said = [vote.first.text, *(reply.text for reply in vote.others)]
            embedded = yield Check(self.embedder, (said,), "embed", timeout=self.timeout)
            if embedded.failure:
                return failed("the embedder", embedded.failure)
            self._compare(vote, vectors(embedded.value, len(said)))
        return vote.verdict(self.k)

    def _samples(self, request: Request, count: int) -> list[Request]:
        changes: dict[str, Any] = {"logprobs": None}
        if self.temperature is not None and request.thinking is None:
            # Some providers refuse both ways to sample in one request.
            changes |= {"temperature": self.temperature, "top_p": None}
        sample = replace(request, **changes)
        if sample.seed is None:
            return [sample] * count
        # The same seed would give the same reply.
        return [replace(sample, seed=sample.seed + number) for number in range(1, count + 1)]

    def _enough(self, vote: "Vote", exam: Exam) -> Callable[[list[Outcome | None]], bool] | None:
        known = exam.accept
        accept = self._decides if known is None else known
        if accept is None or not self.early or self.embedder:
            return None
        return lambda outcomes: self._settled(vote, outcomes, accept)

    def _settled(self, vote: "Vote", outcomes: list[Outcome | None], accept: float) -> bool:
        try:
            vote.count(outcomes)
            return vote.fault != "" or self._decided(vote.agreed, vote.spoke, outcomes.count(None), accept)
        except Exception as error:  # noqa: BLE001 - a calibration of the user's: it must not end the request
            vote.fault = f"the calibration failed ({type(error).__name__}): {line(str(error))}"
            return True

    def _decided(self, agreed: int, spoke: int, left: int, accept: float) -> bool:
        """Whether all that the rest could say, or fail to, leads to the same decision."""
        if spoke < NEEDED:
            return False
        if self.calibration is None:
            return agreed / (spoke + left) >= accept or (agreed + left) / (spoke + left) < accept
        # A calibration need not rise with the score, so every count that may come is looked at.
        scores = {(agreed + yes) / (spoke + all_) for all_ in range(left + 1) for yes in range(all_ + 1)}
        return len({(self.calibrated(Verdict(score)).score or 0.0) >= accept for score in scores}) == 1

    def _compare(self, vote: "Vote", rows: list[list[float]] | None) -> None:
        angles = [cosine(rows[0], row) for row in rows[1:]] if rows else []
        if not angles or None in angles:
            vote.fault = "the embedder gave no vectors that can be compared"
        vote.agreed += sum(angle is not None and angle >= self.similar for angle in angles)


class Vote:
    """The votes so far: each reply is read and compared once."""

    def __init__(
        self,
        agreement: Agreement,
        first: Reply,
        count_first: bool,  # noqa: FBT001 - one caller
        clean: Callable[[Reply], Reply],
    ) -> None:
        """Read the reply that is judged, which is clean already."""
        self.first = first
        self._clean = clean
        self.agreed = self.spoke = int(count_first)
        self.fault = ""
        self.others: list[Reply] = []  # texts that differ to the letter, for an embedder
        self._agreement = agreement
        self._counted: set[int] = set()
        self._reading = agreement.reading(first)
        if self._reading[1] is None:
            self.fault = f"there is no {agreement.lacking} to compare in the reply"

    def count(self, outcomes: list[Outcome | None]) -> None:
        """Count those that are new; one that failed, or was cancelled, has no vote."""
        for at, outcome in enumerate(outcomes):
            if at in self._counted or outcome is None or outcome.failure or not isinstance(outcome.value, Reply):
                continue
            self._counted.add(at)
            self.spoke += 1
            try:
                said = self._clean(outcome.value)
                same = said.content == self.first.content  # then it need not be read again
                reading = self._reading if same else self._agreement.reading(said)
                agrees = self._agreement.agree(self._reading, reading)
            except Exception as error:  # noqa: BLE001 - a function of the user's: it must not end the request
                self.fault = f"comparing failed ({type(error).__name__}): {line(str(error))}"
                continue
            self.agreed += agrees
            if not agrees and not self._reading[0] and not reading[0] and reading[1] is not None:
                self.others.append(said)

    def verdict(self, k: int) -> Verdict:
        """The share that agrees, or why there is none."""
        if self.fault:
            return Verdict(None, self.fault)
        if self.spoke < NEEDED:
            return Verdict(None, f"only {self.spoke} of {k} replies spoke, which is no vote")
        return Verdict(self.agreed / self.spoke, f"{self.agreed} of {self.spoke} replies agree, of {k} wanted")
