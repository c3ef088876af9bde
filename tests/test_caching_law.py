"""The HTTP cache beside a naive twin: a list of everything the app ever said, searched from the newest."""

from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from caching_site import START, Pairs, pairs
from fastcascade import Clock
from fastcascade.caching import HttpCache, Served, Token
from fastcascade.caching.http_shelf import PLACES

PAGES = ["/", "/?q"]
PATHS = st.sampled_from(PAGES)
SCOPES = st.sampled_from(["", "ann"])
SMALL = st.integers(0, 6)


@dataclass(frozen=True)
class Said:
    """What the app says of one answer, before it is text."""

    max_age: int | None = 5
    s_maxage: int | None = None
    age: int = 0
    behind: int | None = None
    on_error: int | None = None
    words: frozenset[str] = frozenset()
    vary: tuple[str, ...] = ()
    etag: str = ""

    def headers(self) -> Pairs:
        """As text."""
        numbers = {
            "max-age": self.max_age,
            "s-maxage": self.s_maxage,
            "stale-while-revalidate": self.behind,
            "stale-if-error": self.on_error,
        }
        said = [*sorted(self.words), *(f"{name}={value}" for name, value in numbers.items() if value is not None)]
        given = {"cache_control": ", ".join(said), "vary": ", ".join(self.vary), "etag": self.etag}
        return pairs(**{name: value for name, value in given.items() if value}, age=str(self.age))

    @property
    def life(self) -> int | None:
        """Freshness lifetime, for a shared cache."""
        if "no-cache" in self.words:
            return 0
        return self.max_age if self.s_maxage is None else self.s_maxage

    @property
    def never_stale(self) -> bool:
        """Nobody may have it stale."""
        return bool(self.words & {"must-revalidate", "no-cache"})


@dataclass(frozen=True)
class Wish:
    """What a client wants, before it is text."""

    scope: str
    path: str
    x: str | None = None
    y: str | None = None
    secret: bool = False
    max_age: int | None = None
    max_stale: int | None = None
    words: frozenset[str] = frozenset()

    def headers(self) -> Pairs:
        """As text."""
        numbers = {"max-age": self.max_age, "max-stale": self.max_stale}
        said = [*sorted(self.words), *(f"{name}={value}" for name, value in numbers.items() if value is not None)]
        given = {"x": self.x, "y": self.y, "cache_control": ", ".join(said) or None}
        return pairs(**{name: value for name, value in given.items() if value is not None}) + (
            pairs(authorization="secret") if self.secret else []
        )

    def chooses(self, name: str) -> str | None:
        """The value of a header that Vary may name."""
        return self.x if name == "x" else self.y


@dataclass
class Known:
    """One answer the app gave: to whom, when it was asked, and what became of it."""

    said: Said
    wish: Wish
    asked_at: float
    body: bytes
    dropped: bool = False

    def age(self, now: float) -> float:
        """RFC 9111, 4.2.3."""
        return self.said.age + now - self.asked_at

    def may_be_kept(self) -> bool:
        """RFC 9111, 3 and 3.5."""
        open_to_all = bool(self.said.words & {"public", "must-revalidate"}) or self.said.s_maxage is not None
        return (
            not self.said.words & {"no-store", "private"}
            and "no-store" not in self.wish.words
            and self.said.life is not None
            and "*" not in self.said.vary
            and (not self.wish.secret or bool(self.wish.scope) or open_to_all)
        )

    def suits(self, wish: Wish) -> bool:
        """Same identity, same page, same choice (4.1)."""
        same_page = (self.wish.scope, self.wish.path) == (wish.scope, wish.path)
        return same_page and all(self.wish.chooses(name) == wish.chooses(name) for name in self.said.vary)


RARELY = st.sampled_from([None, None, None, 0, 1, 4])
WORDS = st.sampled_from(["", "", "", "", "no-store", "private", "no-cache", "must-revalidate", "public", "x-junk"]).map(
    lambda word: frozenset({word} - {""})
)
SAIDS = st.builds(
    Said,
    max_age=st.integers(2, 9) | SMALL | st.none(),
    s_maxage=RARELY,
    age=st.sampled_from([0, 0, 0, 3]),
    behind=RARELY,
    on_error=RARELY,
    words=WORDS,
    vary=st.sampled_from([(), (), ("x",), ("y",), ("x", "y"), ("*",)]),
    etag=st.sampled_from(["", '"a"']),
)
VALUES = st.sampled_from([None, None, "1", "2"])
WISHES = st.builds(Wish, scope=SCOPES, path=PATHS, x=VALUES, y=VALUES, secret=st.sampled_from([False, False, True]))
# What makes a wish another one: most of what is asked for was asked for before, nearly so.
ASKS = st.sampled_from(["no-store", "no-cache", "only-if-cached"]).map(lambda word: frozenset({word}))
TURNS = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({"scope": SCOPES}),
    st.fixed_dictionaries({"path": PATHS}),
    st.fixed_dictionaries({"x": VALUES}),
    st.fixed_dictionaries({"y": VALUES}),
    st.fixed_dictionaries({"secret": st.booleans()}),
    st.fixed_dictionaries({"max_age": SMALL}),
    st.fixed_dictionaries({"max_stale": SMALL}),
    st.fixed_dictionaries(
        {"words": st.sampled_from(["no-store", "no-cache", "only-if-cached"]).map(lambda word: frozenset({word}))}
    ),
)


class CacheMachine(RuleBasedStateMachine):
    """Requests that overlap, an app that says anything, writes in between, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(START)
        self.cache = HttpCache(clock=self.clock, max_variants=1000)
        self.bodies = count()
        self.known: dict[bytes, Known] = {}
        self.under_way: list[tuple[Wish, Token, float]] = []
        self.written: dict[str, int] = {}
        self.writes = 0

    @rule(seconds=st.integers(1, 8).map(lambda quarters: quarters / 4))
    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(data=st.data(), wish=WISHES, turn=TURNS, said=st.none() | SAIDS | SAIDS)
    def ask(self, data: st.DataObject, wish: Wish, turn: dict[str, Any], said: Said | None) -> None:
        if self.known:
            # Half of it is as somebody asked before.
            plain = [replace(one.wish, max_age=None, max_stale=None, words=frozenset()) for one in self.known.values()]
            wish = data.draw(st.sampled_from([wish, *plain]))
        self.asked(replace(wish, **turn), said)

    def asked(self, wish: Wish, said: Said | None) -> None:
        found = self.cache.find("GET", wish.path, wish.headers(), wish.scope)
        if found.kind in {"hit", "stale"}:
            assert found.response is not None
            self.check(wish, found.response, stale=found.kind == "stale")
        else:
            self.nothing_was_fresh(wish)
        if found.kind == "gateway timeout":
            assert "only-if-cached" in wish.words
        elif found.kind != "hit":
            self.under_way.append((wish, found.token, self.clock.now()))
            if said is not None:
                self.answered(self.under_way.pop(), said)

    @rule(data=st.data(), turn=TURNS)
    def ask_again(self, data: st.DataObject, turn: dict[str, Any]) -> None:
        """What was asked and answered a moment ago."""
        if self.known:
            wish = replace(list(self.known.values())[-1].wish, max_age=None, max_stale=None, words=frozenset())
            self.asked(replace(wish, **turn), None)

    def check(self, wish: Wish, sent: Served, *, stale: bool) -> None:
        known, now = self.known[sent.body], self.clock.now()
        assert known.suits(wish)
        assert known.may_be_kept()
        assert not known.dropped
        age, life = known.age(now), known.said.life
        assert life is not None
        assert dict(sent.headers)[b"age"] == b"%d" % age
        assert "no-cache" not in wish.words
        assert wish.max_age is None or age <= wish.max_age
        if stale:
            assert life <= age < life + (known.said.behind or 0)
            assert not known.said.never_stale
        elif age >= life:
            assert wish.max_stale is not None
            assert age - life <= wish.max_stale
            assert not known.said.never_stale
            assert known.said.s_maxage is None

    def nothing_was_fresh(self, wish: Wish) -> None:
        """The twin's newest that suits is not fresh either, or the client would not have it."""
        if wish.words & {"no-store", "no-cache"} or wish.max_age is not None:
            return
        now = self.clock.now()
        kept = [one for one in self.known.values() if one.suits(wish) and one.may_be_kept() and not one.dropped]
        if kept:
            newest = kept[-1]
            assert newest.said.life is None or newest.age(now) >= newest.said.life

    @rule(data=st.data(), said=SAIDS)
    def answer(self, data: st.DataObject, said: Said) -> None:
        if not self.under_way:
            return
        self.answered(self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1))), said)

    def answered(self, under_way: tuple[Wish, Token, float], said: Said) -> None:
        wish, token, asked_at = under_way
        body = b"body %d" % next(self.bodies)
        self.came(Known(said, wish, asked_at, body), token)
        self.cache.store(token, 200, said.headers(), body)

    @rule(data=st.data(), said=SAIDS)
    def confirm(self, data: st.DataObject, said: Said) -> None:
        """A 304 to a validation: it says everything anew but what chose the answer."""
        asked = [one for one in self.under_way if one[1].stored is not None and one[1].stored.etag]
        if not asked:
            return
        wish, token, asked_at = one = data.draw(st.sampled_from(asked))
        self.under_way.remove(one)
        assert token.stored is not None
        body = token.stored.body
        old = self.known.pop(body)
        said = replace(said, max_age=said.max_age or 0, vary=old.said.vary, etag=old.said.etag)
        known = Known(said, wish, asked_at, body)
        self.came(known, token)
        if known.dropped or not known.may_be_kept():
            for other in self.known.values():
                other.dropped |= (other.wish.scope, other.wish.path) == (wish.scope, wish.path)
        sent = self.cache.freshened(token, said.headers())
        assert (sent.status, sent.body) == (200, body)

    def came(self, known: Known, token: Token) -> None:
        # What was asked for before a write, or is of no use by now, is not kept.
        known.dropped = token.serial < self.written.get(known.wish.path, 0) or not (
            known.said.etag or self.useful(known) > known.age(self.clock.now())
        )
        self.known[known.body] = known

    def useful(self, known: Known) -> float:
        windows = 0 if known.said.never_stale else max(known.said.behind or 0, known.said.on_error or 0)
        return (known.said.life or 0) + windows

    @rule(data=st.data(), status=st.sampled_from([None, 500, 503, 404]))
    def fail(self, data: st.DataObject, status: int | None) -> None:
        if not self.under_way:
            return
        wish, token, _ = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        stand_in = self.cache.failed(token, status)
        if stand_in is not None:
            known = self.known[stand_in.body]
            assert status != 404
            assert known.suits(wish)
            assert known.may_be_kept()
            assert not known.said.never_stale
            assert known.age(self.clock.now()) < self.useful(known)

    @rule(path=PATHS, ok=st.sampled_from([False, False, True]))
    def write(self, path: str, ok: bool) -> None:
        self.cache.invalidated("POST", path, 200 if ok else 500, [])
        if ok:
            self.writes += 1
            # Pages that share a place in the table lose a chance to be kept.
            self.written |= {one: self.writes for one in PAGES if hash(one) % PLACES == hash(path) % PLACES}
            for known in self.known.values():
                known.dropped |= known.wish.path == path


def test_law() -> None:
    """Nothing forbidden, stale without leave, written over or another's is sent; what is fresh is; ages are right."""
    run_state_machine_as_test(CacheMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
