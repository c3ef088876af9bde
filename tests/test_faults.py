"""What must not lose a request, a cent or a token: faults beside the reply, money, quotas, odd replies."""

import asyncio
from typing import Literal

import pytest

from fastcascade import (
    Budget,
    Cascade,
    Clock,
    ConfigError,
    Delta,
    Hedge,
    Lane,
    Lanes,
    Price,
    PriceSheet,
    Quota,
    Reply,
    Request,
    Sessions,
    Text,
    Thinking,
    Tier,
    Tool,
    Usage,
)
from fastcascade.answers import Answer
from fastcascade.backends import Anthropic, OpenAI
from fastcascade.effects import Call, Gather
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.policies import ExpectedGain
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall, Step, run_virtual

NO_PRICES = PriceSheet(source=None)
DOLLAR = Price(1_000_000.0, 1_000_000.0)  # a dollar a token
PAID = Reply("paid", usage=Usage(input=1, output=9))


class Says(Gate):
    """Gives one score."""

    def __init__(self, score: float | None) -> None:
        self.score = score

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(self.score, "as told")


class Samples(Gate):
    """Takes samples, of its own backend or another, and passes on the share that came."""

    def __init__(self, k: int, backend: ScriptedBackend | None = None) -> None:
        self.k = k
        self.backend = backend

    def judge(self, exam: Exam, /) -> Judging:
        asked = self.backend or exam.backend
        outcome = yield Gather(tuple(Call(asked, exam.request, "sample") for _ in range(self.k)))
        came = [each for each in outcome.value if each.failure is None]
        return Verdict(len(came) / self.k if came else None, f"{len(came)} came")


def tier(name: str, *script: Step, gate: Gate | None = None, **settings: object) -> Tier:
    """A tier whose backend plays a script."""
    return Tier(ScriptedBackend(*(script or (f"{name} says",)), name=name), gate=gate, **settings)  # type: ignore[arg-type]


def cascade(*tiers: Tier, **settings: object) -> Cascade:
    """A cascade that knows no prices but those of its tiers."""
    return Cascade(*tiers, prices=NO_PRICES, **settings)  # type: ignore[arg-type]


def streamed(built: Cascade, **fields: object) -> tuple[str, Answer]:
    """What a client has seen, and the answer."""

    async def read() -> tuple[str, Answer]:
        stream = built.stream("q", **fields)
        seen = "".join([delta.text async for delta in stream if delta.kind == "text"])
        assert stream.answer is not None
        return seen, stream.answer

    return run_virtual(read())


def asked(one: Tier) -> int:
    """How many calls a tier's backend has seen."""
    return len(one.backend.seen)  # type: ignore[attr-defined]


# Replies that are none.


NOTHING = [Reply(""), Reply(" \n"), Reply((Thinking("hm"),)), Cut("", 1), Cut(" ", 1), Cut(Reply((Thinking("hm"),)), 1)]


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("gate", [None, Says(0.9)])
def test_a_stream_of_nothing_is_no_answer(nothing: Step, gate: Gate | None) -> None:
    """Blanks and thoughts commit nobody to a tier: streamed or not, the next one answers."""
    text, answer = streamed(cascade(tier("a", nothing, gate=gate), tier("b")))
    assert (text, answer.tier, answer.degraded) == ("b says", "b", "")
    assert run_virtual(cascade(tier("a", nothing, gate=gate), tier("b")).run("q")).tier == "b"


def test_a_last_tier_that_only_thinks_says_so() -> None:
    """Thoughts of the last tier stream; if nothing follows, the answer is marked as empty."""
    answer = streamed(cascade(tier("a", Reply((Thinking("hm"),)))))[1]
    assert (answer.text, answer.degraded) == ("", "empty")


@pytest.mark.parametrize("score", [float("nan"), 7.0, -0.1])
def test_a_score_that_is_none_is_an_abstention(score: float) -> None:
    """What is no number from 0 to 1 neither accepts nor ranks a reply."""
    answer = run_virtual(cascade(tier("a", gate=Says(score)), tier("b", gate=Says(0.1))).run("q"))
    assert answer.attempts[0].verdict == "abstain"


def test_an_unjudged_reply_beats_one_that_was_found_bad() -> None:
    """Between a reply scored 0.01 and one that could not be judged, the second is the better bet."""
    answer = run_virtual(cascade(tier("a", gate=Says(0.01)), tier("b", gate=Says(None))).run("q"))
    assert (answer.tier, answer.degraded) == ("b", "below threshold")


# Gates and policies that break.


class BadPrepare(Says):
    """Cannot prepare."""

    def prepare(self, request: Request, /) -> Request:
        raise ZeroDivisionError("oh")


class BadClean(Says):
    """Cannot clean."""

    def clean(self, reply: Reply, /) -> Reply:
        raise ZeroDivisionError("oh")


class BadWatch(Says):
    """Cannot watch."""

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        raise ZeroDivisionError("oh")


class BadFeed(Says):
    """Breaks while it watches."""

    verdict = Verdict(None)

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        return self

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        raise ZeroDivisionError("oh")


BROKEN = [(BadPrepare, "b"), (BadClean, "a"), (BadWatch, "a"), (BadFeed, "a")]


@pytest.mark.parametrize(("gate", "by"), BROKEN)
def test_a_gate_that_breaks_anywhere_loses_nothing(gate: type[Says], by: str) -> None:
    """Whatever part of a gate raises, streamed or not, the request is answered."""
    assert run_virtual(cascade(tier("a", gate=gate(0.9)), tier("b")).run("q")).tier == by
    assert streamed(cascade(tier("a", gate=gate(0.9)), tier("b")))[1].tier == by


class Wild:
    """A policy that names tiers which are not there."""

    def first(self, entry: int, last: int, ladder: object, /) -> int:
        return entry

    def after(self, standing: object, ladder: object, /) -> int | None:
        return 99


def test_a_policy_cannot_leave_the_ladder() -> None:
    """A tier beyond the last is as none: the best so far is the answer."""
    assert run_virtual(cascade(tier("a"), tier("b"), policy=Wild()).run("q", max_tier="a")).tier == "a"


# Money.


def test_calls_made_at_once_share_the_money() -> None:
    """Samples taken together hold what they may cost, so that all of them stay within the budget."""
    built = cascade(tier("a", PAID, gate=Samples(4), price=DOLLAR, expected_output=9), budget=Budget(usd=35.0))
    answer = run_virtual(built.run("four"))
    assert (answer.cost_usd, len(answer.calls)) == (30.0, 3)


def test_a_cost_that_is_not_reported_is_counted_as_estimated() -> None:
    """Replies without usage cannot spend without end: the answer's cost is unknown, the budget's is not."""
    built = cascade(tier("a", "x", gate=Samples(4), price=DOLLAR, expected_output=9), budget=Budget(usd=15.0))
    answer = run_virtual(built.run("four"))
    assert (answer.cost_usd, asked(built.tiers[0])) == (None, 1)


def test_under_a_money_budget_no_call_of_unknown_price_is_made() -> None:
    """A gate that would ask an unpriced judge abstains, and says why."""
    judge = ScriptedBackend("YES", name="judge")
    built = cascade(
        tier("a", PAID, gate=Samples(1, judge), price=DOLLAR), tier("b", price=DOLLAR), budget=Budget(usd=1e6)
    )
    answer = run_virtual(built.run("four"))
    assert (answer.tier, answer.attempts[0].verdict, judge.seen) == ("b", "abstain", [])


def test_a_free_tier_is_asked_though_the_money_is_gone() -> None:
    """What costs nothing is never refused for money."""

    class Free(ScriptedBackend):
        free = True

    built = cascade(
        tier("a", PAID, gate=Says(0.1), price=DOLLAR, expected_output=9),
        tier("b", price=DOLLAR, expected_output=900),
        Tier(Free(Reply("free", cost_usd=0.0), name="c")),
        budget=Budget(usd=12.0),
    )
    answer = run_virtual(built.run("four"))
    assert (answer.tier, answer.cost_usd, answer.degraded) == ("c", 10.0, "")


def test_a_hedge_that_is_too_dear_spoils_nothing() -> None:
    """The refusal of a spare call leaves the money for the rest."""
    built = cascade(
        tier("a", Slow(5.0, PAID), gate=Samples(1), price=DOLLAR, expected_output=9),
        tier("b", price=DOLLAR, expected_output=900),
        budget=Budget(usd=25.0),
        hedge=Hedge(after=1.0),
    )
    answer = run_virtual(built.run("four"))
    assert (answer.tier, answer.degraded, answer.cost_usd) == ("a", "", 20.0)


def test_a_stream_that_fails_late_is_paid_for() -> None:
    """Words that were seen were written: an error after them costs what they cost."""
    built = cascade(tier("a", Cut("one two three four five", 4, "server"), gate=Says(0.9), price=DOLLAR), tier("b"))
    answer = streamed(built)[1]
    assert answer.attempts[0].cost_usd is not None
    assert answer.attempts[0].cost_usd > 0


# Quotas.


def test_what_a_gate_adds_to_the_request_does_not_wear_the_quota_down() -> None:
    """What is given back is what was reserved, whatever the gate had put into the request."""

    class Adds(Says):
        def prepare(self, request: Request, /) -> Request:
            return Request.of(request, system=(Text("x" * 4000),))

    used = Reply("x", usage=Usage(input=1000, output=100))
    built = cascade(
        tier("a", used, gate=Adds(0.9), tokens=Quota(3500, per="hour"), expected_output=100, clock=Clock()), tier("b")
    )
    assert [run_virtual(built.run("q")).tier for _ in range(4)] == ["a", "a", "a", "b"]


def test_a_failed_call_gives_its_tokens_back() -> None:
    """A provider that refused has used nothing."""
    built = cascade(
        tier("a", *[Fault("overloaded")] * 3, "a says", tokens=Quota(400, per="hour"), clock=Clock()), tier("b")
    )
    assert [run_virtual(built.run("q")).tier for _ in range(4)] == ["b", "b", "b", "a"]


def test_what_the_budget_refuses_does_not_count_against_a_quota() -> None:
    """A call that is not made takes nothing; nor does one that another quota refuses."""
    built = cascade(tier("a", gate=Says(0.1)), tier("b", quota=Quota(1, per="hour"), clock=Clock()))
    assert run_virtual(built.run("q", budget=Budget(attempts=1))).degraded == "attempts"
    assert run_virtual(built.run("q")).tier == "b"
    both = tier("a", quota=Quota(2, per="hour"), tokens=Quota(301, per="hour"), clock=Clock())
    assert [run_virtual(cascade(both, tier("b")).run("q")).tier for _ in range(3)] == ["a", "b", "b"]


def test_samples_count_against_the_quota() -> None:
    """A tier's quota is for all calls to its backend."""
    built = cascade(tier("a", gate=Samples(5), quota=Quota(3, per="hour"), clock=Clock()), tier("b"))
    run_virtual(built.run("q"))
    assert asked(built.tiers[0]) == 3


# Policies that weigh.


def gain(*tiers: Tier, **settings: object) -> Cascade:
    """A cascade that would pay anything for quality."""
    return cascade(*tiers, policy=ExpectedGain(0.0, route=False), **settings)


def test_a_reply_from_an_ungated_tier_is_not_thrown_away() -> None:
    """What was escalated to, and is good enough by definition, is the answer."""
    answer = run_virtual(
        gain(tier("a", gate=Says(0.6), price=DOLLAR, quality=0.6), tier("b", price=DOLLAR, quality=0.9)).run("q")
    )
    assert (answer.tier, answer.degraded) == ("b", "")


def test_a_failed_escalation_is_said() -> None:
    """The policy wanted more than it got."""
    answer = run_virtual(
        gain(tier("a", gate=Says(0.1), price=DOLLAR), tier("b", Fault("server"), price=DOLLAR, quality=0.9)).run("q")
    )
    assert (answer.tier, answer.degraded) == ("a", "a better tier failed")


def test_a_stream_waits_for_a_policy_that_weighs() -> None:
    """A gate's early commitment is by its threshold, which such a policy does not go by."""
    built = gain(tier("a", gate=BadFeed(0.6), price=DOLLAR, quality=0.6), tier("b", price=DOLLAR, quality=0.9))
    assert streamed(built)[0] == "b says"


def test_a_policy_that_may_skip_is_not_hedged() -> None:
    """Starting a tier that may be skipped is refused when the cascade is built."""
    with pytest.raises(ConfigError, match="a hedge starts the next tier"):
        gain(tier("a", price=DOLLAR), tier("b", price=DOLLAR, quality=0.9), hedge=Hedge(after=1.0))


# What is remembered, and what is shared.


def test_an_embedder_that_hangs_is_done_without() -> None:
    """Finding a route by meaning has its own, short time."""

    class Hangs:
        async def embed(self, text: str) -> list[float]:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    answer = run_virtual(cascade(tier("a"), lanes=Lanes(semantic=Hangs(), semantic_timeout=0.5)).run("q"))  # type: ignore[arg-type]
    assert (answer.tier, answer.latency) == ("a", 0.5)


def test_one_bounded_turn_does_not_bring_a_session_down() -> None:
    """A conversation that has gone up is there again after a turn that was kept low."""
    built = cascade(tier("a", gate=Says(0.1)), tier("b"), sessions=Sessions())
    turns = [run_virtual(built.run("q", session="s", max_tier=top)) for top in ("", "a", "")]
    assert [len(turn.attempts) for turn in turns] == [2, 1, 1]
    assert turns[2].tier == "b"


def test_a_regenerated_answer_does_not_go_below_its_session() -> None:
    """Where the large tier is not the highest, a session above it stays there."""
    built = cascade(
        tier("a", gate=Says(0.1)), tier("b", gate=Says(0.1)), tier("c"), lanes=Lanes(large="b"), sessions=Sessions()
    )
    run_virtual(built.run("q", session="s"))
    assert run_virtual(built.run("q", session="s", regenerate=True)).attempts[0].tier == "c"


def test_requests_share_nothing_that_can_be_changed() -> None:
    """The default of a request's options is empty for ever."""
    with pytest.raises((TypeError, AttributeError)):
        Request.of("q").options.update({"a": 1})  # type: ignore[attr-defined]
    assert dict(Request.of("q").options) == {}


def test_tools_are_part_of_what_is_sent() -> None:
    """Estimates and quotas count the tools of a request."""
    request = Request.of("q", tools=(Tool("t", "x" * 2000),))
    assert (request.characters, request.size > 2000) == (1, True)


def test_all_that_is_open_is_closed() -> None:
    """One backend that cannot be closed does not keep the others, or the judges, open."""
    closed: list[str] = []

    class Closes(ScriptedBackend):
        async def aclose(self) -> None:
            closed.append(self.name)
            if self.name == "a":
                raise OSError("stuck")

    gate = Samples(1, Closes("YES", name="judge"))
    built = cascade(Tier(Closes("x", name="a"), gate=gate), Tier(Closes("x", name="b")))
    with pytest.raises(OSError, match="stuck"):
        asyncio.run(built.aclose())
    assert sorted(closed) == ["a", "b", "judge"]


def test_a_stream_that_never_begins_is_left() -> None:
    """A tier's own timeout covers a stream that stays silent."""
    text, answer = streamed(cascade(tier("a", Stall("x", 0), timeout=2.0), tier("b")))
    assert (text, answer.latency) == ("b says", 2.0)


# What a second reading found.


@pytest.mark.parametrize("found", [True, None, 0.8, "ok", Verdict("0.9")])  # type: ignore[arg-type]
def test_what_is_no_verdict_is_an_abstention(found: object) -> None:
    """A gate that returns something else loses no request."""

    class Odd(Gate):
        def judge(self, exam: Exam, /) -> Judging:
            return found  # type: ignore[return-value]

    answer = run_virtual(cascade(tier("a", gate=Odd()), tier("b")).run("q"))
    assert (answer.tier, answer.attempts[0].verdict) == ("b", "abstain")


def test_a_refusal_at_the_top_does_not_replace_an_answer() -> None:
    """What a lower tier said, though not good enough, is more than a refusal; and a bare refusal is none."""
    refusal = Reply((), stop="refusal")
    answer = run_virtual(cascade(tier("a", gate=Says(0.4)), tier("b", refusal)).run("q"))
    assert (answer.text, answer.degraded) == ("a says", "below threshold")
    assert run_virtual(cascade(tier("b", refusal), last_resort="Call us.").run("q")).text == "Call us."


def test_a_refusal_that_is_all_there_is_says_so() -> None:
    """Streamed or not, an answer that refuses is marked."""
    refusal = Reply("I would rather not.", stop="refusal")
    assert run_virtual(cascade(tier("a", refusal)).run("q")).degraded == "refused"
    assert streamed(cascade(tier("a", refusal)))[1].degraded == "refused"


def test_a_model_with_a_slash_in_its_name_is_a_tier() -> None:
    """Names such as those of vLLM and OpenRouter need no other name."""
    assert [one.name for one in cascade(tier("Qwen/Qwen3-8B")).tiers] == ["Qwen:Qwen3-8B"]


def test_a_policy_or_a_lane_that_breaks_loses_no_request() -> None:
    """A policy is stood in for by the threshold, a lane that raises is for nobody, a cost that raises is unknown."""

    class Breaks(Wild):
        def after(self, standing: object, ladder: object, /) -> int | None:
            raise ZeroDivisionError("oh")

    class Dear(ScriptedBackend):
        def cost(self, model: str, usage: Usage) -> float:
            raise KeyError(model)

    assert run_virtual(cascade(tier("a", gate=Says(0.1)), tier("b"), policy=Breaks()).run("q")).tier == "b"
    lanes = Lanes([Lane(start="b", match=lambda request: bool(1 / 0))])
    assert run_virtual(cascade(tier("a"), tier("b"), lanes=lanes).run("q")).tier == "a"
    answer = run_virtual(cascade(Tier(Dear(PAID, name="a"))).run("q"))
    assert (answer.tier, answer.cost_usd) == ("a", None)


def test_secrets_of_a_function_are_not_repeated() -> None:
    """What a user's function or gate raises may hold a key: the trace does not."""
    secret = "sk-proj-abcdef1234567890"

    async def leaks(request: Request) -> str:
        raise RuntimeError(f"401: incorrect API key provided: {secret}")

    class Leaks(Gate):
        def judge(self, exam: Exam, /) -> Judging:
            raise RuntimeError(secret)

    answer = asyncio.run(cascade(Tier(leaks), tier("b", gate=Leaks()), tier("c")).run("q"))
    assert secret not in str(answer.trace())
    assert answer.tier == "c"


def test_the_sheet_knows_the_default_endpoints_and_no_others() -> None:
    """A model at its provider is priced; one of the same name elsewhere is not, and its cost is unknown."""
    pytest.importorskip("genai_prices")
    openai, claude = pytest.importorskip("openai"), pytest.importorskip("anthropic")
    sheet = PriceSheet()
    assert Tier(OpenAI("gpt-4o-mini", api_key="k")).rate(sheet) == sheet.price("gpt-4o-mini")
    assert Tier(Anthropic("claude-haiku-4-5", api_key="k")).rate(sheet) == sheet.price("claude-haiku-4-5")
    elsewhere = "http://127.0.0.1:9/v1"
    assert Tier(OpenAI("gpt-4o-mini", base_url=elsewhere)).rate(sheet) is None
    assert Tier(OpenAI("gpt-4o-mini", client=openai.AsyncOpenAI(api_key="k", base_url=elsewhere))).rate(sheet) is None
    client = claude.AsyncAnthropic(api_key="k", base_url=elsewhere)
    assert Tier(Anthropic("claude-haiku-4-5", client=client)).rate(sheet) is None


def test_what_a_gate_cost_is_told_apart() -> None:
    """An attempt knows what its samples and judges cost, beside its answer."""
    built = cascade(tier("a", PAID, gate=Samples(2), price=DOLLAR))
    attempt = run_virtual(built.run("q")).attempts[0]
    assert (attempt.cost_usd, attempt.gate_usd) == (30.0, 20.0)
    assert run_virtual(cascade(tier("a", PAID, price=DOLLAR)).run("q")).attempts[0].gate_usd == 0.0
