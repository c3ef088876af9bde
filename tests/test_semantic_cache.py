"""`SemanticCache`: what it answers and to whom, for how long, and that it holds no more than it may."""

import asyncio
import sys
from array import array
from collections.abc import Sequence
from random import Random
from subprocess import run
from threading import Thread
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fastcascade import ConfigError
from fastcascade._core import cosine
from fastcascade.blocks import Image, Message, Text, Tool
from fastcascade.caching.semantic import Near, SemanticCache
from fastcascade.caching.semantic_guard import Guard
from fastcascade.errors import BackendError
from fastcascade.messages import Request

TEXTS = ["Is it on?", "is it on", "Is it off?", "Is it really on?", "How do I stop it?", "how can I stop it"]
VECTORS = [array("f", row) for row in ([1, 0, 0], [0.9, 0.4, 0], [0.6, 0.8, 0], [0, 1, 0.2], [0, 0, 1], [-1, 0, 0])]
SCOPES = [b"one", b"two"]
TAGS = ["red", "blue"]


def embed(texts: Sequence[str]) -> list[list[float]]:
    """All texts are one and the same to it: nobody is saved by the embedder."""
    return [[1.0, 0.0] for _ in texts]


class First:
    """A guard without forms: the same first letter, small or large, is enough."""

    def same(self, a: str, b: str, /) -> bool:
        return a[:1].lower() == b[:1].lower()


class CacheMachine(RuleBasedStateMachine):
    """A semantic cache beside a plain list of what was added, the latest used last."""

    guard: Any

    def __init__(self) -> None:
        super().__init__()
        self.count, self.now = 0, 0.0
        self.kept: list[tuple[bytes, str, array[float], int, float, str]] = []

    @initialize(items=st.integers(1, 5), guard=st.sampled_from([Guard(), First(), None]))
    def begin(self, items: int, guard: Any) -> None:
        self.guard, self.items = guard, items
        self.cache = SemanticCache(embed, threshold=0.7, guard=guard, items=items, ttl=10.0)

    @rule(
        scope=st.sampled_from(SCOPES),
        text=st.sampled_from(TEXTS),
        vector=st.sampled_from(VECTORS),
        tag=st.sampled_from(TAGS),
    )
    def add(self, scope: bytes, text: str, vector: "array[float]", tag: str) -> None:
        self.count += 1
        assert self.cache.add(vector, text, scope, self.count, self.now, [tag])
        self.kept = [one for one in self.kept if one[:2] != (scope, text)]
        self.kept = [*self.kept, (scope, text, vector, self.count, self.now, tag)][-self.items :]

    @rule(scope=st.sampled_from(SCOPES), text=st.sampled_from(TEXTS), vector=st.sampled_from(VECTORS))
    def find(self, scope: bytes, text: str, vector: "array[float]") -> None:
        guard = self.guard
        near = [
            (cosine(vector, one[2]), one)
            for one in self.kept
            if one[0] == scope and self.now - one[4] < 10 and (guard is None or guard.same(text, one[1]))
        ]
        best = max((similarity for similarity, _ in near), default=-1.0)
        found = self.cache.find(vector, text, scope, self.now)
        if best < 0.7:
            assert found is None
            return
        assert isinstance(found, Near)
        assert found.similarity == pytest.approx(best, abs=1e-5)
        (one,) = (one for similarity, one in near if one[3] == found.entry.value)
        assert cosine(vector, one[2]) == pytest.approx(best, abs=1e-5)
        self.kept = [other for other in self.kept if other is not one] + [one]

    @rule(scope=st.sampled_from(SCOPES), text=st.sampled_from(TEXTS))
    def could(self, scope: bytes, text: str) -> None:
        if not self.cache.could(text, scope, self.now):
            for vector in VECTORS:
                assert self.cache.find(vector, text, scope, self.now) is None

    @rule(tag=st.sampled_from([*TAGS, None]))
    def drop(self, tag: str | None) -> None:
        self.cache.drop(tag=tag)
        self.kept = [one for one in self.kept if tag is not None and one[5] != tag]

    @rule(seconds=st.sampled_from([1.0, 4.0, 9.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def bounded(self) -> None:
        """What is past its time may go whenever it is met; of the rest each is there that should be."""
        held = {entry.value for entry in self.cache._used} if self.count else set()  # noqa: SLF001 # who has left
        self.kept = [one for one in self.kept if one[3] in held or self.now - one[4] < 10]
        assert {one[3] for one in self.kept} == held
        assert len(held) <= self.items


def test_it_answers_as_a_plain_list_does() -> None:
    """Adding, finding, dropping and waiting in any order give what a search through a list gives; it stays bounded."""
    run_state_machine_as_test(CacheMachine, settings=settings(max_examples=80, stateful_step_count=40))


@pytest.mark.parametrize("guard", [Guard(), None], ids=["forms", "searched"])
def test_many_entries_are_found_again(guard: Any) -> None:
    """Through all sizes of its sets, whatever leaves, what is held is found by its vector, and no other."""
    cache = SemanticCache(embed, threshold=0.999, guard=guard, items=700)
    draw = Random(7)
    rows = [array("f", [draw.gauss(0, 1) for _ in range(24)]) for _ in range(1000)]
    for at, row in enumerate(rows):
        cache.add(row, f"What is number {at}?", b"", at, 0.0, ["third"] if at % 3 == 0 else [])
    assert cache.drop(tag="third") == sum(at % 3 == 0 for at in range(300, 1000))
    for at, row in enumerate(rows):
        found = cache.find(row, f"What is number {at}?", b"", 1.0)
        assert (found.entry.value if found else None) == (at if at >= 300 and at % 3 else None)
    assert cache.stats().evictions == 300


def test_what_is_near_and_asks_otherwise_is_refused_and_counted() -> None:
    """An embedder that takes all texts for one does not make "disable" pass for "enable"; the counters say what was."""
    cache = SemanticCache(embed)
    vector = asyncio.run(cache.embed("any"))
    assert cache.add(vector, "How do I enable 2FA?", b"", "press on", 0.0)
    assert not cache.could("How do I disable 2FA?", b"", 1.0)
    assert cache.find(vector, "How do I disable 2FA?", b"", 1.0) is None
    found = cache.find(vector, "how can I turn on 2FA", b"", 1.0)
    assert found is not None and found.entry.value == "press on" and found.similarity == pytest.approx(1.0)
    assert cache.find(vector, "how can I turn on 2FA", b"other", 1.0) is None
    far = array("f", [0.0, 1.0])
    assert cache.find(far, "how can I turn on 2FA", b"", 1.0) is None
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.refused, stats.adds) == (1, 4, 1, 1)


def test_vectors_without_direction_or_of_another_size_hit_nothing() -> None:
    """What an embedder says of an empty text, and the vectors of another model, are no error and no answer."""
    for guard in (Guard(), None):
        cache = SemanticCache(embed, guard=guard)
        assert not cache.add([0.0, 0.0], "Is it on?", b"", 1, 0.0)
        assert not cache.add([float("nan"), 1.0], "Is it on?", b"", 1, 0.0)
        assert cache.add([1.0, 0.0], "Is it on?", b"", 2, 0.0)
        for vector in ([0.0, 0.0], [1.0, 0.0, 0.0]):
            assert cache.find(vector, "Is it on?", b"", 0.0) is None


def test_what_was_being_made_while_it_was_dropped_is_not_kept() -> None:
    """An answer whose making began before its tag was dropped, or all was, never comes in."""
    cache = SemanticCache(embed)
    before = cache.serial
    cache.drop(tag="red")
    assert not cache.add([1.0], "Is it on?", b"", 1, 0.0, ["red"], since=before)
    assert cache.add([1.0], "Is it on?", b"", 1, 0.0, ["blue"], since=before)
    cache.drop()
    assert len(cache) == 0
    assert not cache.add([1.0], "Is it on?", b"", 1, 0.0, since=before)
    assert cache.add([1.0], "Is it on?", b"", 1, 0.0, ["red"], since=cache.serial)


def test_threads_share_a_cache() -> None:
    """Eight threads that add, find and drop leave it whole and bounded."""
    cache = SemanticCache(embed, guard=None, items=100, threshold=0.5)

    def work(seed: int) -> None:
        for at in range(300):
            row = [float((seed * 31 + at * 17) % 13 + 1), float(at % 7 - 3), 1.0]
            cache.add(row, f"{seed} {at}", SCOPES[at % 2], at, 0.0, [TAGS[at % 2]])
            cache.find(row, "x", SCOPES[at % 2], 0.0)
            if at % 50 == 49:
                cache.drop(tag=TAGS[seed % 2])

    threads = [Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) <= 100
    assert cache.stats().hits + cache.stats().misses == 2400


@pytest.mark.parametrize(
    "request_",
    [
        Request.of([Message("user", "a?"), Message("assistant", "b"), Message("user", "c?")]),
        Request.of([Message("assistant", "a?")]),
        Request.of([Message("user", (Text("a?"), Text("b?")))]),
        Request.of([Message("user", (Text("a?"), Image(url="https://example.com/a.png")))]),
        Request.of("a?", tools=(Tool("look", "", {}),)),
        Request.of("a?", temperature=0.7),
        Request.of("a?", logprobs=0),
        Request.of("a?", regenerate=True),
        Request.of("a?", callback="https://example.com"),
        Request.of("a?", min_tier="large"),
        Request.of("a?", idempotency="k"),
        Request.of("a" * 401),
        Request.of("  "),
    ],
)
def test_what_asks_for_more_than_wording_is_not_answered_by_meaning(request_: Request) -> None:
    """Turns, tools, pictures, chance, a least tier, a new try, and long texts go past the cache."""
    assert SemanticCache(embed, per="all").text_of(request_) is None


def test_who_is_unknown_shares_with_nobody() -> None:
    """Kept per user or per customer, a request must say whose it is, or whoever serves it must."""
    plain, user = Request.of("Is it on?"), Request.of("Is it on?", user="u", customer="c")
    for per, answers in (("user", [None, "Is it on?"]), ("customer", [None, "Is it on?"]), ("all", ["Is it on?"] * 2)):
        cache = SemanticCache(embed, per=per)  # type: ignore[arg-type]
        assert [cache.text_of(request) for request in (plain, user)] == answers
        assert cache.text_of(plain, b"key 1") == "Is it on?"
    assert SemanticCache(embed, per="user").text_of(Request.of("Is it on?", customer="c")) is None


def test_all_but_the_wording_makes_the_scope() -> None:
    """Whatever may change the answer is another scope; whatever may not, and the wording, is the same."""
    cache = SemanticCache(embed, per="user")
    plain = Request.of("a", user="u")
    others: list[dict[str, Any]] = [
        {"system": "be brief"}, {"max_tokens": 5}, {"top_p": 0.5}, {"stop": ("x",)}, {"seed": 1}, {"thinking": 9},
        {"schema": {"type": "object"}}, {"options": {"openai": {"n": 1}}}, {"route": "r"}, {"task": "t"},
        {"feature": "f"}, {"max_tier": "small"}, {"user": "v"}, {"customer": "c"}, {"temperature": 0.0},
    ]  # fmt: skip
    scopes = {cache.scope_of(Request.of(plain, **other)) for other in others}
    assert len(scopes | {cache.scope_of(plain), cache.scope_of(plain, b"key 1")}) == len(others) + 2
    for name, value in (("priority", 3), ("id", "x"), ("session", "s")):
        assert cache.scope_of(Request.of(plain, **{name: value})) == cache.scope_of(plain)
    assert cache.scope_of(Request.of("b", user="u")) == cache.scope_of(plain)
    shared = SemanticCache(embed, per="customer")
    assert shared.scope_of(Request.of("a", customer="c", user="u")) == shared.scope_of(
        Request.of("a", customer="c", user="v")
    )
    schemas: list[dict[str, Any]] = [{"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}]
    assert len({cache.scope_of(Request.of("a", schema=schema)) for schema in schemas}) == 1


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"items": 0}, "items"),
        ({"longest": 1.5}, "longest"),
        ({"ttl": 0}, "ttl"),
        ({"per": "tenant"}, "per user, customer or all"),
        ({"guard": "x"}, "same"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings_: dict[str, Any], message: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigError, match=message):
        SemanticCache(embed, **settings_)


def test_what_an_embedder_gives_is_checked() -> None:
    """A vector that is none is the embedder's failure, which says so."""
    cache = SemanticCache(lambda texts: [])
    with pytest.raises(BackendError, match="0 vectors for 1 texts"):
        asyncio.run(cache.embed("a"))


def test_it_loads_neither_asyncio_nor_numpy() -> None:
    """Importing the semantic cache costs no event loop and no numbers' library."""
    code = (
        "import sys, fastcascade.caching.semantic; sys.exit(any(name in sys.modules for name in ('asyncio', 'numpy')))"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
