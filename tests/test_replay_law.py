"""Replays by law: a trace gives what the live run gave, and no decision sees what comes after it."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import (
    Reply,
    Request,
    record,
    replay,
)
from fastcascade.effects import Effect, Outcome
from fastcascade.errors import Failure
from fastcascade.recording import Replayer
from fastcascade.testing import run_virtual
from replays import SCORES, SECONDS, TEXTS, Spec, late, specs, streamed, through_json, told


@given(specs(), st.integers(1, 2))
@settings(max_examples=200, deadline=None)
def test_a_replay_is_the_live_run_again(spec: Spec, turns: int) -> None:
    """Whatever the tiers, gates, hedges, policies, budgets and sessions: the trace of a run replays to that run."""
    cascade = spec.build()
    for _ in range(turns):
        answer = run_virtual(cascade.run("q", session="s"))
        assert told(replay(spec.build(), through_json(answer))) == told(answer)


@given(specs(streaming=True))
@settings(max_examples=200, deadline=None)
def test_a_replay_is_the_live_stream_again(spec: Spec) -> None:
    """Streams too, broken and stalled ones, and those that a gate lets through or gives up."""
    answer = streamed(spec.build(), "q")
    assert told(replay(spec.build(), through_json(answer), streaming=True)) == told(answer)


@given(specs(bounded=False), st.lists(SCORES, min_size=4, max_size=4), SCORES)
@settings(max_examples=200, deadline=None)
def test_a_recording_replays_under_any_thresholds(spec: Spec, accepts: list[float], inner: float) -> None:
    """Recorded once, whatever settings are tried: what they give is what a live run with them would have given."""
    recording = run_virtual(record(spec.build(), Request.of("q")))
    accept = {f"t{place}": accepts[place] for place in range(len(spec.tiers))}
    live = run_virtual(spec.build(accept, inner).run("q"))
    assert told(replay(spec.build(accept, inner), recording)) == told(live)


# No leakage.


class Noting(Replayer):
    """Notes when each call was asked for."""

    def __init__(self, outcomes: Mapping[str, Outcome]) -> None:
        super().__init__(outcomes)
        self.noted: list[tuple[str, float]] = []

    def perform(self, effect: Effect) -> Outcome:
        began, before = self.now, len(self.asked)
        outcome = super().perform(effect)
        self.noted += [(label, began) for label in self.asked[before:]]
        return outcome


PURPOSES = (
    "answer",
    "check",
    "sample",
    "sample/1",
    "sample/2",
    "judge",
    "judge.1.2",
    "judge.2",
    "judge.2.2",
    "judge.3",
)
REPLIES = TEXTS.map(lambda text: Outcome(Reply(text)))
OUTCOMES = st.one_of(
    REPLIES,
    REPLIES,
    REPLIES,
    st.sampled_from(
        [
            Outcome(None),
            Outcome(Reply("")),
            Outcome(None, Failure("server", "x")),
            Outcome(None, Failure("cancelled", "not wanted any more")),
            Outcome(Reply("0.7 half"), Failure("cut", "x")),
        ]
    ),
)


def drawn(data: st.DataObject, label: str, at: int) -> Outcome:
    """What a call comes to, and after how many seconds."""
    checks = label.endswith("check")
    outcome = data.draw(SCORES.map(Outcome) if checks else OUTCOMES)
    return replace(outcome, ended=late(at, data.draw(SECONDS)))


def asked(spec: Spec, turns: list[dict[str, Outcome]], *, streaming: bool) -> list[list[tuple[str, float]]]:
    """What a conversation asks for, turn by turn, and when."""
    cascade = spec.build()
    noted = []
    for outcomes in turns:
        replayer = Noting(outcomes)
        replayer.run(cascade.flow(Request.of("q", session="s"), streaming=streaming))
        noted.append(replayer.noted)
    return noted


@given(specs(), st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_no_decision_sees_what_comes_after_it(spec: Spec, streaming: bool, data: st.DataObject) -> None:
    """Change what one call comes to: all that was asked before that was known is the same, and when it was asked.

    In hedges, in what gates ask, in streams, over the turns of a session, and for policies that weigh gain.
    """
    labels = [f"t{place}/{purpose}" for place in range(len(spec.tiers)) for purpose in PURPOSES]
    turns = [{label: drawn(data, label, at) for at, label in enumerate(labels)} for _ in range(2)]
    before = asked(spec, turns, streaming=streaming)
    turn = data.draw(st.integers(0, 1))
    # Mostly one that was asked for: else nothing may change at all.
    label = data.draw(st.sampled_from([label for label, _ in before[turn]] or labels) | st.sampled_from(labels))
    changed = drawn(data, label, len(labels))
    other = [dict(outcomes) for outcomes in turns]
    other[turn][label] = changed
    after = asked(spec, other, streaming=streaming)
    assert before[:turn] == after[:turn]
    since = next((when for name, when in before[turn] if name == label), None)
    if since is None:
        assert before == after
        return
    until = since + min(turns[turn][label].ended, changed.ended)
    place = [name for name, _ in before[turn]].index(label) + 1
    assert before[turn][:place] == after[turn][:place]
    assert [each for each in before[turn] if each[1] < until] == [each for each in after[turn] if each[1] < until]
