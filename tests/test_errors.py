"""The exceptions: the tree as drawn, and what each one knows."""

import asyncio
import pickle
import re
from typing import Any

import pytest

import fastcascade
from fastcascade import (
    BackendError,
    Cache,
    Cascade,
    ConfigError,
    CredentialError,
    FastcascadeError,
    IncompleteAnswer,
    InReview,
    KeyRing,
    NoAnswer,
    PathError,
    PathPolicy,
    PatternError,
    PatternSet,
    PriceSheet,
    Request,
    RequestError,
    ReviewDesk,
    Route,
    RouteConflict,
    RouteError,
    Router,
    StoreError,
    Tier,
    WireError,
    errors,
)
from fastcascade.fallbacks import Review
from fastcascade.stores.sqlite import SQLiteReviews
from fastcascade.testing import Cut, Fault, ScriptedBackend
from fastcascade.wire.chat import CHAT
from memory_reviews import MemoryReviews


def tree(error: type[Exception]) -> dict[str, Any]:
    """The classes below an exception, as a tree of names."""
    return {child.__name__: tree(child) for child in error.__subclasses__()}


def walk(error: type[FastcascadeError]) -> list[type[FastcascadeError]]:
    """An exception and all below it."""
    return [error, *(each for child in error.__subclasses__() for each in walk(child))]


EVERY = walk(FastcascadeError)


def drawn() -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The tree in the docstring, and the bases that stand there in brackets."""
    root: dict[str, Any] = {}
    above: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    bases = {}
    for line in (errors.__doc__ or "").splitlines():
        if not (found := re.match(r"^( {4}[| ]*)(?:\+-- )?([A-Z]\w+)(?:\((\w+)\))?", line)):
            continue
        depth, name, base = len(found[1]) + (4 if "+--" in line else 0), found[2], found[3]
        while above[-1][0] >= depth:
            above.pop()
        node = above[-1][1].setdefault(name, {})
        above.append((depth, node))
        bases[name] = [base] if base else []
    return root, bases


def test_the_tree_drawn_is_the_tree() -> None:
    """The tree in the docstring of `errors.py` has every exception in its place."""
    shown, bases = drawn()
    assert shown == {"FastcascadeError": tree(FastcascadeError)}
    for error in EVERY:
        others = [base.__name__ for base in error.__bases__ if not issubclass(base, FastcascadeError)]
        assert others == bases[error.__name__] or error is FastcascadeError


def test_every_exception_is_public() -> None:
    """Each one is exported by `errors.py` and by the package."""
    names = sorted(error.__name__ for error in EVERY)
    assert sorted([*names, "Failure", "FailureKind"]) == sorted(errors.__all__)
    assert set(names) <= set(fastcascade.__all__)


@pytest.mark.parametrize("error", EVERY)
def test_every_exception_knows_status_and_fault(error: type[FastcascadeError]) -> None:
    """The status is a caller's 4xx just where the caller is at fault, and each has a docstring."""
    assert error.fault in ("operator", "caller", "backend")
    assert (400 <= error.status < 500) == (error.fault == "caller")
    assert (500 <= error.status < 600 or error is InReview) == (error.fault != "caller")
    assert (error.__doc__ or "").strip()


SILENT = ScriptedBackend(Fault("overloaded", "not now", 529, 3.0))


async def read() -> None:
    """Read a stream that breaks."""
    cascade = Cascade(Tier(ScriptedBackend(Cut("half of it"))), prices=PriceSheet(source=None))
    async for _ in cascade.stream("q"):
        pass


async def reviewed() -> None:
    """Call a wrapped function that fails."""

    @Review(ReviewDesk(MemoryReviews()))
    async def fail(text: str) -> None:
        raise ConnectionError(text)

    await fail("q")


RAISED: list[tuple[type[FastcascadeError], Any]] = [
    (ConfigError, lambda: Cache[int]()),
    (CredentialError, lambda: KeyRing().add("", "ann")),
    (PathError, lambda: PathPolicy().normalize("/..")),
    (PatternError, lambda: PatternSet(["("])),
    (PatternError, lambda: Router({re.compile("a(?=b)"): 1})),
    (RouteConflict, lambda: Router([Route("/a", 1), Route("/a", 2)])),
    (RouteError, lambda: Router({"/{": 1})),
    (WireError, lambda: CHAT.read({"model": 1}, {})),
    (BackendError, lambda: asyncio.run(SILENT.complete(Request.of("q")))),
    (NoAnswer, lambda: Cascade(Tier(SILENT), prices=PriceSheet(source=None), last_resort=None).run_sync("q")),
    (IncompleteAnswer, lambda: asyncio.run(read())),
    (InReview, lambda: asyncio.run(reviewed())),
    (StoreError, lambda: asyncio.run(SQLiteReviews("/nowhere/at/all.db").counts())),
]


@pytest.mark.parametrize(("error", "call"), RAISED)
def test_each_is_raised_as_itself(error: type[FastcascadeError], call: Any) -> None:
    """What is raised is the class of that name, caught by its bases; what is wrong with a value is a `ValueError`."""
    for caught_as in (error, FastcascadeError, Exception if error.fault == "backend" else ValueError):
        with pytest.raises(caught_as) as caught:
            call()
        assert type(caught.value) is error
        assert not str(caught.value).endswith(".")


def test_only_the_root_of_requests_and_what_is_abstract_is_never_raised() -> None:
    """Every class without one below it is raised by something."""
    leaves = {error for error in EVERY if not error.__subclasses__()}
    assert leaves <= {error for error, _ in RAISED}
    assert issubclass(PathError, RequestError)


@pytest.mark.parametrize("call", [call for _, call in RAISED])
def test_exceptions_are_pickled_with_what_they_know(call: Any) -> None:
    """An exception comes out of another process with its message and its fields."""
    with pytest.raises(FastcascadeError) as caught:
        call()
    same = pickle.loads(pickle.dumps(caught.value))
    assert (type(same), str(same), vars(same)) == (type(caught.value), str(caught.value), vars(caught.value))
