"""Sessions against a model: whatever is begun, used, ended and changed in whichever worker, the same are alive."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from consoles import CHEAP
from fastcascade.console.people import People
from fastcascade.console.people_file import PeopleFile
from fastcascade.console.sessions import MOST_EACH, Sessions

HOURS, IDLE = 2.0, 600.0
NAMES = ("ada", "rex")


class SessionLaw(RuleBasedStateMachine):
    """Two workers on one file; the model is a list of what was begun."""

    tokens = Bundle("tokens")
    links = Bundle("links")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.time = 1_800_000_000.0
        path = Path(self.folder.name)
        self.file = PeopleFile(path / "console.json", cost=CHEAP)
        self.ids = {name: self.file.add(name)[0].id for name in NAMES}
        self.workers = [
            Sessions(path / "console.db", People(self.file), hours=HOURS, idle=IDLE, now=lambda: self.time)
            for _ in range(2)
        ]
        self.live: dict[str, list[float]] = {}  # by token: when it began, and when it was last seen
        self.whose: dict[str, tuple[str, str]] = {}
        self.ends: dict[str, float] = {}

    def teardown(self) -> None:
        for each in self.workers:
            each.close()
        self.folder.cleanup()

    def alive(self, token: str) -> bool:
        name, person = self.whose[token]
        if token not in self.live or self.ids.get(name) != person:
            return False
        began, seen = self.live[token]
        return self.time - began < HOURS * 3_600 and self.time - seen < IDLE

    def begun(self, token: str, name: str) -> str:
        self.whose[token] = name, self.ids[name]
        mine = sorted((seen, began, each) for each, (began, seen) in self.live.items() if self.whose[each][0] == name)
        for _, _, each in mine[: max(0, len(mine) - MOST_EACH + 1)]:
            del self.live[each]
        self.live[token] = [self.time, self.time]
        return token

    @rule(target=tokens, worker=st.integers(0, 1), name=st.sampled_from(NAMES))
    def begin(self, worker: int, name: str) -> str:
        if name not in self.ids:
            return "x"
        return self.begun(self.workers[worker].begin(name, self.ids[name]), name)

    @rule(worker=st.integers(0, 1), token=tokens)
    def find(self, worker: int, token: str) -> None:
        if token not in self.whose:
            assert self.workers[worker].find(token) is None
            return
        found, alive = self.workers[worker].find(token), self.alive(token)
        assert (found is not None) == alive
        if found is None:
            self.live.pop(token, None)
        else:
            assert found.name == self.whose[token][0]
            if self.time - self.live[token][1] >= 60:
                self.live[token][1] = self.time
            assert self.workers[worker].known(token) == found

    @rule(worker=st.integers(0, 1), token=tokens)
    def end(self, worker: int, token: str) -> None:
        self.workers[worker].end(token)
        self.live.pop(token, None)
        assert self.workers[worker].known(token) is None

    @rule(seconds=st.sampled_from([0.5, 30.0, 61.0, 500.0, 4_000.0]))
    def wait(self, seconds: float) -> None:
        self.time += seconds

    @rule(name=st.sampled_from(NAMES))
    def change(self, name: str) -> None:
        if name in self.ids:
            self.ids[name] = self.file.set_role(name, "reviewer").id
            for each in self.workers:
                each.people.look()

    @rule(target=links, worker=st.integers(0, 1), name=st.sampled_from(NAMES))
    def link(self, worker: int, name: str) -> str:
        token = self.workers[worker].link(name, 60)
        self.whose[token], self.ends[token] = (name, self.ids[name]), self.time + 60
        return token

    @rule(target=tokens, worker=st.integers(0, 1), link=links)
    def redeem(self, worker: int, link: str) -> str:
        name, person = self.whose[link]
        good = self.ends.pop(link, 0.0) > self.time and self.ids[name] == person
        token = self.workers[worker].redeem(link)
        assert (token is not None) == good
        return "x" if token is None else self.begun(token, name)

    @invariant()
    def bounded(self) -> None:
        """What is remembered is no more than was begun, and is let go of."""
        for each in self.workers:
            assert len(each._remembered) <= len(self.whose)  # noqa: SLF001 - its bound is the promise


SessionLaw.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestSessionLaw = SessionLaw.TestCase
