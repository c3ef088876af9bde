"""Tables of outcomes: what is read from a file, what is refused and by which line, and what a gate never sees."""

import gzip
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Outcomes

DATA: Final = Path(__file__).parents[2] / "shared" / "data" / "outcomes"
HEAD: Final = "question_id,slice,cheap_correct,expensive_correct,cheap_cost_usd,expensive_cost_usd"
ROW: Final = "q1,law,1,1,0.001,0.1"


def table(*rows: str, more: str = "") -> Outcomes:
    """Read a table of these rows, with more columns."""
    return Outcomes.parse("\n".join([HEAD + more, *rows]))


def test_what_is_known_of_a_case_is_read_from_its_row() -> None:
    """Each column of the schema goes where it belongs, and a signal that is not there is NaN."""
    more = ",agreement,vote_entropy,sample_2,sample_1,prompt,gold,signal_mine,weight"
    found = table('a,law,1,0.5,0.001,0.1,0.8,0.3,B,A,"what,\nnow?",A,7,2', "b,,0,1,0,0.1,,0.1,,C,?,C,8,1", more=more)
    assert list(found.cheap) == [1.0, 0.0] and list(found.dear) == [0.5, 1.0]
    assert list(found.slice) == ["law", ""]
    assert set(found.signals) == {"agreement", "vote_entropy", "signal_mine"}
    assert found.signals["agreement"][0] == 0.8 and np.isnan(found.signals["agreement"][1])
    assert list(found.surer("vote_entropy")) == [-0.3, -0.1]
    assert found.samples is not None and found.samples.tolist() == [["A", "B"], ["C", ""]]
    assert found.prompts is not None and found.prompts[0] == "what,\nnow?"
    assert list(found.weight) == [2.0, 1.0]


def test_truth_is_no_signal() -> None:
    """Gold answers, qualities and other columns that are not in the schema are kept from every gate."""
    more = ",gold,majority,cheap_quality,expensive_quality,majority_correct,single_correct,google_confidence"
    assert not table(ROW + ",1,1,1,1,1,1,1", more=more).signals


WRONG: Final = [
    ("", "lacks the column cheap_correct, and is empty"),
    (HEAD, "has a head and no cases"),
    ("cheap_correct\n1", "lacks the column expensive_correct; it has cheap_correct"),
    (f"{HEAD},slice\n{ROW},x", "line 1: the column slice is there twice"),
    (f"{HEAD}\n{ROW}\nq2,law,1", "line 3: 3 fields where the head has 6"),
    (f"{HEAD}\n{ROW}\nq2,law,yes,1,0.1,0.1", "line 3: cheap_correct must be a number, not 'yes'"),
    (f"{HEAD}\nq2,law,2,1,0.1,0.1", "line 2: cheap_correct must be from 0 to 1, not '2'"),
    (f"{HEAD}\nq2,law,,1,0.1,0.1", "line 2: cheap_correct must be from 0 to 1, not ''"),
    (f"{HEAD}\nq2,law,nan,1,0.1,0.1", "line 2: cheap_correct must be from 0 to 1, not 'nan'"),
    (f"{HEAD}\nq2,law,1,1,-0.1,0.1", "line 2: cheap_cost_usd must be 0 or more, not '-0.1'"),
    (f"{HEAD}\nq2,law,1,1,0.1,inf", "line 2: expensive_cost_usd must be a finite number, up to 1e+100, not 'inf'"),
    (f"{HEAD}\n{ROW}\n{ROW}", "line 3: question_id 'q1' was there before"),
    (f'{HEAD}\n"q1', "unexpected end of data"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_cannot_be_read_is_named_with_its_line(text: str, said: str) -> None:
    """A table that is not one is refused in words that say where and why."""
    with pytest.raises(ConfigError) as caught:
        Outcomes.parse(text, "file.csv")
    assert said in str(caught.value)
    assert str(caught.value).startswith("file.csv")


def test_a_grade_below_nothing_counts_as_nothing() -> None:
    """Graders that take off for bad answers do not lead out of the scale that the bounds hold on."""
    assert table("q,law,-0.5,-0.03,0,1").cheap[0] == 0.0


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_may_be_packed(tmp_path: Path, packed: bool) -> None:
    """A table is the same from a plain file, one with a byte order mark, and one packed with gzip."""
    raw = f"\ufeff{HEAD}\r\n{ROW}\r\n".encode()
    path = tmp_path / "table.csv"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert Outcomes.load(path).fingerprint() == table(ROW).fingerprint()


BROKEN: Final = [(b"\x1f\x8bnot gzip", "cannot be unpacked"), (b"\xff\xfe\x00", "is not UTF-8")]


@pytest.mark.parametrize(("raw", "said"), BROKEN)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    """A damaged file is an error that names it, and so is one that is not there."""
    path = tmp_path / "table.csv"
    with pytest.raises(ConfigError, match=f"{os.sep}table.csv cannot be read: No such file"):
        Outcomes.load(path)
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=said):
        Outcomes.load(path)


MISFITS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"dear": [1.0]}, "dear has 1 cases, and cheap has 2"),
    ({"cheap": [0.5, 1.5]}, "cheap of case 1 must be from 0 to 1, not"),
    ({"weights": np.zeros(2)}, "the cases weigh nothing"),
    ({"signals": {"mine": np.ones(2)}}, "each signal needs its sense"),
]


@pytest.mark.parametrize(("given_", "said"), MISFITS)
def test_columns_that_do_not_fit_are_refused(given_: dict[str, Any], said: str) -> None:
    """A table built from arrays is checked like one that was read."""
    columns: dict[str, Any] = {name: np.ones(2) for name in ("cheap", "dear", "cheap_cost", "dear_cost")}
    columns |= {name: np.array(each) if isinstance(each, list) else each for name, each in given_.items()}
    with pytest.raises(ConfigError, match=said):
        Outcomes(**columns)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 9)), min_size=1, max_size=20), st.data())
def test_some_of_the_cases_are_those_cases(rows: list[tuple[float, float, float]], data: st.DataObject) -> None:
    """Taking rows keeps every column in step, and the fingerprint tells other rows and another order."""
    lines = [f"q{place},s{place % 3},{a!r},{b!r},{c!r},1" for place, (a, b, c) in enumerate(rows)]
    whole = table(*lines)
    order = data.draw(st.permutations(range(len(rows))))
    taken = whole.take(np.array(order))
    assert taken.fingerprint() == table(*[lines[place] for place in order]).fingerprint()
    assert (taken.fingerprint() == whole.fingerprint()) == (list(order) == sorted(order))


@pytest.mark.skipif(not DATA.is_dir(), reason="the public outcomes are not beside the project")
def test_the_public_tables_are_read() -> None:
    """Every public table of outcomes that has a dear model is read, and its signals found."""
    read = {}
    for path in sorted(DATA.glob("*.csv.gz")):
        if not path.name.startswith("sac3"):  # it has no dear model
            read[path.name] = Outcomes.load(path)
    assert len(read) == 15
    assert len(read["frugalml_yelp.csv.gz"]) == 20_000
    assert [name for name, each in read.items() if not each.signals] == ["routellm_mmlu_mixtral_gpt4.csv.gz"]


def test_a_number_beyond_all_sense_is_refused() -> None:
    """Costs and weights whose sums might be infinite are refused, in a file and in columns."""
    with pytest.raises(
        ConfigError, match=r"line 2: cheap_cost_usd must be a finite number, up to 1e\+100, not '1e300'"
    ):
        table("q,law,1,1,1e300,1")
    one = np.ones(1)
    with pytest.raises(ConfigError, match=r"dear_cost of case 0 must be from 0 to 1e\+100"):
        Outcomes(one, one, one, one * 1e300)


def test_what_weighs_nothing_is_left_out() -> None:
    """The cases that count are those with a weight above 0; a table without weights is left as it is."""
    three = np.ones(3)
    outcomes = Outcomes(three, three, three, three, weights=np.array([0.0, 2.0, 1.0]))
    assert list(outcomes.counted().weight) == [2.0, 1.0]
    bare = Outcomes(three, three, three, three)
    assert bare.counted() is bare
