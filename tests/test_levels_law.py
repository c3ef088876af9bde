"""The law of cache levels: several processes over one store, with every message as late as chance has it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fastcascade.caching.levels import Entry, Lead, Levels
from fastcascade.caching.levels_purges import ALL
from levels_world import Link, World

KEYS = [b"key-one-of-two", b"key-two-of-two"]
TAGS = ["red", "blue"]
LEASE = 10.0

process = st.integers(0, 2)
# Most of it is about one key, so that much happens to it.
keys = st.sampled_from([KEYS[0], KEYS[0], KEYS[0], KEYS[1]])
tags = st.lists(st.sampled_from(TAGS), unique=True)


@dataclass
class Value:
    """What a test knows of a value: of which key, with which tags, and when its making began."""

    key: bytes
    tags: tuple[str, ...]
    began: int


@dataclass
class Granted:
    """A Lead that some process has."""

    lead: Lead
    place: int
    began: int
    at: float
    solid: bool
    """Given by the store itself, to a process that has had its connection ever since; a store that has lost nothing."""


@dataclass
class Asked:
    """A question under way, and the purges that its process had seen when it was asked."""

    task: "asyncio.Task[Any]"
    place: int
    key: bytes
    seen: list[tuple[bytes, int]]
    cuts: int
    at: float


@dataclass
class Process:
    """One process."""

    levels: Levels
    link: Link
    cuts: int = 0
    seen: list[tuple[bytes, int]] = field(default_factory=list)
    """What purges it has made or heard of, and when they were made."""
    untold: dict[bytes, int] = field(default_factory=dict)


class Interleavings(RuleBasedStateMachine):
    """Three processes that ask, make, purge, fall silent and come back."""

    @initialize(pushes_first=st.booleans())
    def begin(self, pushes_first: bool) -> None:
        self.world = World(3, pushes_first=pushes_first)
        self.now = 0
        self.values: dict[bytes, Value] = {}
        self.granted: list[Granted] = []
        self.asked: list[Asked] = []
        self.writes: list[asyncio.Task[Any]] = []
        self.processes = [Process(self._levels(link), link) for link in self.world.links]

    def _levels(self, link: Link) -> Levels:
        return Levels("law", link, clock=self.world.clock, lease=LEASE, longest=100_000.0)  # type: ignore[arg-type]

    def _start(self, work: Any) -> "asyncio.Task[Any]":
        task = self.world.start(work)
        self._look()
        return task

    def _look(self) -> None:
        """See what has come of the questions under way."""
        self.now += 1
        for asked in [each for each in self.asked if each.task.done()]:
            self.asked.remove(asked)
            if asked.task.cancelled():
                continue
            found = asked.task.result()
            if isinstance(found, Entry):
                self._judge(found, asked.key, asked.seen)
            elif isinstance(found, Lead):
                self._grant(found, asked)
        for write in [each for each in self.writes if each.done()]:
            self.writes.remove(write)
            write.result()

    def _judge(self, entry: Entry, key: bytes, seen: list[tuple[bytes, int]]) -> None:
        if entry.negative:
            return
        value = self.values[entry.value]
        assert value.key == key, "a value of another key"
        assert entry.tags == value.tags
        assert entry.stale_until > self.world.clock.now(), "an entry that is over"
        for member, purged in seen:
            if member in {ALL, b"k" + key, *(b"t" + tag.encode() for tag in value.tags)}:
                assert value.began > purged, "a stale answer after a purge was seen"

    def _grant(self, lead: Lead, asked: Asked) -> None:
        place, key, now = asked.place, asked.key, self.world.clock.now()
        process = self.processes[place]
        solid = process.link.up and process.cuts == asked.cuts and lead.number == 1
        for other in self.granted:
            if other.lead.key == key:
                assert other.place != place, "two leads in one process"
                assert not (solid and other.solid and now < other.at + LEASE), "two leads of one key"
        self.granted.append(Granted(lead, place, self.now, asked.at, solid))

    def _value(self, key: bytes, tags: list[str], began: int) -> bytes:
        text = b"%b %d" % (key, len(self.values))
        self.values[text] = Value(key, tuple(tags), began)
        return text

    @rule(place=process, key=keys, within=st.sampled_from([None, None, 1.0]))
    def ask(self, place: int, key: bytes, within: float | None) -> None:
        process = self.processes[place]
        task = self.world.loop.create_task(process.levels.ask(key, within=within))
        self.asked.append(Asked(task, place, key, list(process.seen), process.cuts, self.world.clock.now()))
        self.world.spin()
        self._look()

    @rule(place=process, key=keys, stale=st.booleans())
    def peek(self, place: int, key: bytes, stale: bool) -> None:
        process = self.processes[place]
        entry = process.levels.peek(key, stale=stale)
        if entry is not None:
            assert stale or entry.fresh_until > self.world.clock.now()
            self._judge(entry, key, process.seen)

    @precondition(lambda self: self.granted)
    @rule(which=st.integers(0, 100), tags=tags, ttl=st.sampled_from([5.0, 60.0]), stale=st.sampled_from([0.0, 60.0]))
    def make(self, which: int, tags: list[str], ttl: float, stale: float) -> None:
        granted = self.granted.pop(which % len(self.granted))
        value = self._value(granted.lead.key, tags, granted.began)
        self.writes.append(self._start(granted.lead.put(value, ttl=ttl, stale=stale, tags=tags)))

    @precondition(lambda self: self.granted)
    @rule(which=st.integers(0, 100), how=st.sampled_from(["nothing", "give up", "drop"]))
    def make_nothing(self, which: int, how: str) -> None:
        granted = self.granted.pop(which % len(self.granted))
        if how == "nothing":
            self.writes.append(self._start(granted.lead.nothing(5.0)))
        elif how == "give up":
            self.world.do(granted.lead.give_up)
        del granted
        self.world.spin()
        self._look()

    @rule(place=process, key=keys, tags=tags)
    def put(self, place: int, key: bytes, tags: list[str]) -> None:
        value = self._value(key, tags, self.now)
        self.writes.append(self._start(self.processes[place].levels.put(key, value, ttl=30.0, tags=tags)))

    @rule(place=process, what=st.sampled_from([*KEYS, *TAGS, None]))
    def purge(self, place: int, what: bytes | str | None) -> None:
        process = self.processes[place]
        if what is None:
            member, work = ALL, process.levels.purge(all=True)
        elif isinstance(what, bytes):
            member, work = b"k" + what, process.levels.purge(key=what)
        else:
            member, work = b"t" + what.encode(), process.levels.purge(tag=what)
        self.now += 1
        process.untold.setdefault(member, self.now)
        process.seen.append((member, self.now))
        self.now += 1
        self.writes.append(self._start(work))

    @rule(place=process)
    def serve(self, place: int) -> None:
        self.world.do(self.processes[place].link.serve)

    @rule(place=process, at_once=st.booleans())
    def deliver(self, place: int, at_once: bool) -> None:
        link = self.processes[place].link
        self.world.do(lambda: link.deliver() and at_once and link.deliver())
        self.world.spin()
        self._look()

    @rule(place=process)
    def hear(self, place: int) -> None:
        process = self.processes[place]
        piece = self.world.do(process.link.news.deliver)
        if piece is not None and piece.fields:
            member = piece.fields[b"member"]
            for teller in self.processes:
                if teller.link is piece.by and member in teller.untold:
                    process.seen.append((member, teller.untold[member]))
        self.world.spin()
        self._look()

    def _flow(self, place: int) -> None:
        link = self.processes[place].link
        for _ in range(50):
            self.world.spin()
            if not (self.world.do(link.serve) or self.world.do(link.deliver)):
                break
        self._look()

    @rule(place=process)
    def flow(self, place: int) -> None:
        """All comes through to one process, but for the news."""
        self._flow(place)

    @rule(place=process, key=keys, tags=tags, ttl=st.sampled_from([5.0, 60.0]), stale=st.sampled_from([0.0, 60.0]))
    def fetch(self, place: int, key: bytes, tags: list[str], ttl: float, stale: float) -> None:
        """Ask, and make it where it is to be made, at one go."""
        self.ask(place, key, None)
        self._flow(place)
        for granted in [each for each in self.granted if each.place == place and each.lead.key == key]:
            self.granted.remove(granted)
            value = self._value(key, tags, granted.began)
            self.writes.append(self._start(granted.lead.put(value, ttl=ttl, stale=stale, tags=tags)))
            self._flow(place)

    @rule(place=process, key=keys, tags=tags, others=st.booleans())
    def fetch_while_purged(self, place: int, key: bytes, tags: list[str], others: bool) -> None:
        """While it is made, it or one of its tags is purged by some process."""
        self.ask(place, key, None)
        self._flow(place)
        purger = (place + others) % 3
        self.purge(purger, tags[0] if tags else key)
        self._flow(purger)
        for granted in [each for each in self.granted if each.place == place and each.lead.key == key]:
            self.granted.remove(granted)
            value = self._value(key, tags, granted.began)
            self.writes.append(self._start(granted.lead.put(value, ttl=60.0, tags=tags)))
            self._flow(place)

    @rule()
    def settle(self) -> None:
        self.world.settle()
        self._look()

    @rule(place=process, served=st.integers(0, 3))
    def cut(self, place: int, served: int) -> None:
        process = self.processes[place]
        if process.link.up:
            self._doubt(place)
            process.cuts += 1
            self.world.do(lambda: process.link.cut(served=served))
        self.world.spin()
        self._look()

    @rule(place=process)
    def mend(self, place: int) -> None:
        link = self.processes[place].link
        if not link.up:
            self.world.do(link.mend)
        self.world.spin()
        self._look()

    @rule(place=process)
    def die(self, place: int) -> None:
        """A process ends without a word, and another takes its place."""
        process = self.processes[place]
        for asked in [each for each in self.asked if each.place == place]:
            asked.task.cancel()
        self.world.spin()
        self._look()
        if process.link.up:
            self.world.do(lambda: process.link.cut(served=0))
        for granted in [each for each in self.granted if each.place == place]:
            self.granted.remove(granted)
            granted.lead._levels = None  # noqa: SLF001 - its process is gone, and says nothing
        self.world.loop.run_until_complete(process.levels.aclose())
        link = Link(self.world)
        self.world.links[place] = link
        self.processes[place] = Process(self._levels(link), link, untold={})

    @rule(place=process, key=keys)
    def cancel(self, place: int, key: bytes) -> None:
        for asked in self.asked:
            if asked.place == place and asked.key == key:
                asked.task.cancel()
                break
        self.world.spin()
        self._look()

    @rule(key=keys)
    def evict(self, key: bytes) -> None:
        """The store lets an entry go for want of room."""
        for name in list(self.world.store.data):
            if key.hex().encode() in name and name.endswith(b":e"):
                self.world.store.delete(name)

    @rule()
    def flush(self) -> None:
        for place, process in enumerate(self.processes):
            self._doubt(place)
            process.cuts += 1
        self.world.store.flush(self.world.links)

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        self._look()

    def _doubt(self, place: int) -> None:
        for granted in self.granted:
            if granted.place == place:
                granted.solid = False

    def teardown(self) -> None:
        """Once all is quiet, nobody waits, and each memory has what the store has."""
        if not hasattr(self, "world"):
            return
        try:
            self._quiet()
        finally:
            for process in self.processes:
                self.world.do(lambda link=process.link: link.cut(served=0))
                self.world.loop.run_until_complete(process.levels.aclose())
            for task in asyncio.all_tasks(self.world.loop):
                task.cancel()
            self.world.spin()
            self.world.loop.close()

    def _quiet(self) -> None:
        for process in self.processes:
            if not process.link.up:
                self.world.do(process.link.mend)
        for _ in range(200):  # as many may ask for one key, and each gives up in turn
            while self.granted:
                self.world.do(self.granted.pop().lead.give_up)
            self.world.settle()
            self._look()
            if not (self.asked or self.granted or self.writes):
                break
            self.world.pass_time(LEASE + 1.0)
            self._look()
        assert not self.asked, "somebody waits for ever"
        assert not self.writes
        self.world.pass_time(2.0)
        self.world.settle()
        for process in self.processes:
            assert not process.levels.flights
            assert not process.levels.stats().pending
            for key in KEYS:
                entry = process.levels.peek(key, stale=True)
                if entry is not None:
                    stands = self.world.store.data[process.link.key("law", "e", slot=key.hex())][0]
                    assert stands.endswith(entry.value), "memory has what the store has not"
                    self._judge(entry, key, process.seen)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=60)
