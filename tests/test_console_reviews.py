"""The review desk of the console: its calls, over real stores, with several reviewers and several workers."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from desks import traced
from fastcascade.blocks import Image, Text, ToolCall, ToolResult
from fastcascade.messages import Message, Reply, Request, Tool
from fastcascade.stores.redis import RedisReviews
from fastcascade.stores.reviews import ReviewStore
from fastcascade.stores.sqlite import SQLiteReviews
from fastcascade.telemetry.events import Graded, subscribe
from memory_reviews import MemoryReviews
from redis_server import redis_server
from review_desk_site import API, CALLS_ROLES, Refusal, Site

prefixes = count()
ASKED = Request.of("Where is my parcel?", route="/orders")


@pytest.fixture(params=["sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ReviewStore]]:
    """What makes stores that hold the same reviews."""
    if request.param == "sqlite":
        yield lambda: SQLiteReviews(tmp_path / "reviews.db")
        return
    with redis_server() as server:
        yield partial(RedisReviews, server.url, prefix=f"console{next(prefixes)}", connections=4)


def run(site: Site, work: Any) -> None:
    """Run it, and end the workers."""

    async def whole() -> None:
        try:
            await work
        finally:
            await site.aclose()

    asyncio.run(whole())


def test_every_call_is_for_reviewers() -> None:
    """A reviewer may use every call of the desk, and the calls are those that are known."""
    assert set(CALLS_ROLES.values()) == {"reviewer"}
    verbs = ("claim", "renew", "release", "answer", "undo", "send")
    assert set(CALLS_ROLES) == {("GET", API), *(("POST", f"{API}/{verb}") for verb in verbs)}


def test_from_a_cascade_that_failed_to_the_caller(make: Callable[[], ReviewStore]) -> None:
    """All tiers are down: the caller gets a ticket, a reviewer answers on the page, and the caller has the answer."""
    site = Site(make)

    async def work() -> None:
        answer = await site.cascades[0].run("Where is my parcel?")
        queue = await site.call("ann")
        [row] = queue["reviews"]
        assert (row["ticket"], row["why"], row["state"], row["mine"]) == (answer.ticket, "failed", "waiting", False)
        assert row["asked"] == "Where is my parcel?" and queue["desks"][0]["counts"]["waiting"] == 1
        said = await site.call("ann", "claim")
        [attempt] = said["review"]["attempts"]
        assert (attempt["tier"], attempt["verdict"], attempt["said"]) == ("tier0", "failed", None)
        right = {"ticket": answer.ticket, "lease": said["lease"]}
        held = await site.call("ann", "answer", **right, text="At the gate.", note="phoned")
        assert held["held"] and held["until"] == site.now + 10
        assert (await site.desks[0].wait(answer.ticket, 0)).state == "claimed"
        assert (await site.call("ann", "send", **right, text="At the gate."))["came"] == "done"
        review = await site.desks[1].wait(answer.ticket, 5)
        assert review.answer is not None and review.answer.text == "At the gate." and review.note == "phoned"

    run(site, work())


def test_undo_in_another_worker(make: Callable[[], ReviewStore]) -> None:
    """An answer that one worker holds back is undone through another, and never kept; the new lease may answer."""
    site = Site(make)

    async def work() -> None:
        ticket = (await site.desks[0].submit(ASKED, "failed")).id
        right = await site.claim("ann")
        assert right is not None
        await site.call("ann", "answer", **right, text="wrong button")
        undone = await site.call("ann", "undo", worker=1, ticket=ticket)
        assert undone["undone"] and undone["lease"] != right["lease"]
        sent = await site.call("ann", "send", **right, text="wrong button")  # the first worker's time is over
        assert sent == {"came": "lapsed", "lost": {"state": "claimed", "reviewer": "ann", "mine": True}}
        again = {"ticket": ticket, "lease": undone["lease"]}
        await site.call("ann", "answer", worker=1, **again, text="right")
        assert (await site.call("ann", "send", worker=0, **again, text="right"))["came"] == "done"
        assert (await site.call("ann", "send", worker=1, **again, text="right"))["came"] == "again"
        review = await site.desks[0].get(ticket)
        assert review is not None and review.answer is not None and review.answer.text == "right"
        late = await site.call("ann", "undo", ticket=ticket)
        assert late == {"undone": False, "lost": {"state": "answered", "reviewer": "ann", "mine": True}}
        assert [each.id for each in site.told] == [ticket]

    run(site, work())


def test_two_reviewers(make: Callable[[], ReviewStore]) -> None:
    """One review goes to one of two who claim it at once; what one holds is worth nothing to another."""
    site = Site(make)

    async def work() -> None:
        ticket = (await site.desks[0].submit(ASKED, "failed")).id
        claims = await asyncio.gather(*(site.claim(who, ticket, worker=n) for n, who in enumerate(("ann", "bob"))))
        assert [each is None for each in claims].count(True) == 1
        who, other = ("ann", "bob") if claims[0] else ("bob", "ann")
        right = claims[0] or claims[1]
        assert right is not None
        shown = json.dumps([await site.call(other, worker=n) for n in (0, 1)])
        assert right["lease"] not in shown and f'"reviewer": "{who}"' in shown
        for verb, came in (("answer", "held"), ("send", "came"), ("undo", "undone")):
            said = await site.call(other, verb, worker=1, **right, text="mine")
            assert said[came] in (False, "lapsed") and said["lost"]["reviewer"] == who and "lease" not in said
        taken = await site.call(other, "claim", ticket=ticket)
        assert taken["review"] is None and taken["lost"]["reviewer"] == who
        assert (await site.call(who, "renew", **right))["held"]

    run(site, work())


def test_a_lost_lease(make: Callable[[], ReviewStore]) -> None:
    """When another has taken over a lapsed review, renewing and answering say who has it, and nothing is kept."""
    site = Site(make)

    async def work() -> None:
        await site.desks[0].submit(ASKED, "failed")
        right = await site.claim("ann")
        assert right is not None
        site.now += 60
        assert await site.claim("bob", worker=1) is not None
        lost = {"state": "claimed", "reviewer": "bob", "mine": False}
        assert await site.call("ann", "renew", **right) == {"held": False, "lost": lost}
        assert await site.call("ann", "answer", **right, text="late") == {"held": False, "lost": lost}
        assert await site.call("ann", "release", **right) == {"released": False, "lost": lost}

    run(site, work())


def test_ending_in_order_sends(make: Callable[[], ReviewStore]) -> None:
    """A worker that ends in order sends what it holds back; one that is killed loses it, and the review waits again."""
    site = Site(make)

    async def work() -> None:
        tickets = [(await site.desks[0].submit(ASKED, "failed")).id for _ in range(2)]
        for ticket, worker in zip(tickets, (0, 1), strict=True):
            right = await site.claim("ann", ticket)
            assert right is not None
            await site.call("ann", "answer", worker=worker, **right, text="held")
        site.sights[1].kept.clear()  # killed
        await site.sights[0].kept["reviews"].aclose()
        states = [(await site.desks[0].wait(ticket, 0)).state for ticket in tickets]
        assert states == ["answered", "claimed"]
        site.now += 61
        assert await site.claim("bob") is not None

    run(site, work())


def test_answers_by_themselves(make: Callable[[], ReviewStore]) -> None:
    """When the time is over the answer is sent, though no page asks for it any more."""
    site = Site(make, lease=0.02)  # held back for half of that

    async def work() -> None:
        ticket = (await site.desks[0].submit(ASKED, "failed")).id
        right = await site.claim("ann")
        assert right is not None
        await site.call("ann", "answer", **right, text="by itself")
        review = await site.desks[0].wait(ticket, 20)
        assert review.answer is not None and review.answer.text == "by itself"

    run(site, work())


GRADES = [
    # what is answered, the score
    ({"pick": "best"}, 1.0),
    ({"pick": 0}, 1.0),
    ({"text": " It is on\nits way. "}, 1.0),
    ({"text": "It is lost."}, 0.0),
    ({"pick": "none"}, 0.0),
]


@pytest.mark.parametrize(("given", "score"), GRADES, ids=["best", "same pick", "same words", "own words", "none"])
def test_sampled_ones_are_graded(given: dict[str, Any], score: float, tmp_path: Path) -> None:
    """An answer to a review that was drawn to be checked is told as a grade of its tier, and kept as a case."""
    site = Site(lambda: SQLiteReviews(tmp_path / "reviews.db"), workers=1, sample=0.25)
    heard: list[Any] = []
    end = subscribe(heard.append)

    async def work() -> None:
        reply = Reply("It is on its way.")
        said = {"kind:": "Outcome", "value": {"kind:": "Reply", "content": [{"kind:": "Text", "text": reply.text}]}}
        trace = {"tier": "small", "attempts": [{"tier": "small"}], "outcomes": {"small/answer": said}}
        await site.desks[0].submit(ASKED, "sampled", reply, trace)
        right = await site.claim("ann")
        assert right is not None
        await site.call("ann", "answer", **right, **given)
        assert (await site.call("ann", "send", **right, **given))["came"] == "done"
        [case] = [each async for each in site.desks[0].cases()]
        assert case["expected"] == (None if given == {"pick": "none"} else given.get("text", reply.text))

    try:
        run(site, work())
    finally:
        end()
    assert heard == [Graded("small", score, site.now, "/orders", 0.25, "review", "", "")]


def test_none_is_for_what_is_only_checked(make: Callable[[], ReviewStore]) -> None:
    """Where somebody waits for the answer, it cannot be that there is none; and an empty text is none."""
    site = Site(make)

    async def work() -> None:
        await site.desks[0].submit(ASKED, "failed")
        right = await site.claim("ann")
        assert right is not None
        bad: list[dict[str, Any]] = [{"pick": "none"}, {"text": " \n"}, {}, {"pick": 7}, {"pick": True}, {"pick": []}]
        for given in bad:
            with pytest.raises(Refusal) as refused:
                await site.call("ann", "answer", **right, **given)
            assert refused.value.status == 400

    run(site, work())


HOSTILE = "</script><img src=x onerror=alert(1)>\x1b]0;x\x07\u202e\u0000\ud800"


def test_what_is_shown() -> None:
    """All of a request and all attempts are shown, pictures as placeholders; who asked is not."""
    trace, best = traced()
    content = (Text(HOSTILE), Image("AAAA", "image/png"), Image(url="https://example.org/x.png"))
    turns = (
        Message("user", content),
        Message("assistant", (ToolCall("1", "look", '{"at": 1}'),)),
        Message("user", (ToolResult("1", (Text("seen"),)),)),
    )
    asked = Request(turns, system=(Text("be brief"),), tools=(Tool("look", "at it"),), schema={"type": "object"},
                    customer="gold-customer", user="some-user")  # fmt: skip
    site = Site(MemoryReviews, workers=1)

    async def work() -> None:
        await site.desks[0].submit(asked, "unsure", best, trace)
        said = await site.call("ann", "claim")
        shown = said["review"]
        text = json.dumps(said)
        assert "gold-customer" not in text and "some-user" not in text
        first = shown["messages"][0]["blocks"]
        assert [each["kind"] for each in first] == ["text", "image", "image"] and first[0]["text"] == HOSTILE
        assert [each["text"] for each in first[1:]] == ["3 bytes", "https://example.org/x.png"]
        assert [each["blocks"][0]["kind"] for each in shown["messages"][1:]] == ["tool call", "tool result"]
        assert shown["tools"][0]["name"] == "look" and shown["system"] == ["be brief"]
        assert [each["tier"] for each in shown["attempts"]] == ["off", "rules", "large", "small"]
        assert shown["attempts"][0]["error"] == "server: as scripted"
        assert shown["attempts"][1]["reason"] == "it had no answer"
        assert [(each["said"] or {}).get("text") for each in shown["attempts"]] == [
            None, None, "It is on its way.", "Perhaps."]  # fmt: skip
        assert shown["best"]["text"] == best.text
        queue = await site.call("bob")
        assert said["lease"] not in json.dumps(queue)

    run(site, work())


def test_a_store_that_is_away() -> None:
    """The queue says that the store is away; other calls get 503; a held answer is sent when it is back."""
    store = MemoryReviews()
    site = Site(lambda: store, workers=1)

    async def work() -> None:
        ticket = (await site.desks[0].submit(ASKED, "failed")).id
        right = await site.claim("ann")
        assert right is not None
        await site.call("ann", "answer", **right, text="held")
        site.now += 50
        store.off = True
        assert (await site.call("ann"))["desks"][0]["away"]
        with pytest.raises(Refusal) as refused:
            await site.call("ann", "undo", ticket=ticket)
        assert refused.value.status == 503
        held = site.sights[0].kept["reviews"].held
        sending = asyncio.create_task(held.send(site.desks[0], ticket, right["lease"]))
        await asyncio.sleep(0)  # it has its turn, in which the store does not answer
        await asyncio.sleep(0)
        assert store.asked[-1] == "get" and not sending.done()
        store.off = False
        assert await sending == "done"

    run(site, work())


def test_the_queue_is_read_once(make: Callable[[], ReviewStore]) -> None:
    """However many pages look within a second, the store is read once; after a claim it is read anew."""
    store = MemoryReviews()
    site = Site(lambda: store, workers=1)

    async def work() -> None:
        await site.desks[0].submit(ASKED, "failed")
        await asyncio.gather(*(site.call(f"reviewer {n}") for n in range(8)))
        assert store.asked.count("counts") == 1
        await site.claim("ann")
        assert (await site.call("bob"))["reviews"][0]["reviewer"] == "ann"
        assert store.asked.count("counts") == 2


def test_a_long_queue_is_read_in_pieces() -> None:
    """A long queue is read a few at a time, up to a number; beyond it reviews are counted, and the oldest are there."""
    store = MemoryReviews()
    site = Site(lambda: store, workers=1)

    async def work() -> None:
        for number in range(215):
            site.now += 1
            await site.desks[0].submit(Request.of(f"asked {number}"), "failed")
        queue = await site.call("ann")
        assert queue["desks"][0]["counts"]["waiting"] == 215
        assert [each["asked"] for each in queue["reviews"]] == [f"asked {number}" for number in range(200)]
        assert store.asked.count("listed") == 21

    run(site, work())


def test_desks_are_shared(tmp_path: Path) -> None:
    """Cascades that share a desk are one queue, called by the first of them; an unknown name is refused."""
    site = Site(lambda: SQLiteReviews(tmp_path / "reviews.db"), workers=1)
    site.sights[0].cascades = {"shop": site.cascades[0], "help": site.cascades[0]}

    async def work() -> None:
        [desk] = (await site.call("ann"))["desks"]
        assert (desk["name"], desk["cascades"]) == ("shop", ["shop", "help"])
        for name in ("help", "other", 3, None):
            with pytest.raises(Refusal):
                await site.call("ann", "claim", desk=name)

    run(site, work())


def test_what_a_page_may_send_is_bounded(tmp_path: Path) -> None:
    """A body that is no object, a missing lease, and texts that are too long are refused."""
    site = Site(lambda: SQLiteReviews(tmp_path / "reviews.db"), workers=1)

    async def work() -> None:
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("renew", {"ticket": "t"}),
            ("release", {"ticket": "t", "lease": 5}),
            ("claim", {"ticket": "t" * 1_000}),
        ]
        for verb, body in bodies:
            with pytest.raises(Refusal) as refused:
                await site.call("ann", verb, **body)
            assert refused.value.status == 400
        lost = await site.call("ann", "renew", ticket="none", lease="made up")
        assert lost == {"held": False, "lost": {"state": "gone", "reviewer": "", "mine": False}}

    run(site, work())
