"""The balancers: each to its share, nobody beyond the candidates, and prompts to where their beginning is known."""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil, inf
from random import Random
from threading import Thread
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.entry.balance import Balancer, ByPrefix, LeastOutstanding, PowerOfTwo, RoundRobin
from fastcascade.entry.instance import Instance
from fastcascade.errors import ConfigError
from fastcascade.messages import Image, Message, Request, Text, Tool
from fastcascade.testing import ScriptedBackend

NAMES = "abcdefgh"
WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
BALANCERS: list[Callable[[], Balancer]] = [RoundRobin, LeastOutstanding, PowerOfTwo, ByPrefix]


def instances(weights: Sequence[float]) -> list[Instance]:
    """Instances of these weights, that have done nothing yet."""
    return [Instance(ScriptedBackend("x"), name=name, weight=each) for name, each in zip(NAMES, weights, strict=False)]


def asked(text: str) -> Request:
    """A request for this alone."""
    return Request.of(text)


def shares(balancer: Balancer, among: Sequence[Instance], requests: Sequence[Request | None]) -> dict[str, float]:
    """The share each got of these requests."""
    counts = Counter(balancer.pick(among, each, 0.0).name for each in requests)
    return {each.name: counts[each.name] / len(requests) for each in among}


@st.composite
def situations(draw: st.DrawFn) -> list[Instance]:
    """Instances in any state."""
    among = instances(draw(WEIGHTS))
    for each in among:
        each.outstanding = draw(st.integers(0, 5))
        each.failures = draw(st.integers(0, 2))
        if draw(st.booleans()):
            each.measure(draw(st.floats(0.0, 100.0)), draw(st.floats(0.0, 1e6)))
    return among


# All of them.


@pytest.mark.parametrize("make", BALANCERS)
@settings(max_examples=40)
@given(among=situations(), data=st.data())
def test_only_candidates_are_chosen(make: Callable[[], Balancer], among: list[Instance], data: st.DataObject) -> None:
    """Whatever state they are in and whoever is out from one call to the next, one that may be asked is chosen."""
    balancer = make()
    subsets = st.lists(st.sampled_from(among), min_size=1, unique=True)
    texts = st.none() | st.text(max_size=5).map(asked)
    for _ in range(8):
        candidates, request = data.draw(subsets), data.draw(texts)
        assert balancer.pick(candidates, request, data.draw(st.floats(0.0, 200.0))) in candidates


@pytest.mark.parametrize("make", BALANCERS)
def test_a_single_candidate_changes_nothing(make: Callable[[], Balancer]) -> None:
    """Where there is no choice, nothing is remembered of it: later choices are as if it had not been."""
    one, two = instances([1, 1])
    balancer = make()
    for _ in range(10):
        assert balancer.pick([one], asked("?"), 0.0) is one
    if isinstance(balancer, RoundRobin):
        assert shares(balancer, [one, two], [None] * 10) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize("make", BALANCERS)
def test_they_show_what_they_are(make: Callable[[], Balancer]) -> None:
    """A balancer's repr names it with its settings."""
    assert repr(make()).startswith(f"{make.__name__}(")  # type: ignore[attr-defined, unused-ignore]


MISBUILT: list[tuple[Callable[[], Balancer], str]] = [
    (lambda: ByPrefix(characters=0), "characters must be at least 1"),
    (lambda: ByPrefix(load=0.9), "load must be 1 or more"),
    (lambda: ByPrefix(load=float("nan")), "load must be 1 or more"),
]


@pytest.mark.parametrize(("make", "said"), MISBUILT, ids=[case[1] for case in MISBUILT])
def test_settings_that_cannot_work(make: Callable[[], Balancer], said: str) -> None:
    """A bad setting is found when the balancer is built, and named."""
    with pytest.raises(ConfigError, match=said):
        make()


# In turn.


@given(weights=WEIGHTS, rounds=st.integers(1, 3))
def test_in_turn_is_exact(weights: list[int], rounds: int) -> None:
    """In whole rounds everyone has exactly its weight, and nobody is ever a whole pick ahead of its share."""
    among, balancer = instances(weights), RoundRobin()
    counts: Counter[Instance] = Counter()
    for done in range(1, rounds * sum(weights) + 1):
        counts[balancer.pick(among, None, 0.0)] += 1
        assert all(counts[each] < done * each.weight / sum(weights) + 1 + 1e-9 for each in among)
        if done % sum(weights) == 0:
            assert all(counts[each] * sum(weights) == done * each.weight for each in among)


@given(weights=st.lists(st.integers(1, 20), min_size=2, max_size=6), seed=st.integers(0, 2**32))
def test_in_turn_is_fair_to_those_who_come_and_go(weights: list[int], seed: int) -> None:
    """Over changing candidates everyone gets its share of the calls it was there for, to within two."""
    among, balancer, drawn = instances(weights), RoundRobin(), Random(seed)
    owed: Counter[Instance] = Counter()
    for _ in range(200):
        candidates = [each for each in among if drawn.random() < 0.6] or among
        total = sum(each.weight for each in candidates)
        for each in candidates:
            owed[each] += each.weight / total  # type: ignore[assignment]
        owed[balancer.pick(candidates, None, 0.0)] -= 1
        assert all(abs(each) < 2.0 for each in owed.values())


def test_in_turn_between_threads() -> None:
    """Threads that share a balancer share its turns: none is lost and none given twice."""
    among, balancer = instances([1, 2, 5]), RoundRobin()
    counts: list[Counter[Instance]] = [Counter() for _ in range(4)]

    def work(own: Counter[Instance]) -> None:
        for _ in range(2_000):
            own[balancer.pick(among, None, 0.0)] += 1

    threads = [Thread(target=work, args=(own,)) for own in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole: Counter[Instance] = sum(counts, Counter())
    assert [whole[each] for each in among] == [1_000, 2_000, 5_000]


# The least busy.


@given(among=situations())
def test_the_least_busy(among: list[Instance]) -> None:
    """Nobody has fewer calls under way for its weight than the one that is chosen."""
    chosen = LeastOutstanding().pick(among, None, 0.0)
    assert chosen.outstanding / chosen.weight == min(each.outstanding / each.weight for each in among)


@pytest.mark.parametrize("weights", [[1, 1], [3, 1], [5, 3, 2]])
@pytest.mark.parametrize("kind", [LeastOutstanding, PowerOfTwo])
def test_among_equals_the_weights_decide(kind: type[LeastOutstanding | PowerOfTwo], weights: list[int]) -> None:
    """Where there is nothing to choose by, each is drawn as often as its weight says."""
    among = instances(weights)
    for each in among:
        each.measure(0.0, 1.0)
    for name, share in shares(kind(random=Random(7).random), among, [None] * 4_000).items():
        assert share == pytest.approx(weights[NAMES.index(name)] / sum(weights), abs=0.03)


# The better of two.


def test_a_newcomer_is_tried_with_one_call() -> None:
    """One that has no measure yet is asked at once, but no second time before its first call is back."""
    known, new = instances([1, 1])
    known.measure(0.0, 0.001)
    balancer = PowerOfTwo()
    assert balancer.pick([known, new], None, 0.0) is new
    new.begin()
    known.outstanding = 50
    assert balancer.pick([known, new], None, 0.0) is known


def test_several_newcomers_share_a_burst() -> None:
    """Where nobody has a measure yet, a burst is spread as evenly as calls under way allow."""
    among = instances([1, 1, 1, 1])
    balancer = PowerOfTwo(random=Random(3).random)
    for _ in range(200):
        balancer.pick(among, None, 0.0).begin()
    assert max(each.outstanding for each in among) - min(each.outstanding for each in among) <= 6


def test_failing_quickly_earns_nothing() -> None:
    """A newcomer that fails is not taken for one to try: it gets what the other gets, and the busier one less."""
    known, new = instances([1, 1])
    known.measure(0.0, 1.0)
    new.failures = 1
    balancer = PowerOfTwo(random=Random(5).random)
    assert 0.45 < shares(balancer, [known, new], [None] * 1_000)["b"] < 0.55
    new.outstanding = 1
    assert shares(balancer, [known, new], [None] * 10)["b"] == 0.0


@pytest.mark.parametrize(("slower", "silence"), [(3.0, 11.0), (10.0, 23.0)])
def test_a_slow_one_gets_another_chance(slower: float, silence: float) -> None:
    """What was slow is asked again when nothing has been heard of it for long; while that call is out, no more."""
    fast, slow = among = instances([1, 1])
    balancer = PowerOfTwo()
    slow.measure(0.0, slower)
    fast.measure(silence - 1, 1.0)
    fast.measure(silence, 1.0)
    fast.measure(silence + 1, 1.0)
    assert balancer.pick(among, None, 1.0) is fast
    assert balancer.pick(among, None, silence - 1.0) is fast
    assert balancer.pick(among, None, silence + 1.0) is slow
    slow.begin()
    fast.measure(silence * 9, 1.0)
    assert balancer.pick(among, None, silence * 9) is fast


def simulated(balancer: Balancer, latencies: Sequence[float], weights: Sequence[float], clients: int) -> list[float]:
    """The share of calls each gets of clients that ask without a pause."""
    among = instances(weights)
    now, counts = 0.0, Counter[str]()
    under_way: list[tuple[float, int, float, Instance]] = []
    for number in range(6_000):
        if number >= clients:
            now, _, began, over = heapq.heappop(under_way)
            over.end()
            over.measure(now, now - began)
        chosen = balancer.pick(among, None, now)
        chosen.begin()
        counts[chosen.name] += 1
        heapq.heappush(under_way, (now + latencies[among.index(chosen)], number, now, chosen))
    return [counts[each.name] / 6_000 for each in among]


def test_a_slow_one_gets_few_calls() -> None:
    """Of three where one takes twenty times as long, that one gets under a tenth of its even share's calls."""
    got = simulated(PowerOfTwo(random=Random(11).random), [1.0, 1.0, 20.0], [1, 1, 1], 12)
    assert got[2] < 1 / 30 and abs(got[0] - got[1]) < 0.1


@pytest.mark.parametrize("weights", [[3, 1], [1, 1], [6, 3, 1]])
def test_under_load_the_weights_hold(weights: list[int]) -> None:
    """Where all are as fast, calls under way settle to what the weights say."""
    got = simulated(PowerOfTwo(random=Random(2).random), [1.0] * len(weights), weights, 60)
    assert got == [pytest.approx(each / sum(weights), abs=0.06) for each in weights]


# By prefix.

PROMPTS = [asked(f"question {number}") for number in range(4_000)]


@given(
    system=st.text(max_size=30),
    turns=st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=6),
    characters=st.integers(1, 80),
)
def test_a_conversation_stays_where_it_is(system: str, turns: list[str], characters: int) -> None:
    """Whatever turns follow, a conversation goes to the instance that its first turn went to."""
    among, balancer = instances([1, 1, 1, 1, 1]), ByPrefix(characters)
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    messages = [Message(roles[place % 2], text) for place, text in enumerate(turns)]
    grown = [Request(tuple(messages[:length]), system=system) for length in range(1, len(messages) + 1, 2)]  # type: ignore[arg-type]
    assert len({balancer.pick(among, each, 0.0) for each in grown}) == 1


DIFFERENT: list[tuple[str, Callable[[int], Request]]] = [
    ("the system's text", lambda n: Request.of("same", system=(Text(f"system {n}"),))),
    ("a tool", lambda n: Request.of("same", tools=(Tool(f"tool{n}"),))),
    ("the first message", lambda n: asked(f"text {n}")),
    ("a picture", lambda n: Request((Message("user", (Image(url=f"https://pictures/{n}"), Text("?"))),))),
    ("a picture's data", lambda n: Request((Message("user", (Image(data=f"{n:08}"),)),))),
]


@pytest.mark.parametrize(("what", "make"), DIFFERENT, ids=[case[0] for case in DIFFERENT])
def test_what_a_prompt_begins_with_decides(what: str, make: Callable[[int], Request]) -> None:
    """Prompts that begin in different ways are spread over all; beyond `characters` nothing counts."""
    among = instances([1, 1, 1])
    got = shares(ByPrefix(), among, [make(number) for number in range(900)])
    assert all(0.25 < share < 0.42 for share in got.values()), what
    assert min(shares(ByPrefix(characters=2), among, [make(number) for number in range(900)]).values()) < 0.25


@pytest.mark.parametrize("weights", [[1, 1], [1, 1, 1, 1, 1], [5, 3, 2], [9, 1]])
def test_each_has_its_share_of_prompts(weights: list[int]) -> None:
    """Prompts are spread as the weights say, to within three points of a hundred."""
    for name, share in shares(ByPrefix(), instances(weights), PROMPTS).items():
        assert share == pytest.approx(weights[NAMES.index(name)] / sum(weights), abs=0.03)


@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=6), data=st.data())
def test_only_the_prompts_of_the_lost_move(weights: list[int], data: st.DataObject) -> None:
    """When one is out, prompts of the others stay; and it gets its own back."""
    among, balancer = instances(weights), ByPrefix(load=inf)
    lost = data.draw(st.sampled_from(among))
    left = [each for each in among if each is not lost]
    for prompt in PROMPTS[:200]:
        before = balancer.pick(among, prompt, 0.0)
        without = balancer.pick(left, prompt, 0.0)
        assert without is before if before is not lost else without in left
        assert balancer.pick(among, prompt, 0.0) is before


@given(data=st.data())
def test_processes_agree(data: st.DataObject) -> None:
    """Whatever each has seen before and however it lists them, two processes send a prompt to the same instance."""
    names = ByPrefix(), ByPrefix()
    picks = []
    for balancer in names:
        among = instances([2, 1, 1, 3])
        balancer.pick(data.draw(st.permutations(among))[:2], asked("?"), 0.0)
        listed = data.draw(st.permutations(among))
        picks.append([balancer.pick(listed, prompt, 0.0).name for prompt in PROMPTS[:50]])
    assert picks[0] == picks[1]


def test_it_is_the_same_in_every_run() -> None:
    """Where prompts go is set by their texts and the names alone, in this version and on this machine or another."""
    balancer, among = ByPrefix(), instances([1, 1, 1])
    assert "".join(balancer.pick(among, prompt, 0.0).name for prompt in PROMPTS[:24]) == "ccabbbccaccbacaabccccbcc"


@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    prompts=st.lists(st.integers(0, 2), max_size=60),
    load=st.sampled_from([1.0, 1.25, 2.0]),
)
def test_nobody_has_too_much_to_do(weights: list[int], prompts: list[int], load: float) -> None:
    """However many come with the same beginning, calls under way stay within the bound, and go where they belong."""
    among, balancer = instances(weights), ByPrefix(load=load)
    for count, prompt in enumerate(prompts, 1):
        home = ByPrefix(load=inf).pick(among, PROMPTS[prompt], 0.0)
        room = {each: ceil(load * count * each.weight / sum(weights) - 1e-9) - each.outstanding for each in among}
        chosen = balancer.pick(among, PROMPTS[prompt], 0.0)
        chosen.begin()
        assert room[chosen] > 0
        assert chosen is home or room[home] <= 0


def test_a_weight_that_changes_counts_at_once() -> None:
    """An instance whose weight is changed gets its new share, and it moves only what it must."""
    among, balancer = instances([1, 1, 1]), ByPrefix()
    before = [balancer.pick(among, prompt, 0.0) for prompt in PROMPTS]
    among[0].weight = 4.0
    after = [balancer.pick(among, prompt, 0.0) for prompt in PROMPTS]
    assert after.count(among[0]) / len(PROMPTS) == pytest.approx(4 / 6, abs=0.03)
    assert all(new is old or new is among[0] for old, new in zip(before, after, strict=True))


def test_without_a_prompt_the_least_busy() -> None:
    """A call without a prompt goes to whoever has the least to do."""
    among = instances([1, 1])
    among[0].begin()
    assert ByPrefix().pick(among, None, 0.0) is among[1]
