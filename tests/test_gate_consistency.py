"""`Consistency`: the share of replies that agree, and a vote that is stopped early decides as the whole one does."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.effects import Call, Check, Effect, Gather, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.agreement import agreement, first_json, last_number, normalized
from fastcascade.gates.consistency import Consistency
from fastcascade.gates.gate import Exam, Verdict
from fastcascade.messages import Reply, Request, Text, Thinking, ToolCall

FAILED = Outcome(failure=Failure("server", "it broke"))
CANCELLED = Outcome(failure=Failure("cancelled", "not wanted any more"))


class Model:
    """A backend that is never asked: the test answers in its place."""

    name = "model"
    gives: frozenset[str] = frozenset()

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


def exam(reply: Reply | str, **asked: Any) -> Exam:
    """A reply to be judged."""
    return Exam(Request.of("how many?", **asked), reply if isinstance(reply, Reply) else Reply(reply), Model())


def gather(effect: Gather, outcomes: list[Outcome], order: list[int], *, late: bool = False) -> tuple[Outcome, int]:
    """What a driver does: outcomes come in an order, the rest is cancelled, or is just in time; how many were heard."""
    heard: list[Outcome | None] = [None] * len(outcomes)
    count = 0
    for at in order:
        heard[at] = outcomes[at]
        count += 1
        if effect.enough and effect.enough(heard):
            break
    ending = outcomes if late else [CANCELLED] * len(outcomes)
    return Outcome([each or ending[at] for at, each in enumerate(heard)]), count


def judged(
    gate: Consistency,
    about: Exam,
    outcomes: list[Outcome],
    *,
    order: list[int] | None = None,
    late: bool = False,
    **embed: Any,
) -> tuple[Verdict, int, list[Effect]]:
    """The verdict, how many samples were heard, and what was asked for."""
    judging = gate.judge(about)
    seen: list[Effect] = []
    heard, sent = 0, None
    try:
        while True:
            effect = judging.send(sent) if sent else next(judging)
            seen.append(effect)
            if isinstance(effect, Gather):
                assert len(effect.calls) == len(outcomes)
                sent, heard = gather(effect, outcomes, order or list(range(len(outcomes))), late=late)
            else:
                assert isinstance(effect, Check)
                sent = embed["embedded"]
    except StopIteration as end:
        return end.value, heard, seen


def said(*replies: Reply | str | None) -> list[Outcome]:
    """Samples as their calls come out; None is one that failed."""
    return [FAILED if each is None else Outcome(Reply(each) if isinstance(each, str) else each) for each in replies]


def call(name: str, arguments: str, text: str = "") -> Reply:
    """A reply with a tool call."""
    return Reply((Text(text), ToolCall("any", name, arguments)))


@pytest.mark.parametrize(
    ("agree", "reply", "samples", "score"),
    [
        ("normalized", "Paris.", ["paris", "**Paris**"], 1.0),
        ("normalized", "Paris", ["London", "Paris"], 2 / 3),
        ("exact", "Paris", ["paris", "Paris "], 1 / 3),
        ("numeric", "It is 1,234.50", ["1234.5", "so: $1,234.5."], 1.0),
        ("numeric", "3/4", ["0.75", r"\frac{3}{4}"], 1.0),
        ("numeric", "-7", ["7", "\N{MINUS SIGN}7"], 2 / 3),
        ("numeric", "4", ["no number at all", "4"], 2 / 3),
        ("json", '{"a": 1, "b": [2]}', ['```json\n{"b": [2.0], "a": 1.0}\n```', 'So: {"a": 1, "b": [3]}'], 2 / 3),
        ("json", '{"a": true}', ['{"a": 1}', '{"a": true} and that is all'], 2 / 3),
        (lambda a, b: a[0] == b[0], "xa", ["xb", "yb"], 2 / 3),
        ("exact", call("f", '{"a": 1, "b": 2}'), [call("f", '{"b":2,"a":1.0}', "let me see"), call("g", "{}")], 2 / 3),
        ("exact", call("f", "{broken"), [call("f", "{broken"), call("f", "{}")], 2 / 3),
        ("exact", call("f", ""), [call("f", "{}"), "f"], 2 / 3),
        ("normalized", "f", [call("f", "{}"), "f"], 2 / 3),
        ("exact", "a", [None, "a"], 1.0),
        ("exact", "a", ["", "   "], 1 / 3),
    ],
)
def test_score(agree: Any, reply: Reply | str, samples: list[Reply | str | None], score: float) -> None:
    """The score is the share of the replies that spoke and agree with the one that is judged, itself counted."""
    verdict, _, _ = judged(Consistency(len(samples) + 1, agree=agree), exam(reply), said(*samples))
    assert verdict.score == score


@pytest.mark.parametrize(
    ("settings", "reply", "outcomes", "reason"),
    [
        ({}, "a", said(None, None), "only 1 of 3"),
        ({}, "a", [CANCELLED, Outcome(None)], "only 1 of 3"),
        ({"count_first": False}, "a", said(None, "a", None), "only 1 of 3"),
        ({"agree": "numeric"}, "none", [], "no number"),
        ({"agree": "numeric"}, "at most 10^5", [], "no number"),
        ({"agree": "json"}, "{not json", [], "no JSON value"),
        ({}, Reply((Thinking("hm"),)), [], "no text"),
        ({"agree": lambda a, b: 1 / 0}, "a", said("a", "a"), "ZeroDivisionError"),
    ],
)
def test_abstains(settings: Any, reply: Reply | str, outcomes: list[Outcome], reason: str) -> None:
    """Where fewer than two spoke, or there is nothing to compare, or comparing fails, it abstains and says why."""
    verdict, _, seen = judged(Consistency(**settings), exam(reply), outcomes)
    assert verdict.score is None and reason in verdict.reason
    assert bool(seen) is bool(outcomes)


def test_gather_fails() -> None:
    """Samples that cannot be asked for at all are an abstention."""
    judging = Consistency().judge(exam("a"))
    next(judging)
    with pytest.raises(StopIteration) as end:
        judging.send(Outcome(failure=Failure("budget", "no money left")))
    assert end.value.value.score is None and "no money left" in end.value.value.reason


@pytest.mark.parametrize("count_first", [True, False])
def test_calls(count_first: bool) -> None:
    """Of k replies in all k - 1 are asked for beside the judged one, or k where it has no vote; at the temperature."""
    gate = Consistency(4, temperature=0.9, count_first=count_first, timeout=2.0)
    about = exam("a", seed=7, top_p=0.5, temperature=0.0, logprobs=3)
    count = 3 if count_first else 4
    _, _, seen = judged(gate, about, said(*["a"] * count))
    (effect,) = seen
    assert isinstance(effect, Gather)
    for number, each in enumerate(effect.calls, 1):
        assert isinstance(each, Call)
        assert (each.backend, each.purpose, each.timeout) == (about.backend, "sample", 2.0)
        sent = each.request
        assert (sent.messages, sent.temperature, sent.top_p, sent.seed, sent.logprobs) == (
            about.request.messages, 0.9, None, 7 + number, None
        )  # fmt: skip


@pytest.mark.parametrize(
    ("temperature", "asked"), [(None, {"temperature": 0.3}), (0.7, {"temperature": 0.3, "thinking": 99})]
)
def test_temperature_kept(temperature: float | None, asked: Any) -> None:
    """Without a temperature of its own, or for a request that thinks, samples have the request's."""
    _, _, seen = judged(Consistency(temperature=temperature), exam("a", **asked), said("a", "a"))
    assert isinstance(seen[0], Gather) and {each.request.temperature for each in seen[0].calls} == {0.3}


def falling(score: float) -> float:
    """A calibration that turns the order round."""
    return 1 - score


def hill(score: float) -> float:
    """A calibration that rises and falls."""
    return 1 - abs(2 * score - 1)


@given(
    votes=st.lists(st.sampled_from(["yes", "no", None]), min_size=1, max_size=7),
    threshold=st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 2 / 3, 0.7, 0.75, 1.0]) | st.floats(0, 1),
    calibration=st.sampled_from([None, falling, hill]),
    count_first=st.booleans(),
    late=st.booleans(),
    data=st.data(),
)
def test_early_decides_alike(
    votes: list[str | None],
    threshold: float,
    calibration: Callable[[float], float] | None,
    count_first: bool,
    late: bool,
    data: st.DataObject,
) -> None:
    """Whatever order samples come in, a vote stopped early accepts, rejects or abstains as the whole one does."""
    if not count_first and len(votes) < 2:
        votes = [*votes, "yes"]
    order = data.draw(st.permutations(range(len(votes))))
    decisions = []
    for early in (True, False):
        gate = Consistency(len(votes) + count_first, early=early, count_first=count_first, threshold=threshold)
        gate.calibration = calibration
        verdict, heard, _ = judged(gate, exam("yes"), said(*votes), order=order, late=late)
        score = gate.calibrated(verdict).score
        assert score is None or 0 <= score <= 1
        decisions.append(None if score is None else score >= threshold)
        assert early or heard == len(votes)
    assert decisions[0] is decisions[1]
    spoke = count_first + sum(vote is not None for vote in votes)
    assert (decisions[0] is None) is (spoke < 2)


@given(
    votes=st.lists(st.sampled_from(["yes", "no", None]), min_size=1, max_size=6),
    threshold=st.sampled_from([0.2, 0.5, 2 / 3, 0.75, 1.0]) | st.floats(0, 1),
)
def test_early_is_as_early_as_can_be(votes: list[str | None], threshold: float) -> None:
    """It stops at the first moment when no rest could change the decision, found by trying every rest."""
    _, heard, _ = judged(Consistency(len(votes) + 1, threshold=threshold), exam("yes"), said(*votes))

    def whole(ending: tuple[str | None, ...]) -> bool | None:
        every = [*votes[:at], *ending]
        spoke = 1 + sum(vote is not None for vote in every)
        return (1 + every.count("yes")) / spoke >= threshold if spoke >= 2 else None

    for at in range(1, len(votes) + 1):
        outcomes = {whole(ending) for ending in itertools.product(["yes", "no", None], repeat=len(votes) - at)}
        if len(outcomes) == 1 and None not in outcomes:
            break
    assert heard == at


@pytest.mark.parametrize(
    ("settings", "votes", "heard"),
    [
        ({"threshold": 0.5}, ["a", "a"], 1),
        ({"threshold": 0.85}, ["b", "a"], 1),
        ({"threshold": 0.85}, ["a", "a"], 2),
        ({"threshold": 0.5, "early": False}, ["a", "a"], 2),
        ({}, ["a", "a"], 2),
    ],
)
def test_early(settings: Any, votes: list[str], heard: int) -> None:
    """It stops as soon as it may, where it was told what accepts, and not where it cannot know."""
    assert judged(Consistency(3, **settings), exam("a"), said(*votes))[1] == heard


def test_calibration_that_raises() -> None:
    """A calibration that fails while samples come in ends the vote in an abstention."""
    gate = Consistency(3, threshold=0.5)
    gate.calibration = lambda score: 1 / 0
    verdict, heard, _ = judged(gate, exam("a"), said("a", "a"))
    assert (verdict.score, heard) == (None, 1) and "ZeroDivisionError" in verdict.reason


@pytest.mark.parametrize(
    ("samples", "embedded", "score"),
    [
        (["b", "c"], Outcome([[1, 0], [1, 0.1], [0, 1]]), 2 / 3),
        (["a", "c"], Outcome([[1, 0], [1, 0.1]]), 1.0),
        (["a", "a"], None, 1.0),
        (["b", None], Outcome([[1, 0], [-1, 0]]), 1 / 2),
        (["b", "c"], Outcome([[1, 0], [1, 0]]), None),
        (["b", "c"], Outcome([[1, 0], [1, 0], [0, 0]]), None),
        (["b", "c"], Outcome(None), None),
        (["b", "c"], FAILED, None),
    ],
)
def test_embedding(samples: list[str | None], embedded: Outcome | None, score: float | None) -> None:
    """Texts that differ are embedded in one call, and agree from a cosine on; an embedder that fails is no vote."""
    gate = Consistency(3, agree="embedding", embedder=lambda texts: texts, threshold=0.5)
    verdict, _, seen = judged(gate, exam("a"), said(*samples), embedded=embedded)
    assert verdict.score == score
    checks = [each for each in seen if isinstance(each, Check)]
    assert [each.arguments for each in checks] == (
        [(["a", *(text for text in samples if text and text != "a")],)] if embedded else []
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 1},
        {"k": True},
        {"k": 2.5},
        {"temperature": 0},
        {"temperature": 3},
        {"agree": "vaguely"},
        {"agree": "embedding"},
        {"agree": "embedding", "embedder": object()},
        {"embedder": len},
        {"similar": 2},
        {"tolerance": -1},
        {"timeout": 0},
        {"threshold": 1.5},
    ],
)
def test_settings(settings: Any) -> None:
    """Settings that cannot work are refused when the gate is made."""
    with pytest.raises(ConfigError):
        Consistency(**settings)


def test_async_function_refused() -> None:
    """A function that compares must be plain."""

    async def same(one: str, other: str) -> bool:
        raise NotImplementedError

    with pytest.raises(ConfigError, match="async"):
        Consistency(agree=same)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("between 3 and 5-7", 7.0),
        ("x = -2.5e3", -2500.0),
        ("1,234,567.25 in all", 1234567.25),
        ("1,2", 2.0),
        (".5", 0.5),
        ("-$5", -5.0),
        ("**42**", 42.0),
        (r"\boxed{42}", 42.0),
        (r"\dfrac{-1}{3}", -1 / 3),
        ("\uff14\uff12", 42.0),
        ("2**10", None),
        ("10^{5}", None),
        ("1/0", None),
        ("1e999", None),
        ("9" * 5000, None),
        ("none", None),
    ],
)
def test_last_number(text: str, number: float | None) -> None:
    """The last number is read as it is written; what would mislead is no number."""
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", (None,)),
        (" 42 ", (42,)),
        ('see [sic]: {"a": 1} and {"b": 2}', ({"a": 1},)),
        ('text\n```json\n"x"\n```', ("x",)),
        ("NaN", None),
        ("[" * 100_000, None),
        ("{" * 100_000, None),
    ],
)
def test_first_json(text: str, value: Any) -> None:
    """The first JSON value is found in prose and fences; hostile brackets are given up."""
    assert first_json(text) == value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The answer is:  42!", "the answer is 42", True),
        ("\u201cYes\u201d", "(yes)", True),
        ("\uff39es", "yes", True),
        ("C++", "C#", False),
        ("-5", "5", False),
        (".5", "5", False),
        ("1.5", "15", False),
        ("?", "!", False),
    ],
)
def test_normalized(one: str, other: str, same: bool) -> None:
    """Case, quotes and final punctuation do not count; signs, points and names do."""
    assert (normalized(one) == normalized(other)) is same


@given(st.sampled_from(["exact", "normalized", "numeric", "json"]), st.text(), st.text())
def test_agreement_is_fair(agree: str, one: str, other: str) -> None:
    """What can be compared agrees with itself, and two texts agree whichever is asked first."""
    way = agreement(agree)
    a, b = way.reading(Reply(one)), way.reading(Reply(other))
    assert way.agree(a, a) is (a[1] is not None)
    assert way.agree(a, b) is way.agree(b, a)
