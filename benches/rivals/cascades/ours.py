"""fastcascade as a contender: when it is not built yet, the rivals are measured all the same.

Everything is left at its default: the trace is kept, costs are counted (the instant backends are free), the budget is
watched.
"""

from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

from said import GOOD, LAMBDA, MODELS, QUESTION, STANDINGS, WEAK, costs, qualities

PACKAGE = "fastcascade"
ACCEPT = 0.8
Job = Callable[[], Awaitable[str]]


def _package() -> Any:
    import fastcascade

    if getattr(fastcascade._core, "DEBUG_BUILD", False):
        raise ImportError("fastcascade is a debug build: figures would mean nothing; `maturin develop --release`")
    return fastcascade


def _scripted(score: float) -> Any:
    """A gate whose verdict is known beforehand: what is left is the cascade's own cost."""
    from fastcascade.gates.gate import Gate, Verdict

    class Scripted(Gate):
        """Says the same of every reply."""

        def judge(self, exam: Any, /) -> Any:
            return Verdict(score)

    return Scripted()


def _function(text: str, name: str) -> Any:
    from fastcascade.backends import Function

    def answer(request: Any) -> str:
        return text

    return Function(answer, threaded=False, free=True, name=name)


def _broken(name: str) -> Any:
    from fastcascade.backends import Function
    from fastcascade.errors import BackendError

    def answer(request: Any) -> str:
        raise BackendError("server", "made to fail")

    return Function(answer, threaded=False, free=True, name=name)


def _job(*tiers: Any, at: int, question: str = QUESTION) -> Job:
    cascade = _package().Cascade(*tiers)
    run_one, tier = cascade.run, tiers[at].name

    async def run() -> str:
        answer = await run_one(question)
        assert answer.tier == tier
        return str(answer.text)

    return run


def _tiers(*said: tuple[str, Any]) -> list[Any]:
    tier = _package().Tier
    return [
        tier(_function(text, name), gate=gate, accept=ACCEPT if gate else None, name=name)
        for name, (text, gate) in zip(MODELS, said, strict=False)
    ]


def accepted(question: str, answer: str) -> Job:
    good = answer, _scripted(0.9)
    return _job(*_tiers(good, good, good), at=0, question=question)


def escalated() -> Job:
    poor = WEAK, _scripted(0.1)
    return _job(*_tiers(poor, poor, (GOOD, None)), at=2)


def escalated_once() -> Job:
    return _job(*_tiers((WEAK, _scripted(0.1)), (GOOD, None)), at=1)


def accepted_by_hedging(question: str, answer: str) -> Job:
    good = answer, _package().gates.Hedging()
    return _job(*_tiers(good, good, good), at=0, question=question)


def escalated_by_hedging() -> Job:
    gate = _package().gates.Hedging()
    return _job(*_tiers((WEAK, gate), (WEAK, gate), (GOOD, gate)), at=2)


def failed_twice() -> Job:
    tier = _package().Tier
    small, middle, large = MODELS
    tiers = [tier(_broken(small), name=small), tier(_broken(middle), name=middle), tier(_function(GOOD, large))]
    return _job(*tiers, at=2)


def consistent() -> Job:
    gate = _package().gates.Consistency(k=3)
    return _job(*_tiers((GOOD, gate), (GOOD, None)), at=0)


def accepted_async(question: str, answer: str) -> Job:
    from fastcascade.backends import Function

    async def say(request: Any) -> str:
        return answer

    tier, gate = _package().Tier, _scripted(0.9)
    tiers = [tier(Function(say, free=True, name=name), gate=gate, accept=ACCEPT, name=name) for name in MODELS]
    return _job(*tiers, at=0, question=question)


def _openai(url: str) -> Any:
    from fastcascade.backends import OpenAI

    return OpenAI("gpt-4o-mini", base_url=url, api_key="made-up")


def _anthropic(url: str) -> Any:
    from fastcascade.backends import Anthropic

    return Anthropic("claude-haiku-4-5", base_url=url, api_key="made-up")


def _ladder(backend: Any, first: str, then: str, at: int) -> Job:
    package = _package()
    gate = package.gates.Hedging()
    tiers = [
        package.Tier(backend(first), gate=gate, accept=ACCEPT, name="small", max_tokens=100),
        package.Tier(backend(then), name="large", max_tokens=100),
    ]
    return _job(*tiers, at=at)


def call_openai(url: str) -> Job:
    return _ladder(_openai, f"{url}/v1", f"{url}/v1", at=0)


def call_anthropic(url: str) -> Job:
    return _ladder(_anthropic, url, url, at=0)


def escalated_openai(url: str) -> Job:
    return _ladder(_openai, f"{url}/weak/v1", f"{url}/v1", at=1)


def _standings(tiers: int) -> Callable[[], tuple[Any, Any]]:
    """The next situation to decide in, round and round."""
    from fastcascade.policies import Ladder, Standing

    names, known = tuple(f"model-{tier}" for tier in range(tiers)), tuple(qualities(tiers))
    cases = []
    for score, length in STANDINGS:
        standing = Standing(
            position=0,
            last=tiers - 1,
            score=score,
            accepted=score >= ACCEPT,
            failed=False,
            best=score,
            spent_usd=costs(tiers, length)[0],
            tried=frozenset({0}),
        )
        cases.append((standing, Ladder(names, known, tuple(costs(tiers, length)), (ACCEPT,) * tiers)))
    return cycle(cases).__next__


def _decide(policy: Any, tiers: int) -> Callable[[], Any]:
    following, after = _standings(tiers), policy.after

    def run() -> Any:
        standing, ladder = following()
        return after(standing, ladder)

    return run


def decide_by_threshold(tiers: int) -> Callable[[], Any]:
    from fastcascade.policies import Threshold

    return _decide(Threshold(), tiers)


def decide_by_gain(tiers: int) -> Callable[[], Any]:
    from fastcascade.policies import ExpectedGain

    return _decide(ExpectedGain(lam=LAMBDA), tiers)


def decide_by_gain_learned(tiers: int) -> Callable[[], Any]:
    from fastcascade.policies import ExpectedGain

    known = dict(zip((f"model-{tier}" for tier in range(tiers)), qualities(tiers), strict=True))
    return _decide(ExpectedGain(lam=LAMBDA, quality=lambda name, best: known[name]), tiers)
