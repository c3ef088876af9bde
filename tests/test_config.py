"""A cascade described in a file: whatever can be said comes to what the constructors would have made."""

import inspect
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config_pieces import Said, cascades
from fastcascade import Cascade, Tier, config, gates
from fastcascade.backends import Function, Recorded, Rules
from fastcascade.config.families import FAMILIES
from fastcascade.config.lines import lines_of
from fastcascade.config.settings import settings_of
from fastcascade.config.words import described
from fastcascade.entry import Pool, RoundRobin
from fastcascade.fallbacks import Stale
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Request
from fastcascade.policies import ExpectedGain, Standing
from fastcascade.testing import Fault, ScriptedBackend, Slow, run_virtual
from tomls import Writer

EXAMPLE = Path(__file__).parent / "configs" / "cascade.toml"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # made up
ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-ant-made-up-for-the-tests",
    "EU_KEY": "made-up-for-europe",
    "US_KEY": "made-up-for-america",
    "CALLBACK_SECRET": SECRET,
}


def state(thing: Any, above: tuple[int, ...] = ()) -> Any:
    """All public settings of a thing, as far down as there are any."""
    if isinstance(thing, str | int | float | bool | type(None)):
        return thing
    if id(thing) in above:
        return "itself"
    above = (*above, id(thing))
    if isinstance(thing, Mapping):
        return {key: state(each, above) for key, each in thing.items()}
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    if isinstance(thing, tuple | list):
        return [state(each, above) for each in thing]
    names = [*getattr(thing, "__dict__", ()), *(name for kind in type(thing).__mro__ for name in slots(kind))]
    public = sorted({name for name in names if not name.startswith("_") and hasattr(thing, name)})
    told = "" if " at 0x" in repr(thing) else repr(thing)
    return [type(thing).__name__, told, {name: state(getattr(thing, name), above) for name in public}]


def slots(kind: type) -> tuple[str, ...]:
    """The slots of one class."""
    found: Any = vars(kind).get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets that the example names."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


SCALARS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.text("\"'\\\n#[]{}=, a\t\r", max_size=9)
    | st.dates()
    | st.times()
    | st.datetimes()
)
KEYS = (
    st.sampled_from("abc")
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    | st.text("\"'.#= \n", max_size=3)
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=9
    ),
    max_size=4,
)


@settings(max_examples=150)
@given(document=DOCUMENTS, chance=st.randoms(use_true_random=False))
def test_everything_in_a_toml_text_is_found_on_its_line(document: dict[str, Any], chance: random.Random) -> None:
    """The line of each key, table and element is the one it was written on, whatever the style."""
    written = Writer(document, chance)
    assert tomllib.loads(written.text) == document
    assert lines_of(written.text) == written.lines


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[a.b]\nx = 1\n[a]\ny = 2", ("a",), 3),  # its own header, though another named it before
        ("[[a]]\n[a.b]\n[[a]]\n[a.b]\nc.d = 1", ("a", 1, "b", "c", "d"), 5),
        ('a = """x""""\nb = """"" x"""""\nc = 1', ("c",), 3),
        ("a = '''\\'''\nb = '\\'\nc = 1", ("c",), 3),
        ('a = ["]", { b = "}", c = [\n1,\n2,\n] } ] # ]\n"d.e" = 1', ("a", 1, "c", 1), 3),
        ('a = ["]", { b = "}", c = [\n1,\n2,\n] } ] # ]\n"d.e" = 1', ("d.e",), 5),
        ("a = 1979-05-27 07:32:00 # x\r\n\r\nb = 0xf", ("b",), 3),
    ],
)
def test_lines_are_found_where_toml_is_odd(text: str, path: tuple[str | int, ...], line: int) -> None:
    """Late headers, quotes before quotes, brackets in texts and line ends of Windows lead nobody astray."""
    tomllib.loads(text)
    assert lines_of(text)[path] == line


@settings(max_examples=40)
@given(said=cascades(), chance=st.randoms(use_true_random=False))
def test_a_file_comes_to_what_the_constructors_make(said: Said, chance: random.Random) -> None:
    """A file of valid pieces, however it is written, makes a cascade with the settings that code would give it."""
    loaded, made = config.loads(Writer(said.toml, chance).text), said.made()
    assert state(loaded) == state(made)


# The example.


def test_the_example_has_every_section_and_comes_to_what_it_says(keys: None) -> None:
    """The example file loads, and the parts of the cascade are those that it describes."""
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    cascade = config.load(EXAMPLE)
    assert not any(
        value in f"{cascade!r} {[each.backend for each in cascade.rungs]!r}" for value in ENVIRONMENT.values()
    )
    rules, small, large = cascade.tiers
    assert isinstance(rules.backend, Rules)
    assert isinstance(small.backend, Pool)
    assert isinstance(large.backend, Pool)
    assert (small.accept, small.timeout, small.sampling) == (0.85, 10, {"temperature": 0.2})
    assert small.backend.retry is not None
    assert (small.backend.retry.times, small.backend.hedge) == (2, None)
    assert [(each.region, each.priority, each.weight) for each in large.backend.instances] == [
        ("eu", 0, 2.0),
        ("us", 1, 1.0),
    ]
    assert repr(large.backend.balancer) == "ByPrefix(characters=4000, load=1.25)"
    assert large.gate is not None
    assert large.gate.calibration is not None
    assert (cascade.budget.deadline, cascade.budget.usd, cascade.budget.attempts) == (20, 0.05, 8)
    assert isinstance(cascade.policy, ExpectedGain)
    assert cascade.lanes.lanes[1].task == ("greeting", "thanks")
    assert [type(each).__name__ for each in cascade.chain.order] == ["Region", "Stale", "Review"]
    assert cascade.chain.static is not None
    assert cascade.chain.static.answer == "Nobody can answer this right now. Please call us."
    named = tomllib.loads(EXAMPLE.read_text(encoding="utf-8")).keys()
    assert named == settings_of(Cascade).by_name.keys() - {"hedge"}  # which does not go with the policy


def scripted(folder: Path, *, model: str, region: str = '"Certainly."') -> Cascade:
    """The example, with scripts in the place of its models."""
    text = EXAMPLE.read_text(encoding="utf-8")
    text = re.sub(
        'kind = "(anthropic|openai)", model = "(claude-haiku|gpt)[^}]*', f'kind = "scripted", script = [{model}]', text
    )
    text = re.sub('kind = "(anthropic|openai)"[^}]*', f'kind = "scripted", script = [{region}]', text)
    text = re.sub('"env:CALLBACK_SECRET"', f'"literal:{SECRET}"', text)
    (folder / "cascade.toml").write_text(text, encoding="utf-8")
    return config.load(folder / "cascade.toml")


@pytest.mark.parametrize(
    ("asked", "model", "tier"),
    [
        ("What are your opening hours?", '"Certainly."', "rules"),
        ("Please reset my password", '"Certainly."', "rules"),
        ("How does this work?", '"Certainly."', "large"),  # the policy says so
        ("How does this work?", '{ fault = "server" }', "elsewhere"),
    ],
)
def test_the_example_answers(asked: str, model: str, tier: str, tmp_path: Path) -> None:
    """With scripts in the place of its models, the example answers a request on the tier that it should."""
    cascade = scripted(tmp_path, model=model)
    assert run_virtual(cascade.run(asked)).tier == tier


# What has words of its own.


def told(settings: str, *, tier: str = "", before: str = "") -> Cascade:
    """A cascade of one tier of rules, with these settings."""
    return config.loads(f'{before}\n[[tiers]]\nname = "a"\n{tier or RULES}\n{settings}')


RULES = 'backend = { kind = "rules", faq = { hi = "ho" } }'


class Louder(Gate):
    """A gate of one's own."""

    name = "louder"

    def __init__(self, marks: int, *, word: str = "") -> None:
        self.marks = marks
        self.word = word

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(float(exam.reply.text.count("!") >= self.marks))


class Steps:
    """A policy of one's own, which takes nothing."""

    def first(self, entry: int, _last: int, _ladder: object, /) -> int:
        return entry

    def after(self, _standing: Standing, _ladder: object, /) -> int | None:
        return None


def shout(request: Request) -> str:
    """A function to be named in files."""
    return request.text.upper()


def pleased(_request: Request, _reply: object) -> float:
    """A check to be named in files."""
    return 0.9


async def vectors(texts: list[str]) -> list[list[float]]:
    """An embedder to be named in files."""
    return [[1.0, 0.0] for _ in texts]


LOUD = Louder(3)
HERE = __name__


def test_functions_are_named_by_module_and_attribute() -> None:
    """A function, an object, a class with its settings, and a function where a text could be meant are all found."""
    cascade = config.loads(f"""
        policy = "{HERE}:Steps"
        [[tiers]]
        name = "function"
        backend = "{HERE}:shout"
        gate = "{HERE}:pleased"
        [[tiers]]
        name = "kind"
        backend = {{ kind = "function", function = "{HERE}:shout", free = true }}
        gate = {{ kind = "{HERE}:Louder", marks = 2, word = "no" }}
        [[tiers]]
        name = "object"
        backend = {{ kind = "rules", rules = {{ x = {{ function = "{HERE}:shout" }} }} }}
        gate = "{HERE}:LOUD"
        [[tiers]]
        name = "embedder"
        backend = "{HERE}:shout"
        gate = {{ kind = "similarity", to = "question", embedder = "{HERE}:vectors" }}
        [[fallbacks]]
        kind = "static"
        answer = {{ function = "{HERE}:shout" }}
    """)
    function, kind, thing, _ = cascade.tiers
    assert isinstance(function.backend, Function)
    assert isinstance(function.gate, gates.UserCheck)
    assert isinstance(kind.backend, Function)
    assert isinstance(kind.gate, Louder)
    assert (kind.backend.free, kind.gate.marks, kind.gate.word) == (True, 2, "no")
    assert thing.gate is LOUD
    assert isinstance(cascade.policy, Steps)
    assert cascade.chain.static is not None
    assert cascade.chain.static.answer is shout
    assert run_virtual(cascade.run("hello")).text == "HELLO"


def test_modules_and_paths_are_found_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module, a recording and a secret that lie beside the file are found from wherever it is loaded."""
    (tmp_path / "beside_the_file.py").write_text("def answer(request):\n    return 'from beside'\n")
    (tmp_path / "said.jsonl").write_text('{"ask": "hi", "reply": "recorded"}\n')
    (tmp_path / "curve.json").write_text('{"kind": "platt", "params": {"a": 1.0, "b": 0.0}}')
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "c.toml").write_text("""
        [[tiers]]
        backend = "beside_the_file:answer"
        gate = { kind = "hedging", calibration = "curve.json" }
        accept = 0.1
        [[tiers]]
        backend = { kind = "recorded", replies = "said.jsonl" }
        [[fallbacks]]
        kind = "review"
        store = "sqlite:reviews.db"
        callbacks = { prefixes = ["https://example.com/"], secret = "file:secret" }
    """)
    monkeypatch.chdir("/")
    before = list(sys.path)
    cascade = config.load(tmp_path / "c.toml")
    assert sys.path == before
    assert cascade.tiers[0].gate is not None
    assert cascade.tiers[0].gate.calibration is not None
    assert isinstance(cascade.tiers[1].backend, Recorded)
    assert str(tmp_path / "reviews.db") in repr(cascade.chain.review)
    assert run_virtual(cascade.run("hi")).text == "from beside"


def test_false_is_none_and_true_is_the_default() -> None:
    """`false` is no bound or a part turned off, and `true` a part as it is by default."""
    cascade = told(
        "pool = { retry = false, breaker = true, bulkhead = true, outliers = true }",
        before="last_resort = false\nbudget = { deadline = false }",
    )
    pool = cascade.tiers[0].backend
    assert isinstance(pool, Pool)
    assert pool.retry is None
    assert pool.outliers is not None
    assert pool.instances[0].circuit is not None
    assert pool.instances[0].slots is not None
    assert (cascade.budget.deadline, cascade.chain.static) == (None, None)


def test_a_text_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`env:NAME` stands for any text, and `literal:` for one that only looks as if it stood for something."""
    monkeypatch.setenv("GREETING", " Welcome. ")
    chain = told('[[fallbacks]]\nkind = "static"\nanswer = "env:GREETING"').chain
    assert chain.static is not None
    assert chain.static.answer == "Welcome."
    chain = told('[[fallbacks]]\nkind = "static"\nanswer = "literal:env:GREETING"').chain
    assert chain.static is not None
    assert chain.static.answer == "env:GREETING"


@dataclass
class Size:
    """A part of one's own."""

    width: int


class Keyed:
    """A backend of one's own that needs secrets."""

    name = "keyed"
    gives: frozenset[str] = frozenset()

    def __init__(
        self,
        model: str,
        *,
        api_key: str,
        headers: Mapping[str, str] | None = None,
        size: Size | None = None,
        **more: Any,
    ) -> None:
        self.given = {"model": model, "api_key": api_key, "headers": headers, **more}
        self.size = size

    def __repr__(self) -> str:
        """Show the part."""
        return f"Keyed({self.size})"

    async def complete(self, request: Request, /) -> None:
        return None


def test_secrets_reach_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key from the environment, one from a file, one in a header and one nobody has heard of are what is given."""
    monkeypatch.setenv("FIRST_KEY", "first-made-up-key")
    (tmp_path / "key").write_text("second-made-up-key\n")
    (tmp_path / "c.toml").write_text(f"""
        [[tiers]]
        [tiers.backend]
        kind = "{HERE}:Keyed"
        model = "m"
        api_key = "file:key"
        headers = {{ Authorization = "Bearer env:FIRST_KEY", X-Team = "blue" }}
        cloud = {{ access_token = "literal:third", tokens = 3, region = "eu" }}
    """)
    backend: Any = config.load(tmp_path / "c.toml").tiers[0].backend
    assert backend.given == {
        "model": "m",
        "api_key": "second-made-up-key",
        "headers": {"Authorization": "Bearer first-made-up-key", "X-Team": "blue"},
        "cloud": {"access_token": "third", "tokens": 3, "region": "eu"},
    }


def test_parts_that_may_be_one_of_several_are_told_apart_by_their_one_key() -> None:
    """Steps of a script and faults of a plan are tables of one key, which is their class."""
    cascade = told(
        "",
        tier="""
        [tiers.backend]
        kind = "faulty"
        plan = { faults = [{ latency = 0.5 }, { error = { kind = "overloaded", retry_after = 3 } }], rate = 0.5 }
        [tiers.backend.backend]
        kind = "scripted"
        script = ["a", { fault = "server" }, { slow = { seconds = 2, then = "b" } }, { stall = true }, false]
    """,
    )
    faulty: Any = cascade.tiers[0].backend
    inner: Any = faulty.backend if hasattr(faulty, "backend") else vars(faulty)["_backend"]
    assert isinstance(inner, ScriptedBackend)
    assert inner.script[:3] == ("a", Fault("server"), Slow(2, "b"))
    assert [type(each).__name__ for each in inner.script[3:]] == ["Stall", "NoneType"]


SAYABLE: dict[str, tuple[str, str]] = {
    "a pool in a gate": (
        """gate = { kind = "judge", style = "score", backend = { kind = "pool", retry = false, instances = [
            { kind = "scripted", script = ["1"] },
            { backend = { kind = "scripted", script = ["1"], name = "other" }, priority = 1 },
        ] } }""",
        "Judge(backend=Pool( ... priority=1 ... style='score'",
    ),
    "weights": (
        'gate = { kind = "weighted", weights = [["hedging", 1], [{ kind = "structure" }, 0.5]] }',
        "Weighted ... weights=(1.0, 0.5)",
    ),
    "what a fit has found": (
        """
        [tiers.gate]
        kind = "learned"
        weights = { hedging = 1.5 }
        gates = ["hedging"]
        features = { "task:refund" = 0.1 }
        origin = { n = 3, date = "2026-01-01" }
        """,
        "Learned ... weights={'hedging': 1.5} ... features={'task:refund': 0.1} ... Origin(n=3",
    ),
    "a gate in a calibration": (
        'gate = { kind = "calibrate", gate = "hedging", calibration = { kind = "platt", a = 2, b = 1 } }',
        "Hedging ... calibration=Platt(a=2, b=1",
    ),
    "a command": (
        'gate = { kind = "command", command = ["true", "-v"], env = { A = "b" }, abstain = [3] }',
        "Command(command=('true', '-v') ... abstain=frozenset({3})",
    ),
    "no schema": ('gate = { kind = "structure", schema = false, pattern = "a+" }', "schema=False, pattern='a+'"),
    "steps of a curve": (
        'gate = { kind = "structure", calibration = { kind = "isotonic", points = [[0, 0.2], [1, 1]] } }',
        "points=((0.0, 0.2), (1.0, 1.0))",
    ),
    "semantic routes": (
        f"""
        [lanes.semantic]
        routes = {{ refund = ["I want my money back"] }}
        threshold = {{ refund = 0.4 }}
        embedder = {{ kind = "function", function = "{HERE}:vectors", batch = 8 }}
        """,
        "SemanticRoutes(refund; FunctionEmbedder(vectors))",
    ),
    "a whole reply": (
        """
        [[fallbacks]]
        kind = "static"
        answer = { content = "Not now.", stop = "length", usage = { input = 3 } }
        """,
        "Static ... text='Not now.' ... stop='length', usage=Usage(input=3",
    ),
    "a store with settings, and secrets of callbacks": (
        f"""
        [[fallbacks]]
        kind = "review"
        store = {{ kind = "sqlite", path = "/r.db", busy = 2 }}
        callbacks = {{ "https://a.example/" = "literal:{SECRET}" }}
        """,
        "ReviewDesk(SQLiteReviews('/r.db')",
    ),
    "a dataclass of one's own": (
        f"""
        [[tiers]]
        backend = {{ kind = "{HERE}:Keyed", model = "m", api_key = "literal:k", size = {{ width = 3 }} }}
        """,
        "Keyed(Size(width=3))",
    ),
}


@pytest.mark.parametrize(("said", "shown"), SAYABLE.values(), ids=SAYABLE)
def test_it_can_be_said(said: str, shown: str) -> None:
    """Gates of gates, pools of pools, and whatever else constructors take have their words."""
    cascade = told(said)
    parts = [cascade, cascade.chain, cascade.lanes.semantic, *(tier.backend for tier in cascade.tiers)]
    everything = " ".join(map(repr, parts))
    for part in shown.split(" ... "):
        assert part in everything


@pytest.mark.parametrize(
    "spelled", ["round robin", "round_robin", "Round-Robin", "RoundRobin"], ids=lambda spelled: str(spelled)
)
def test_kinds_are_found_however_their_words_are_joined(spelled: str) -> None:
    """A kind may be written as words, with underlines, with hyphens, or as its class."""
    pool: Any = told(f'pool = {{ balance = "{spelled}" }}').tiers[0].backend
    assert isinstance(pool.balancer, RoundRobin)


def test_every_parameter_of_every_kind_can_be_said() -> None:
    """Whatever a constructor takes is a setting, but for what the file has other words for."""
    absent = {"Tier": {"backend"}, "Review": {"desk"}, "Region": {"backups"}, "Lanes": {"lanes"}}
    kinds = [family.kind(name) for family in FAMILIES.values() for name in family.kinds]
    for each in {*kinds, Cascade, Pool, Tier, Stale}:
        said = settings_of(each)
        wanted = set(inspect.signature(each).parameters) - {"self", "sampling", "params"}
        missing = wanted - said.by_name.keys() - absent.get(each.__name__, set())
        assert not missing, f"{each.__name__}: {missing}"
        assert all(described(each.hint) or each.hint is Any for each in said.by_name.values())


def test_the_package_does_without_it() -> None:
    """`import fastcascade` loads neither this nor TOML."""
    code = "import sys, fastcascade; print('fastcascade.config' in sys.modules, 'tomllib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
