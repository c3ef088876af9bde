"""Cases: their files, what is wrong with them, and what they are known by."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.blocks import Message, Text, Tool, ToolCall
from fastcascade.errors import ConfigError
from fastcascade.evals.cases import Case, fingerprint, load_cases, save_cases
from fastcascade.messages import Reply, Request
from fastcascade.reviews.labels import case as label
from fastcascade.stores.reviews import Review

TALK = Request((Message("user", "a"), Message("assistant", "b"), Message("user", "c")), (Text("Be brief."),))


def written(folder: Path, name: str, text: str | bytes) -> Path:
    """A file of that name, packed where the name says so."""
    path = folder / name
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def told(path: Path, **settings: Any) -> list[str]:
    """What the loader says of a file, line by line, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load_cases(path, **settings)
    return [each.removeprefix(str(path)).lstrip(",: ") for each in str(caught.value).splitlines()]


TEXTS = st.text(max_size=20)
SAID = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
ASKED = SAID | st.builds(
    lambda text, system, seed: Request.of(text, system=system, seed=seed), SAID, TEXTS, st.none() | st.integers(0, 9)
)
CASES = st.lists(
    st.builds(
        Case,
        id=st.text(min_size=1, max_size=9),
        input=ASKED,
        expected=st.none() | TEXTS,
        rubric=st.none() | SAID,
        slice=TEXTS,
        weight=st.floats(0.001, 1e9),
        candidates=st.dictionaries(TEXTS, TEXTS | st.builds(Reply, SAID), max_size=3),
        grader=st.none() | SAID,
        note=TEXTS,
        why=TEXTS,
        label=st.just({}) | st.fixed_dictionaries({"score": st.floats(0, 1), "source": TEXTS, "propensity": st.none()}),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda case: case.id,
)


@given(CASES, st.sampled_from(["cases.jsonl", "cases.ndjson", "cases.jsonl.gz"]))
def test_what_is_saved_loads(tmp_path_factory: pytest.TempPathFactory, cases: list[Case], name: str) -> None:
    """Any cases come back from a file as they were, packed or not, and are known by the same fingerprint."""
    path = tmp_path_factory.mktemp("saved") / name
    assert save_cases(path, cases) == len(cases)
    assert load_cases(path) == cases
    assert fingerprint(load_cases(path)) == fingerprint(cases) == fingerprint(reversed(cases))
    first = path.read_bytes()
    save_cases(path, cases)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == [name]


JSONL = '{"prompt": "2+2?", "target": 4, "category": "sums"}\n\n{"id": "b", "question": "Who?", "answer": "Bob"}\n'
TABLE = 'question,target,task,weight\n"2+2?",4,sums,\n"Who,\nreally?",Bob,,2\n'


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_files_as_they_come(tmp_path: Path, ends: str, mark: str, packed: str) -> None:
    """Synonyms, byte order marks, both ends of lines and packed files are read, and a case is named by its line."""
    lines = load_cases(written(tmp_path, f"a.jsonl{packed}", (mark + JSONL).replace("\n", ends)))
    assert lines == [Case("line-1", "2+2?", "4", slice="sums"), Case("b", "Who?", "Bob")]
    rows = load_cases(written(tmp_path, f"a.csv{packed}", (mark + TABLE).replace("\n", ends)))
    assert rows == [
        Case("line-2", "2+2?", "4", slice="sums"),
        Case("line-3", f"Who,{ends}really?", "Bob", weight=2.0),
    ]


def test_conversations(tmp_path: Path) -> None:
    """Turns become a request, the system's among them its system text; so do turns as JSON in a CSV file."""
    turns = [{"role": "system", "content": "Be brief."}]
    turns += [{"role": each.role, "content": each.text} for each in TALK.messages]
    said = json.dumps(turns)
    assert load_cases(written(tmp_path, "a.jsonl", f'{{"messages": {said}}}'))[0].input == TALK
    quoted = said.replace('"', '""')
    assert load_cases(written(tmp_path, "a.csv", f'messages\n"{quoted}"\n'))[0].input == TALK
    parts = json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}])
    assert load_cases(written(tmp_path, "b.jsonl", f'{{"input": {parts}}}'))[0].text == "hi"


def test_an_export_of_reviews_loads(tmp_path: Path) -> None:
    """What a review desk exports loads as it is: texts, conversations, tool calls, systems and candidates."""
    call = ToolCall("call_1", "look", '{"b": 1, "a": 2}')
    tools = replace(TALK, tools=(Tool("look"),))
    best = Reply("Perhaps.")
    reviews = [
        Review("r1", Request.of("Where?"), "unsure", 0.0, best=best, answer=Reply("Here."), slice="/a", note="n"),
        Review("r2", TALK, "failed", 0.0, answer=Reply("There.")),
        Review("r3", tools, "unsure", 0.0, best=best, answer=Reply((Text("I look."), call))),
    ]
    path = written(tmp_path, "a.jsonl", "".join(json.dumps(label(each)) + "\n" for each in reviews))
    first, second, third = load_cases(path)
    assert (first.input, first.expected, first.slice, first.why, first.note) == ("Where?", "Here.", "/a", "unsure", "n")
    assert first.candidates == {"0": "Perhaps."} and second.candidates == {}
    assert (second.input, second.expected) == (TALK, "There.")
    assert third.input == tools
    assert third.expected == 'I look.\n{"arguments": {"a": 2, "b": 1}, "name": "look"}'


MISTAKES: list[tuple[str, str, list[str]]] = [
    ("a.jsonl", "", ["has no cases"]),
    ("a.csv", "", ["has no cases"]),
    ("a.csv", "input\n", ["has no cases"]),
    ("a.jsonl", '{"input": "a", "weight": 0}', ["weigh nothing: one weight must be above 0"]),
    ("a.jsonl", '{"input": "a"\n{"input": "b"}\n[1]', ["line 1: this is not JSON", "line 3: must be a JSON object"]),
    ("a.jsonl", '{"input": "a", "expcted": "b"}', ["line 1: there is no field 'expcted'; did you mean 'expected'?"]),
    ("a.jsonl", '{"input": "a", "zzz": 1}', ["line 1: there is no field 'zzz'; known are id, input"]),
    ("a.jsonl", '{"input": "a", "prompt": "b"}', ["line 1: prompt: says the same as 'input'; leave one"]),
    ("a.jsonl", '{"input": "a", "input": "b"}', ["line 1: this is not JSON: the field 'input' is there twice"]),
    (
        "a.jsonl",
        '{"id": "x", "input": "a"}\n\n{"id": "x", "input": "b"}',
        ["line 3: id: 'x' was there before, on line 1"],
    ),
    (
        "a.jsonl",
        '{"expected": "a"}\n{"input": " "}',
        ["line 1: input: is missing; it may also", "line 2: input: is empty"],
    ),
    (
        "a.jsonl",
        '{"input": "a", "weight": -1, "slice": ["b"], "expected": ["c", "d"]}\n{"input": "a", "weight": NaN}',
        [
            "line 1: expected: must be one text, not a list",
            "line 1: slice: must be a text, not a list",
            "line 1: weight: must be a number, 0 or more, not -1",
            "line 2: weight: must be a number, 0 or more, not nan",
        ],
    ),
    ("a.jsonl", '{"input": [{"role": "user"}]}', ["line 1: input: message 1 must have a role and a content"]),
    ("a.jsonl", '{"input": [{"role": "cat", "content": "a"}]}', ["line 1: input: a message's role is 'user' or"]),
    ("a.jsonl", '{"input": {"a": 1}}', ["line 1: input: must be a text or a list of messages, not an object"]),
    ("a.jsonl", '{"input": "a", "candidates": [1]}', ["line 1: candidates: a candidate must be a text or a reply"]),
    ("a.jsonl", '{"request": {"kind:": "Text", "text": "a"}}', ["line 1: request: is not a request"]),
    (
        "a.csv",
        "input,weight\na,1\nb\nc,x\n",
        ["line 3: 1 fields where the head has 2", "line 4: weight: must be a num"],
    ),
    (
        "a.csv",
        'input,expcted,input2\n"a\nb",1,2\n',
        ["line 1: there is no field 'expcted'", "line 1: there is no field"],
    ),
    ("a.csv", "input,input\na,b\n", ["line 1: input: this column is there twice"]),
    ("a.csv", 'input\n"a\n\nb"\n"c"d\n', ["line 5: this is not CSV"]),
    ("a.csv", 'input,weight\n"a\nb",1\nc,x\n', ["line 4: weight: must be a number, 0 or more, not 'x'"]),
    ("a.csv", "messages\nhello\n", ["line 2: messages: must be JSON in a CSV file"]),
    ("a.txt", "a", ["a file of cases ends in .jsonl, .ndjson or .csv, or that and .gz, not in '.txt'"]),
]


@pytest.mark.parametrize(("name", "text", "said"), MISTAKES)
def test_mistakes_are_told_by_line(tmp_path: Path, name: str, text: str, said: list[str]) -> None:
    """All that is wrong with a file is told at once, each with its line, and what may have been meant."""
    found = told(written(tmp_path, name, text))
    assert len(found) == len(said)
    assert all(want in have for want, have in zip(said, found, strict=True)), found


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, is damaged or is no UTF-8 is named, with the line where there is one."""
    assert "No such file" in told(tmp_path / "none.jsonl")[0]
    assert "line 2: this is not UTF-8" in told(written(tmp_path, "a.jsonl", b'{"input": "a"}\n\xff'))[0]
    whole = gzip.compress(b'{"input": "a"}\n' * 99)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-9])
    assert "cannot be unpacked" in told(tmp_path / "cut.jsonl.gz")[0]


def test_a_file_of_another_kind_ends_soon(tmp_path: Path) -> None:
    """Of a file in which every line is wrong only the first are told, and that there may be more."""
    found = told(written(tmp_path, "a.jsonl", "no\n" * 9_999))
    assert len(found) == 51 and "from here on nothing was read" in found[-1]


def test_fields_of_other_purposes(tmp_path: Path) -> None:
    """Fields that are named are skipped, in either kind of file."""
    line = written(tmp_path, "a.jsonl", '{"input": "a", "author": 1}')
    table = written(tmp_path, "a.csv", "input,author\na,1\n")
    assert load_cases(line, ignore=["author"])[0].input == load_cases(table, ignore=["author"])[0].input == "a"


CHANGES: list[dict[str, Any]] = [
    {"id": "j"},
    {"input": "b"},
    {"input": Request.of("a", seed=1)},
    {"expected": "c"},
    {"expected": ""},
    {"rubric": "r"},
    {"slice": "s"},
    {"weight": 2.0},
    {"grader": "exact"},
    {"candidates": {"x": "y"}},
]


def test_fingerprints() -> None:
    """Any change of what is asked or right is another fingerprint; a remark and the order are not."""
    case = Case("i", "a")
    made = {fingerprint([replace(case, **change)]) for change in ({}, *CHANGES)}
    assert len(made) == len(CHANGES) + 1 and all(len(each) == 64 for each in made)
    assert fingerprint([replace(case, note="n", why="w")]) == fingerprint([case])
    assert fingerprint([case, case]) != fingerprint([case])


@pytest.mark.parametrize("wrong", [{"id": ""}, {"input": " "}, {"weight": -1.0}, {"weight": True}, {"weight": 1e999}])
def test_cases_that_cannot_be(wrong: dict[str, Any]) -> None:
    """A case without a name, without a question or with an impossible weight is refused when it is made."""
    with pytest.raises(ConfigError):
        Case(**{"id": "i", "input": "a", **wrong})


def test_no_numpy() -> None:
    """Cases and graders load without numpy."""
    told = "import sys, fastcascade.evals.cases, fastcascade.evals.graders; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", told], check=True)
    with pytest.raises(ConfigError, match="written as JSONL"):
        save_cases("cases.csv", [])


LABELS: list[tuple[Any, str]] = [
    ("positive", "label: is what a shadow log makes: score, source, propensity; what is right goes in expected"),
    ({"score": 1.0}, "label: is what a shadow log makes"),
    ({"score": 1.0, "source": "dear", "by": "ann"}, "label: is what a shadow log makes"),
    ({"score": 1.5, "source": "dear"}, "label: must have a score from 0 to 1, not 1.5"),
    ({"score": True, "source": "dear"}, "label: must have a score from 0 to 1, not True"),
]


@pytest.mark.parametrize(("given", "said"), LABELS)
def test_a_label_is_that_of_a_shadow_log(tmp_path: Path, given: Any, said: str) -> None:
    """What else is called so is refused, with the name of the field that was meant."""
    row = json.dumps({"id": "a", "input": "?", "label": given})
    (line,) = told(written(tmp_path, "a.jsonl", row))
    assert line.startswith(f"line 1: {said}")


def test_a_label_changes_no_fingerprint() -> None:
    """It changes neither what is asked nor what is right."""
    case = Case("a", "?", "4")
    assert fingerprint([case]) == fingerprint([replace(case, label={"score": 0.0, "source": "dear"})])
