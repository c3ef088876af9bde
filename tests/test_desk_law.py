"""The review desk under anything in any order: killed processes, a store that goes off, receivers that fail."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from desks import ASKED, HOOK, KEY, Clock, Network, calling
from fastcascade.errors import StoreError
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.stores.reviews import Review
from memory_reviews import MemoryReviews

T = TypeVar("T")


# All of it at random.


class AnyOrder(RuleBasedStateMachine):
    """Two processes, their reviewers and callers, a store that goes off, receivers that fail: against a few sets."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()  # nothing in here waits
        self.store = MemoryReviews()
        self.clock = Clock()
        self.network = Network()
        self.network.clock = self.clock
        self.heard: dict[str, int] = defaultdict(int)
        self.desks: list[ReviewDesk] = []
        self.submitted: set[str] = set()
        self.by_id: dict[str, str] = {}
        self.held: list[Review] = []
        self.answers: dict[str, str] = {}
        self.taken: dict[str, int] = {}

    @initialize()
    def open(self) -> None:
        self.desks = [self.made(), self.made()]

    def made(self) -> ReviewDesk:
        return ReviewDesk(
            self.store,
            sla=1_000.0,
            lease=100.0,
            clock=self.clock,
            keep=1e9,
            key=KEY,
            callbacks=calling(self.network),
            on_answer=self.hear,
        )

    def hear(self, review: Review) -> None:
        self.heard[review.id] += 1

    def done(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do it; None where the store was in the way."""
        try:
            return self.runner.run(work)
        except StoreError:
            assert self.store.off or self.store.deaf
            return None

    @rule(desk=st.integers(0, 1), number=st.none() | st.integers(0, 2), calls=st.booleans())
    def submit(self, desk: int, number: int | None, calls: bool) -> None:
        name = "" if number is None else f"r{number}"
        review = self.done(self.desks[desk].submit(replace(ASKED, id=name), "failed", callback=HOOK if calls else ""))
        if review is not None:
            assert not review.lease and (not name or self.by_id.setdefault(name, review.id) == review.id)
            self.submitted.add(review.id)

    @rule(desk=st.integers(0, 1), reviewer=st.sampled_from(["ann", "bob"]))
    def claim(self, desk: int, reviewer: str) -> None:
        review = self.done(self.desks[desk].claim(reviewer))
        if review is not None:
            running = [
                other for other in self.held if other.id == review.id and (other.leased_until or 0) > self.clock()
            ]
            assert not running and review.id not in self.answers
            self.held.append(review)

    @rule(desk=st.integers(0, 1), which=st.integers(0, 50), words=st.sampled_from(["yes", "no"]))
    def answer(self, desk: int, which: int, words: str) -> None:
        if self.held:
            review = self.held[which % len(self.held)]
            came = self.done(self.desks[desk].answer(review, words))
            if came == "done":
                assert review.id not in self.answers
                self.answers[review.id] = words
            elif came == "again":
                assert self.answers.setdefault(review.id, words) == words

    @rule(desk=st.integers(0, 1), which=st.integers(0, 50))
    def give_back(self, desk: int, which: int) -> None:
        if not self.held:
            return
        review = self.held[which % len(self.held)]
        if self.done(self.desks[desk].release(review)):
            self.held = [replace(each, leased_until=0.0) if each.lease == review.lease else each for each in self.held]

    @rule(desk=st.integers(0, 1), which=st.integers(0, 50))
    def renew(self, desk: int, which: int) -> None:
        if not self.held:
            return
        review = self.held[which % len(self.held)]
        if self.done(self.desks[desk].renew(review)):
            until = self.clock() + 100.0
            self.held = [
                replace(each, leased_until=until) if each.lease == review.lease else each for each in self.held
            ]

    @rule(seconds=st.sampled_from([1.0, 10.0, 70.0, 101.0, 600.0, 5_000.0]))
    def later(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(desk=st.integers(0, 1), status=st.sampled_from([200, 500]))
    def tidy(self, desk: int, status: int) -> None:
        self.network.status = status
        self.done(self.desks[desk].tidy())

    @rule(desk=st.integers(0, 1))
    def killed(self, desk: int) -> None:
        self.desks[desk] = self.made()

    @rule(off=st.booleans(), deaf=st.sets(st.sampled_from(["add", "claim", "answer", "called_back"]), max_size=1))
    def trouble(self, off: bool, deaf: set[str]) -> None:
        self.store.off, self.store.deaf = off, deaf

    @invariant()
    def nothing_is_lost_or_changed(self) -> None:
        kept = {review.id: review for review in self.store.all()}
        assert kept.keys() >= self.submitted
        for ticket, words in self.answers.items():
            answer = kept[ticket].answer
            assert kept[ticket].state == "answered" and answer is not None and answer.text == words
        assert all(count == 1 for count in self.heard.values())
        for review in kept.values():
            # Sent and noted as taken: never sent again.
            sent = sum(said["ticket"] == review.id for _, said in self.network.reached)
            assert sent <= self.taken.get(review.id, sent)
            if review.called:
                self.taken.setdefault(review.id, sent)

    @invariant()
    def one_id_for_each_callback(self) -> None:
        pairs = {(each, said["ticket"], said["state"]) for each, said in self.network.reached}
        assert len(pairs) == len({each for each, _, _ in pairs}) == len({ticket for _, ticket, _ in pairs})

    def teardown(self) -> None:
        """When all is well again, everything ends, and everybody who asked for it has been called."""
        self.store.off, self.store.deaf, self.network.status = False, set(), 200
        desk = self.made()
        for _ in range(5):
            self.clock.now += 5_000.0
            self.runner.run(desk.tidy())
        called = {said["ticket"] for _, said in self.network.reached}
        for review in self.store.all():
            assert review.state in {"answered", "expired"}
            # One that failed for more than a day of this test's time was given up.
            assert not review.callback or review.id in called
        self.nothing_is_lost_or_changed()
        self.runner.close()


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
