"""The command line: what it prints, what it refuses and how, and the figures behind it. No test is about a time."""

import gc
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcascade
from fastcascade.cli import builtin, main, shop, timing
from fastcascade.cli.bench import text
from fastcascade.cli.document import Document, Row
from fastcascade.cli.figures import EDGES, Tally, median
from fastcascade.cli.jobs import workload
from fastcascade.cli.report import bars, table
from fastcascade.cli.rival_routers import ROUTERS
from fastcascade.cli.routefile import FileError, load, parse
from fastcascade.cli.sample import sample
from fastcascade.cli.traffic import MIX, fill

SAMPLES = st.lists(st.integers(0, 10**8) | st.integers(0, 300), max_size=3_000)
QUICK = ["--seconds", "0.01"]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks a real model, whoever runs it."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """One document of a table that has every kind of route, with the rivals."""
    file = tmp_path_factory.mktemp("routes") / "routes.txt"
    file.write_text(
        "GET /a\n/b/c\nGET /users/{id}\nGET /files/{path...}\nre:^/v\\d+/x$\n*\nPOST /a\n", encoding="utf-8"
    )
    run = subprocess.run(
        [sys.executable, "-m", "fastcascade", "bench", "--json", "--vs", "--routes", str(file), *QUICK],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    document: Document = json.loads(run.stdout)
    return document


def mismatches(value: Any, hint: Any, where: str = "document") -> Iterator[str]:  # noqa: C901 - a branch per kind of type
    """Where a value is not what its type says."""
    if is_typeddict(hint):
        hints = get_type_hints(hint)
        if set(value) != set(hints):
            yield f"{where} has {sorted(set(value) ^ set(hints))} too much or too little"
        for key in set(value) & set(hints):
            yield from mismatches(value[key], hints[key], f"{where}.{key}")
    elif get_origin(hint) is list:
        for at, item in enumerate(value):
            yield from mismatches(item, get_args(hint)[0], f"{where}[{at}]")
    elif get_origin(hint) is dict:
        for key, item in value.items():
            yield from mismatches(item, get_args(hint)[1], f"{where}.{key}")
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            yield f"{where} is {value!r}"
    else:
        allowed = get_args(hint) or (hint,)
        number = float in allowed and type(value) is int
        if type(value) not in allowed and not number and not (value is None and NoneType in allowed):
            yield f"{where} is {value!r}, not {hint}"


def test_json_is_what_is_documented(measured: Document) -> None:
    """Every key of the documented types is there, of its type, and no other."""
    assert list(mismatches(measured, Document)) == []
    assert measured["version"] == fastcascade.__version__


def test_json_has_every_case(measured: Document) -> None:
    """Every call is measured in every case that the table allows, from Python and where possible inside."""
    there = {(row["call"], row["case"], row["side"]) for row in measured["rows"]}
    cases = ["exact", "prefix", "regex", "wildcard", "miss", "mix 92/7/1"]
    want = {(f"Router.{call}", case, "python") for call in ("match", "lookup", "match_many") for case in cases}
    want |= {("Router.match", case, "rust") for case in cases}
    sides = ("python", "rust")
    want |= {("FastPath.take", case, side) for case in ("hit", "routed", "refused 429") for side in sides}
    want |= {("Cache.get", case, side) for case in ("hit", "miss") for side in sides}
    want |= {("RateLimiter.admit", "admitted", side) for side in sides} | {("KeyRing.identify", "known", "python")}
    assert there == want


def test_rows_are_consistent(measured: Document) -> None:
    """Buckets add up to n, percentiles rise, and warm-up and loops are stated."""
    for row in measured["rows"]:
        assert sum(count for _, count in row["histogram"]) == row["n"] > 0
        points = [row["p50_ns"], row["p90_ns"], row["p99_ns"], row["p999_ns"], row["max_ns"]]
        known = [point for point in points if point is not None]
        assert known == sorted(known)
        assert row["warm_up"] > 0
        assert (row["loop_ns"] is None) == (row["side"] == "rust") == (row["loop_calls"] == 0)


def test_routes_are_accounted_for(measured: Document) -> None:
    """What is in the table, and what was not asked for, is said."""
    routes = measured["routes"]
    assert routes["kinds"] == {"exact": 3, "prefix": 2, "regex": 1, "wildcard": 1}
    assert (routes["count"], routes["method"], routes["other_methods"], routes["barren"]) == (7, "GET", 1, 0)


def test_rivals_are_measured_or_named(measured: Document) -> None:
    """Each rival has figures and a ratio that fits them, or the reason why not; a missing one is named for pip."""
    rows = measured["rivals"]
    assert {rival.name for rival in ROUTERS} <= {row["name"] for row in rows}
    for row in rows:
        if row["absent"] is None:
            assert row["calls"] > 0 and row["ns"] is not None and row["ours_ns"] is not None
            assert row["ratio"] is None or row["ratio"] == pytest.approx(row["ns"] / row["ours_ns"], abs=0.05, rel=0.2)
        elif row["job"] == "all":
            assert f"pip install {row['pip']}" in row["absent"]
    ours = [row for row in rows if row["name"] in ("dict.get", "re loop", "functools.lru_cache")]
    assert all(row["absent"] is None and row["other"] == row["left_out"] == 0 for row in ours)


def test_text_shows_all(measured: Document) -> None:
    """The tables show every row, the clock's cost and step, and each rival."""
    shown = "\n".join(text(measured))
    for row in measured["rows"]:
        assert f"{row['call']} {row['case']}" in shown
    assert all(row["name"] in shown for row in measured["rivals"])
    timer = measured["timer_ns"]["python"]
    assert f"costs {timer['cost']} ns (subtracted), ticks by {timer['step']} ns" in shown


@given(SAMPLES, st.sampled_from([50, 90, 99, 99.9]))
def test_percentile(samples: list[int], percent: float) -> None:
    """The nearest rank, as a sorted list gives it, or none where no sample lies beyond."""
    rank = max(1, math.ceil(len(samples) * round(percent * 10) / 1000 - 1e-9))
    enough = percent == 50 or len(samples) - rank >= 1
    want = sorted(samples)[rank - 1] if samples and enough else None
    assert Tally(samples).percentile(percent) == want


@given(SAMPLES, st.integers(0, 200), st.sampled_from([1, 1_000]))
def test_histogram(samples: list[int], cost: int, per: int) -> None:
    """Buckets add up to n, each holds what a naive count gives, and a subtracted cost never goes below zero."""
    tally = Tally(samples).less(cost, per)
    values = [max(0, value - cost) // per for value in samples]
    ends = [*EDGES[1:], math.inf]
    want = [sum(low <= value < high for value in values) for low, high in zip(EDGES, ends, strict=True)]
    assert tally.histogram() == want
    assert sum(want) == tally.n == len(samples)
    assert tally.mean == pytest.approx(sum(values) / (len(values) or 1))


@given(st.lists(st.floats(0, 1e9)))
def test_median(values: list[float]) -> None:
    """No more than half of the values lie on either side."""
    middle = median(values)
    assert 2 * sum(value < middle for value in values) <= len(values)
    assert 2 * sum(value > middle for value in values) <= max(0, len(values))


@pytest.mark.parametrize("plain", [True, False])
def test_bars(plain: bool) -> None:
    """A bucket that holds anything shows a bar, and plain output is ASCII."""
    counts = [0] * len(EDGES)
    counts[2], counts[4] = 100_000, 1
    lines = bars([("call", counts)], plain=plain)
    assert lines[0].split()[-3:] == ["20", "50", "100"]
    assert ("@ 100.0" if plain else "█ 100.0") in lines[1] and "<.1" in lines[1]
    assert not plain or "".join(lines).isascii()


def test_table_aligns() -> None:
    """Names flush left, figures flush right."""
    assert table(["a", "n"], [["long", "1"], ["b", "22"]]) == ["a      n", "long   1", "b     22"]


def test_demo_shows_every_matcher(capsys: pytest.CaptureFixture[str]) -> None:
    """Each matcher with a share within a point of the mix, and every outcome with its own line."""
    assert main(["demo", "--requests", "20000"]) == 0
    shown = capsys.readouterr().out
    shares = {name: float(share) for name, share in re.findall(r"^(\w+) +([\d.]+) % ", shown, re.MULTILINE)}
    wanted = {"none" if kind == "miss" else kind: 100 * part for kind, part in shop.STREAM_MIX.items()}
    assert {name: shares[name] for name in wanted} == pytest.approx(wanted, abs=1)
    outcomes = ["hit", "routed by exact", "routed by prefix", "routed by regex"]
    outcomes += [f"refused {status}" for status in (401, 403, 404, 405, 429)]
    assert all(re.search(rf"^{outcome} +[\d.]+ % ", shown, re.MULTILINE) for outcome in outcomes)
    assert "requests per second" in shown and "20,000 requests" in shown


@pytest.mark.parametrize("requests", [1, 499, 500, 501, 1_700])
def test_demo_runs_as_many_as_asked(requests: int, capsys: pytest.CaptureFixture[str]) -> None:
    """However few there are, the report comes and counts them."""
    assert main(["demo", "--requests", str(requests)]) == 0
    assert f"{requests:,} requests" in capsys.readouterr().out


def test_traffic_is_its_seed() -> None:
    """The same seed asks the same, another asks something else."""
    table = load(None)
    streams = [shop.Stream(table, table.router, seed).draw(500) for seed in (7, 7, 8)]
    assert streams[0] == streams[1] != streams[2]
    works = [workload(table, random.Random(seed)) for seed in (7, 7, 8)]
    assert (works[0].pools, works[0].mix) == (works[1].pools, works[1].mix) != (works[2].pools, works[2].mix)


def test_built_in_table() -> None:
    """Some two hundred routes of three kinds, each of which some request can reach."""
    table = load(None)
    work = workload(table, random.Random(1))
    assert 180 <= len(table.lines) <= 220
    assert work.barren == 0 and table.warnings == ()
    assert work.shares == pytest.approx(MIX)
    assert len(work.mix) == 5_000


def test_paths_are_answered_by_their_kind() -> None:
    """Every path of a pool is matched by the matcher that the pool is named after."""
    work = workload(load(None), random.Random(2))
    for kind, pool in work.pools.items():
        assert pool
        found = work.routers[kind].match_many(list(pool), work.method)
        assert {match.by if match else "miss" for match in found} == {kind}


TEMPLATES = ["/{a}", "/x/{a}/y/{b}", "/{a}...{b}", "/{rest...}", "/{{a}}/{b}", "/{{{a}}}", "/é/{a}"]


@given(st.sampled_from(TEMPLATES), st.integers(0, 2**32))
def test_fill(template: str, seed: int) -> None:
    """A template filled in is matched by it."""
    path = fill(template, random.Random(seed))
    router: fastcascade.Router[int] = fastcascade.Router([fastcascade.Route(template, 1)])
    match = router.match(path)
    assert match is not None and all(match.params.values())


PATTERNS = [
    r"^/v\d+/x$", r"^/(?P<lang>en|de)/[a-z0-9-]{2,9}\.html$", r"(?i)^/A[^/]+/?$", r"\.php$", r"^/\w+/\S*?end",
    r"/[^a-y]", r"^/a(?:b(?:c|d)?)*$", r"^/.{3}$", r"^/[\d_]+[^\W\d]$", r"^/[é]$", r"^/\Ax|/y",
]  # fmt: skip


@given(st.sampled_from(PATTERNS), st.integers(0, 2**32))
def test_sample(pattern: str, seed: int) -> None:
    """A path made for a pattern is matched by it; one that cannot be made is none, never wrong."""
    compiled = re.compile(pattern)
    path = sample(compiled, random.Random(seed))
    assert path is None or (path.startswith("/") and compiled.search(path))
    assert path is not None or "\\A" in pattern


def test_sample_knows_its_limits() -> None:
    """Look-around is not sampled."""
    assert sample(re.compile(r"(?=a)b"), random.Random(0)) is None


BAD = [
    ("users/{id}", "begins with '/'"),
    ("get /users", "methods in capitals"),
    ("GET", "write 'GET /path'"),
    ("GET /a b", "one route a line"),
    ("/a/{x", "without its '}'"),
    ("/a/{x}{y}", "put some text between"),
    ("re:(x", "no regular expression"),
    ("re:(?=x)y", "no look-around"),
    ("GET /good/3", "remove one"),
]


@pytest.mark.parametrize(("bad", "hint"), BAD)
@given(st.integers(4, 12), st.integers(0, 3))
def test_errors_name_the_line(bad: str, hint: str, before: int, after: int) -> None:
    """A bad line is named by its number, with what to do, wherever it stands."""
    lines = [f"GET /good/{number}" for number in range(before)]
    lines += ["", "# a comment", bad] + [f"/more/{number}" for number in range(after)]
    with pytest.raises(FileError, match=re.escape(hint)) as caught:
        parse("\n".join(lines), "routes.txt")
    assert str(caught.value).startswith(f"routes.txt:{before + 3}: ")


BAD_JSON = [
    ('{"GET /a": 1,\n "/b/{x}": {"/c/{": 2},\n "/c/{": 3}', "routes.json:3: "),
    ('{"GET /a":\n', "routes.json:2: not JSON"),
    ('{"/\\u00e9": 1,\n"/é": 2}', "routes.json:2: "),
    ("[1]", "routes.json:1: not a mapping"),
    ("{}", "routes.json: it has no routes"),
    ('{\n"": 1}', "routes.json:2: "),
]


@pytest.mark.parametrize(("content", "message"), BAD_JSON)
def test_json_errors_name_the_line(content: str, message: str) -> None:
    """A mapping's errors are found by line too."""
    with pytest.raises(FileError) as caught:
        parse(content, "routes.json")
    assert str(caught.value).startswith(message)


def test_both_forms_say_the_same() -> None:
    """A file of lines and a mapping with these as keys make the same table."""
    keys = ["GET,HEAD /a", "/u/{id}", "POST re:^/v\\d$", "*"]
    tables = [parse("\r\n".join(keys), "r.txt"), parse(json.dumps(dict.fromkeys(keys, 1), indent=0), "r.json")]
    said = [[(line.methods, line.path, line.kind) for line in table.lines] for table in tables]
    assert said[0] == said[1]
    assert [kind for _, _, kind in said[0]] == ["exact", "prefix", "regex", "wildcard"]


def test_other_spellings_are_pointed_out() -> None:
    """Other frameworks' params are taken as they stand, with a warning."""
    table = parse("/u/:id\n/v/<int:id>\n/w/*\n/x/a:b\n/y*z", "r.txt")
    said = [warning.split(" is ")[0] for warning in table.warnings]
    assert said == [
        "r.txt:1: ':id'",
        "r.txt:2: '<int:id>'",
        "r.txt:3: '*'",
    ]


FAILING = [
    (["benhc"], "did you mean 'bench'?"),
    (["xyzzy"], "there are: demo, bench"),
    (["bench", "--jsn"], "unrecognized arguments: --jsn"),
    (["bench", "--seconds", "nan"], "no number of seconds"),
    (["bench", "--seed", "x"], "--seed"),
    (["demo", "--requests", "0"], "no whole number above 0"),
    (["demo", "--requests", "1", "--seconds", "1"], "not allowed with"),
    (["demo", "--accept", "1.5"], "no share between 0 and 1"),
    (["demo", "--accept", "nan"], "no share between 0 and 1"),
    (["demo", "--accept", "most"], "no share between 0 and 1"),
    (["bench", "--routes", "no-such-file.txt"], "no-such-file.txt: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "message"), FAILING)
def test_mistakes_are_explained(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, a message that says what is wrong, and nothing on the output."""
    try:
        code: Any = main(arguments)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert message in said.err and "Traceback" not in said.err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"GET /a\nGET /a\n", b"", b"\x00"])
def test_bad_files_are_no_tracebacks(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the file holds, the answer is a message with its name and exit code 2."""
    file = tmp_path / "routes.txt"
    file.write_bytes(content)
    assert main(["bench", "--routes", str(file), *QUICK]) == 2
    assert capsys.readouterr().err.startswith(f"fastcascade: {file}")


@pytest.mark.parametrize(
    "content", ["*\n", "POST /a\nPOST /b/{x}\n", "re:^/x$\n", "GET /{a}\nGET re:^/hidden$\n", "/ü\n"]
)
def test_lopsided_tables(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table without some kinds, without GET, or with hidden routes is measured as far as it goes."""
    file = tmp_path / "routes.txt"
    file.write_text(content, encoding="utf-8")
    assert main(["bench", "--json", "--vs", "--routes", str(file), *QUICK]) == 0
    result = json.loads(capsys.readouterr().out)
    rows: list[Row] = result["rows"]
    assert list(mismatches(result, Document)) == []
    assert any(row["call"] == "Router.match" for row in rows)
    assert result["routes"]["barren"] == content.count("hidden")
    assert result["routes"]["method"] == ("POST" if "POST" in content else "GET")


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "-h"], ["bench", "-h"], ["--version"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version go to the output with exit code 0."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr()
    assert stop.value.code == 0 and "fastcascade" in said.out and said.err == ""


def test_no_command_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, the commands are listed."""
    assert main([]) == 0
    assert "bench" in capsys.readouterr().out


def test_reader_that_goes_away() -> None:
    """A closed pipe ends the command quietly with exit code 1."""
    run = subprocess.Popen(
        [sys.executable, "-m", "fastcascade", "demo", "--requests", "100"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout is not None and run.stderr is not None
    run.stdout.close()
    said = run.stderr.read()
    run.stderr.close()
    assert (run.wait(), said) == (1, b"")


def test_collector_is_given_back() -> None:
    """The garbage collector is off while the clock runs, and afterwards as it was."""
    for was_on in (True, False):
        (gc.enable if was_on else gc.disable)()
        try:
            with timing.quiet():
                assert not gc.isenabled()
            assert gc.isenabled() == was_on
        finally:
            gc.enable()


def test_package_does_not_load_the_commands() -> None:
    """Importing the package loads no command line."""
    code = "import sys, fastcascade; print([name for name in sys.modules if name in ('argparse', 'fastcascade.cli')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_built_in_text_is_ordinary() -> None:
    """The built-in table is a routes file like any other."""
    assert parse(builtin.TEXT, builtin.SOURCE).lines == load(None).lines
