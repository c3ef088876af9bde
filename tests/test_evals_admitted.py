"""A policy file in service: it may be replaced, broken, taken away or grow old, and other rules hold beside it."""

import asyncio
import copy
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import Cascade, ConfigError, Lane, Lanes, PriceSheet, Request, Tier
from fastcascade._core import Clock
from fastcascade.evals.admitted import Admission, AdmissionFile, AdmissionRow, Admitted
from fastcascade.notices import Notice, subscribe
from fastcascade.semantic import SemanticRoutes
from fastcascade.testing import ScriptedBackend

PLACES = {"small": 0, "middle": 1, "large": 2}


def admission(*slices: str, days: int | None = 0) -> Admission:
    """One that admits these slices, from cases so many days old; None is of unknown age."""
    rows = tuple(AdmissionRow(name, 900, 0.9, 0.9, 0.985, "admitted", 0.8) for name in slices)
    date = "" if days is None else (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
    return Admission(rows, keep=0.98, delta=0.05, n=900, date=date)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A policy file that admits summaries."""
    admission("summary").dump(tmp_path / "admitted.json")
    return tmp_path / "admitted.json"


@pytest.fixture
def heard() -> Iterator[list[Notice]]:
    """The notices that there were."""
    found: list[Notice] = []
    end = subscribe(found.append)
    yield found
    end()


def entered(lanes: Lanes, **like: Any) -> int:
    """The tier that such a request enters at."""
    return lanes.choose(Request.of("q", **like), PLACES).first


def test_a_file_that_was_replaced_is_obeyed(path: Path) -> None:
    """The next request after a look is due goes by the new policy, and none before it."""
    clock = Clock()
    lanes = Admitted(AdmissionFile(path, every=5, clock=clock))
    admission("code").dump(path)
    assert entered(lanes, task="code") == 2
    clock.advance(4.9)
    assert entered(lanes, task="code") == 2
    clock.advance(0.2)
    assert entered(lanes, task="code") == 0 and entered(lanes, task="summary") == 2
    admission("mail").dump(path)
    assert entered(lanes, task="mail") == 2
    clock.advance(5)
    assert lanes.admission.admitted == {"mail"}


def test_nobody_looks_unasked(path: Path) -> None:
    """Without a rate the file is read when it is told to be, which says whether anything is new."""
    clock = Clock()
    lanes = Admitted(AdmissionFile(path, every=None, clock=clock))
    admission("code").dump(path)
    clock.advance(1e6)
    assert entered(lanes, task="code") == 2
    assert lanes.reload() and not lanes.reload()
    assert entered(lanes, task="code") == 0
    assert not Admitted(admission("code")).reload()


@pytest.mark.parametrize("gone", [False, True])
def test_a_broken_file_changes_nothing_and_is_told_once(path: Path, heard: list[Notice], gone: bool) -> None:
    """The old policy holds, one notice names the file, requests go on, and the next whole file is obeyed."""
    clock = Clock()
    lanes = Admitted(AdmissionFile(path, every=5, clock=clock))
    path.unlink() if gone else path.write_text('{"kind": "admission"', encoding="utf-8")
    for _ in range(3):
        clock.advance(6)
        assert entered(lanes, task="summary") == 0
    assert len(heard) == 1 and heard[0].about == str(path) and "holds on" in heard[0].text
    with pytest.raises(ConfigError, match=r"admitted\.json"):
        lanes.reload()
    assert entered(lanes, task="summary") == 0
    admission("code").dump(path)
    clock.advance(6)
    assert entered(lanes, task="code") == 0 and len(heard) == 1


def test_one_of_many_threads_looks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one request looks at the file, others go by the policy that is there and do not wait."""
    clock, met = Clock(), []
    file = AdmissionFile(path, every=5, clock=clock)
    read = Admission.load

    def slow(where: Path) -> Admission:
        clock.advance(9)
        met.append(file.admission.admitted)  # as another thread would ask meanwhile
        return read(where)

    admission("code").dump(path)
    monkeypatch.setattr(Admission, "load", slow)
    clock.advance(6)
    assert file.admission.admitted == {"code"} and met == [{"summary"}]


@pytest.mark.parametrize(("age", "said"), [(29, ""), (30, ""), (31, "31 days old"), (None, "nobody knows")])
def test_what_is_out_of_date_is_told(tmp_path: Path, heard: list[Notice], age: int | None, said: str) -> None:
    """Cases older than the days that were set are told of once, and requests are routed all the same."""
    admission("summary", days=age).dump(tmp_path / "a.json")
    clock = Clock()
    file = AdmissionFile(tmp_path / "a.json", days=30, clock=clock)
    for _ in range(3):
        clock.advance(60)
        assert file.admission.admitted == {"summary"}
    assert [said in each.text for each in heard] == ([True] if said else [])
    AdmissionFile(tmp_path / "a.json")
    assert len(heard) == bool(said)


@pytest.mark.parametrize(("given_", "said"), [({"every": 0.0}, "every must be"), ({"days": 0}, "days must be")])
def test_a_rate_that_cannot_be_is_refused(path: Path, given_: dict[str, Any], said: str) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match=said):
        AdmissionFile(path, **given_)


def letters(texts: Any) -> list[list[float]]:
    """A vector that knows refunds from everything else."""
    return [[1.0, 0.0] if "money" in text else [0.0, 1.0] for text in texts]


def test_what_a_request_means_may_be_its_slice() -> None:
    """A request without a route is given one by its meaning, and is admitted by that."""
    routes = SemanticRoutes({"refund": ["my money back"], "other": ["what is that"]}, letters, threshold=0.9)
    for lanes in (
        Admitted(admission("refund"), by="route", semantic=routes),
        Admitted(admission("refund"), Lanes(semantic=routes), by="route"),
    ):
        small, large = ScriptedBackend("from small", name="small"), ScriptedBackend("from large", name="large")
        cascade = Cascade(Tier(small), Tier(large), lanes=lanes, prices=PriceSheet(source=None))
        asked = [asyncio.run(cascade.run(text)) for text in ("I want money", "a poem please")]
        assert [each.tier for each in asked] == ["small", "large"]
        assert [each.request.route for each in asked] == ["refund", "other"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_copy_may_be_made_to_do_without(whole: bool) -> None:
    """As a drill does: without its semantic routes it asks no embedder, and the lanes it was copied from still do."""
    asked: list[Any] = []

    def counted(texts: Any) -> list[list[float]]:
        asked.extend(texts)
        return letters(texts)

    routes = SemanticRoutes({"refund": ["my money back"]}, counted, threshold=0.9)
    lanes = Admitted(admission(), Lanes(semantic=routes)) if whole else Admitted(admission(), semantic=routes)
    other = copy.copy(lanes)
    other.semantic = None
    for each, words in ((other, 0), (lanes, 2)):
        tiers = (Tier(ScriptedBackend("yes", name=name)) for name in ("small", "large"))
        asyncio.run(Cascade(*tiers, lanes=each, prices=PriceSheet(source=None)).run("I want money"))
        assert len(asked) == words


class Weekend(Lanes):
    """Lanes of one's own, in which everything for the export goes to the middle."""

    def choose(self, request: Request, places: Any, sticky: int = 0, *, remember: bool = True) -> Any:
        """As ever, or the middle."""
        chosen = super().choose(request, places, sticky, remember=remember)
        return replace(chosen, first=max(chosen.first, 1)) if request.feature == "export" else chosen


def test_lanes_of_ones_own_hold_for_what_was_admitted() -> None:
    """They say where an admitted request enters, are checked with the tiers, and cannot bring another one down."""
    own = Weekend([Lane(start="middle", end="middle", customer="gold")], large_customers="court")
    lanes = Admitted(admission("summary"), own)
    assert [entered(lanes, task="summary", **like) for like in ({}, {"feature": "export"}, {"customer": "gold"})] == [
        0, 1, 1,
    ]  # fmt: skip
    assert entered(lanes, task="code", customer="gold") == 2
    assert (
        lanes.choose(Request.of("q", task="code", customer="court"), PLACES).why == "customer court always goes large"
    )
    with pytest.raises(ConfigError, match="names the tier 'middle'"):
        lanes.check({"small": 0, "large": 1})
    with pytest.raises(ConfigError, match="lanes of your own"):
        Admitted(admission("summary"), own, large="large")


def test_who_asks_again_is_remembered_once() -> None:
    """A request that is asked again goes large, in lanes of one's own as in those that are made here."""
    for lanes in (
        Admitted(admission("summary"), regenerated_within=60),
        Admitted(admission("summary"), Lanes(regenerated_within=60)),
    ):
        request = Request.of("q", task="summary", user="ann")
        assert [lanes.choose(request, PLACES).first for _ in range(3)] == [0, 2, 2]
        assert lanes.choose(replace(request, user="bob"), PLACES, remember=False).first == 0


TIERS = st.sampled_from(["", "small", "middle", "large"])
TASKS = st.sampled_from(["", "summary", "code"])
REQUESTS = st.fixed_dictionaries({"task": TASKS, "feature": st.sampled_from(["", "x"])})
ENDS = st.tuples(TIERS, TIERS).filter(lambda ends: PLACES.get(ends[0], 0) <= PLACES.get(ends[1], 2))


@settings(max_examples=200, deadline=None)
@given(like=REQUESTS, lane=ENDS, caller=ENDS, large=TIERS, sticky=st.integers(0, 2), admitted=st.sets(TASKS))
def test_admission_only_ever_moves_up(
    like: dict[str, str], lane: tuple[str, str], caller: tuple[str, str], large: str, sticky: int, admitted: set[str]
) -> None:
    """What was admitted enters as without admission; what was not, as near to the large tier as its caller lets it."""
    rules = Lanes([Lane(start=lane[0], end=lane[1], feature="x")] if any(lane) else [], large=large)
    request = Request.of("q", **like, min_tier=caller[0], max_tier=caller[1])
    plain = rules.choose(request, PLACES, sticky)
    found = Admitted(admission(*admitted), rules).choose(request, PLACES, sticky)
    if request.task in admitted:
        assert found == plain
    else:
        least, most = PLACES.get(caller[0], 0), PLACES.get(caller[1], 2)
        assert max(least, plain.first, min(PLACES.get(large, 2), most)) <= found.first <= found.last <= most


def test_the_path_is_shown(path: Path) -> None:
    """A file is shown by its path, which may be any kind of path."""
    assert repr(AdmissionFile(path)) == f"AdmissionFile({os.fspath(path)!r})"
