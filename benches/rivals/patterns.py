"""First of many regular expressions: uap-core's lists one behind the other, over its 5,000 test user agents.

All contenders here have the same meaning, the lowest index that matches anywhere, and each is checked on every user
agent before it is timed. Then input made to make backtracking explode, by doubling lengths.
"""

import re
import signal
from collections.abc import Callable
from time import perf_counter
from types import FrameType
from typing import Any

from cython_core import core
from harness import Contender, Inline, Job, Missing, timed
from inputs import patterns, user_agents
from ours import fastcascade
from report import run

Rules = tuple[tuple[str, bool], ...]
HOSTILE = (r"^(?:a+)+$", r"^(?:a|a)*b$", r"(?:x+x+)+y")
LENGTHS = (8, 16, 20, 24, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536)
PATIENCE = 2.0  # seconds until a search is given up


def compiled(rules: Rules) -> list[re.Pattern[str]]:
    return [re.compile(regex, re.IGNORECASE if folded else 0) for regex, folded in rules]


def _inline_flag(rules: Rules) -> list[str]:
    return [("(?i)" if folded else "") + regex for regex, folded in rules]


def re_loop(rules: Rules) -> Callable[[str], int | None]:
    """The standard library, as one writes it."""
    searches = [pattern.search for pattern in compiled(rules)]

    def first(text: str) -> int | None:
        for index, search in enumerate(searches):
            if search(text):
                return index
        return None

    return first


def ua_parser_rs(rules: Rules) -> Inline:
    """Its extractor takes any list of rules; the index is handed in as the name to return."""
    from ua_parser_rs import UserAgentExtractor

    rows = [(regex, str(index), None, None, None, None) for index, regex in enumerate(_inline_flag(rules))]
    return Inline("find(a)", find=UserAgentExtractor(rows).extract)


def hyperscan(rules: Rules) -> Callable[[str], int | None]:
    """It reports every pattern that matches, in no order of ours, through a callback; the least is taken."""
    import hyperscan as hs

    flags = [
        hs.HS_FLAG_SINGLEMATCH | hs.HS_FLAG_ALLOWEMPTY | (hs.HS_FLAG_CASELESS if folded else 0) for _, folded in rules
    ]
    database = hs.Database(mode=hs.HS_MODE_BLOCK)
    texts = [regex.encode() for regex, _ in rules]
    database.compile(expressions=texts, ids=list(range(len(texts))), elements=len(texts), flags=flags)
    scan = database.scan
    seen: list[int] = []
    add = seen.append

    def event(index: int, start: int, end: int, flags: int, context: object) -> None:
        add(index)

    def first(text: str) -> int | None:
        seen.clear()
        scan(text.encode(), match_event_handler=event)
        return min(seen) if seen else None

    return first


def re2_set(rules: Rules) -> Callable[[str], int | None]:
    """It returns all that match; with less memory for its automaton it is a hundred times slower on these rules."""
    import re2

    options = re2.Options()
    options.max_mem = 1 << 30
    options.log_errors = False
    made = re2.Set.SearchSet(options)
    for text in _inline_flag(rules):
        made.Add(text)
    made.Compile()
    find = made.Match

    def first(text: str) -> int | None:
        found = find(text)
        return min(found) if found else None

    return first


def router(rules: Rules) -> Any:
    package = fastcascade()
    return package.Router([package.Route(pattern, index) for index, pattern in enumerate(compiled(rules))])


def _router_answer(match: Any) -> int | None:
    return None if match is None else match.target


def contenders(rules: Rules) -> list[Contender]:
    return [
        Contender(
            "fastcascade Router.match",
            lambda: router(rules).match,
            package="fastcascade",
            role="ours",
            answer=_router_answer,
        ),
        Contender(
            "fastcascade PatternSet.first",
            lambda: fastcascade().PatternSet(compiled(rules)).first,
            package="fastcascade",
        ),
        Contender(
            "ua-parser-rs",
            lambda: ua_parser_rs(rules),
            package="ua-parser-rs",
            answer=lambda found: None if found is None else int(found.family),
            note="takes the groups out too",
        ),
        Contender("hyperscan", lambda: hyperscan(rules), package="hyperscan", note="all matches, through a callback"),
        Contender(
            "re2.Set", lambda: re2_set(rules), package="google-re2", note="all matches; 1 GiB for its automaton, warm"
        ),
        Contender("cython re loop", lambda: core().Patterns(compiled(rules)).first, package="Cython"),
        Contender("re loop", lambda: re_loop(rules)),
    ]


def first_match(quick: bool) -> dict[str, Any]:
    """One table for 10, for 100 and for 1,000 patterns."""
    agents = user_agents()[: 500 if quick else None]
    tables = {}
    for count in (10, 100, 1_000):
        rules = patterns()[:count]
        expect = list(map(re_loop(rules), agents))
        job = Job(f"{count}", [(agent,) for agent in agents], expect)
        hit = sum(index is not None for index in expect) / len(expect)
        title = f"patterns: first of {count:,}, {len(agents):,} user agents, {100 * hit:.0f} % match"
        tables[f"{count}"] = timed(title, contenders(rules), job, quick)
    return tables


class _OutOfPatience(Exception):
    pass


def _give_up(number: int, frame: FrameType | None) -> None:
    raise _OutOfPatience


def _seconds(search: Callable[[str], Any], text: str) -> float | None:
    """Best of three, or None when the first takes longer than `PATIENCE` (`re` can be interrupted)."""
    signal.signal(signal.SIGALRM, _give_up)
    best = None
    try:
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            start = perf_counter()
            search(text)
            spent = perf_counter() - start
            best = spent if best is None else min(best, spent)
    except _OutOfPatience:
        return best
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return best


def hostile(quick: bool) -> list[dict[str, Any]]:
    """Microseconds by length for input that almost matches."""
    makers: dict[str, Callable[[Rules], Any]] = {
        "re": lambda rules: compiled(rules)[0].search,
        "re2.Set": re2_set,
        "fastcascade Router.match": lambda rules: router(rules).match,
        "fastcascade PatternSet.first": lambda rules: fastcascade().PatternSet(compiled(rules)).first,
    }
    lengths = LENGTHS[: 8 if quick else None]
    rows: list[dict[str, Any]] = []
    for regex in HOSTILE:
        letter = "x" if "x" in regex else "a"
        print(
            f"\n## patterns: hostile input for {regex}, microseconds\n\n{'length':>28}"
            + "".join(f"{n:>10,}" for n in lengths)
        )
        for name, make in makers.items():
            row: dict[str, Any] = {"name": name, "regex": regex, "us": {}}
            rows.append(row)
            try:
                search = make(((regex, False),))
            except (ImportError, Missing, ValueError) as why:
                row["absent"] = str(why)
                print(f"{name:<28}  {why}", flush=True)
                continue
            for length in lengths:
                spent = _seconds(search, letter * length + "!")
                row["us"][length] = None if spent is None else spent * 1e6
                if spent is None:
                    break
            figures = [f">{PATIENCE * 1e6:,.0f}" if us is None else f"{us:,.1f}" for us in row["us"].values()]
            print(f"{name:<28}" + "".join(f"{figure:>10}" for figure in figures), flush=True)
    return rows


def main(quick: bool) -> dict[str, Any]:
    """First match, then hostile input."""
    return {"patterns, first match": first_match(quick), "patterns, hostile": hostile(quick)}


if __name__ == "__main__":
    run(main, __doc__)
