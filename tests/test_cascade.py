"""The way up the ladder: every decision, made by sending values to the flow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import ConfigError, NoAnswer, Quota, RequestError
from fastcascade.cascade import Cascade
from fastcascade.effects import Call, Cancel, Check, Effect, Gather, Outcome, Start, Wait
from fastcascade.errors import Failure
from fastcascade.fallbacks import Hedge
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Budget, Reply, Request, Text, ToolCall, Usage
from fastcascade.policies import ExpectedGain
from fastcascade.prices import Price, PriceSheet
from fastcascade.recording import Recording, Replayer, replay
from fastcascade.testing import Fault, ScriptedBackend, Slow, run_virtual
from fastcascade.tiers import Tier

NO_PRICES = PriceSheet(source=None)
DOLLAR = Price(1_000_000.0, 1_000_000.0)  # a dollar a token


class Says(Gate):
    """Gives the scores it is told to, in turn, and the last for ever."""

    def __init__(self, *scores: float | None, threshold: float = 0.5) -> None:
        self.scores = list(scores)
        self.threshold = threshold

    def judge(self, exam: Exam, /) -> Judging:
        score = self.scores.pop(0) if len(self.scores) > 1 else self.scores[0]
        return Verdict(score, "as told")


def tier(name: str, *script: object, gate: Gate | None = None, **settings: object) -> Tier:
    """A tier whose backend plays a script."""
    backend = ScriptedBackend(*(script or (f"{name} says",)), name=name)  # type: ignore[arg-type]
    return Tier(backend, gate=gate, **settings)  # type: ignore[arg-type]


def cascade(*tiers: Tier, **settings: object) -> Cascade:
    """A cascade that knows no prices but those of its tiers."""
    return Cascade(*tiers, prices=NO_PRICES, **settings)  # type: ignore[arg-type]


SCORES = [
    # the scores of two gated tiers, the threshold, who answers, what each try came to
    ((0.9, 0.9), "a", ["accept"]),
    ((0.5, 0.9), "a", ["accept"]),
    ((0.49, 0.9), "b", ["escalate", "accept"]),
    ((0.1, 0.2), "c", ["escalate", "escalate", "accept"]),
    ((None, 0.9), "b", ["abstain", "accept"]),
    ((None, None), "c", ["abstain", "abstain", "accept"]),
]


@pytest.mark.parametrize(("scores", "by", "verdicts"), SCORES)
def test_the_first_tier_that_is_good_enough_answers(
    scores: tuple[float | None, float | None], by: str, verdicts: list[str]
) -> None:
    """A reply at or above its threshold is the answer; below it, or unjudged, the next tier is asked."""
    answer = run_virtual(
        cascade(tier("a", gate=Says(scores[0])), tier("b", gate=Says(scores[1])), tier("c")).run("What is it?")
    )
    assert (answer.tier, answer.text, answer.degraded) == (by, f"{by} says", "")
    assert [attempt.verdict for attempt in answer.attempts] == verdicts


def test_the_flow_is_a_generator_that_does_nothing_itself() -> None:
    """A flow yields one call a tier, is sent what came of it, and returns the answer."""
    flow = cascade(tier("a", gate=Says(0.2)), tier("b")).flow(Request.of("q"), 100.0)
    first = next(flow)
    assert isinstance(first, Call)
    assert (first.label, first.timeout) == ("a/answer", 120.0)
    second = flow.send(Outcome(Reply("small"), None, 100.0, 101.0))
    assert isinstance(second, Call)
    assert (second.label, second.timeout) == ("b/answer", 119.0)
    with pytest.raises(StopIteration) as done:
        flow.send(Outcome(Reply("large"), None, 101.0, 103.5))
    assert (done.value.value.text, done.value.value.latency) == ("large", 3.5)


def test_a_last_tier_that_is_not_good_enough_gives_the_best_there_is() -> None:
    """Where no reply reaches its threshold, the best-scored one is returned and says so."""
    answer = run_virtual(cascade(tier("a", gate=Says(0.4)), tier("b", gate=Says(0.3))).run("q"))
    assert (answer.tier, answer.confidence, answer.degraded) == ("a", 0.4, "below threshold")


@pytest.mark.parametrize("kind", ["timeout", "rate_limited", "server", "auth", "malformed", "bug"])
def test_a_failed_tier_is_passed_over(kind: str) -> None:
    """Whatever a backend fails with, the next tier is asked, and the failure stands in the trace."""
    answer = run_virtual(cascade(tier("a", Fault(kind)), tier("b")).run("q"))  # type: ignore[arg-type]
    assert (answer.tier, answer.degraded) == ("b", "")
    assert answer.attempts[0].verdict == "failed"
    assert answer.attempts[0].error is not None
    assert answer.attempts[0].error.kind == kind


def test_a_better_tier_that_fails_leaves_the_reply_below_it() -> None:
    """A rejected reply is kept, and is returned, marked, when all above it have failed."""
    answer = run_virtual(cascade(tier("a", gate=Says(0.3)), tier("b", Fault("overloaded"))).run("q"))
    assert (answer.tier, answer.degraded) == ("a", "a better tier failed")


def test_when_no_tier_answers_there_is_the_last_resort() -> None:
    """All tiers failing is not an exception: the last resort is the answer, marked as degraded."""
    answer = run_virtual(cascade(tier("a", Fault("server")), last_resort="Call us.").run("q"))
    assert (answer.text, answer.tier, answer.degraded, answer.cost_usd) == ("Call us.", "", "no tier answered", 0.0)


def test_without_a_last_resort_it_is_an_error_that_holds_the_trace() -> None:
    """Whoever wants an error has one, which names what each tier said."""
    with pytest.raises(NoAnswer, match="a: it burns") as caught:
        run_virtual(cascade(tier("a", Fault("server", "it burns")), last_resort=None).run("q"))
    assert caught.value.answer.attempts[0].tier == "a"


def test_a_tool_call_alone_is_not_an_empty_reply() -> None:
    """A reply that only calls a tool is an answer; one of nothing, or of blanks, is not."""
    call = Reply((ToolCall("1", "look_up", '{"id": 7}'),), stop="tool")
    answer = run_virtual(cascade(tier("a", call), tier("b")).run("q"))
    assert (answer.tier, answer.tool_calls[0].input) == ("a", {"id": 7})
    for nothing in ("", " \n"):
        answer = run_virtual(cascade(tier("a", nothing), tier("b")).run("q"))
        assert (answer.tier, answer.attempts[0].verdict) == ("b", "empty")


def test_a_refusal_goes_up() -> None:
    """A model's refusal is not taken for an answer while there is another to ask."""
    refusal = Reply("I can't help with that.", stop="refusal")
    answer = run_virtual(cascade(tier("a", refusal), tier("b")).run("q"))
    assert (answer.tier, answer.attempts[0].reason) == ("b", "the model refused")
    assert run_virtual(cascade(tier("a", refusal)).run("q")).reply == refusal


def test_an_abstention_can_be_let_through() -> None:
    """With `abstain="accept"` a reply that cannot be judged is taken."""
    answer = run_virtual(cascade(tier("a", gate=Says(None)), tier("b"), abstain="accept").run("q"))
    assert answer.tier == "a"


class Breaks(Gate):
    """Raises."""

    def judge(self, exam: Exam, /) -> Judging:
        raise ZeroDivisionError("oh")


class BreaksLate(Gate):
    """Raises once it has asked."""

    def judge(self, exam: Exam, /) -> Judging:
        yield Check(lambda: 1, inline=True)
        raise ZeroDivisionError("oh")


@pytest.mark.parametrize("gate", [Breaks(), BreaksLate()])
def test_a_gate_that_breaks_abstains(gate: Gate) -> None:
    """A gate's bug neither passes the reply nor loses the request."""
    answer = run_virtual(cascade(tier("a", gate=gate), tier("b")).run("q"))
    assert (answer.tier, answer.attempts[0].verdict) == ("b", "abstain")
    assert "ZeroDivisionError: oh" in answer.attempts[0].reason


# The one budget.


def test_the_deadline_covers_the_chain() -> None:
    """Each call may take what is left of the deadline; when it has come, the best so far is returned."""
    slow = (Slow(4.0, "a says"),)
    built = cascade(tier("a", *slow, gate=Says(0.2)), tier("b", Slow(9.0, "never")), budget=Budget(deadline=6.0))
    answer = run_virtual(built.run("q"))
    assert (answer.tier, answer.degraded, answer.latency) == ("a", "deadline", 6.0)
    assert answer.attempts[1].error is not None
    assert answer.attempts[1].error.kind == "timeout"


def test_a_tier_that_is_too_slow_is_passed_over() -> None:
    """A tier's own timeout moves on to the next tier."""
    answer = run_virtual(cascade(tier("a", Slow(60.0, "late"), timeout=1.5), tier("b")).run("q"))
    assert (answer.tier, answer.latency) == ("b", 1.5)


@pytest.mark.parametrize(("attempts", "by", "degraded"), [(1, "a", "attempts"), (2, "b", "attempts"), (3, "c", "")])
def test_attempts_are_counted_across_tiers(attempts: int, by: str, degraded: str) -> None:
    """No more calls are made than the budget has."""
    built = cascade(tier("a", gate=Says(0.1)), tier("b", gate=Says(0.2)), tier("c"))
    answer = run_virtual(built.run("q", budget=Budget(attempts=attempts)))
    assert (answer.tier, answer.degraded, len(answer.calls)) == (by, degraded, attempts)


def test_a_call_that_would_exceed_the_money_is_not_made() -> None:
    """A tier whose estimated cost is more than is left is not asked, and the answer says that money ran out."""
    paid = Reply("cheap", usage=Usage(input=1, output=1))
    built = cascade(
        tier("a", paid, gate=Says(0.1), price=DOLLAR, expected_output=1),
        tier("b", price=DOLLAR, expected_output=100),
        budget=Budget(usd=50.0),
    )
    answer = run_virtual(built.run("four"))
    assert (answer.tier, answer.degraded, answer.cost_usd) == ("a", "money", 2.0)
    assert built.tiers[1].backend.seen == []  # type: ignore[attr-defined]


def test_money_without_prices_is_refused() -> None:
    """A budget in money over a tier whose price is unknown is an error that names the tier: unknown is not zero."""
    with pytest.raises(ConfigError, match="that of 'a' is not known"):
        cascade(tier("a"), budget=Budget(usd=1.0))
    with pytest.raises(RequestError, match="that of 'a' is not known"):
        run_virtual(cascade(tier("a")).run("q", budget=Budget(usd=1.0)))


@pytest.mark.parametrize("bound", [{"deadline": 0.0}, {"usd": -1.0}, {"attempts": 0}])
def test_a_budget_of_nothing_is_refused(bound: dict[str, float]) -> None:
    """A bound under which nothing could run is an error."""
    with pytest.raises(RequestError, match=next(iter(bound))):
        Budget(**bound)  # type: ignore[arg-type]


# Costs.


def test_the_cost_is_that_of_every_call() -> None:
    """Rejected replies are paid for too."""
    reply = Reply("x", usage=Usage(input=2, output=3))
    built = cascade(tier("a", reply, gate=Says(0.1), price=DOLLAR), tier("b", reply, price=DOLLAR))
    answer = run_virtual(built.run("q"))
    assert answer.cost_usd == 10.0
    assert [attempt.cost_usd for attempt in answer.attempts] == [5.0, 5.0]
    assert answer.usage == Usage(input=4, output=6)


def test_an_unknown_cost_is_unknown() -> None:
    """One call of unknown cost makes the cost of the answer unknown; what is known is told apart."""
    reply = Reply("x", usage=Usage(input=2, output=3))
    answer = run_virtual(cascade(tier("a", reply, gate=Says(0.1), price=DOLLAR), tier("b", reply)).run("q"))
    assert (answer.cost_usd, answer.known_cost_usd) == (None, 5.0)


def test_a_call_that_was_given_up_is_paid_for() -> None:
    """After a timeout the prompt is counted, as an estimate."""
    built = cascade(tier("a", Slow(9.0), timeout=1.0, price=DOLLAR), tier("b", Reply("x", cost_usd=0.0)))
    answer = run_virtual(built.run("four" * 2))
    assert (answer.cost_usd, answer.calls[0].estimated) == (2.0, True)


# Quotas.


def test_a_tier_beyond_its_quota_is_passed_over() -> None:
    """A quota in requests sends what is beyond it to the next tier, without a call."""
    built = cascade(tier("a", quota=Quota(1, per="hour")), tier("b"))
    assert [run_virtual(built.run("q")).tier for _ in range(3)] == ["a", "b", "b"]
    assert len(built.tiers[0].backend.seen) == 1  # type: ignore[attr-defined]


def test_a_quota_in_tokens_is_settled_by_what_was_used() -> None:
    """Tokens are reserved by an estimate; what was not used is given back."""
    reply = Reply("x", usage=Usage(input=10, output=10))
    built = cascade(tier("a", reply, tokens=Quota(400, per="hour"), expected_output=300), tier("b"))
    assert [run_virtual(built.run("q")).tier for _ in range(7)] == ["a"] * 6 + ["b"]


# Hedging.


def test_a_hedge_takes_the_faster_of_two() -> None:
    """A tier that has not replied in time is raced by the next; the loser is cancelled and counted."""
    built = cascade(tier("a", Slow(10.0, "late"), price=DOLLAR), tier("b", Slow(1.0, "b says")), hedge=Hedge(after=2.0))
    answer = run_virtual(built.run("four"))
    assert (answer.tier, answer.latency) == ("b", 3.0)
    assert {attempt.tier: attempt.verdict for attempt in answer.attempts} == {"b": "accept", "a": "cancelled"}
    assert built.tiers[0].backend.cancelled == 1  # type: ignore[attr-defined]
    assert next(attempt.cost_usd for attempt in answer.attempts if attempt.tier == "a") == 1.0


def test_a_hedged_tier_that_is_good_enough_wins() -> None:
    """If the first reply comes while the second is under way, it is judged, and the second is cancelled."""
    built = cascade(tier("a", Slow(3.0, "a says"), gate=Says(0.9)), tier("b", Slow(9.0)), hedge=Hedge(after=2.0))
    answer = run_virtual(built.run("q"))
    assert (answer.tier, answer.latency, built.tiers[1].backend.cancelled) == ("a", 3.0, 1)  # type: ignore[attr-defined]


def test_a_hedge_saves_the_wait_of_an_escalation() -> None:
    """If the first reply is too poor, the second has had its head start."""
    built = cascade(
        tier("a", Slow(3.0, "a says"), gate=Says(0.1)), tier("b", Slow(4.0, "b says")), hedge=Hedge(after=2.0)
    )
    answer = run_virtual(built.run("q"))
    assert (answer.tier, answer.latency) == ("b", 6.0)


def test_a_gated_tier_that_overtakes_and_is_poor_waits_for_the_one_below() -> None:
    """The faster upper reply, if rejected, does not throw away the lower one, which may do."""
    built = cascade(
        tier("a", Slow(10.0, "a says"), gate=Says(0.9)),
        tier("b", Slow(1.0, "b says"), gate=Says(0.1)),
        tier("c"),
        hedge=Hedge(after=2.0),
    )
    answer = run_virtual(built.run("q"))
    assert (answer.tier, answer.latency) == ("a", 10.0)


def test_a_likely_escalation_starts_both_at_once() -> None:
    """Where the prior says that a tier is mostly wrong, the next one starts beside it."""
    built = cascade(
        tier("a", Slow(3.0, "a says"), gate=Says(0.1), quality=0.2),
        tier("b", Slow(3.0, "b says")),
        hedge=Hedge(likely=0.7),
    )
    assert run_virtual(built.run("q")).latency == 3.0


def test_the_hedge_is_told_by_effects() -> None:
    """A hedged try is start, wait, start, wait, cancel: nothing that a driver must guess."""
    built = cascade(tier("a", gate=Says(0.9)), tier("b"), hedge=Hedge(after=2.0))
    recorded = {"a/answer": Outcome(Reply("a"), None, 0.0, 3.0), "b/answer": Outcome(Reply("b"), None, 0.0, 9.0)}
    kinds: list[type] = []
    flow = built.flow(Request.of("q"))

    class Noting(Replayer):
        def perform(self, effect: Effect) -> Outcome:
            kinds.append(type(effect))
            return super().perform(effect)

    Noting(recorded).run(flow)
    assert kinds == [Start, Wait, Start, Wait, Cancel]


# Policies within the flow.


def test_expected_gain_may_skip_a_tier() -> None:
    """A middle tier that brings nothing for its price is not asked."""
    price = Price(1.0, 1.0)
    built = cascade(
        tier("a", gate=Says(0.3), price=price, quality=0.3),
        tier("b", gate=Says(0.9), price=Price(50.0, 50.0), quality=0.31),
        tier("c", gate=Says(0.9), price=Price(60.0, 60.0), quality=0.99),
        policy=ExpectedGain(lam=1.0, spread=0.05, route=False),
    )
    answer = run_virtual(built.run("q"))
    assert [attempt.tier for attempt in answer.attempts] == ["a", "c"]


def test_expected_gain_needs_what_it_weighs() -> None:
    """A policy that weighs costs is refused over tiers whose cost is unknown, when the cascade is built."""
    with pytest.raises(ConfigError, match="tier 'b' has no"):
        cascade(tier("a", gate=Says(0.3)), tier("b"), policy=ExpectedGain(lam=1.0))


# What a gate may ask for.


class Votes(Gate):
    """Takes samples, and passes if any agrees with the reply."""

    def __init__(self, k: int) -> None:
        self.k = k

    def judge(self, exam: Exam, /) -> Judging:
        outcome = yield Gather(tuple(Call(exam.backend, exam.request, "sample") for _ in range(self.k)))
        said = [each.value.text for each in outcome.value if each.failure is None]
        if not said:
            return Verdict(None, "no sample came")
        return Verdict(said.count(exam.reply.text) / len(said), f"{len(said)} samples")


def test_samples_count_against_the_budget() -> None:
    """What a gate asks for is labelled, counted, and cut to what the budget has left."""
    built = cascade(tier("a", "yes", "yes", "no", gate=Votes(3)), tier("b"), budget=Budget(attempts=3))
    answer = run_virtual(built.run("q"))
    assert [call.label for call in answer.calls] == ["a/answer", "a/sample", "a/sample/1"]
    assert (answer.confidence, answer.tier) == (0.5, "a")


def test_a_gate_cut_off_by_the_budget_does_not_pass() -> None:
    """With nothing left for the samples the gate abstains, and the answer says what ran out."""
    answer = run_virtual(cascade(tier("a", gate=Votes(2)), tier("b"), budget=Budget(attempts=1)).run("q"))
    assert (answer.tier, answer.degraded, answer.attempts[0].verdict) == ("a", "attempts", "abstain")


class Wrong(Gate):
    """Asks for what no gate may ask."""

    def judge(self, exam: Exam, /) -> Judging:
        yield Start(Call(exam.backend, exam.request))
        return Verdict(1.0)


def test_a_gate_may_not_start_things() -> None:
    """Effects that a gate may not use make it abstain, saying so."""
    answer = run_virtual(cascade(tier("a", gate=Wrong()), tier("b")).run("q"))
    assert "a gate may yield Call, Gather and Check, not Start" in answer.attempts[0].reason


# Building.


BAD = [
    (lambda: Cascade(), "at least one tier"),
    (lambda: Cascade(tier("a"), tier("a")), "two tiers are called 'a'"),
    (lambda: tier("a", accept=1.5), "accept cannot be 1.5"),
    (lambda: tier("a", timeout=0.0), "timeout cannot be 0.0"),
    (lambda: tier("a", quality=-1.0), "quality cannot be -1.0"),
    (lambda: tier("a", temprature=0.5), "takes no 'temprature'; sampling parameters are"),
    (lambda: Tier(ScriptedBackend("x"), name="a/b"), "name cannot be 'a/b'"),
    (lambda: Hedge(), "a hedge needs"),
    (lambda: Hedge(after=0.0), "after > 0"),
    (lambda: cascade(tier("a")).adjusted(accept={"z": 0.5}), "there is no tier 'z'"),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_what_cannot_work_is_refused_when_it_is_built(build: object, message: str) -> None:
    """An error names the thing at fault."""
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]


class NeedsLogprobs(Says):
    """A gate for backends that give log-probabilities."""

    needs = frozenset({"logprobs"})


def test_a_gate_that_needs_what_the_backend_lacks_is_refused() -> None:
    """Log-probabilities from a provider that gives none are an error at build time, not an abstention for ever."""
    with pytest.raises(ConfigError, match="needs logprobs, which 'a' does not give"):
        Tier(ScriptedBackend("x", name="a", gives=()), gate=NeedsLogprobs(0.5))


def test_sampling_parameters_of_a_tier_stand_in_for_the_requests() -> None:
    """A tier's temperature is what its backend sees."""
    built = cascade(tier("a", temperature=0.7, max_tokens=9))
    run_virtual(built.run("q", temperature=0.1, top_p=0.5))
    seen = built.tiers[0].backend.seen[0]  # type: ignore[attr-defined]
    assert (seen.temperature, seen.max_tokens, seen.top_p) == (0.7, 9, 0.5)


def test_a_plain_function_is_a_tier() -> None:
    """Any function from a request to a text will do, plain or async."""

    async def later(request: Request) -> str:
        return f"later {request.text}"

    answer = Cascade(lambda request: None, later, prices=NO_PRICES).run_sync("q")
    assert (answer.text, answer.tier) == ("later q", "later")


# Properties.

OUTCOMES = st.one_of(
    st.floats(0, 1).map(lambda score: (Outcome(Reply((Text("t"),)), None, 0.0, 1.0), score)),
    st.just((Outcome(Reply(""), None, 0.0, 1.0), 0.0)),
    st.just((Outcome(None, None, 0.0, 1.0), 0.0)),
    st.just((Outcome(None, Failure("server", "x"), 0.0, 1.0), 0.0)),
)


@given(st.lists(OUTCOMES, min_size=1, max_size=6), st.integers(1, 8), st.floats(0.5, 8))
def test_every_flow_ends_within_its_budget(script: list[tuple[Outcome, float]], attempts: int, deadline: float) -> None:
    """Whatever comes, a flow returns an answer, asks each tier at most once, and never exceeds its budget."""
    tiers = [tier(f"t{place}", gate=Says(score)) for place, (_, score) in enumerate(script)]
    recorded = {f"t{place}/answer": outcome for place, (outcome, _) in enumerate(script)}
    replayer = Replayer(recorded)
    request = Request.of("q", budget=Budget(deadline=deadline, attempts=attempts))
    answer = replayer.run(cascade(*tiers).flow(request))
    assert len(replayer.asked) == len(set(replayer.asked)) <= attempts
    assert answer.latency <= deadline
    assert len(answer.attempts) <= len(script)
    good = [score for outcome, score in script if outcome.value is not None and outcome.value.text]
    if answer.tier and answer.degraded:
        assert answer.confidence == max(
            score
            for attempt in answer.attempts
            if (score := attempt.score) is not None and attempt.verdict == "escalate"
        )
    assert answer.tier or not good or answer.degraded


@given(st.lists(OUTCOMES, min_size=2, max_size=5), st.data())
def test_no_decision_sees_what_comes_after_it(script: list[tuple[Outcome, float]], data: st.DataObject) -> None:
    """Change what would come later: all that was asked before is the same."""
    tiers = [tier(f"t{place}", gate=Says(score)) for place, (_, score) in enumerate(script)]
    recorded = {f"t{place}/answer": outcome for place, (outcome, _) in enumerate(script)}
    first, second = Replayer(recorded), Replayer(dict(recorded))
    place = data.draw(st.integers(0, len(script) - 1))
    second.outcomes[f"t{place}/answer"] = data.draw(OUTCOMES)[0]  # type: ignore[index]
    first.run(cascade(*tiers).flow(Request.of("q")))
    second.run(cascade(*tiers).flow(Request.of("q")))
    changed = f"t{place}/answer"
    until = first.asked.index(changed) + 1 if changed in first.asked else len(first.asked)
    assert first.asked[:until] == second.asked[:until]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_recording_replays_under_any_threshold(scores: list[float], accepts: list[float]) -> None:
    """Replayed with other thresholds, a full recording gives the answer that those would have given."""
    tiers = [tier(f"t{place}", gate=Says(score)) for place, score in enumerate(scores)]
    outcomes = {f"t{place}/answer": Outcome(Reply(f"t{place} says"), None, 0.0, 1.0) for place in range(len(scores))}
    wanted = {f"t{place}": accepts[place] for place in range(len(scores))}
    replayed = replay(cascade(*tiers).adjusted(accept=wanted), Recording(Request.of("q"), outcomes))
    live = [tier(f"t{place}", gate=Says(score), accept=accepts[place]) for place, score in enumerate(scores)]
    ran = run_virtual(cascade(*live).run("q"))
    assert (replayed.text, replayed.tier, replayed.degraded) == (ran.text, ran.tier, ran.degraded)
