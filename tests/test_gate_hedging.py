"""The hedging gate: phrases counted in every language, and the prefix UNSURE."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exams import ASKED, CALL, fed, judged, watching
from fastcascade.gates.calibration import Isotonic, calibrate
from fastcascade.gates.hedging import Hedging, begins_unsure, spoken
from fastcascade.gates.phrases import PHRASES
from fastcascade.messages import Delta, Reply

HEDGES = [
    ("The answer is 42.", 1.0),
    ("I'm not sure, but it is 42.", 0.4),
    ("I\u2019m NOT sure.", 0.4),
    ("I'm not\nsure.", 0.4),
    ("Probably 42.", 0.85),
    ("Maybe. Perhaps. It depends.", 0.85**3),
    ("maybe maybe maybe", 0.85),
    ("I don't know. Maybe.", 0.4 * 0.85),
    ("Mayberry is a town.", 1.0),
    ("`maybe` is a keyword.", 1.0),
    ("```\nmaybe\n```\nDone.", 1.0),
    ("~~~~\nmaybe\n~~~\nmaybe\n~~~~\nDone.", 1.0),
    ("```python\nmaybe\n", 1.0),
    ("> maybe\n\nNo.", 1.0),
    ("``` x ``` maybe", 0.85),
    ("Das weiß ich: 42.", 1.0),
    ("Ich bin mir nicht sicher.", 0.4),
    ("Vielleicht.", 0.85),
    ("Je ne suis pas sûr.", 0.4),
    ("Peut-être.", 0.85),
    ("No estoy segura.", 0.4),
    ("Quizás.", 0.85),
    ("Non sono sicuro.", 0.4),
    ("Forse.", 0.85),
    ("Não tenho certeza.", 0.4),
    ("Talvez.", 0.85),
    ("Ik weet het niet.", 0.4),
    ("Misschien.", 0.85),
    ("我不确定。", 0.4),
    ("也许吧。", 0.85),
    ("わかりません。", 0.4),
    ("そうかもしれません。", 0.85),
    ("half a \ud800 pair, maybe", 0.85),
]


@pytest.mark.parametrize(("text", "score"), HEDGES)
def test_hedging_is_counted_in_every_language_and_not_in_code(text: str, score: float) -> None:
    """`0.4 ** strong * 0.85 ** weak`, each phrase once."""
    found = judged(Hedging(), Reply(text))
    assert found.score == pytest.approx(score) and not found.decisive


def test_every_language_has_both_kinds_and_finds_what_is_plain_in_it() -> None:
    """A phrase without any notation in it is found in itself, by its own language alone."""
    for language, phrases in PHRASES.items():
        gate = Hedging(languages=[language])
        plain = [each for each in phrases.strong + phrases.weak if re.fullmatch(r"[\w' -]+", each)]
        assert phrases.strong and phrases.weak and phrases.refusing
        for each in plain:
            assert judged(gate, Reply(f"({each})")).score != 1.0, each


def test_phrases_of_ones_own_are_strong_and_literal() -> None:
    """A text is matched as it stands, in any case and spacing; a compiled pattern as it is."""
    gate = Hedging(languages=[], extra=["beats me (a lot)", re.compile("schwant", re.IGNORECASE)])
    assert judged(gate, Reply("Well, BEATS me  (a lot).")).score == 0.4
    assert judged(gate, Reply("beats me a lot")).score == 1.0
    assert judged(gate, Reply("Mir SCHWANT Böses; beats me (a lot)!")).score == pytest.approx(0.16)
    assert judged(gate, Reply("maybe")).score == 1.0


BEGINNINGS = [
    ("UNSURE: 4", True),
    (" \n**UNSURE:** 4", True),
    ("UNSURE : 4", True),
    ("UNSURE\uff1a 4", True),
    ("UNSURE", None),
    ("UNS", None),
    ("  ", None),
    ("", None),
    ("unsure: 4", False),
    ("UNSURELY: 4", False),
    ("It is UNSURE: 4", False),
]


@pytest.mark.parametrize(("text", "said"), BEGINNINGS)
def test_the_convention_is_a_prefix_in_capitals(text: str, said: bool | None) -> None:
    """Beyond doubt where it is there; undecided where the text is too short."""
    assert begins_unsure(text) is said
    if text.strip():
        assert judged(Hedging(), Reply(text)).decisive is (said is True)


def test_the_convention_is_asked_for_where_it_was_chosen() -> None:
    """Once, and not where a schema leaves no room."""
    gate = Hedging(convention=True)
    asked = gate.prepare(ASKED)
    assert "UNSURE" in asked.system[0].text
    assert gate.prepare(asked) is asked
    assert gate.prepare(replace(ASKED, schema={})).system == ()
    assert Hedging().prepare(ASKED) is ASKED


@pytest.mark.parametrize("reply", [Reply((CALL,), stop="tool"), Reply(""), Reply(" \n"), Reply(())])
def test_without_text_hedging_abstains(reply: Reply) -> None:
    """No words, no opinion."""
    assert judged(Hedging(), reply).score is None


@given(st.text(alphabet="`~> \nab", max_size=60))
def test_leaving_out_code_only_takes_away(text: str) -> None:
    """What is left is there in the text, in its order."""
    left = iter(text)
    assert all(letter in left for letter in spoken(text).replace(" ", ""))


PIECES = st.lists(
    st.sampled_from(
        [
            "UNSURE",
            ":",
            "I'm not sure ",
            "maybe ",
            "`",
            "```\n",
            "\n",
            "> ",
            "word ",
            "fine. ",
            "UN",
            " ",
            "perhaps ",
            "may",
        ]
    ),
    min_size=1,
    max_size=25,
)


@given(PIECES, st.integers(1, 60), st.floats(0.1, 1.0))
def test_a_stream_of_words_is_never_let_through_against_a_decisive_verdict(
    pieces: list[str], commit_after: int, accept: float
) -> None:
    """What was committed begins with no UNSURE and did not hedge; what was given up is rejected as a whole too."""
    gate = Hedging(commit_after=commit_after)
    watch = watching(gate, accept=accept)
    for count, piece in enumerate(pieces, 1):
        said = watch.feed(Delta("text", piece))
        if said == "hold":
            continue
        whole = judged(gate, Reply("".join(pieces)))
        if said == "commit":
            so_far = judged(gate, Reply("".join(pieces[:count])))
            assert not whole.decisive and so_far.score is not None and so_far.score >= accept
            assert watch.verdict.score == so_far.score
        else:
            assert whole.score is not None and whole.score < accept
        return


def test_a_stream_is_given_up_at_the_prefix_whatever_else_comes_first() -> None:
    """Thoughts and tools are no words."""
    watch = watching(Hedging())
    pieces = [Delta("thinking", "maybe"), Delta("tool", "{}", 1), Delta("text", "UNS"), Delta("text", "URE: 4")]
    assert [watch.feed(piece) for piece in pieces] == ["hold", "hold", "hold", "abort"]
    assert watch.verdict.decisive and watch.verdict.score == 0.0


def test_a_calibration_moves_the_mark_of_a_stream_too() -> None:
    """A raw score that means too little is not let through, and where no score means enough the stream is given up."""
    gate = calibrate(Hedging(commit_after=5), Isotonic(((0.0, 0.1), (1.0, 0.6))))
    assert fed(watching(gate, accept=0.7), [Delta("text", "It is so. ")] * 9) == "abort"
    assert fed(watching(gate, accept=0.5), [Delta("text", "It is so. ")] * 9) == "commit"
