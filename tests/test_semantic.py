"""Routes by meaning: which route is chosen, when utterances are embedded, and what becomes of failures."""

import asyncio
import json
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import BackendError, ConfigError
from fastcascade.semantic import SemanticRoutes

NAN, INF = math.nan, math.inf

WORDS = ("money", "back", "password", "login", "parcel", "late")
TABLE = {
    "refund": ["money back", "money"],
    "password": ["password login"],
    "shipping": ["parcel late", "late"],
}


class Counting:
    """Counts words, and how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.failing = 0

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise BackendError("overloaded", "not now")
        return [[float(text.split().count(word)) for word in WORDS] for text in texts]


MATCHES: list[tuple[str, Any, int, str | None, float]] = [
    ("money back", 0.5, 1, "refund", 1.0),
    ("money money back", 0.5, 1, "refund", 3 / math.sqrt(10)),
    ("password", 0.5, 1, "password", 1 / math.sqrt(2)),
    ("password", 0.75, 1, None, 1 / math.sqrt(2)),
    ("password", {"password": 0.8}, 1, None, 1 / math.sqrt(2)),
    ("password", {"refund": 0.9}, 1, "password", 1 / math.sqrt(2)),
    ("money money late", {"refund": 0.99, "shipping": 0.4}, 1, "shipping", 1 / math.sqrt(5)),
    ("money", 0.5, 2, "refund", (1 + 1 / math.sqrt(2)) / 2),
    ("money", 0.9, 2, None, (1 + 1 / math.sqrt(2)) / 2),
    ("nothing known here", 0.5, 1, None, 0.0),
    ("", 0.5, 1, None, 0.0),
    (" \n", 0.5, 1, None, 0.0),
    ("nothing known here", -1.0, 1, "refund", 0.0),
]


@pytest.mark.parametrize(("text", "threshold", "top", "route", "score"), MATCHES)
def test_the_best_route_above_its_threshold_wins(
    text: str, threshold: Any, top: int, route: str | None, score: float
) -> None:
    """Of the routes that reach their threshold the closest is given, else None, with the score that decided."""
    routes = SemanticRoutes(TABLE, Counting(), threshold=threshold, top=top)
    vector = asyncio.run(routes.embed(text))
    found, reached = routes.match(vector)
    assert (found, reached) == (route, pytest.approx(score, abs=1e-6))  # type: ignore[comparison-overlap]
    assert routes.match(list(vector)) == routes.match(vector)
    assert asyncio.run(routes.find(text)) == routes.match(vector)


@given(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), st.floats(-1, 1), st.floats(-1, 1))
def test_scores_choose_as_vectors_match(text: str, first: float, second: float) -> None:
    """What was recorded as scores, through JSON, chooses what the vector would match, under any thresholds."""
    routes = SemanticRoutes(TABLE, Counting(), threshold={"refund": first, "shipping": second})
    vector = asyncio.run(routes.embed(text))
    scores = json.loads(json.dumps(routes.scores(vector)))
    found = routes.match(vector)
    assert routes.choose(scores) == found
    fitting = {name: score for name, score in scores.items() if score >= routes.threshold(name)}
    assert found == (
        max(fitting, key=lambda name: fitting[name]) if fitting else None,
        max((fitting or scores).values()),
    )


def test_utterances_are_embedded_once() -> None:
    """However many requests come at once, and however they are asked for, the table is made once, in one call."""
    embedder = Counting()
    routes = SemanticRoutes(TABLE, embedder)

    async def many() -> list[tuple[str | None, float]]:
        return await asyncio.gather(*(routes.find("money") for _ in range(50)), routes.find("late"))

    assert not routes.prepared
    found = asyncio.run(many())
    assert {route for route, _ in found} == {"refund", "shipping"}
    asyncio.run(routes.prepare())
    utterances = [text for texts in TABLE.values() for text in texts]
    assert [asked for asked in embedder.asked if len(asked) > 1] == [utterances]
    assert routes.prepared


def test_a_request_given_up_does_not_take_the_table_along() -> None:
    """Whoever asked first may be cancelled: the others still get the table, from the same call."""
    embedder = Counting()
    routes = SemanticRoutes(TABLE, embedder)

    async def two() -> tuple[str | None, float]:
        first = asyncio.create_task(routes.find("money"))
        second = asyncio.create_task(routes.find("late"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(two())[0] == "shipping"
    assert len(embedder.asked) == 2


def test_a_loop_that_ends_leaves_the_table_to_others() -> None:
    """Where the loop that was making the table has ended, or was closed outright, the next one makes it."""
    begun: list[asyncio.AbstractEventLoop] = []

    async def embedder(texts: list[str]) -> list[list[float]]:
        begun.append(asyncio.get_running_loop())
        if len(begun) < 3:
            await asyncio.Event().wait()
        return [[1.0, 0.0] for _ in texts]

    routes = SemanticRoutes({"a": ["x"]}, embedder)

    async def given_up() -> None:
        waiting = asyncio.create_task(routes.prepare())
        await turns(lambda: bool(begun))
        waiting.cancel()

    asyncio.run(given_up())
    closed = asyncio.new_event_loop()
    left = closed.create_task(routes.prepare())
    closed.run_until_complete(turns(lambda: len(begun) == 2))
    closed.close()
    asyncio.run(routes.prepare())
    assert (len(set(map(id, begun))), routes.prepared, left.done()) == (3, True, False)


async def turns(until: Callable[[], bool]) -> None:
    """Let the loop turn until something has come about."""
    for _ in range(1_000):
        if until():
            return
        await asyncio.sleep(0)
    pytest.fail("it did not come about")


def test_loops_in_two_threads_share_one_preparation() -> None:
    """A second event loop waits for the first one's call."""
    begun, release = threading.Event(), threading.Event()
    calls: list[int] = []

    async def embedder(texts: list[str]) -> list[list[float]]:
        calls.append(len(texts))
        begun.set()
        await asyncio.to_thread(release.wait)
        return [[1.0, 0.0] for _ in texts]

    routes = SemanticRoutes({"a": ["x", "y"]}, embedder)
    first = threading.Thread(target=asyncio.run, args=(routes.prepare(),))
    first.start()
    begun.wait()

    async def second() -> None:
        waiting = asyncio.create_task(routes.prepare())
        await asyncio.sleep(0)
        assert not waiting.done()
        release.set()
        await waiting

    asyncio.run(second())
    first.join()
    assert (calls, routes.prepared) == ([2], True)


def test_a_failure_is_not_kept() -> None:
    """An embedder that fails fails those who wait, and is asked again by the next."""
    embedder = Counting()
    embedder.failing = 1
    routes = SemanticRoutes(TABLE, embedder)

    async def three() -> list[Any]:
        return await asyncio.gather(*(routes.find("money") for _ in range(3)), return_exceptions=True)

    assert [str(error) for error in asyncio.run(three())] == ["not now"] * 3
    assert len(embedder.asked) == 1
    assert asyncio.run(routes.find("money"))[0] == "refund"


def test_texts_seen_lately_are_remembered() -> None:
    """A text that comes again is not embedded again, until others have taken its place."""
    embedder = Counting()
    routes = SemanticRoutes(TABLE, embedder, remember=2)

    async def ask(*texts: str) -> list[Any]:
        return [(await routes.find(text))[0] for text in texts]

    assert asyncio.run(ask("money", "money", "late", "money", "login", "late")) == [
        "refund", "refund", "shipping", "refund", "password", "shipping",
    ]  # fmt: skip
    assert [asked[0] for asked in embedder.asked[1:]] == ["money", "late", "login", "late"]
    forgetful = SemanticRoutes(TABLE, embedder, remember=0)
    embedder.asked.clear()
    asyncio.run(forgetful.embed("money"))
    asyncio.run(forgetful.embed("money"))
    assert len(embedder.asked) == 3


def test_long_texts_are_cut() -> None:
    """Of a text, no more than the beginning reaches the embedder."""
    embedder = Counting()
    routes = SemanticRoutes(TABLE, embedder, longest=10)
    assert asyncio.run(routes.find("money back" + " late" * 10_000))[0] == "refund"
    assert embedder.asked[-1] == ["money back"]


def test_describe_says_what_there_is() -> None:
    """Routes, thresholds and sizes are told before the first text and after, in what JSON can hold."""
    routes = SemanticRoutes(TABLE, Counting(), threshold={"refund": 0.6})
    before = routes.describe()
    assert (before["prepared"], before["dimensions"], before["memory"]) == (False, None, 0)
    asyncio.run(routes.embed("money"))
    after = json.loads(json.dumps(routes.describe()))
    assert after["routes"]["refund"] == {"utterances": 2, "threshold": 0.6}
    assert after["routes"]["shipping"] == {"utterances": 2, "threshold": 0.5}
    assert (after["prepared"], after["dimensions"], after["remembered"]) == (True, len(WORDS), 1)
    assert routes.names == ("refund", "password", "shipping")
    assert repr(routes) == "SemanticRoutes(refund, password, shipping; FunctionEmbedder(Counting))"


BAD_ROUTES: list[tuple[dict[str, Any], str]] = [
    ({"routes": {}}, "one route at least"),
    ({"routes": ["money"]}, "a mapping of names to utterances"),
    ({"routes": {"": ["a"]}}, "name is a text, not ''"),
    ({"routes": {"a": "text"}}, r"write \['text'\]"),
    ({"routes": {"a": []}}, "'a' has no utterance"),
    ({"routes": {"a": ["x", " "]}}, "'a' has an utterance that is no text: ' '"),
    ({"routes": {"a": [7]}}, "no text: 7"),
    ({"routes": {"a": ["x"], "b": ["x"]}}, "'a' and 'b' both have the utterance 'x'"),
    ({"threshold": 1.5}, "threshold of semantic route 'refund' is a cosine from -1 to 1, not 1.5"),
    ({"threshold": NAN}, "not nan"),
    ({"threshold": True}, "not True"),
    ({"threshold": "0.5"}, "not '0.5'"),
    ({"threshold": {"refunds": 0.5}}, "for 'refunds', which is no route; there are refund, password, shipping"),
    ({"top": 0}, "top is a whole number from 1 on, not 0"),
    ({"remember": -1}, "remember is a whole number from 0 on, not -1"),
    ({"longest": 1.5}, "longest is a whole number from 1 on, not 1.5"),
    ({"embedder": 7}, "an embedder is a function from a list of texts to vectors, not int"),
]


@pytest.mark.parametrize(("wrong", "said"), BAD_ROUTES)
def test_bad_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    """Settings that cannot work are refused when the routes are built, by name."""
    good: dict[str, Any] = {"routes": TABLE, "embedder": Counting()}
    settings_of = {**good, **wrong}
    with pytest.raises(ConfigError, match=said):
        SemanticRoutes(settings_of.pop("routes"), settings_of.pop("embedder"), **settings_of)


BAD_VECTORS: list[tuple[list[list[float]], list[list[float]], str]] = [
    ([[1.0], [0.0]], [[1.0]], "vector of the utterance 'y' cannot be used: .* all zeros"),
    ([[1.0], [NAN]], [[1.0]], "vector of the utterance 'y' cannot be used: .* not finite"),
    ([[1.0], [1.0, 2.0]], [[1.0]], "vector 1 has 2 dimensions, not 1"),
    ([[1.0], [2.0]], [[1.0, 2.0]], "cannot be matched with the routes: the query has 2 dimensions, not 1"),
    ([[1.0], [2.0]], [[INF]], "cannot be matched with the routes: the query is not finite"),
    ([[1.0], [2.0]], [], "0 vectors for 1 texts"),
]


@pytest.mark.parametrize(("utterances", "vector", "said"), BAD_VECTORS)
def test_bad_vectors_fail_where_they_are_embedded(
    utterances: list[list[float]], vector: list[list[float]], said: str
) -> None:
    """What an embedder should not have given is a failure of `embed`, never of `match`, and is not remembered."""
    routes = SemanticRoutes({"a": ["x", "y"]}, lambda texts: utterances if len(texts) == 2 else vector)
    for _ in range(2):
        with pytest.raises(BackendError, match=said) as caught:
            asyncio.run(routes.embed("z"))
        assert caught.value.failure.kind == "malformed"
    assert routes.describe()["remembered"] == 0


def test_a_match_needs_the_table() -> None:
    """To match before the utterances are embedded is an error that says what to do."""
    with pytest.raises(ConfigError, match="prepare"):
        SemanticRoutes(TABLE, Counting()).match([1.0])
