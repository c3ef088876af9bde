"""`KeyRing`: secrets in, identities out, and no secret ever out."""

import copy
import math
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import fastcascade
from fastcascade import Clock, CredentialError, Identity, KeyRing
from oracles import Ring, Who

core: Any = fastcascade

# A text and its UTF-8 are one secret.
SECRETS = st.sampled_from(["s1", b"s1", "s2", "s3", "ключ", "ключ".encode(), b"\xff\0", "s" * 300, ""])
NAMES = st.sampled_from(["ann", "bob", "ann "])
TENANTS = st.sampled_from([None, "acme", "globex", ""])
SCOPES = st.lists(st.sampled_from(["read", "write", ""]), max_size=3)
QUARTERS = st.integers(0, 12).map(lambda n: n / 4)


def raw(secret: str | bytes) -> bytes:
    """A secret as the bytes it is known by."""
    return secret.encode() if isinstance(secret, str) else secret


def who(identity: Identity | None) -> Who | None:
    """An identity as the twin has it."""
    return identity and Who(identity.name, identity.tenant, identity.scopes)


class KeyRingMachine(RuleBasedStateMachine):
    """A key ring beside its twin."""

    @initialize()
    def start(self) -> None:
        self.clock, self.twin = Clock(), Ring()
        self.ring = KeyRing(clock=self.clock)

    @rule(secret=SECRETS, name=NAMES, scopes=SCOPES, tenant=TENANTS, expires=st.none() | QUARTERS)
    def add(self, secret: str | bytes, name: str, scopes: list[str], tenant: str | None, expires: float | None) -> None:
        expected = Who(name, tenant, frozenset(scopes))
        ends = math.inf if expires is None else self.twin.now + expires
        if self.twin.add(raw(secret), expected, ends):
            assert who(self.ring.add(secret, name, scopes, tenant, expires)) == expected
        else:
            with pytest.raises(CredentialError):
                self.ring.add(secret, name, scopes, tenant, expires)

    @rule(old=SECRETS, new=SECRETS, grace=QUARTERS)
    def rotate(self, old: str | bytes, new: str | bytes, grace: float) -> None:
        expected = self.twin.identify(raw(old))
        if self.twin.rotate(raw(old), raw(new), grace):
            assert who(self.ring.rotate(old, new, grace)) == expected
        else:
            with pytest.raises(CredentialError):
                self.ring.rotate(old, new, grace)

    @rule(secret=SECRETS)
    def remove(self, secret: str | bytes) -> None:
        assert self.ring.remove(secret) == self.twin.remove(raw(secret))

    @rule(name=NAMES)
    def revoke(self, name: str) -> None:
        assert self.ring.revoke(name) == self.twin.revoke(name)

    @rule(seconds=QUARTERS)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.twin.now += seconds

    @rule(secret=SECRETS)
    def identify(self, secret: str | bytes) -> None:
        assert who(self.ring.identify(secret)) == self.twin.identify(raw(secret))

    @invariant()
    def remember_as_many(self) -> None:
        if hasattr(self, "ring"):
            working = sum(self.twin.identify(secret) is not None for secret in self.twin.secrets)
            assert working <= len(self.ring) <= len(self.twin.secrets)


TestKeyRingMachine = KeyRingMachine.TestCase
TestKeyRingMachine.settings = settings(max_examples=150, stateful_step_count=40)


def test_a_secret_leads_to_its_identity() -> None:
    """Name, tenant and scopes come out as they went in, scopes counted once."""
    ring = KeyRing()
    added = ring.add("s", "ann", ["write", "read", "read"], "acme")
    found = ring.identify("s")
    assert found is not None
    assert (found.name, found.tenant, found.scopes) == ("ann", "acme", frozenset({"read", "write"}))
    assert found is added is ring.identify(b"s")
    match found:
        case Identity(name, tenant, scopes):
            assert (name, tenant, scopes) == ("ann", "acme", frozenset({"read", "write"}))


def test_only_the_whole_secret_counts() -> None:
    """No prefix, extension or near miss of a secret is known."""
    ring = KeyRing()
    ring.add("secret", "ann")
    for near in ("secre", "secret ", "Secret", "ecret", "secret\0", b"", "", "\0secret", "s" * 10_000):
        assert ring.identify(near) is None


def test_a_secret_ends_when_it_should() -> None:
    """Seconds, durations and aware dates end a secret; until then it works."""
    clock = Clock()
    ring = KeyRing(clock=clock)
    ring.add("number", "ann", expires=10)
    ring.add("duration", "ann", expires=timedelta(seconds=20))
    ring.add("never", "ann", expires=math.inf)
    ring.add("at once", "ann", expires=0)
    ring.add("date", "ann", expires=datetime.now(UTC) + timedelta(hours=1))
    ring.add("elsewhere", "ann", expires=datetime.now(timezone(timedelta(hours=-9))) + timedelta(hours=1))
    ring.add("past", "ann", expires=datetime(2001, 1, 1, tzinfo=UTC))

    def working() -> list[str]:
        return [
            secret
            for secret in ("number", "duration", "never", "at once", "date", "elsewhere", "past")
            if ring.identify(secret)
        ]

    seen = [working()]
    for seconds in (9.75, 0.25, 10, 3_500, 100, 1e9):
        clock.advance(seconds)
        seen.append(working())
    dates = ["date", "elsewhere"]
    assert seen[0] == seen[1] == ["number", "duration", "never", *dates]
    assert seen[2:] == [["duration", "never", *dates], ["never", *dates], ["never", *dates], ["never"], ["never"]]


def test_an_expired_secret_makes_way() -> None:
    """A secret that has expired may be given to somebody else, a live one not."""
    clock = Clock()
    ring = KeyRing(clock=clock)
    ring.add("s", "ann", expires=1)
    with pytest.raises(CredentialError, match="already"):
        ring.add("s", "bob")
    clock.advance(1)
    ring.add("s", "bob")
    assert who(ring.identify("s")) == Who("bob", None, frozenset())
    assert len(ring) == 1


def test_a_rotated_secret_works_for_its_grace() -> None:
    """Both secrets work until the grace is over, then the new one alone."""
    clock = Clock()
    ring = KeyRing(clock=clock)
    ann = ring.add("old", "ann", ["read"], "acme")
    assert ring.rotate("old", "new", grace=timedelta(seconds=5)) is ann
    assert ring.identify("old") is ring.identify("new") is ann
    clock.advance(5)
    assert (ring.identify("old"), ring.identify("new")) == (None, ann)
    ring.rotate("new", "newer")
    assert ring.identify("new") is None


def test_a_failed_rotation_changes_nothing() -> None:
    """An unknown old secret, or a new one that is taken or empty, leaves the ring as it was."""
    ring = KeyRing()
    ring.add("ann's", "ann")
    ring.add("bob's", "bob")
    for old, new, word in [
        ("unknown", "new", "not on the ring"),
        ("ann's", "bob's", "already"),
        ("ann's", "", "empty"),
        ("ann's", "ann's", "already"),
    ]:
        with pytest.raises(CredentialError, match=word):
            ring.rotate(old, new, grace=100)
    assert [identity and identity.name for identity in map(ring.identify, ("ann's", "bob's", "new"))] == [
        "ann",
        "bob",
        None,
    ]


def test_two_rings_know_nothing_of_each_other() -> None:
    """A secret on one ring is unknown on another."""
    one, other = KeyRing(), KeyRing()
    one.add("s", "ann")
    assert other.identify("s") is None


def test_a_ring_is_neither_pickled_nor_copied() -> None:
    """Pickling and copying are refused, so that no credential leaves the process."""
    ring = KeyRing()
    identity = ring.add("s", "ann")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="KeyRing cannot be pickled"):
            attempt(ring)
        with pytest.raises(TypeError, match="Identity cannot be pickled"):
            attempt(identity)


def test_an_identity_is_frozen() -> None:
    """Nobody can give an identity another name, tenant or scope."""
    identity: Any = KeyRing().add("s", "ann")
    for attribute in ("name", "tenant", "scopes", "admin"):
        with pytest.raises(AttributeError):
            setattr(identity, attribute, "root")


SECRET = "hunter2-hunter2"
BROKEN = SECRET + "\ud800"


def ring_with(secret: str = "other") -> Any:
    """A ring of which the types know nothing, with one secret on it."""
    ring = KeyRing()
    ring.add(secret, "ann")
    return ring


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: ring_with().add(), TypeError, ["secret"]),
    (lambda: ring_with().add(SECRET), TypeError, ["identity"]),
    (lambda: ring_with().add("", "ann"), CredentialError, ["secret", "empty"]),
    (lambda: ring_with().add(b"", "ann"), CredentialError, ["secret", "empty"]),
    (lambda: ring_with(SECRET).add(SECRET, "ann"), CredentialError, ["secret", "already"]),
    (lambda: ring_with(SECRET).add(SECRET.encode(), "ann"), CredentialError, ["secret", "already"]),
    (lambda: ring_with().add(BROKEN, "ann"), ValueError, ["secret", "surrogate"]),
    (lambda: ring_with().add([SECRET], "ann"), TypeError, ["secret", "list"]),
    (lambda: ring_with().add(bytearray(SECRET.encode()), "ann"), TypeError, ["secret", "bytearray"]),
    (lambda: ring_with().add(None, "ann"), TypeError, ["secret", "NoneType"]),
    (lambda: ring_with().add(SECRET, ""), CredentialError, ["identity", "empty"]),
    (lambda: ring_with().add(SECRET, None), TypeError, ["identity"]),
    (lambda: ring_with().add(SECRET, b"ann"), TypeError, ["identity", "bytes"]),
    (lambda: ring_with().add(SECRET, "\ud800"), UnicodeEncodeError, ["identity", "surrogates"]),
    (lambda: ring_with().add(SECRET, "ann", "read"), TypeError, ["scopes", "read"]),
    (lambda: ring_with().add(SECRET, "ann", [7]), TypeError, ["scopes", "int"]),
    (lambda: ring_with().add(SECRET, "ann", 7), TypeError, ["scopes", "int"]),
    (lambda: ring_with().add(SECRET, "ann", tenant=7), TypeError, ["tenant", "int"]),
    (lambda: ring_with().add(SECRET, "ann", expires="soon"), TypeError, ["expires", "str"]),
    (lambda: ring_with().add(SECRET, "ann", expires=-1), ValueError, ["-1"]),
    (lambda: ring_with().add(SECRET, "ann", expires=math.nan), ValueError, ["NaN"]),
    (
        lambda: ring_with().add(SECRET, "ann", expires=datetime(2030, 1, 1)),
        ValueError,
        ["expires", "time zone", "aware"],
    ),
    (lambda: ring_with().add(SECRET, "ann", expires=datetime(2030, 1, 1).date()), TypeError, ["expires", "date"]),
    (lambda: ring_with().add(SECRET, "ann", expiry=5), TypeError, ["expiry"]),
    (lambda: ring_with().add(SECRET, "ann", (), None, None, 1), TypeError, ["positional"]),
    (lambda: ring_with().rotate(SECRET, "new"), CredentialError, ["not on the ring"]),
    (lambda: ring_with(SECRET).rotate(SECRET, SECRET), CredentialError, ["already"]),
    (lambda: ring_with(SECRET).rotate(SECRET, b""), CredentialError, ["empty"]),
    (lambda: ring_with(SECRET).rotate(SECRET, BROKEN), ValueError, ["secret", "surrogate"]),
    (lambda: ring_with(SECRET).rotate(SECRET, 7), TypeError, ["new", "int"]),
    (lambda: ring_with(SECRET).rotate(SECRET, "new", grace=-1), ValueError, ["grace", "-1"]),
    (lambda: ring_with(SECRET).rotate(SECRET, "new", grace=None), TypeError, ["grace", "NoneType"]),
    (lambda: ring_with().remove(BROKEN), ValueError, ["secret", "surrogate"]),
    (lambda: ring_with().remove([SECRET]), TypeError, ["secret", "list"]),
    (lambda: ring_with().revoke(7), TypeError, ["identity", "int"]),
    (lambda: ring_with().identify(), TypeError, ["secret"]),
    (lambda: ring_with().identify(None), TypeError, ["secret", "NoneType"]),
    (lambda: ring_with().identify([SECRET]), TypeError, ["secret", "list"]),
    (lambda: ring_with().identify(BROKEN), ValueError, ["secret", "surrogate"]),
    (lambda: ring_with().identify(SECRET, 1), TypeError, ["1", "2"]),
    (lambda: ring_with().identify(key=SECRET), TypeError, ["key", "secret"]),
    (lambda: core.KeyRing(Clock()), TypeError, ["positional"]),
    (lambda: core.KeyRing(clock=1.0), TypeError, ["clock", "float"]),
    (lambda: core.Identity("ann"), TypeError, ["Identity"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_wrong_is_named_and_the_secret_is_not(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """Errors name the argument at fault, and show no secret in message, notes, arguments or causes."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format_exception_only()) + repr(
        caught.value.args
    )
    assert "hunter2" not in shown + repr(caught.value.__cause__) + repr(caught.value.__context__)


def test_no_repr_shows_a_secret() -> None:
    """A ring and an identity say how many and who, never by what secret."""
    ring = KeyRing()
    identity = ring.add(SECRET, "ann", ["read"], "acme")
    shown = f"{ring!r} {identity!r} {ring} {identity} {vars(type(ring))}"
    assert "hunter2" not in shown
    assert "1 credential" in shown
    assert "ann" in shown
