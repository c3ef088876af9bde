"""Where a request enters the ladder, and what a conversation remembers."""

import asyncio
from collections.abc import Sequence

import pytest

from fastcascade import (
    Cascade,
    Clock,
    ConfigError,
    Lane,
    Lanes,
    PriceSheet,
    Reply,
    Request,
    RequestError,
    Sessions,
    Tier,
    Usage,
    replay,
)
from fastcascade.answers import Entrance
from fastcascade.effects import Check, Outcome
from fastcascade.errors import Failure
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.ledger import Ledger
from fastcascade.messages import Budget
from fastcascade.testing import ScriptedBackend, run_virtual

PLACES = {"rules": 0, "small": 1, "large": 2}
NO_PRICES = PriceSheet(source=None)


class Pass(Gate):
    """Accepts at 0.9, or as it is told."""

    def __init__(self, score: float = 0.9) -> None:
        self.score = score

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(self.score)


LANES = [
    Lane(start="small", task="summary"),
    Lane(start="large", customer={"gold", "platinum"}, feature="export"),
    Lane(end="small", route="smalltalk"),
    Lane(start="large", longer_than=100),
    Lane(start="small", match=lambda request: "please" in request.text),
]
ENTRANCES = [
    # what the request is like, where it enters, the highest it may reach
    ({}, 0, 2),
    ({"task": "summary"}, 1, 2),
    ({"customer": "gold"}, 0, 2),
    ({"customer": "gold", "feature": "export"}, 2, 2),
    ({"route": "smalltalk"}, 0, 1),
    ({"asked": "x" * 101}, 2, 2),
    ({"asked": "x" * 100}, 0, 2),
    ({"asked": "please"}, 1, 2),
    ({"task": "code"}, 2, 2),
    ({"task": "summary", "customer": "enterprise"}, 2, 2),
    ({"regenerate": True}, 2, 2),
    ({"min_tier": "small"}, 1, 2),
    ({"max_tier": "small"}, 0, 1),
    ({"max_tier": "small", "task": "code"}, 1, 1),
    ({"min_tier": "large", "route": "smalltalk"}, 2, 2),
    ({"min_tier": "small", "max_tier": "small"}, 1, 1),
]


@pytest.mark.parametrize(("like", "first", "last"), ENTRANCES)
def test_a_request_enters_by_what_is_visible(like: dict[str, object], first: int, last: int) -> None:
    """Overrides before lanes, lanes in order, and the caller's own bounds around all of it."""
    lanes = Lanes(LANES, large_tasks={"code", "legal"}, large_customers="enterprise")
    request = Request.of(str(like.pop("asked", "q")), **like) if "asked" in like else Request.of("q", **like)
    entrance = lanes.choose(request, PLACES)
    assert (entrance.first, entrance.last) == (first, last)
    assert bool(entrance.why) == ((first, last) != (0, 2))


def test_a_session_stays_where_it_is() -> None:
    """A conversation enters no lower than it has reached, and no higher than its bounds."""
    lanes = Lanes(LANES)
    assert lanes.choose(Request.of("q"), PLACES, 1) == Entrance(1, 2, "its session is here")
    assert lanes.choose(Request.of("q", task="summary"), PLACES, 2).first == 2
    assert lanes.choose(Request.of("q", max_tier="small"), PLACES, 2) == Entrance(1, 1, "its session is here")


def test_the_same_request_again_goes_large() -> None:
    """Asked again by the same user within the window, a request counts as regenerated; asked by another it does not."""
    clock = Clock()
    lanes = Lanes(regenerated_within=60.0, clock=clock)

    def first(user: str = "", asked: str = "q") -> int:
        return lanes.choose(Request.of(asked, user=user), PLACES).first

    assert [first("ann"), first("ann"), first("bob"), first("ann", "r"), first(), first()] == [0, 2, 0, 0, 0, 0]
    clock.advance(61.0)
    assert first("ann") == 0


BAD = [
    (lambda: Lane(task="code"), "needs a tier"),
    (lambda: Lanes([Lane(start="tiny")]).check(PLACES), "names the tier 'tiny'; there are: rules, small, large"),
    (lambda: Lanes([Lane(start="large", end="small")]).check(PLACES), "above its end"),
    (lambda: Lanes(large="huge").check(PLACES), "large names the tier 'huge'"),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_lanes_that_lead_nowhere_are_refused(build: object, message: str) -> None:
    """An error names the lane and the tier."""
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"min_tier": "tiny"}, "min_tier names the tier 'tiny'"),
        ({"min_tier": "large", "max_tier": "small"}, "is above max_tier"),
    ],
)
def test_bounds_that_cannot_be_are_the_callers_error(asked: dict[str, str], message: str) -> None:
    """A request that names a tier which is not there is refused, naming those that are."""
    with pytest.raises(RequestError, match=message):
        Lanes().choose(Request.of("q", **asked), PLACES)


class Meanings:
    """A table of routes for one word each."""

    async def embed(self, text: str) -> Sequence[float]:
        return [1.0] if "money" in text else [0.0]

    def match(self, vector: Sequence[float]) -> tuple[str | None, float]:
        return ("refund", 0.9) if vector[0] else (None, 0.1)


def test_the_meaning_of_a_request_gives_it_a_route() -> None:
    """A request without a route is embedded, and takes the lane of the route it is nearest to."""
    lanes = Lanes([Lane(start="b", route="refund")], semantic=Meanings())  # type: ignore[arg-type]
    built = Cascade(
        Tier(ScriptedBackend("a", name="a")), Tier(ScriptedBackend("b", name="b")), lanes=lanes, prices=NO_PRICES
    )
    answers = [run_virtual(built.run(asked)) for asked in ("my money back", "hello")]
    assert [(answer.tier, answer.request.route) for answer in answers] == [("b", "refund"), ("a", "")]
    assert answers[0].entrance == Entrance(1, 1, "route refund")
    assert "lanes/embed" in answers[0].outcomes


def test_the_time_it_took_to_find_a_route_is_replayed() -> None:
    """A replay starts where the live run had come to when it entered: its latency is the same."""

    class Slow(Meanings):
        """A table that takes its time."""

        async def embed(self, text: str) -> Sequence[float]:
            await asyncio.sleep(0.5)
            return await super().embed(text)

    lanes = Lanes(semantic=Slow())  # type: ignore[arg-type]
    built = Cascade(Tier(ScriptedBackend("a", name="a")), lanes=lanes, prices=NO_PRICES)
    answer = run_virtual(built.run("money"))
    again = replay(built, answer.trace())
    assert (answer.latency, again.latency, again.attempts) == (0.5, 0.5, answer.attempts)


def test_an_embedder_that_fails_finds_no_route() -> None:
    """A semantic route is a convenience: without it the request is served all the same."""
    lanes = Lanes(semantic=Meanings())  # type: ignore[arg-type]
    finding = lanes.find_route(Request.of("my money"), Ledger(Budget(), NO_PRICES, 0.0, 0.0))
    assert isinstance(next(finding), Check)
    with pytest.raises(StopIteration) as done:
        finding.send(Outcome(None, Failure("connection", "gone"), 0.0, 0.1))
    assert done.value.value.route == ""


def turns(*, sessions: Sessions, score: float = 0.2) -> Cascade:
    """Two tiers of which the lower is as sure as it is told."""
    reply = Reply("x", usage=Usage(input=700, output=5), model="small-1")
    high = Reply("y", usage=Usage(input=700, output=5), model="large-1")
    return Cascade(
        Tier(ScriptedBackend(reply, name="small"), gate=Pass(score)),
        Tier(ScriptedBackend(high, name="large")),
        sessions=sessions,
        prices=NO_PRICES,
    )


def test_an_escalated_conversation_stays_up() -> None:
    """After an escalation the next turn begins where the last one ended, until the session is forgotten."""
    clock = Clock()
    built = turns(sessions=Sessions(ttl=60.0, clock=clock))
    first = run_virtual(built.run("q", session="s"))
    second = run_virtual(built.run("q", session="s"))
    other = run_virtual(built.run("q", session="t"))
    assert [len(answer.attempts) for answer in (first, second, other)] == [2, 1, 2]
    clock.advance(61.0)
    assert len(run_virtual(built.run("q", session="s")).attempts) == 2


def test_a_change_of_model_loses_the_prompt_cache() -> None:
    """What the former model had read of the conversation is counted when another takes over."""
    sessions = Sessions()
    low = turns(sessions=sessions, score=0.9)
    assert run_virtual(low.run("q", session="s")).prompt_cache_lost == 0
    assert run_virtual(low.run("q", session="s")).prompt_cache_lost == 0
    assert run_virtual(low.run("q", session="s", regenerate=True)).prompt_cache_lost == 700


def test_sessions_of_two_users_are_two() -> None:
    """A session belongs to its user: another's with the same name is not escalated with it."""
    built = turns(sessions=Sessions())
    run_virtual(built.run("q", session="s", user="ann"))
    assert len(run_virtual(built.run("q", session="s", user="bob")).attempts) == 2
