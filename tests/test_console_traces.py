"""The API of the page of traces, on a real store that real answers of a real cascade were written to."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console_shop import HOSTILE, TOML, asked, fill, made, sight_of, value
from fastcascade.console.api_traces import again, one, search
from fastcascade.console.api_traces_replay import replayed
from fastcascade.console.api_traces_search import Sieve, looked_for
from fastcascade.console.asked import Refusal, Sight
from fastcascade.errors import ConfigError
from fastcascade.recording import replay
from fastcascade.telemetry.decisions import recording_of

MODULE = "shop_models_of_traces"
N = 120


@pytest.fixture(scope="module")
def sight(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """With texts."""
    folder = tmp_path_factory.mktemp("traces")
    file = made(folder, MODULE)
    return sight_of(file, fill(folder, file, N))


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """The same without texts."""
    folder = tmp_path_factory.mktemp("blind")
    file = made(folder, MODULE)
    return sight_of(file, fill(folder, file, N, texts=False))


def rows(sight: Sight, **query: str) -> Any:
    """A page of a search."""
    return value(asyncio.run(search(asked(sight, "/console/api/traces", **query))))


def whole(sight: Sight, name: str) -> Any:
    """One decision."""
    return value(asyncio.run(one(asked(sight, f"/console/api/traces/{name}", rest=name))))


def tried(sight: Sight, number: int, **accept: float) -> Any:
    """The same under other thresholds."""
    body = {"number": number, "accept": accept}
    return value(asyncio.run(again(asked(sight, "/console/api/traces/replay", body=body))))


def every(sight: Sight, **query: str) -> list[int]:
    """All numbers of a search, page by page."""
    found: list[int] = []
    before = ""
    while True:
        page = rows(sight, **query, **({"before": before} if before else {}))
        found += [each["number"] for each in page["rows"]]
        if page["next"] is None:
            return found
        before = str(page["next"])


def test_pages_join_without_gap_or_repetition(sight: Sight) -> None:
    """Whatever the size of a page, all decisions are seen once, the newest first."""
    numbers = list(range(N, 0, -1))
    for limit in (1, 7, 50, 100):
        assert every(sight, limit=str(limit)) == numbers


SEARCHES = [
    ({"escalated": "yes"}, lambda row: row["escalated"]),
    ({"escalated": "no", "tier": "small"}, lambda row: row["tier"] == "small" and not row["escalated"]),
    ({"cost": "0.001"}, lambda row: row["cost_usd"] >= 0.001),
    ({"slower": "0.8"}, lambda row: row["seconds"] >= 0.8),
    ({"slower": "0.8", "cost": "0.001", "escalated": "yes"}, lambda row: row["seconds"] >= 0.8 and row["escalated"]),
    ({"status": "ok", "layer": "dispatch", "slice": "shop"}, lambda _row: True),
    ({"degraded": "yes"}, lambda row: row["degraded"]),
    ({"name": "r17"}, lambda row: "r17" in row["id"]),
    ({"cascade": "cascade"}, lambda row: row["cascade"] == "cascade"),
    ({"layer": "cache"}, lambda _row: False),
]


@pytest.mark.parametrize(("query", "holds"), SEARCHES, ids=[" ".join(query) for query, _ in SEARCHES])
def test_a_search_finds_what_holds(sight: Sight, query: dict[str, str], holds: Any) -> None:
    """All of what is searched is found, and nothing else, whichever way it is looked for."""
    wanted = [row["number"] for row in rows(sight, limit="100")["rows"] if holds(row)]
    found = every(sight, limit="30", **query)
    assert [number for number in found if number > N - 100] == wanted


def test_texts_are_searched_where_they_are_kept(sight: Sight, blind: Sight) -> None:
    """In what was asked and said, whatever the case; without texts nothing is found by them."""
    assert every(sight, text="QUESTION 7") == [80, 79, 78, 77, 76, 75, 74, 73, 72, 71, 8]
    assert every(sight, text="onerror") == [1]
    assert every(blind, text="question 7") == []
    assert rows(sight)["texts"] is True


@settings(max_examples=30, deadline=None)
@given(
    cost=st.sampled_from([None, 0.0, 0.001, 1.0]), slower=st.sampled_from([None, 0.3, 0.9]),
    limit=st.integers(1, 40), text=st.sampled_from(["", "1", "not sure"]),
)  # fmt: skip
def test_sieved_pages_join(sight: Sight, cost: float | None, slower: float | None, limit: int, text: str) -> None:
    """Pages of what is looked at row by row join as well, and are what one look at all would find."""
    store = sight.decisions
    assert store is not None
    sieve = Sieve(cost, slower, text)
    all_at_once = [each.number for each in store.page(limit=N) if sieve.lets(store, each)]
    found: list[int] = []
    wanted: dict[str, Any] = {}
    for _ in range(N + 1):
        page = looked_for(store, wanted, sieve, limit)
        found += [each.number for each in page.rows]
        if page.following is None:
            break
        wanted = {"before": page.following}
    assert found == all_at_once


WRONG = [
    ({"cost": "cheap"}, "cost is a number"),
    ({"slower": "-1"}, "slower is a number"),
    ({"escalated": "perhaps"}, "escalated is yes or no"),
    ({"text": "x" * 201}, "text is at most 200"),
    ({"limit": "1000"}, "limit is a number from 1 to 100"),
    ({"before": "nan"}, "before is a number"),
]


@pytest.mark.parametrize(("query", "said"), WRONG, ids=[next(iter(query)) for query, _ in WRONG])
def test_a_search_that_makes_no_sense_is_refused(sight: Sight, query: dict[str, str], said: str) -> None:
    """With 400 and the name of what is wrong."""
    with pytest.raises(Refusal, match=said) as refused:
        rows(sight, **query)
    assert refused.value.status == 400


def test_a_status_that_is_none_is_said_by_the_store(sight: Sight) -> None:
    """What the store does not know how to look for is an error in its words."""
    with pytest.raises(ConfigError, match="a status is"):
        rows(sight, status="fine")


def test_one_decision_is_whole(sight: Sight) -> None:
    """By number and by the request's id: attempts with times that follow one another, texts as they were, grades."""
    found = whole(sight, "1")
    assert found["texts"]["messages"] == [{"role": "user", "text": HOSTILE, "cut": 0}]
    assert found["row"]["id"] == "r0" and whole(sight, "r0")["row"]["number"] == 1
    gone_up = [row["number"] for row in rows(sight, escalated="yes")["rows"]]
    number = next(each for each in gone_up if each % 2 == 0)  # every other one was graded
    found = whole(sight, str(number))
    small, large = found["attempts"]
    assert (small["tier"], small["verdict"], large["verdict"]) == ("small", "escalate", "accept")
    assert 0 == small["started"] < large["started"] and large["calls"][0]["started"] >= large["started"]
    assert small["score"] < 0.6 and set(found["texts"]["said"]) == {"small/answer", "large/answer"}
    assert [each["tier"] for each in found["grades"]] == ["small"]
    assert found["tiers"][0] == {"name": "small", "accept": 0.6, "gated": True, "ladder": True}
    assert found["by"] == "replay"


def test_without_texts_there_are_figures_alone(blind: Sight) -> None:
    """No text, no reason and no time of a try; and it is known that a replay goes by scores."""
    found = whole(blind, "1")
    assert found["texts"] is None and found["by"] == "scores"
    assert HOSTILE not in str(found)


@pytest.mark.parametrize("name", ["9999", "r9999", "x" * 300, "9" * 30])
def test_what_is_not_there_is_not_found(sight: Sight, name: str) -> None:
    """A number or an id that nothing has is 404, and one that can be none 400."""
    with pytest.raises(Refusal) as refused:
        whole(sight, name)
    assert refused.value.status in (400, 404)


def test_a_replay_is_what_the_cascade_would_have_done(sight: Sight) -> None:
    """For each decision and threshold: what `replay` says where all that it asks for was asked; else it is unknown."""
    cascade = next(iter(sight.cascades.values()))
    assert sight.decisions is not None
    for number in range(1, N + 1):
        held = sight.decisions.one(number)
        assert held is not None
        score = held.attempts[0]["score"]
        for accept in (0.0, 0.3, 0.6, 0.9, 1.0):
            said = replayed(cascade, held, {"small": accept})
            if score < accept and len(held.attempts) == 1:
                assert not said["known"] and said["unknown"]["tier"] == "large"
                assert said["unknown"]["estimate_usd"] > 0
                assert [each["tier"] for each in said["attempts"]] == ["small"]
                assert said["cost_usd"] == pytest.approx(held.attempts[0]["cost_usd"])
            else:
                wanted = replay(cascade.adjusted(accept={"small": accept}), recording_of(held))
                assert said["known"] and said["tier"] == wanted.tier == ("small" if score >= accept else "large")
                assert said["cost_usd"] == wanted.cost_usd and said["text"] == wanted.text


def test_fallbacks_that_had_nothing_to_do_leave_nothing_unknown(tmp_path: Path) -> None:
    """With answers kept for bad times and a desk for people, a trace is replayed as it is without them."""
    with_all = f"""{TOML}
[[fallbacks]]
kind = "stale"
stale_for = 60
[[fallbacks]]
kind = "review"
store = "sqlite:reviews.db"
sample = 1.0
"""
    file = made(tmp_path, f"{MODULE}_kept", with_all)
    sight = sight_of(file, fill(tmp_path, file, 20))
    for row in rows(sight)["rows"]:
        if (held := whole(sight, str(row["number"])))["attempts"]:
            scores = {each["tier"]: each["score"] for each in held["attempts"]}
            said = tried(sight, row["number"], small=scores["small"])
            assert (said["known"], said["tier"]) == (True, "small")


def test_scores_alone_tell_the_same(sight: Sight, blind: Sight) -> None:
    """Without texts the tier and the cost come out as with them, for a cascade that asks tier after tier."""
    for number in range(1, 40):
        for accept in (0.0, 0.5, 1.0):
            full, bare = tried(sight, number, small=accept), tried(blind, number, small=accept)
            assert (full["by"], bare["by"]) == ("replay", "scores")
            assert full["known"] == bare["known"]
            if full["known"]:
                assert full["tier"] == bare["tier"] and full["cost_usd"] == pytest.approx(bare["cost_usd"])
            else:
                assert full["unknown"]["tier"] == bare["unknown"]["tier"] == "large"


@pytest.mark.parametrize("accept", [{"small": 2}, {"small": "high"}, {"small": True}, {"nobody": 0.5}, None, [1]])
def test_thresholds_that_are_none_are_refused(sight: Sight, accept: Any) -> None:
    """With 400, and nothing is replayed."""
    with pytest.raises(Refusal) as refused:
        asyncio.run(again(asked(sight, "/console/api/traces/replay", body={"number": 1, "accept": accept})))
    assert refused.value.status == 400


def test_without_a_store_or_a_cascade_it_is_said_so(sight: Sight, tmp_path: Path) -> None:
    """No decisions kept; a store that is not there yet; a cascade that is served no more."""
    file = made(tmp_path, MODULE)
    assert rows(sight_of(file, None)) | {"now": 0} == {
        "texts": True, "cascades": {"cascade": ["small", "large"]}, "now": 0, "kept": False, "rows": [], "next": None,
    }  # fmt: skip
    gone = Sight({}, sight.settings, sight.folder, sight.file, sight.decisions)
    assert whole(gone, "1")["by"] == ""
    with pytest.raises(Refusal, match="not served here any more"):
        tried(gone, 1, small=0.5)
