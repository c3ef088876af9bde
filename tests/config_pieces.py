"""Settings drawn at random, each with what they should come to: the same thing, made by its constructor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from fastcascade import Budget, Cascade, Hedge, Lane, Lanes, Price, PriceSheet, Quota, Sessions, Tier, gates
from fastcascade.backends import Rules
from fastcascade.entry import ByPrefix, Health, Instance, LeastOutstanding, Outliers, Pool, PowerOfTwo, RoundRobin
from fastcascade.fallbacks import Adaptive, Breaker, Bulkhead, Region, Retry, RetryShare, Review, Stale, Static
from fastcascade.policies import Everything, Threshold
from fastcascade.reviews import ReviewDesk
from fastcascade.stores.sqlite import SQLiteReviews
from fastcascade.testing import Fault, ScriptedBackend, Slow

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # made up


@dataclass(frozen=True)
class Said:
    """A value as a file says it, and the same as code makes it."""

    toml: Any
    made: Callable[[], Any]


Piece = st.SearchStrategy[Said]


def plain(values: st.SearchStrategy[Any]) -> Piece:
    """What is the same in both."""
    return values.map(lambda value: Said(value, lambda: value))


def switch(made: Piece) -> Piece:
    """The same, or turned off."""
    return made | st.just(Said(toml=False, made=lambda: None))


def several(piece: Piece, least: int, most: int) -> Piece:
    """A list of them."""
    return st.lists(piece, min_size=least, max_size=most).map(
        lambda each: Said([one.toml for one in each], lambda: [one.made() for one in each])
    )


def part(
    make: Callable[..., Any],
    kind: str | list[str] = "",
    needs: Mapping[str, Piece] | None = None,
    /,
    **settings: Piece,
) -> Piece:
    """A table with some of these settings, and all that it needs."""

    def said(drawn: tuple[str, dict[str, Said]]) -> Said:
        name, given = drawn
        table = {"kind": name} if name else {}
        table |= {key: each.toml for key, each in given.items()}
        return Said(table, lambda: make(**{key: each.made() for key, each in given.items()}))

    kinds = st.sampled_from([kind] if isinstance(kind, str) else kind)
    return st.tuples(kinds, st.fixed_dictionaries(dict(needs or {}), optional=settings)).map(said)


def number(least: float, most: float) -> Piece:
    """A number, with a point or without."""
    points = st.floats(least, most)
    return plain(points | st.integers(int(least) + 1, int(most)) if most >= least + 1 else points)


def whole(least: int, most: int) -> Piece:
    """A whole number."""
    return plain(st.integers(least, most))


FLAG = plain(st.booleans())
SHARE = number(0.05, 1.0)

PRICE = part(
    Price, "", {"input": number(0, 20), "output": number(0, 90)}, cache_read=number(0, 1), per_call=number(0, 1)
)
QUOTA = part(
    Quota, "", {"n": number(1, 1000)}, per=plain(st.sampled_from(["second", "minute", 3.5])), burst=number(1, 50)
)
RETRY = part(
    Retry,
    times=whole(0, 5),
    base=number(0, 3),
    jitter=number(0, 1),
    budget=switch(part(RetryShare, share=SHARE, reserve=number(1, 20))),
    remedies=plain(st.fixed_dictionaries({}, optional={"timeout": st.just("retry"), "cut": st.just("next tier")})),
)
BREAKER = part(
    Breaker,
    failure_rate=SHARE,
    minimum=whole(1, 20),
    cooling=number(1, 60),
    counts=plain(st.lists(st.sampled_from(["timeout", "server", "cut"]), min_size=1, unique=True)),
) | part(
    Breaker, "", {"failure_threshold": whole(1, 9)}, recovery_timeout=number(1, 60), half_open_max_calls=whole(1, 3)
)
ADAPTIVE = part(Adaptive, initial=whole(5, 20), lowest=whole(1, 5), highest=whole(20, 90), spared=number(0.01, 0.09))
BULKHEAD = part(Bulkhead, limit=whole(1, 90) | ADAPTIVE, queue=whole(0, 50), patience=number(0.5, 9))
HEDGE = part(Hedge, "", {"percentile": number(50, 99)}, share=SHARE, least=whole(1, 50))
BALANCE = (
    part(ByPrefix, ["by prefix", "by_prefix"], characters=whole(1, 5000), load=number(1, 3))
    | st.just(Said("round robin", RoundRobin))
    | st.just(Said("Least-Outstanding", LeastOutstanding))
    | st.just(Said({"kind": "power of two"}, PowerOfTwo))
)
POOL = st.fixed_dictionaries(
    {},
    optional={
        "retry": switch(RETRY),
        "breaker": switch(BREAKER),
        "bulkhead": switch(BULKHEAD),
        "hedge": switch(HEDGE),
        "balance": BALANCE,
        "outliers": switch(part(Outliers, consecutive=whole(1, 9), most=SHARE, panic=number(0, 1))),
        "health": switch(part(Health, within=number(1, 60), after=whole(1, 5), back=whole(1, 5))),
        "timeout": number(1, 60),
        "effects": FLAG,
    },
)

STEP = (
    plain(st.sampled_from(["yes", "no: never", "perhaps"]))
    | st.just(Said(toml=False, made=lambda: None))
    | number(1, 9).map(lambda said: Said({"slow": said.toml}, lambda: Slow(said.made())))
    | part(Fault, "", {"kind": plain(st.just("server"))}, status=whole(500, 599)).map(
        lambda said: Said({"fault": said.toml}, said.made)
    )
)


def scripted(name: Piece) -> Piece:
    """A backend that plays a script."""

    def make(script: list[Any], **settings: Any) -> ScriptedBackend:
        return ScriptedBackend(*script, **settings)

    return part(make, "scripted", {"script": several(STEP, 1, 3), "name": name}, price=PRICE)


RULES = part(
    lambda faq, rules=(): Rules(rules, faq=faq),
    "rules",
    {
        "faq": plain(
            st.dictionaries(st.sampled_from(["Who?", "What is my password", "api_key"]), st.just("Me."), min_size=1)
        )
    },
    rules=plain(st.dictionaries(st.sampled_from(["a+", "b", "^c"]), st.sampled_from(["yes", "no"]))),
)

SIMPLE = (
    part(gates.Structure, "structure", min_length=whole(0, 5), refusal=FLAG)
    | part(gates.Hedging, "hedging", threshold=SHARE, convention=FLAG)
    | part(gates.SelfReport, ["self report", "self_report"], inline=FLAG, threshold=SHARE)
    | part(gates.Consistency, "consistency", k=whole(2, 5), agree=plain(st.sampled_from(["exact", "json"])))
    | part(gates.Logprobs, "logprobs", of=plain(st.sampled_from(["min", "margin"])), threshold=SHARE)
    | st.just(Said("structure", gates.Structure))
)
COMBINE: list[tuple[str, Callable[..., gates.Gate]]] = [
    ("all of", gates.all_of),
    ("any_of", gates.any_of),
    ("First-Decisive", gates.first_decisive),
]


def _combined(inner: Piece) -> Piece:
    return st.tuples(st.sampled_from(COMBINE), several(inner, 1, 2)).map(
        lambda drawn: Said({"kind": drawn[0][0], "gates": drawn[1].toml}, lambda: drawn[0][1](*drawn[1].made()))
    )


GATE = st.recursive(SIMPLE, _combined, max_leaves=3)


def instances(place: int) -> Piece:
    """The places of one tier."""

    def one(nth: int) -> Piece:
        return part(
            Instance,
            "",
            {"backend": scripted(plain(st.just(f"b{place}-{nth}"))), "name": plain(st.just(f"i{nth}"))},
            region=plain(st.sampled_from(["eu", "us"])),
            key=plain(st.sampled_from(["one", "two"])),
            weight=number(0.5, 3),
            priority=whole(0, 2),
        )

    return st.integers(1, 3).flatmap(
        lambda count: st.tuples(*(one(each) for each in range(count))).map(
            lambda drawn: Said([each.toml for each in drawn], lambda: [each.made() for each in drawn])
        )
    )


def whom(place: int) -> Piece:
    """The settings of a tier that say whom it asks: a backend, one in a pool, or several."""

    def pooled(name: str) -> Callable[[tuple[Said, dict[str, Said]]], Said]:
        def said(drawn: tuple[Said, dict[str, Said]]) -> Said:
            asked, pool = drawn

            def make() -> Pool:
                places = asked.made() if name == "instances" else [asked.made()]
                return Pool(*places, **{key: each.made() for key, each in pool.items()})

            return Said({name: asked.toml, "pool": {key: each.toml for key, each in pool.items()}}, make)

        return said

    alone = (scripted(plain(st.just(f"s{place}"))) | RULES).map(lambda one: Said({"backend": one.toml}, one.made))
    single = st.tuples(scripted(plain(st.just(f"p{place}"))), POOL).map(pooled("backend"))
    return alone | single | st.tuples(instances(place), POOL).map(pooled("instances"))


def tier(place: int, prefix: str = "t") -> Piece:
    """A rung of the ladder."""
    settings = {
        "gate": GATE,
        "accept": number(0.0, 1.0),
        "timeout": switch(number(1, 60)),
        "stall": number(1, 60),
        "price": PRICE,
        "quality": number(0.0, 1.0),
        "expected_output": whole(1, 500),
        "quota": QUOTA,
        "tokens": QUOTA,
        "max_tokens": whole(1, 500),
        "stop": st.just(Said(["END"], lambda: ("END",))),
        "options": plain(st.just({"anthropic": {"service_tier": "auto"}})),
    }

    def said(drawn: tuple[Said, dict[str, Said]]) -> Said:
        asked, given = drawn
        table = {"name": f"{prefix}{place}"} | asked.toml | {key: each.toml for key, each in given.items()}
        made = lambda: Tier(  # noqa: E731 - what is made is made anew each time
            asked.made(), name=f"{prefix}{place}", **{key: each.made() for key, each in given.items()}
        )
        return Said(table, made)

    return st.tuples(whom(place), st.fixed_dictionaries({}, optional=settings)).filter(_goes_together).map(said)


def _goes_together(drawn: tuple[Said, dict[str, Said]]) -> bool:
    """Rules give no log-probabilities, which some gates need."""
    asked, given = drawn
    ruled = asked.toml.get("backend", {}).get("kind") == "rules"
    return not ruled or "gate" not in given or "logprobs" not in repr(given["gate"].toml)


LINKS: dict[str, Piece] = {
    "retry": RETRY,
    "breaker": BREAKER,
    "region": part(lambda tiers: Region(*tiers), "", {"tiers": several(tier(0, "r"), 1, 1)}),
    "stale": part(
        Stale, stale_for=number(100, 900), fresh_for=number(0, 50), per=plain(st.sampled_from(["user", "all"]))
    ),
    "review": part(
        lambda when=("failed", "unsure"), reserve=0.5, **desk: Review(ReviewDesk(**desk), when=when, reserve=reserve),
        "",
        {
            "store": st.just(Said("sqlite:r.db", lambda: SQLiteReviews("r.db"))),
            "secret": st.just(Said(f"literal:{SECRET}", lambda: SECRET)),
        },
        when=plain(st.sampled_from([["failed"], ["unsure", "failed"]])),
        reserve=number(0.1, 3),
        sla=switch(number(1, 900)),
        lease=number(1, 900),
        sample=number(0, 1),
        callbacks=plain(st.just(["https://example.com/a"])),
    ),
    "static": part(Static, answer=plain(st.sampled_from(["Sorry.", "Call us: 555"]))),
}


@st.composite
def cascades(draw: st.DrawFn) -> Said:
    """A whole file."""
    count = draw(st.integers(1, 3))
    tiers = [draw(tier(place)) for place in range(count)]
    names = [f"t{place}" for place in range(count)]
    links = [name for name in LINKS if draw(st.booleans())]
    chain = [draw(LINKS[name]) for name in links]
    lane = part(
        Lane,
        "",
        {"start": plain(st.sampled_from(names))},
        task=st.sampled_from([Said("legal", lambda: "legal"), Said(["a", "b"], lambda: ("a", "b"))]),
        longer_than=whole(0, 900),
    )
    rest: dict[str, Said] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "budget": part(Budget, deadline=switch(number(1, 90)), attempts=whole(1, 9)),
                "lanes": part(
                    lambda rules=(), **more: Lanes(rules, **more),
                    rules=several(lane, 1, 2),
                    large=plain(st.sampled_from(names)),
                    large_tasks=plain(st.just(["legal"])),
                ),
                "sessions": part(Sessions, ttl=number(1, 900), max_items=whole(1, 9)),
                "hedge": HEDGE,
                "bulkhead": BULKHEAD,
                "policy": st.just(Said("threshold", Threshold)) | st.just(Said({"kind": "everything"}, Everything)),
                "refusals": plain(st.sampled_from(["accept", "escalate"])),
                "abstain": plain(st.sampled_from(["accept", "escalate"])),
                "last_resort": switch(plain(st.just("Later."))),
            },
        )
    )
    table: dict[str, Any] = {key: each.toml for key, each in rest.items()}
    table |= {"tiers": [each.toml for each in tiers], "prices": {"source": False}}
    if chain:
        table["fallbacks"] = [{"kind": name} | each.toml for name, each in zip(links, chain, strict=True)]
    table = {key: table[key] for key in draw(st.permutations(sorted(table)))}

    def make() -> Cascade:
        return Cascade(
            *(each.made() for each in tiers),
            fallbacks=[each.made() for each in chain],
            prices=PriceSheet(source=None),
            **{key: each.made() for key, each in rest.items()},
        )

    return Said(table, make)
