"""`FastPath`: identify, cache, match, admit in one call, and no hit that crosses identities."""

import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import fastcascade
from fastcascade import (
    Cache,
    Clock,
    ConfigError,
    FastPath,
    Hit,
    Key,
    KeyRing,
    Match,
    PathPolicy,
    Quota,
    RateLimiter,
    Refused,
    Route,
    Routed,
    Router,
)
from oracles import Ring, Who

core: Any = fastcascade

SECRETS = ["s1", "s2", "s3", "s4", "s5"]
SECRET = st.sampled_from(SECRETS)
# Put together, names and tenants of two identities can read the same.
NAMES = st.sampled_from(["ann", "bob", "n", "cann"])
TENANTS = st.sampled_from([None, "a", "ac", "ca", "acme"])
SCOPES = st.frozensets(st.sampled_from(["read", "write"]))
ACCESS = st.tuples(
    st.booleans(), st.sampled_from(["identity", "tenant"]), st.sampled_from([(), (), ("read",), ("read", "write")])
)
PATHS = ["/plain", "/in/{x}", "/other", "/split", "*"]
REAL = {"/plain": ["/plain"], "/in/{x}": ["/in/1", "/in/2"], "/other": ["/other"], "/split": ["/split"], "*": ["/else"]}
ASKED = st.sampled_from([(path, real) for path, reals in REAL.items() for real in reals])
VARY: dict[str, Key | None] = {"": None, "de": Key("de"), "body": Key({"a": [1]})}


class NoCrossing(RuleBasedStateMachine):
    """Random rings, routes and requests; every value filed says in itself who may see it.

    A twin keeps what was filed for which audience, so that too few hits are found out as well as wrong ones.
    """

    @initialize(
        access=st.lists(ACCESS, min_size=len(PATHS), max_size=len(PATHS)),
        post=ACCESS,
        ringed=st.sampled_from([True, True, True, False]),
    )
    def start(self, access: list[Any], post: Any, ringed: bool) -> None:
        self.clock, self.now = Clock(), 0
        self.access = {(path, "GET"): of for path, of in zip(PATHS, access, strict=True)}
        self.access |= {
            (path, "POST"): post if path == "/split" else of for (path, _), of in self.access.copy().items()
        }
        routes = [
            Route(path, f"{method} {path}", [method], public, scopes, share)
            for (path, method), (public, share, scopes) in self.access.items()
        ]
        self.cache = Cache[Any](max_items=10_000, ttl=10, stale_for=10, clock=self.clock)
        self.ring = KeyRing(clock=self.clock) if ringed else None
        self.twin = Ring()
        self.front = FastPath(Router(routes), self.cache, self.ring)
        self.filed: dict[Any, tuple[Any, int]] = {}

    @rule(secret=SECRET, name=NAMES, tenant=TENANTS, scopes=SCOPES, expires=st.none() | st.integers(1, 15))
    def add(self, secret: str, name: str, tenant: str | None, scopes: frozenset[str], expires: int | None) -> None:
        ends = math.inf if expires is None else self.now + expires
        if self.ring is not None and self.twin.add(secret.encode(), Who(name, tenant, scopes), ends):
            self.ring.add(secret, name, scopes, tenant, expires)

    @rule(old=SECRET, new=SECRET, grace=st.sampled_from([0, 3]))
    def rotate(self, old: str, new: str, grace: int) -> None:
        if self.ring is not None and self.twin.rotate(old.encode(), new.encode(), grace):
            self.ring.rotate(old, new, grace)

    @rule(secret=SECRET)
    def remove(self, secret: str) -> None:
        if self.ring is not None:
            assert self.ring.remove(secret) == self.twin.remove(secret.encode())

    @rule(name=NAMES)
    def revoke(self, name: str) -> None:
        if self.ring is not None:
            assert self.ring.revoke(name) == self.twin.revoke(name)

    @rule(seconds=st.integers(1, 8))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.now += seconds
        self.twin.now += seconds

    @rule(asked=ASKED)
    def put_plainly(self, asked: tuple[str, str]) -> None:
        """With a key ring nobody may find this, without one all who get the path must."""
        value = ("plain", self.now)
        self.cache.put(asked[1], value)
        if self.ring is None:
            self.filed[(asked[1], "GET", ""), "public"] = (value, self.now)

    def audiences(self, who: Who | None) -> list[Any]:
        if who is None:
            return ["public"]
        return [("own", who), ("own", who) if who.tenant is None else ("tenant", who.tenant, who.scopes), "public"]

    @rule(
        asked=ASKED,
        method=st.sampled_from(["GET", "GET", "HEAD", "POST", "DELETE"]),
        secret=st.none() | SECRET,
        vary=st.sampled_from([*VARY]),
        put=st.booleans(),
    )
    def take(self, asked: tuple[str, str], method: str, secret: str | None, vary: str, put: bool) -> None:
        request = (asked[1], method, vary)
        who = self.twin.identify(secret.encode()) if secret else None
        result = self.front.take(asked[1], method, secret, vary=VARY[vary])
        assert (result.identity and Who(result.identity.name, result.identity.tenant, result.identity.scopes)) == who

        cacheable = bool(vary) or method in ("GET", "HEAD")
        known = [self.filed[request, audience] for audience in self.audiences(who) if (request, audience) in self.filed]
        fresh = [value for value, at in known if cacheable and self.now < at + 10]
        stale = [value for value, at in known if cacheable and at + 10 <= self.now < at + 20]
        if fresh:
            assert isinstance(result, Hit)
            assert result.value == fresh[0]
            return
        access = self.access.get((asked[0], "GET" if method == "HEAD" else method))
        status = self.refusal(access, who)
        if status is not None:
            assert isinstance(result, Refused)
            assert result.status == status
            return
        assert isinstance(result, Routed)
        assert access is not None
        assert result.stale in stale if stale else result.stale is None
        assert (result.key is not None) == cacheable
        if put and result.key is not None:
            self.file(result.key, request, access, who)

    def refusal(self, access: Any, who: Who | None) -> int | None:
        if access is None:
            return 405
        public, _, scopes = access
        if self.ring is None or public:
            return None
        return 401 if who is None else None if who.scopes >= set(scopes) else 403

    def file(self, key: Key, request: Any, access: Any, who: Who | None) -> None:
        public, share, _ = access
        own, tenant, *_ = [*self.audiences(who), "public"]
        audience = "public" if public or who is None else tenant if share == "tenant" else own
        value = (request, audience, self.now)
        self.cache.put(key, value)
        self.filed[request, audience] = (value, self.now)


TestNoCrossing = NoCrossing.TestCase
TestNoCrossing.settings = settings(max_examples=250, stateful_step_count=50)


def test_no_tenant_is_another_than_the_tenant_without_a_name() -> None:
    """Someone without a tenant and someone of the tenant `""`, both called ann, are two people."""
    clock = Clock()
    cache, ring = Cache[str](max_items=9, clock=clock), KeyRing(clock=clock)
    ring.add("s1", "ann")
    ring.add("s2", "ann", tenant="")
    front = FastPath(Router({"/a": 1}), cache, ring, RateLimiter(Quota(1, "day"), clock=clock))
    routed = front.take("/a", credential="s1")
    assert isinstance(routed, Routed)
    assert routed.key is not None
    cache.put(routed.key, "the first ann's")
    assert isinstance(front.take("/a", credential="s2"), Routed)


def parts(**quota: Any) -> tuple[FastPath[str], Cache[str], KeyRing, RateLimiter, Clock]:
    """A front with all its parts: ann of acme may read, bob may nothing, cid's secret ends after 100 seconds."""
    clock = Clock()
    routes = [
        Route("GET /open", "open", public=True),
        Route("GET /mine/{id}", "mine"),
        Route("/read", "read", scopes=["read"]),
        Route("GET /ours", "ours", share="tenant"),
        Route("POST /ask", "ask", cost=2.5),
        Route("GET /dear", "dear", cost=50),
        Route("GET /free", "free", cost=0),
    ]
    cache = Cache[str](max_items=100, ttl=10, stale_for=60, clock=clock)
    ring = KeyRing(clock=clock)
    ring.add("ann's", "ann", ["read"], "acme")
    ring.add("amy's", "amy", ["read"], "acme")
    ring.add("bob's", "bob", tenant="acme")
    ring.add("cid's", "cid", expires=100)
    limiter = RateLimiter(core.Quota(**{"n": 60, "per": "minute", "burst": 5} | quota), clock=clock)
    return FastPath(Router(routes, normalize=PathPolicy()), cache, ring, limiter), cache, ring, limiter, clock


REFUSALS: list[tuple[tuple[Any, ...], int, str]] = [
    (("/a%2Fb",), 400, "slash"),
    (("/../etc",), 400, "byte 1"),
    (("relative",), 400, "start with '/'"),
    (("/mine/1",), 401, "needs a credential"),
    (("/mine/1", "GET", "unknown"), 401, "unknown or has expired"),
    (("/mine/1", "GET", b"ann"), 401, "unknown or has expired"),
    (("/mine/1", "GET", ""), 401, "unknown or has expired"),
    (("/read", "GET", "bob's"), 403, "does not allow"),
    (("/nothing", "GET", "ann's"), 404, "nothing at this path"),
    (("/nothing",), 404, "nothing at this path"),
    (("/open", "POST"), 405, "not under this method"),
    (("/ask", "GET", "ann's"), 405, "not under this method"),
    (("/dear", "GET", "ann's"), 429, "more than is ever allowed"),
]


@pytest.mark.parametrize(("request_", "status", "reason"), REFUSALS)
def test_a_refusal_says_why_and_costs_nothing(request_: tuple[Any, ...], status: int, reason: str) -> None:
    """Each refusal has its status and reason, and takes nothing from any bucket."""
    front, _, _, limiter, _ = parts()
    for _ in range(20):
        refused = front.take(*request_)
        assert isinstance(refused, Refused)
        assert (refused.status, reason in refused.reason) == (status, True)
    assert len(limiter) == 0
    assert isinstance(front.take("/open"), Routed)


def test_a_405_says_what_is_allowed() -> None:
    """Only a 405 has `allow`, with the methods the path exists under."""
    front, *_ = parts()
    refused = front.take("/open", "DELETE")
    assert isinstance(refused, Refused)
    assert (refused.status, refused.allow, refused.retry_after) == (405, ("GET", "HEAD"), None)
    other = front.take("/nothing")
    assert isinstance(other, Refused)
    assert (other.allow, other.retry_after) == ((), None)


def test_an_expired_credential_is_a_401() -> None:
    """A credential works until its end and is then as good as unknown."""
    front, _, _, _, clock = parts()
    assert isinstance(front.take("/mine/1", "GET", "cid's"), Routed)
    clock.advance(100)
    refused = front.take("/mine/1", "GET", "cid's")
    assert isinstance(refused, Refused)
    assert (refused.status, refused.identity) == (401, None)


def test_a_429_says_exactly_how_long() -> None:
    """After `retry_after` the request passes, and until then it does not."""
    front, _, _, _, clock = parts()
    assert all(isinstance(front.take("/mine/1", "GET", "ann's"), Routed) for _ in range(5))
    for wait in (1.0, 0.75, 0.5, 0.25):
        refused = front.take("/mine/1", "GET", "ann's")
        assert isinstance(refused, Refused)
        assert (refused.status, refused.retry_after, refused.identity and refused.identity.name) == (429, wait, "ann")
        clock.advance(0.25)
    assert isinstance(front.take("/mine/1", "GET", "ann's"), Routed)
    dear = front.take("/dear", "GET", "ann's")
    assert isinstance(dear, Refused)
    assert dear.retry_after == math.inf


@pytest.mark.parametrize("n", [3, 7, 34, 41, 59, 97])
def test_the_wait_is_enough_for_any_rate(n: float) -> None:
    """A caller that waits as long as it was told is admitted, whatever fractions the rate has."""
    front, _, _, _, clock = parts(n=n, per="second", burst=1)
    for _ in range(200):
        result = front.take("/open")
        if isinstance(result, Refused):
            assert result.retry_after is not None
            clock.advance(result.retry_after)
            assert isinstance(front.take("/open"), Routed)


def test_each_route_costs_what_it_says() -> None:
    """A fractional cost is taken as it is, and a free route passes even an empty bucket."""
    front, _, _, limiter, _ = parts()
    assert isinstance(front.take("/ask", "POST", "ann's", "c"), Routed)
    assert limiter.available("c") == 2.5
    assert isinstance(front.take("/ask", "POST", "ann's", "c"), Routed)
    refused = front.take("/ask", "POST", "ann's", "c")
    assert isinstance(refused, Refused)
    assert refused.retry_after == 2.5
    assert isinstance(front.take("/free", "GET", "ann's", "c"), Routed)


def test_the_bucket_is_the_clients_or_the_identitys_or_everybodys() -> None:
    """A named client draws on its own bucket, else the identity on its own, else all who have no name share one."""
    front, *_ = parts(burst=1)

    def passes(*request: Any) -> bool:
        return isinstance(front.take(*request), Routed)

    assert [passes("/open"), passes("/open")] == [True, False]
    assert [passes("/open", "GET", "ann's"), passes("/open", "GET", "ann's")] == [True, False]
    assert [passes("/open", "GET", "amy's"), passes("/mine/1", "GET", "amy's")] == [True, False]
    assert [passes("/open", "GET", "ann's", "c"), passes("/open", "GET", "bob's", "c")] == [True, False]
    assert [passes("/open", "GET", None, "d"), passes("/open", "GET", None, "d")] == [True, False]
    # A client may call itself what it likes: it does not get at an identity's bucket by its name.
    assert [passes("/open", "GET", "bob's"), passes("/open", "GET", None, "cid"), passes("/open", "GET", "cid's")] == [
        True
    ] * 3


def test_what_was_routed_is_found_again() -> None:
    """An answer put under `routed.key` is a hit for whoever may see it, and costs nothing."""
    front, cache, _, limiter, _ = parts()
    routed = front.take("/mine/7", "GET", "ann's")
    assert isinstance(routed, Routed)
    assert routed.identity is not None
    assert (routed.target, routed.params, routed.by, routed.identity.name) == ("mine", {"id": "7"}, "prefix", "ann")
    assert routed.key is not None
    cache.put(routed.key, "ann's answer")
    for path in ("/mine/7", "/./mine//7", "/%6Dine/7"):
        hit = front.take(path, "GET", "ann's")
        assert isinstance(hit, Hit)
        assert hit.identity is not None
        assert (hit.value, hit.identity.name) == ("ann's answer", "ann")
    for other in ("amy's", "bob's"):
        assert isinstance(front.take("/mine/7", "GET", other), Routed)
    assert isinstance(front.take("/mine/7"), Refused)
    assert isinstance(front.take("/mine/7", "HEAD", "ann's"), Routed)
    assert len(limiter) == 3


def test_an_answer_may_be_shared_within_a_tenant() -> None:
    """With `share="tenant"`, those of the tenant who hold the same scopes find one another's answers, no one else."""
    front, cache, ring, _, _ = parts()
    ring.add("eve's", "eve", ["read"], "globex")
    routed = front.take("/ours", "GET", "ann's")
    assert isinstance(routed, Routed)
    assert routed.key is not None
    cache.put(routed.key, "acme's answer")
    found = [
        isinstance(front.take("/ours", "GET", secret), Hit) for secret in ("ann's", "amy's", "bob's", "eve's", "cid's")
    ]
    assert found == [True, True, False, False, False]


def test_a_plain_put_is_found_just_where_there_is_no_key_ring() -> None:
    """`cache.put(path, answer)` serves a front without a key ring, and never one with it, public route or not."""
    cache = Cache[str](max_items=9)
    router = Router([Route("/a", 1), Route("/open", 2, public=True)])
    ring = KeyRing()
    ring.add("s", "ann")
    for path in ("/a", "/open"):
        cache.put(path, "answer")
        assert isinstance(FastPath(router, cache).take(path), Hit)
        assert isinstance(FastPath(router, cache).take(path, "HEAD"), Routed)
        assert isinstance(FastPath(router, cache).take(path, vary=Key()), Routed)
        assert isinstance(FastPath(router, cache, ring).take(path, "GET", "s"), Routed)
    assert isinstance(FastPath(router, cache, ring).take("/open"), Routed)


def test_a_stale_answer_is_offered_not_given() -> None:
    """Past its ttl an answer comes with the way to a new one, and after the stale window not at all."""
    front, cache, _, _, clock = parts()
    routed = front.take("/open")
    assert isinstance(routed, Routed)
    assert routed.stale is None
    assert routed.key is not None
    cache.put(routed.key, "old")
    clock.advance(10)
    late = front.take("/open")
    assert isinstance(late, Routed)
    assert (late.stale, late.key) == ("old", routed.key)
    clock.advance(60)
    gone = front.take("/open")
    assert isinstance(gone, Routed)
    assert gone.stale is None
    stats = cache.stats()
    assert (stats.hits, stats.stale, stats.misses, stats.expirations) == (0, 1, 2, 1)


def test_what_may_not_be_kept_has_no_key() -> None:
    """There is a key for GET and HEAD, for others just with `vary`, and none without a cache."""
    front, *_ = parts()
    keys = {}
    for method, vary in [
        ("GET", None),
        ("HEAD", None),
        ("POST", None),
        ("POST", Key("body")),
        ("PURGE", None),
        ("get", None),
    ]:
        routed = front.take("/read", method, "ann's", f"{method} {vary}", vary=vary)
        assert isinstance(routed, Routed)
        keys[method, vary is not None] = routed.key
    assert [asked for asked, key in keys.items() if key is None] == [("POST", False), ("PURGE", False), ("get", False)]
    assert len(set(keys.values())) == 4
    bare = FastPath(Router({"/a": 1})).take("/a")
    assert isinstance(bare, Routed)
    assert bare.key is None


def test_the_table_may_be_replaced_under_a_front() -> None:
    """A front goes by the table its router has when it is asked."""
    router = Router({"/a": 1})
    front = FastPath(router)
    router.replace({"/b": 2})
    assert isinstance(front.take("/a"), Refused)
    assert isinstance(front.take("/b"), Routed)
    assert (front.router is router, front.cache, front.keys, front.limiter) == (True, None, None, None)


def test_the_three_answers_can_be_matched() -> None:
    """Hit, Routed and Refused have their parts in the order stated, and show what matters."""
    cache = Cache[str](max_items=9)
    cache.put("/hit", "value")
    front = FastPath(Router({"/{x}": "target"}), cache)
    seen: list[Any] = []
    for path in ("/hit", "/miss", "/no/thing"):
        match front.take(path):
            case Hit(value) as hit:
                seen.append((value, repr(hit)))
            case Routed(target, params, by) as routed:
                assert isinstance(routed.match, Match)
                assert routed.match.route == "/{x}"
                seen.append((target, params, by, repr(routed)))
            case Refused(status, reason) as refused:
                seen.append((status, reason, repr(refused)))
    assert seen == [
        ("value", "Hit('value')"),
        ("target", {"x": "miss"}, "prefix", "Routed(target='target', params={'x': 'miss'}, by='prefix')"),
        (404, "there is nothing at this path", 'Refused(404, "there is nothing at this path")'),
    ]


def test_parts_with_different_clocks_are_refused() -> None:
    """A front whose parts go by different clocks would be wrong about time, so it is an error."""
    cache = Cache[str](1, clock=Clock())
    for other in ({"keys": KeyRing()}, {"keys": KeyRing(clock=Clock())}, {"limiter": RateLimiter(Quota(1))}):
        with pytest.raises(ConfigError, match="clock"):
            core.FastPath(Router({}), cache, **other)


def test_a_front_and_its_answers_are_not_pickled() -> None:
    """Pickling is refused by name."""
    cache = Cache[str](max_items=9)
    cache.put("/hit", "value")
    front = FastPath(Router({"/a": 1}), cache)
    for refused in (front, front.take("/hit"), front.take("/a"), front.take("/b")):
        with pytest.raises(TypeError, match=type(refused).__name__):
            pickle.dumps(refused)


def front() -> Any:
    """A front of which the types know nothing."""
    return FastPath(Router({"/a": 1}), Cache[str](1), KeyRing(), RateLimiter(Quota(1)))


REFUSED: list[tuple[Callable[[], object], Any, list[str]]] = [
    (lambda: core.FastPath(), TypeError, ["router"]),
    (lambda: core.FastPath({"/a": 1}), TypeError, ["router", "dict"]),
    (lambda: core.FastPath(Router({}), cache={}), TypeError, ["cache", "dict"]),
    (lambda: core.FastPath(Router({}), keys=[]), TypeError, ["keys", "list"]),
    (lambda: core.FastPath(Router({}), limiter=Quota(1)), TypeError, ["limiter", "Quota"]),
    (lambda: core.FastPath(Router({}), None, None, None, None), TypeError, ["positional"]),
    (lambda: core.FastPath(Router({}), ring=None), TypeError, ["ring"]),
    (lambda: front().take(), TypeError, ["path"]),
    (lambda: front().take(None), TypeError, ["path", "NoneType"]),
    (lambda: front().take(b"/a"), TypeError, ["path", "bytes"]),
    (lambda: front().take("/\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: front().take("/a", b"GET"), TypeError, ["method", "bytes"]),
    (lambda: front().take("/a", "\ud800"), UnicodeEncodeError, ["surrogates"]),
    (lambda: front().take("/a", "GET", 7), TypeError, ["secret", "int"]),
    (lambda: front().take("/a", "GET", ["hunter2"]), TypeError, ["secret", "list"]),
    (lambda: front().take("/a", "GET", "hunter2\ud800"), ValueError, ["secret", "surrogate"]),
    (lambda: front().take("/a", "GET", None, 7), TypeError, ["client", "int"]),
    (lambda: front().take("/a", "GET", None, b"c"), TypeError, ["client", "bytes"]),
    (lambda: front().take("/a", "GET", None, None, None), TypeError, ["4", "5"]),
    (lambda: front().take("/a", vary="de"), TypeError, ["vary", "Key", "str"]),
    (lambda: front().take("/a", vary=("de",)), TypeError, ["vary", "Key", "tuple"]),
    (lambda: front().take("/a", secret="hunter2"), TypeError, ["secret", "credential"]),
    (lambda: front().take("/a", credential="hunter2", path="/a"), TypeError, ["path", "twice"]),
    (lambda: core.Hit("value"), TypeError, ["Hit"]),
    (lambda: core.Routed("target"), TypeError, ["Routed"]),
    (lambda: core.Refused(404), TypeError, ["Refused"]),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_is_wrong_is_named_and_the_secret_is_not(
    call: Callable[[], object], error: Any, words: list[str], told: Callable[[BaseException], str]
) -> None:
    """Arguments of the wrong kind, number or name are named in the error, credentials never shown."""
    with pytest.raises(error) as caught:
        call()
    assert [word for word in words if word not in told(caught.value)] == []
    assert "hunter2" not in told(caught.value) + repr(caught.value.args) + repr(caught.value.__context__)


def test_no_repr_shows_a_secret() -> None:
    """Neither the front nor what it returns shows the credential that came with the request."""
    front, *_ = parts()
    for path in ("/open", "/mine/1", "/nothing"):
        for secret in ("ann's", "hunter2"):
            shown = repr(front.take(path, "GET", secret)) + repr(front) + repr(front.keys)
            assert secret not in shown


PUBLIC_ALL = Route("/{rest...}", "all", public=True)
CHANGED_RULES = [
    # Rules before, rules after, path, and what an unknown caller is told then.
    ([PUBLIC_ALL], [PUBLIC_ALL, Route("/secret", "s")], "/secret", 401),
    (
        [Route("GET /a", "r", public=True), Route("POST /a", "w", scopes=["admin"])],
        [Route("POST /a", "w", public=True), Route("GET /a", "r", scopes=["admin"])],
        "/a",
        401,
    ),
    (
        [Route(re.compile("^/p"), "p", public=True), Route(re.compile("^/priv"), "v")],
        [Route(re.compile("^/priv"), "v"), Route(re.compile("^/p"), "p", public=True)],
        "/priv",
        401,
    ),
    (
        [Route(re.compile("^/p", re.IGNORECASE), "p", public=True), Route("*", "rest")],
        [Route(re.compile("^/p"), "p", public=True), Route("*", "rest")],
        "/P",
        401,
    ),
    ([PUBLIC_ALL], [Route("/b", "b", public=True)], "/a", 404),
]


@pytest.mark.parametrize(("before", "after", "path", "status"), CHANGED_RULES)
def test_a_change_of_rules_takes_old_answers_out_of_reach(
    before: list[Route[str]], after: list[Route[str]], path: str, status: int
) -> None:
    """What was public under the old table is no hit under a new one that does not say so."""
    cache: Cache[str] = Cache(10)
    fast = FastPath(Router(before), cache, KeyRing())
    routed = fast.take(path)
    assert isinstance(routed, Routed)
    assert routed.key is not None
    cache.put(routed.key, "public once")
    assert isinstance(fast.take(path), Hit)
    fast.router.replace(after)
    refused = fast.take(path)
    assert isinstance(refused, Refused)
    assert refused.status == status


def test_rings_do_not_share_answers() -> None:
    """Two rings over one cache know an identity of the same name each for itself."""
    cache: Cache[str] = Cache(10)
    router = Router({"/a": "a"})
    rings = [KeyRing(), KeyRing()]
    for number, ring in enumerate(rings):
        ring.add(f"secret {number}", "admin")
    first, second = (FastPath(router, cache, ring) for ring in rings)
    routed = first.take("/a", "GET", "secret 0")
    assert isinstance(routed, Routed)
    assert routed.key is not None
    cache.put(routed.key, "the first ring's")
    assert isinstance(first.take("/a", "GET", "secret 0"), Hit)
    assert isinstance(second.take("/a", "GET", "secret 1"), Routed)
