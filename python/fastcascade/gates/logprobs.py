"""Log-probabilities: how sure the model was of the tokens it chose."""

from dataclasses import replace
from math import exp, inf, log
from typing import Any, Final, Literal, TypeAlias, get_args

from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import raw_floor
from fastcascade.gates.check import unit
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.messages import Delta, Request, Token, ToolCall

__all__ = ["Logprobs"]

Statistic: TypeAlias = Literal["mean", "geometric", "min", "quantile", "margin"]
ALTERNATIVES: Final = 2
SLACK: Final = 1e-9
"""How far below the mark a bound must be before a stream is given up: sums are rounded."""


class Logprobs(Gate):
    """How sure the model was of its tokens.

    `of` says what is made of them:
      mean        the mean of the tokens' probabilities (an arithmetic mean: one token in doubt counts little)
      geometric   `exp` of the mean log-probability, which is 1 / perplexity, and never above the mean
      min         the probability of the token it was least sure of
      quantile    the probability that only this share of the tokens falls below
      margin      the mean gap between the likeliest token and the next; it asks for two alternatives. Where a
                  token came without them, the least that the gap can be is taken: 2p - 1

    Where the reply calls a tool, the tokens of its arguments are judged alone, if any were given and
    `tool_arguments` is set: a tool's name and the words around it are nearly always certain.

    A reply without log-probabilities makes it abstain. One that is not a number counts as a probability of zero.

    While streaming it commits once `commit_after` tokens are as sure as is asked for: a bet that the rest will be
    too. It gives up where the rest cannot mend it: for min at once, for the others once the request's `max_tokens`
    would not be enough. Where the request offers tools and `tool_arguments` is set, a call may follow any text, so
    the whole reply is held back.
    """

    name = "logprobs"
    needs = frozenset({"logprobs"})

    def __init__(
        self,
        of: Statistic = "mean",
        *,
        quantile: float = 0.1,
        threshold: float = 0.6,
        tool_arguments: bool = True,
        commit_after: int = 32,
    ) -> None:
        """Choose what is made of the tokens, and from where on it will do."""
        if of not in get_args(Statistic):
            msg = f"of must be one of {', '.join(get_args(Statistic))}, not {of!r}"
            raise ConfigError(msg)
        if type(commit_after) is not int or commit_after < 1:
            msg = f"commit_after must be a number of tokens from 1 on, not {commit_after!r}"
            raise ConfigError(msg)
        self.of: Statistic = of
        self.quantile = unit("quantile", quantile)
        self.threshold = unit("threshold", threshold)
        self.tool_arguments = tool_arguments
        self.commit_after = commit_after

    def prepare(self, request: Request, /) -> Request:
        """Ask for log-probabilities, and for alternatives where the margin needs them."""
        wanted = ALTERNATIVES if self.of == "margin" else 0
        if request.logprobs is not None and request.logprobs >= wanted:
            return request
        return replace(request, logprobs=wanted)

    def judge(self, exam: Exam, /) -> Verdict:
        """Make one figure of the tokens."""
        tokens: Any = exam.reply.logprobs
        if not tokens:
            return Verdict(None, "no log-probabilities in the reply")
        what = "tokens"
        if self.tool_arguments and any(type(block) is ToolCall for block in exam.reply.content):
            inside = [token for token in tokens if token.tool]
            what = "tokens of the tool's arguments" if inside else "tokens, none of them of the tool's arguments"
            tokens = inside or tokens
        if self.of == "margin" and not any(len(token.top) >= ALTERNATIVES for token in tokens):
            return Verdict(None, "no alternatives to the tokens in the reply")
        return self._verdict(self._figure(tokens), len(tokens), what)

    def watch(self, request: Request, accept: float, /) -> "_Running | None":
        """Judge the tokens as they come; None where a tool call may follow."""
        if self.tool_arguments and request.tools and request.tool_choice != "none":
            return None
        return _Running(self, raw_floor(self, accept), request.max_tokens)

    def _figure(self, tokens: "tuple[Token, ...] | list[Token]") -> float:
        if self.of == "margin":
            return sum(map(_margin, tokens)) / len(tokens)
        if self.of == "mean":
            sure = [exp(p) if (p := token.logprob) <= 0.0 else float(p > 0.0) for token in tokens]
            return sum(sure) / len(sure)
        logs = [p if (p := token.logprob) <= 0.0 else 0.0 if p > 0.0 else -inf for token in tokens]
        if self.of == "geometric":
            return exp(sum(logs) / len(logs))
        if self.of == "min":
            return exp(min(logs))
        logs.sort()
        return exp(logs[int(self.quantile * (len(logs) - 1))])

    def _verdict(self, figure: float, count: int, what: str) -> Verdict:
        kind = f"{self.quantile:g} quantile" if self.of == "quantile" else self.of
        word = "" if self.of == "margin" else " probability"
        return Verdict(min(1.0, figure), f"{kind}{word} {figure:.3f} over {count} {what}")


class _Running:
    """The same figure over the tokens so far, kept without looking back."""

    def __init__(self, gate: Logprobs, floor: float, limit: int | None) -> None:
        """Begin with no tokens; `floor` is the raw score to reach, `limit` the most tokens there can be."""
        self._gate = gate
        self._floor = floor
        self._limit = limit
        self._logs = gate.of == "geometric"
        # Logarithms are compared with a logarithm; nothing reaches a floor above 1.
        self._mark = floor if not self._logs else inf if floor > 1.0 else log(floor) if floor > 0.0 else -inf
        self._most = 0.0 if self._logs else 1.0
        self._count = 0
        self._total = 0.0
        self._lowest = 1.0
        self._below = 0
        self._judgeable = gate.of != "margin"
        self.verdict = Verdict(None, "nothing was judged yet")

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        """Count the tokens of one more piece in."""
        if not delta.tokens:
            return "hold"
        for token in delta.tokens:
            self._add(token)
        if self._hopeless():
            self._settle("given up after")
            return "abort"
        if self._count >= self._gate.commit_after and self._judgeable and self._reached():
            self._settle("let through after")
            return "commit"
        return "hold"

    def _add(self, token: Token) -> None:
        p = token.logprob
        value = exp(p) if p <= 0.0 else float(p > 0.0)
        if self._gate.of == "margin":
            value = _margin(token)
            self._judgeable = self._judgeable or len(token.top) >= ALTERNATIVES
        self._count += 1
        self._lowest = min(self._lowest, value)
        self._below += value < self._floor
        if self._logs:
            value = p if p <= 0.0 else 0.0 if p > 0.0 else -inf
        self._total += value

    def _reached(self) -> bool:
        match self._gate.of:
            case "min":
                return self._lowest >= self._floor
            case "quantile":
                return self._below <= int(self._gate.quantile * (self._count - 1))
            case _:
                return self._total / self._count >= self._mark

    def _hopeless(self) -> bool:
        """Whether even the surest rest would not be enough."""
        if self._gate.of == "min":
            return self._lowest < self._floor
        if self._limit is None:
            return False
        limit = max(self._limit, self._count)
        if self._gate.of == "quantile":
            return self._below > self._gate.quantile * limit
        return (self._total + (limit - self._count) * self._most) / limit < self._mark - SLACK

    def _settle(self, how: str) -> None:
        of, mean = self._gate.of, self._total / self._count
        if of == "min":
            figure = self._lowest
        elif of == "quantile":  # only which side of the floor it is on is kept
            figure = min(1.0, self._floor) if self._reached() else min(self._lowest, self._floor)
        else:
            figure = exp(mean) if self._logs else mean
        raw = Verdict(min(1.0, figure), f"{how} {self._count} tokens: {of} {figure:.3f}")
        self.verdict = self._gate.calibrated(raw)


def _margin(token: Token) -> float:
    """How far the likeliest token is ahead of the next, or the least that this can be."""
    top = token.top
    if len(top) >= ALTERNATIVES:
        first, second = _sure(top[0][1]), _sure(top[1][1])
        return max(0.0, first - second)
    return max(0.0, 2.0 * _sure(token.logprob) - 1.0)


def _sure(logprob: float) -> float:
    """A probability, whatever was given for its logarithm."""
    return exp(logprob) if logprob <= 0.0 else float(logprob > 0.0)
