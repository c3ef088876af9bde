"""Several reviewers, several workers, answers that are held back and undone, in whatever order: what always holds."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastcascade.messages import Request
from fastcascade.stores.sqlite import SQLiteReviews
from review_desk_site import Refusal, Site
from reviews import quick_folder

people = st.sampled_from(["ann", "bob"])
workers = st.integers(0, 1)


class Desk(RuleBasedStateMachine):
    """Two reviewers with a page each, over two workers of one file. Time goes on only by `tick`."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(dir=quick_folder())
        file = Path(self.folder.name) / "reviews.db"
        self.site = Site(lambda: SQLiteReviews(file))
        self.tickets: list[str] = []
        self.pages: dict[str, dict[str, dict[str, Any]]] = {"ann": {}, "bob": {}}  # by person and ticket: what it sends
        self.held: dict[str, dict[str, Any]] = {}  # by ticket, the answer that was told to be held
        self.undone: set[str] = set()  # texts
        self.sent: dict[str, str] = {}  # by ticket, the text that was told to be kept
        self.texts = 0

    def teardown(self) -> None:
        """Every answer that was held and not undone is kept, once the workers have ended."""
        if not hasattr(self, "runner"):
            return
        self.work(self.all_sent())
        self.agree()
        for ticket, body in self.held.items():
            review = self.work(self.site.desks[0].get(ticket))
            kept = review.answer.text if review.answer else None
            assert kept == body["text"], (ticket, kept)
        self.work(self.site.aclose())
        self.runner.close()
        self.folder.cleanup()

    async def all_sent(self) -> None:
        for sight in self.site.sights:
            for each in sight.kept.values():
                await each.aclose()

    def work(self, made: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(made)

    def call(self, who: str, verb: str, worker: int, **body: Any) -> Any:
        return self.work(self.site.call(who, verb, worker=worker, **body))

    @rule()
    def submit(self) -> None:
        desk = self.site.desks[0]
        self.tickets.append(self.work(desk.submit(Request.of(f"asked {len(self.tickets)}"), "failed")).id)

    @rule(who=people, worker=workers, at=st.none() | st.integers(0, 3))
    def claim(self, who: str, worker: int, at: int | None) -> None:
        ticket = self.tickets[at % len(self.tickets)] if at is not None and self.tickets else ""
        try:
            right = self.work(self.site.claim(who, ticket, worker=worker))
        except Refusal as refusal:
            assert refusal.status == 409 and ticket in self.held
            return
        if right is None:
            return
        self.pages[who][right["ticket"]] = right
        self.held.pop(right["ticket"], None)  # one's own from another worker, or it had lapsed: as good as undone

    @rule(who=people, worker=workers, at=st.integers(0, 3))
    def answer(self, who: str, worker: int, at: int) -> None:
        right = self.of(who, at)
        if right is None:
            return
        self.texts += 1
        body = {**right, "text": f"text {self.texts}"}
        before = self.held.get(right["ticket"])
        said = self.call(who, "answer", worker, **body)
        if not said["held"]:
            return
        assert right["ticket"] not in self.sent
        self.held[right["ticket"]] = body
        if before is not None:  # answered anew without an undo, perhaps at the other worker: either may be kept
            self.held.pop(right["ticket"])

    @rule(who=people, worker=workers, at=st.integers(0, 3))
    def undo(self, who: str, worker: int, at: int) -> None:
        right = self.of(who, at)
        if right is None:
            return
        ticket = right["ticket"]
        said = self.call(who, "undo", worker, ticket=ticket)
        held = self.held.get(ticket)
        if said["undone"]:
            assert ticket not in self.sent
            if held is not None:
                self.undone.add(held["text"])
            self.held.pop(ticket, None)
            self.pages[who][ticket] = {"ticket": ticket, "lease": said["lease"]}
        elif held is not None and held["lease"] == right["lease"]:
            assert said["lost"]["state"] == "answered"

    @rule(worker=workers, at=st.integers(0, 3))
    def send(self, worker: int, at: int) -> None:
        if not self.held:
            return
        ticket, body = list(self.held.items())[at % len(self.held)]
        who = next(name for name, page in self.pages.items() if page.get(ticket, {}).get("lease") == body["lease"])
        said = self.call(who, "send", worker, **body)
        assert said["came"] in {"done", "again"}
        assert self.sent.setdefault(ticket, body["text"]) == body["text"]

    @rule(worker=workers)
    def time_is_over(self, worker: int) -> None:
        """A worker sends all that it holds back."""
        for each in self.site.sights[worker].kept.values():
            self.work(each.aclose())

    @precondition(lambda self: not getattr(self, "held", True))
    @rule(seconds=st.sampled_from([30, 61]))
    def tick(self, seconds: int) -> None:
        self.site.now += seconds

    @rule(who=people, worker=workers, at=st.integers(0, 3), verb=st.sampled_from(["renew", "release"]))
    def others(self, who: str, worker: int, at: int, verb: str) -> None:
        right = self.of(who, at)
        if right is None or right["ticket"] in self.held:
            return
        self.call(who, verb, worker, **right)

    @rule(at=st.integers(0, 3), worker=workers)
    def steal(self, at: int, worker: int) -> None:
        """Somebody else sends another's ticket and lease: nothing comes of it."""
        for ticket, right in list(self.pages["ann"].items())[:2]:
            if self.pages["bob"].get(ticket) is not None:
                continue
            said = self.call("bob", "send", worker, **right, text="stolen")
            assert said["came"] == "lapsed"

    def of(self, who: str, at: int) -> dict[str, Any] | None:
        page = list(self.pages[who].values())
        return page[at % len(page)] if page else None

    @invariant()
    def agree(self) -> None:
        """No text that was undone is ever kept; what was told to be kept is; each is told once to who listens."""
        if not hasattr(self, "site"):
            return
        for ticket in self.tickets:
            review = self.work(self.site.desks[0].get(ticket))
            kept = review.answer.text if review.answer else None
            assert kept not in self.undone and kept != "stolen"
            assert kept == self.sent.get(ticket, kept)
        told = [each.id for each in self.site.told]
        assert len(told) == len(set(told))


TestDesk = Desk.TestCase
TestDesk.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
