"""Structured logs: one record a decision, for logging and structlog; and no secret in anything that is logged."""

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Cascade, Tier
from fastcascade.gateway.keys import new_secret
from fastcascade.guards.access_log import DECIDED, FIELDS, JsonFormatter
from fastcascade.telemetry.events import Decision, Events
from fastcascade.telemetry.logs import log_decisions
from fastcascade.telemetry.redacting import REMOVED, Redacting
from traced import ladder, traced

ENVIRON = {
    "OPENAI_API_KEY": "openai-key-of-no-known-form",
    "OTHER_API_KEY": "openai-key-of-no-known-form-and-longer",
    "REDIS_URL": "redis://user:pass%2Fw0rd@cache.example:6379/0",
    "DB_PASSWORD": "correct horse",
    "SSH_AUTH_SOCK": "/run/agent.sock",
    "TOKEN_URL": "https://auth.example/token",
    "HOME": "/home/somebody",
    "SHORT_KEY": "abc",
}
VALUES = [*(ENVIRON[name] for name in ("OPENAI_API_KEY", "OTHER_API_KEY", "DB_PASSWORD")), "pass%2Fw0rd", "pass/w0rd"]
REDACTING = Redacting(environ=ENVIRON)


@pytest.fixture
def written() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A logger's records as lines of JSON."""
    logger = logging.getLogger("fastcascade.decisions")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(REDACTING)
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.INFO
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


def caught(name: str) -> list[logging.LogRecord]:
    """What a logger writes from here on."""
    seen: list[logging.LogRecord] = []
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.addFilter(lambda record: bool(seen.append(record)))  # type: ignore[func-returns-value]
    return seen


def test_each_decision_is_one_record_with_all_in_its_fields(written: Callable[[], list[dict[str, Any]]]) -> None:
    """Numbers and names as fields that a JSON formatter writes; what was said is not among them."""
    end = log_decisions()
    asyncio.run(ladder().run("the prompt", id="req-1"))
    end()
    asyncio.run(ladder().run("another"))
    (line,) = written()
    assert line["message"] == "decision"
    assert (line["level"], line["logger"]) == ("info", "fastcascade.decisions")
    assert (line["layer"], line["tier"], line["cascade"], line["request_id"]) == (
        "dispatch",
        "large",
        "support",
        "req-1",
    )
    assert [each["verdict"] for each in line["attempts"]] == ["escalate", "accept"]
    assert line["escalations"] == 1
    assert line["cost_usd"] > 0
    assert line["seconds"] >= 0
    assert "the prompt" not in json.dumps(line)
    assert set(line) <= {"time", "level", "logger", "message", *FIELDS, *DECIDED}


def test_texts_are_there_when_they_are_asked_for(written: Callable[[], list[dict[str, Any]]]) -> None:
    """With `texts` what was asked and said is in it, without the secrets that it holds."""
    end = log_decisions(texts=True)
    asyncio.run(ladder().run("my key is sk-ant-api03-0123456789abcdef"))
    end()
    (line,) = written()
    assert line["prompt"] == f"my key is {REMOVED}"
    assert line["answer"] == "I am opus"


def test_what_went_wrong_is_a_warning_and_what_nobody_reads_is_not_made() -> None:
    """A status from 500 on and a failure are warnings; a client that left is none; below its level nothing is done."""
    logger, seen, events = logging.getLogger("tests.wrong"), caught("tests.wrong"), Events()
    logger.setLevel(logging.WARNING)
    log_decisions(logger, events=events)
    for status, failure in ((200, ""), (503, "overloaded"), (499, "cancelled"), (0, "cancelled"), (0, "no answer")):
        events.tell(Decision("dispatch", "small", 0.0, 0.1, status=status, failure=failure))
    assert [(each.levelname, each.__dict__["failure"]) for each in seen] == [
        ("WARNING", "overloaded"),
        ("WARNING", "no answer"),
    ]


def test_structlog_gets_an_event_with_key_values() -> None:
    """A logger of structlog's is told "decision", with the same fields."""
    seen: list[Any] = []

    def keep(_logger: Any, method: str, event: Any) -> Any:
        seen.append((method, dict(event)))
        raise structlog.DropEvent

    logger = structlog.wrap_logger(None, processors=[REDACTING, keep], wrapper_class=structlog.BoundLogger)
    filtering = structlog.wrap_logger(
        None, processors=[REDACTING, keep], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    for each in (filtering, logger):
        end = log_decisions(each)
        asyncio.run(ladder().run("the prompt"))
        end()
    assert [method for method, _ in seen] == ["info", "info"]
    for _, event in seen:
        assert event["event"] == "decision"
        assert (event["tier"], event["escalations"]) == ("large", 1)
        assert "the prompt" not in str(event)


def test_a_record_names_the_span_it_belongs_to(written: Callable[[], list[dict[str, Any]]]) -> None:
    """Where something traces, a record can be laid beside its trace."""
    end = log_decisions()
    with traced() as kept:
        asyncio.run(ladder().run("hello"))
    end()
    (line,) = written()
    root = kept.one("invoke").context
    assert root is not None
    assert (line["trace_id"], line["span_id"]) == (f"{root.trace_id:032x}", f"{root.span_id:016x}")


def test_what_a_client_makes_up_cannot_write_lines() -> None:
    """Line ends and escapes in an id are escaped, and what is long is cut."""
    events, seen = Events(), caught("tests.lines")
    log_decisions(logging.getLogger("tests.lines"), events=events)
    events.tell(Decision("dispatch", "small", 0.0, 0.1, id="a\nb\x1b[31m" + "x" * 5_000))
    request_id = seen[0].__dict__["request_id"]
    assert "\n" not in request_id
    assert len(request_id) < 600


# Secrets.

SHAPES = [
    "sk-proj-{}",
    "sk-ant-api03-{}",
    "sk_live_{}",
    "Bearer {}",
    "Basic {}",
    "fck_{}",
    "AKIA{}",
    "gsk_{}",
    "hf_{}",
    "ghp_{}",
    "github_pat_{}",
    "xoxb-{}",
    "AIza{}",
    "r8_{}",
    "pplx-{}",
    "api_key={}",
    "aws_secret_access_key = {}",
    "x-api-key: {}",
    "password: {}",
    "cookie: session={}",
    "redis://user:{}@host:6379/0",
    "https://:{}@host/path",
]
BODY = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=20, max_size=40).filter(
    lambda text: re.search("[0-9]", text) is not None and re.search("[A-Z]", text) is not None
)
AROUND = st.sampled_from(["", " ", "\n", '"', "'", "(", ", ", "= ", "[", "{", "\t"])
"""What may stand before a secret: nothing that would make it a part of a word."""


def secrets() -> st.SearchStrategy[tuple[str, str]]:
    """A secret, and how it may stand in a text."""
    shaped = st.tuples(st.sampled_from(SHAPES), BODY).map(lambda pair: (pair[1], pair[0].format(pair[1])))
    valued = st.sampled_from(VALUES).map(lambda value: (value, value))
    ours = st.builds(new_secret).map(lambda secret: (secret, secret))
    placed = st.tuples(shaped | valued | ours, AROUND, st.sampled_from(["", " ", "\n", '"', "'", ")", ",", "]", "}"]))
    return placed.map(lambda found: (found[0][0], f"{found[1]}{found[0][1]}{found[2]}"))


class Thing:
    """Something whose repr has a secret in it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        """Tell it."""
        return f"Thing({self.text})"


def raised(text: str) -> Any:
    """An exception with a cause, as logging has it."""

    def below() -> None:
        raise ValueError(text)

    def above() -> None:
        try:
            below()
        except ValueError as error:
            raise RuntimeError("it failed") from error

    try:
        above()
    except RuntimeError:
        return sys.exc_info()


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "message": lambda text: {"msg": text},
    "argument": lambda text: {"msg": "said %s", "args": (text,)},
    "by name": lambda text: {"msg": "said %(what)s", "args": ({"what": text},)},
    "a thing": lambda text: {"msg": "said %r", "args": (Thing(text),)},
    "bytes": lambda text: {"msg": "said %r", "args": (text.encode(),)},
    "too many": lambda text: {"msg": "said", "args": (text,)},
    "exception": lambda text: {"msg": "failed", "exc_info": raised(text)},
    "field": lambda text: {"msg": "x", "extra": {"status": text}},
    "nested": lambda text: {"msg": "x", "extra": {"attempts": [{"a": (text, {"b": text})}]}},
    "thing in a field": lambda text: {"msg": "x", "extra": {"tier": Thing(text)}},
}


@given(secrets(), st.sampled_from(sorted(WAYS)))
def test_no_known_secret_passes_the_filter(secret: tuple[str, str], way: str) -> None:
    """In whatever part of a record it stands, and whichever formatter writes it."""
    given_ = WAYS[way](secret[1])
    extra = given_.pop("extra", {})
    record = logging.LogRecord("x", logging.INFO, "f", 1, given_["msg"], given_.get("args"), given_.get("exc_info"))
    record.__dict__.update(extra)
    REDACTING.filter(record)
    for formatter in (JsonFormatter(), logging.Formatter("%(message)s")):
        written = formatter.format(record)
        assert secret[0] not in written
        assert json.dumps(secret[0])[1:-1] not in written
    assert secret[0] not in repr({name: record.__dict__[name] for name in extra})
    assert secret[0] not in f"{record.args!r}"


@given(secrets())
def test_no_known_secret_passes_the_processor(secret: tuple[str, str]) -> None:
    """In whatever value of an event it stands, and in its exception."""
    text = secret[1]
    event: dict[str, Any] = {"event": text, "list": [text, {"a": text}], "thing": Thing(text), "exc_info": raised(text)}
    render = structlog.processors.JSONRenderer()
    found = REDACTING(None, "info", event)
    assert secret[0] not in str(render(None, "info", structlog.processors.format_exc_info(None, "info", found)))


@pytest.mark.parametrize(
    "name", ["authorization", "api_key", "x-api-key", "X_API_KEY", "password", "set-cookie", "token"]
)
def test_a_field_that_is_called_like_a_secret_is_one(name: str) -> None:
    """Its value is taken out, whatever it looks like."""
    assert REDACTING(None, "info", {"event": "x", name: "plain words"})[name] == REMOVED
    assert REDACTING.value({"headers": {name: ["plain"]}}) == {"headers": {name: REMOVED}}


HARMLESS = [
    "0af7651916cd43dd8448eb211c80319c",
    "a request took 12.5 s at 127.0.0.1:8080",
    "d41d8cd98f00b204e9800998ecf8427e of 4096 tokens",
    "https://example.com/path?page=2",
    "max_tokens: 400, input_tokens=12",
    "/run/agent.sock abc /home/somebody https://auth.example/token",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    """Digests, ids, addresses and counts are what one looks for in a log."""
    assert REDACTING.text(text) == text


def test_arguments_and_exceptions_without_a_secret_stay_as_they_are() -> None:
    """Handlers that group records by message, or look at exceptions, find what they need."""
    record = logging.LogRecord("x", logging.INFO, "f", 1, "said %s", ("hello",), raised("fine"))
    REDACTING.filter(record)
    assert (record.msg, record.args) == ("said %s", ("hello",))
    assert record.exc_info is not None


def test_a_thing_that_cannot_be_shown_does_not_end_the_logging() -> None:
    """A repr that raises is stood in for by the name of its type."""

    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    assert REDACTING.value([Broken()]) == ["<Broken>"]


def test_an_answer_of_a_cascade_without_a_name_has_no_empty_fields() -> None:
    """What is empty is left out."""
    events, seen = Events(), caught("tests.empty")
    log_decisions(logging.getLogger("tests.empty"), events=events)
    answer = Cascade(Tier(lambda _: "fine", name="one")).run_sync("x")
    events.tell(Decision("dispatch", "one", 0.0, None, answer=answer))
    for name in ("cascade", "caller", "status", "seconds", "via", "degraded", "trace_id"):
        assert not hasattr(seen[0], name)
