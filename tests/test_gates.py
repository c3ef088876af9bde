"""The gates that look at tokens and words: log-probabilities, self-report, hedging."""

import math
import re
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.effects import Call, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.calibration import Isotonic, Platt, calibrate
from fastcascade.gates.gate import Exam, Gate, Verdict, Watch
from fastcascade.gates.hedging import Hedging, begins_unsure, spoken
from fastcascade.gates.logprobs import Logprobs
from fastcascade.gates.phrases import PHRASES
from fastcascade.gates.self_report import SelfReport, find
from fastcascade.messages import Block, Delta, Message, Reply, Request, Text, Thinking, Token, Tool, ToolCall

ASKED = Request.of("how much is it?")
CALL = ToolCall("1", "price", '{"of": "tea"}')
LN = math.log


class Named:
    """A backend that is only named."""

    name = "small"
    gives = frozenset({"logprobs"})

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


def exam(reply: Reply, request: Request = ASKED) -> Exam:
    """A reply before a gate."""
    return Exam(request, reply, Named(), "small")


def judged(gate: Gate, reply: Reply, request: Request = ASKED) -> Verdict:
    """The verdict of a gate that asks nobody."""
    verdict = gate.judge(exam(reply, request))
    assert isinstance(verdict, Verdict)
    return verdict


def watching(gate: Gate, request: Request = ASKED, accept: float | None = None) -> Watch:
    """The watch of a gate that has one."""
    watch = gate.watch(request, gate.threshold if accept is None else accept)
    assert watch is not None
    return watch


def fed(watch: Watch, pieces: list[Delta]) -> str:
    """What a watch says of a stream in the end."""
    for piece in pieces:
        if (said := watch.feed(piece)) != "hold":
            return said
    return "hold"


def tokens(*probabilities: float, tool: bool = False) -> tuple[Token, ...]:
    """Tokens of these probabilities."""
    return tuple(Token("t", LN(p) if p > 0 else -math.inf, tool=tool) for p in probabilities)


FIGURES = [
    (Logprobs(), (0.5, 1.0), 0.75),
    (Logprobs("geometric"), (0.25, 1.0), 0.5),
    (Logprobs("min"), (0.9, 0.3, 0.8), 0.3),
    (Logprobs("quantile", quantile=0.5), (0.9, 0.1, 0.4), 0.4),
    (Logprobs("quantile", quantile=0.0), (0.9, 0.1, 0.4), 0.1),
    (Logprobs("quantile", quantile=1.0), (0.9, 0.1, 0.4), 0.9),
    (Logprobs(), (0.0, 1.0), 0.5),
    (Logprobs("geometric"), (0.0, 1.0), 0.0),
]


@pytest.mark.parametrize(("gate", "probabilities", "score"), FIGURES)
def test_each_statistic_is_what_its_name_says(gate: Logprobs, probabilities: tuple[float, ...], score: float) -> None:
    """Every statistic, over tokens worked out by hand."""
    found = judged(gate, Reply("a", logprobs=tokens(*probabilities)))
    assert found.score == pytest.approx(score)
    assert not found.decisive


def test_the_margin_is_between_the_likeliest_two() -> None:
    """Where a token has no two alternatives the least that the gap can be is taken; where none has, it abstains."""
    known = Token("a", LN(0.7), (("a", LN(0.7)), ("b", LN(0.2))))
    lone = Token("c", LN(0.9))
    assert judged(Logprobs("margin"), Reply("a", logprobs=(known,))).score == pytest.approx(0.5)
    assert judged(Logprobs("margin"), Reply("a", logprobs=(known, lone))).score == pytest.approx(0.65)
    assert judged(Logprobs("margin"), Reply("a", logprobs=(lone,))).score is None


@pytest.mark.parametrize("given_tokens", [None, ()])
def test_without_log_probabilities_it_abstains(given_tokens: Any) -> None:
    """None and an empty list are no evidence."""
    assert judged(Logprobs(), Reply("a", logprobs=given_tokens)).score is None


def test_the_arguments_of_a_tool_are_judged_alone() -> None:
    """Where the reply calls a tool; where it does not, or is told otherwise, all tokens count."""
    mixed = tokens(1.0, 1.0) + tokens(0.2, tool=True)
    calling = Reply((Text("hm"), CALL), logprobs=mixed)
    assert judged(Logprobs(), calling).score == pytest.approx(0.2)
    assert judged(Logprobs(tool_arguments=False), calling).score == pytest.approx(2.2 / 3)
    assert judged(Logprobs(), replace(calling, logprobs=tokens(0.4))).score == pytest.approx(0.4)
    assert "none of them" in judged(Logprobs(), replace(calling, logprobs=tokens(0.4))).reason


ASKS = [("mean", None, 0), ("mean", 0, 0), ("mean", 5, 5), ("margin", None, 2), ("margin", 1, 2), ("margin", 20, 20)]


@pytest.mark.parametrize(("of", "before", "after"), ASKS)
def test_it_asks_for_what_it_needs_and_keeps_what_was_asked(of: Any, before: int | None, after: int) -> None:
    """The larger of what the caller asked for and what the statistic needs."""
    gate = Logprobs(of)
    assert gate.prepare(replace(ASKED, logprobs=before)).logprobs == after
    assert gate.needs == {"logprobs"}


ANY_LOGPROB = st.floats(max_value=0.0) | st.sampled_from([math.nan, -math.inf, 1e-9, 800.0, -0.0, -9999.0])
ANY_TOKENS = st.lists(
    st.builds(
        Token,
        st.just("t"),
        ANY_LOGPROB,
        st.lists(st.tuples(st.just("x"), ANY_LOGPROB), max_size=3).map(tuple),
        st.booleans(),
    ),
    max_size=12,
).map(tuple)
STATISTICS = st.sampled_from(["mean", "geometric", "min", "quantile", "margin"])


@given(STATISTICS, ANY_TOKENS, st.booleans())
def test_whatever_the_provider_says_a_score_is_a_score(of: Any, given_tokens: Any, calls: bool) -> None:
    """From 0 to 1 or None, for numbers that are none, infinite or above zero too."""
    found = judged(Logprobs(of), Reply((CALL,) if calls else "a", logprobs=given_tokens)).score
    assert found is None or 0.0 <= found <= 1.0


def test_what_is_not_a_number_never_passes() -> None:
    """A token that cannot be read counts as one that is impossible."""
    for of in ("mean", "geometric", "min", "margin"):
        token = Token("t", math.nan, (("a", math.nan), ("b", math.nan)))
        assert judged(Logprobs(of), Reply("a", logprobs=(token,))).score == 0.0


CURVES = st.sampled_from([None, Isotonic(((0.2, 0.1), (0.6, 0.9))), Platt(8.0, -4.0), Isotonic(((0.5, 0.3),))])


@given(STATISTICS, st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30), st.floats(0.05, 1.0), CURVES, st.booleans())
def test_a_stream_is_committed_on_what_holds_and_given_up_on_what_cannot(
    of: Any, probabilities: list[float], accept: float, curve: Any, bounded: bool
) -> None:
    """At "commit" the tokens so far reach the mark; after "abort" the whole never does."""
    gate = Logprobs(of, commit_after=5, quantile=0.3)
    gate.calibration = curve
    made = tuple(Token("t", LN(p), (("t", LN(p)), ("u", LN(p / 2)))) for p in probabilities)
    watch = watching(gate, replace(ASKED, max_tokens=len(made) if bounded else None), accept)
    for count, token in enumerate(made, 1):
        said = watch.feed(Delta("text", "t", tokens=(token,)))
        if said == "hold":
            continue
        upto = made[:count] if said == "commit" else made
        score = gate.calibrated(judged(gate, Reply("t", logprobs=upto))).score
        shown = watch.verdict.score
        assert score is not None and shown is not None
        if said == "commit":
            assert count >= 5 and score >= accept - 1e-6 and shown >= accept - 1e-6
        else:
            assert score < accept + 1e-6 and shown < accept + 1e-6
        return


def test_a_token_in_doubt_ends_a_stream_judged_by_its_minimum() -> None:
    """It can only fall, so nothing more is waited for."""
    watch = watching(Logprobs("min", threshold=0.5))
    sure, doubtful = tokens(0.9, 0.4)
    assert watch.feed(Delta("text", "a", tokens=(sure,))) == "hold"
    assert watch.feed(Delta("text", "b", tokens=(doubtful,))) == "abort"
    assert watch.verdict.score == pytest.approx(0.4)


def test_a_stream_that_may_call_a_tool_is_held_back() -> None:
    """Text that is sure says nothing of the arguments that may follow."""
    request = replace(ASKED, tools=(Tool("price"),))
    assert Logprobs().watch(request, 0.6) is None
    assert Logprobs().watch(replace(request, tool_choice="none"), 0.6) is not None
    assert Logprobs(tool_arguments=False).watch(request, 0.6) is not None


def test_a_stream_without_log_probabilities_is_never_committed() -> None:
    """However long it is: there is no evidence."""
    assert fed(watching(Logprobs(commit_after=1)), [Delta("text", "word ")] * 50) == "hold"


STATED = [
    ("It is 4.\nCONFIDENCE: 85", 0.85),
    ("It is 4.\n\nCONFIDENCE: 85%\n", 0.85),
    ("It is 4.\nConfidence: 0.85", 0.85),
    ("It is 4.\n**CONFIDENCE: 85**", 0.85),
    ("It is 4.\n**Confidence:** 85 %", 0.85),
    ("It is 4.\nCONFIDENCE: <85>", 0.85),
    ("It is 4.\nCONFIDENCE: 85/100", 0.85),
    ("It is 4.\nCONFIDENCE: 8,5/10", 0.85),
    ("It is 4.\nCONFIDENCE: 8 / 10.", 0.8),
    ("It is 4.\nCONFIDENCE: 0.5%", 0.005),
    ("It is 4.\nCONFIDENCE: 1", 0.01),
    ("It is 4.\nCONFIDENCE: 1.0", 1.0),
    ("It is 4.\nCONFIDENCE: 100", 1.0),
    ("It is 4.\nCONFIDENCE: 0", 0.0),
    ("It is 4.\r\nCONFIDENCE: 12.5\r\n", 0.125),
    ("CONFIDENCE: 10\nNo, wait.\nCONFIDENCE: 90", 0.9),
    ("It is 4.\nCONFIDENCE: 70\n\nAsk me anything.", 0.7),
    ("```\nIt is 4.\nCONFIDENCE: 70\n```", 0.7),
    ("It is 4.\nCONFIDENCE\uff1a70", 0.7),
    ("It is 4.\nCONFIDENCE: 850", None),
    ("It is 4.\nCONFIDENCE: 8/0", None),
    ("It is 4.\nCONFIDENCE: -5", None),
    ("It is 4.\nCONFIDENCE: high", None),
    ("It is 4 and CONFIDENCE: 85 is what I have.", None),
    ("With confidence: 95\nthe mean is 3.", None),
    ("Confidence: 95\nThat is the usual level.", None),
    ("It is 4.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "score"), STATED)
def test_a_confidence_is_read_in_every_form_it_comes_in(text: str, score: float | None) -> None:
    """The last line counts; what is no probability, and what is part of the answer, does not."""
    found = judged(SelfReport(), Reply(text)).score
    assert found == (None if score is None else pytest.approx(score))


BODY = st.text(max_size=40).map(lambda text: text.rstrip()).filter(lambda text: find(text) is None)
LINES = st.sampled_from(["CONFIDENCE: 85", "confidence: 0.3", "**Confidence: 70%**", "> CONFIDENCE = 40/100"])
OTHERS: st.SearchStrategy[Block] = st.sampled_from(
    [CALL, Thinking("CONFIDENCE: 3", by="x"), ToolCall("2", "t", "CONFIDENCE: 3")]
)


@given(BODY, st.integers(1, 3), LINES, st.sampled_from(["", "\n", " \n\n"]), st.lists(OTHERS, max_size=2))
def test_clean_takes_out_the_line_and_nothing_else(
    body: str, breaks: int, line: str, after: str, others: list[Block]
) -> None:
    """Unicode, tool calls and thoughts stay as they were."""
    reply = Reply((*others, Text(body + "\n" * breaks + line + after, {"x": 1}), *others), id="7")
    cleaned = SelfReport().clean(reply)
    kept = (Text(body, {"x": 1}),) if body or not others else ()
    assert cleaned == replace(reply, content=(*others, *kept, *others))
    assert SelfReport(inline=False).clean(reply) is reply


@given(st.lists(OTHERS | BODY.map(Text), max_size=3).map(tuple))
def test_clean_leaves_a_reply_without_the_line_alone(content: tuple[Block, ...]) -> None:
    """The very same reply comes back."""
    reply = Reply(content)
    assert SelfReport().clean(reply) is reply


def test_clean_takes_a_line_out_of_the_middle() -> None:
    """What comes after it stays."""
    assert SelfReport().clean(Reply("a\nCONFIDENCE: 7\nb\n")).text == "a\nb\n"


@given(st.text(alphabet="CONFIDE ce:8%\n*/.", max_size=200))
def test_any_text_states_a_probability_or_none(text: str) -> None:
    """And what is found is a place in the text."""
    found = find(text)
    if found is not None:
        assert 0 <= found.start < found.end <= len(text)
        assert found.score is None or 0.0 <= found.score <= 1.0


@pytest.mark.parametrize("text", ["CONFIDENCE" * 20_000, "CONFIDENCE:" + " " * 200_000, "CONFIDENCE\n" * 20_000])
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    """It ends, well within the time that every test has."""
    assert judged(SelfReport(), Reply(text)).score is None


def test_the_line_is_asked_for_once_and_not_where_a_schema_leaves_no_room() -> None:
    """The system prompt gets one more paragraph at its end; all else stays."""
    gate = SelfReport()
    asked = gate.prepare(replace(ASKED, system=(Text("Be brief."),)))
    assert asked.system[0] == Text("Be brief.") and "CONFIDENCE: <0-100>" in asked.system[1].text
    assert gate.prepare(asked) is asked
    fitted = replace(ASKED, schema={"type": "object"})
    assert gate.prepare(fitted) is fitted
    assert "schema" in judged(gate, Reply("{}"), fitted).reason
    assert SelfReport(inline=False).prepare(ASKED) is ASKED


def test_a_tool_call_alone_states_nothing() -> None:
    """It abstains, and the call comes back as it was."""
    reply = Reply((CALL,), stop="tool")
    assert judged(SelfReport(), reply).score is None
    assert SelfReport().clean(reply) is reply


def asking(gate: Gate, reply: Reply, request: Request = ASKED) -> tuple[Call, Generator[Any, Outcome, Verdict]]:
    """The call that a gate makes first."""
    judging = gate.judge(exam(reply, request))
    assert isinstance(judging, Generator)
    call = next(judging)
    assert isinstance(call, Call)
    return call, judging


def ending(judging: Generator[Any, Outcome, Verdict], outcome: Outcome) -> Verdict:
    """What a gate says once it was told."""
    with pytest.raises(StopIteration) as stopped:
        judging.send(outcome)
    verdict = stopped.value.value
    assert isinstance(verdict, Verdict)
    return verdict


REPORTS = [
    (Outcome(Reply("CONFIDENCE: 80")), 0.8),
    (Outcome(Reply("80")), 0.8),
    (Outcome(Reply(" 80 % ")), 0.8),
    (Outcome(Reply("Rather sure.")), None),
    (Outcome(Reply("There are 80 of them.")), None),
    (Outcome(None), None),
    (Outcome(None, Failure("timeout", "no answer within 2 s")), None),
]


@pytest.mark.parametrize(("outcome", "score"), REPORTS)
def test_a_second_call_is_read_and_its_failure_abstains(outcome: Outcome, score: float | None) -> None:
    """The number in its reply; without one, no score."""
    _, judging = asking(SelfReport(inline=False), Reply("It is 4."))
    assert ending(judging, outcome).score == score


def test_the_second_call_shows_the_whole_conversation_and_no_tool_to_run() -> None:
    """The same backend, the reply as a turn, a tool's call in words, and nothing that would bend the answer."""
    request = replace(ASKED, tools=(Tool("price"),), schema={}, logprobs=3, thinking=500, stop=("x",))
    gate = SelfReport(inline=False, timeout=2.0)
    call, _ = asking(gate, Reply((Thinking("hm"), Text("  "), Text("Let me see."), CALL)), request)
    assert (call.purpose, call.timeout, call.backend.name) == ("report", 2.0, "small")
    said = call.request.messages[1]
    told = '[calls the tool price with {"of": "tea"}]'
    assert said == Message("assistant", (Text("Let me see."), Text(told)))
    assert call.request.messages[0] == ASKED.messages[0] and call.request.messages[2].role == "user"
    assert call.request.tools == request.tools and call.request.tool_choice == "none"
    sent = call.request
    assert (sent.schema, sent.logprobs, sent.thinking, sent.stop, sent.max_tokens) == (None, None, None, (), 256)


def test_nothing_said_is_not_asked_about() -> None:
    """An empty reply costs no second call."""
    judging = SelfReport(inline=False).judge(exam(Reply(" ")))
    with pytest.raises(StopIteration) as stopped:
        next(judging)  # type: ignore[arg-type]
    assert stopped.value.value.score is None


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


WRONG: list[tuple[Any, str]] = [
    (lambda: Logprobs("median"), "median"),  # type: ignore[arg-type]
    (lambda: Logprobs(quantile=2), "quantile"),
    (lambda: Logprobs(threshold=math.nan), "threshold"),
    (lambda: Logprobs(commit_after=0), "commit_after"),
    (lambda: SelfReport(threshold=70), "threshold"),
    (lambda: SelfReport(max_tokens=0), "max_tokens"),
    (lambda: SelfReport(timeout=0), "timeout"),
    (lambda: Hedging(languages=["xx"]), "'xx'"),
    (lambda: Hedging(languages="en"), "languages"),
    (lambda: Hedging(languages=[]), "nothing to look for"),
    (lambda: Hedging(extra="maybe"), "extra"),
    (lambda: Hedging(extra=[" "]), "extra"),
    (lambda: Hedging(extra=[re.compile(r"(a)\1")]), "linear"),
    (lambda: Hedging(commit_after=0), "commit_after"),
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_settings_that_cannot_work_are_refused_by_name(make: Any, named: str) -> None:
    """When the gate is built, not when it is used."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()


def test_a_gate_shows_how_it_was_made() -> None:
    """Its settings, and nothing of its inside."""
    assert repr(Logprobs("min")) == (
        "Logprobs(of='min', quantile=0.1, threshold=0.6, tool_arguments=True, commit_after=32)"
    )
