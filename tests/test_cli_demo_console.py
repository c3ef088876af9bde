"""`fastcascade demo --console`: a gateway with live traffic and its console, from embedded defaults alone."""

import asyncio
import json
import random
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos import PATIENCE, Demo, demonstrated, fetch, until
from fastcascade import Answer, Request, config
from fastcascade.cli.demo_models import PACE, elsewhere, graded, small
from fastcascade.cli.demo_questions import same
from fastcascade.cli.demo_served import is_right, laid_out
from fastcascade.cli.demo_shop import KINDS, drawn, known
from fastcascade.cli.demo_traffic import request_of
from fastcascade.errors import BackendError
from fastcascade.evals.cases import load_cases
from fastcascade.messages import Reply, Text
from fastcascade.telemetry import Decision, Event, Graded, subscribe
from fastcascade.telemetry.events import HUB


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo as a process, once for all that is looked at."""
    with demonstrated(tmp_path_factory.mktemp("demo")) as running:
        yield running


def test_traffic_flows_by_itself(demo: Demo) -> None:
    """Within seconds of the start customers are answered by rules, models and the cache, and nobody gets an error."""

    def answered() -> str:
        text = fetch(f"{demo.address}/metrics")
        tiers = set(re.findall(r'fastcascade_requests_total\{[^}]*status="200",tier="(\w+)"', text))
        return text if {"rules", "small", "large"} <= tiers else ""

    text = until(answered)
    assert not re.search(r'fastcascade_requests_total\{[^}]*status="5\d\d"', text)


def test_the_link_logs_in_once_and_opens_the_console(demo: Demo) -> None:
    """Whoever follows the link printed is in; whoever finds it later is not."""
    jar = urllib.request.HTTPCookieProcessor(CookieJar())
    opener = urllib.request.build_opener(jar)
    until(lambda: fetch(f"{demo.address}/healthz"))
    with opener.open(demo.link, timeout=10) as page:
        assert page.url == f"{demo.address}/console/try" and page.status == 200
    with opener.open(f"{demo.address}/console/api/me", timeout=10) as said:
        assert json.load(said)["name"] == "demo"
    other = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    try:
        with other.open(demo.link, timeout=10) as again:
            where = again.url
    except urllib.error.HTTPError as error:
        where = error.url
        error.close()
    assert where.startswith(f"{demo.address}/console/login")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        other.open(f"{demo.address}/console/api/me", timeout=10)


def test_its_files_can_be_used_by_hand(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left in the folder is a cascade that loads, and cases whose truth grades answers."""
    monkeypatch.setattr(HUB, "listeners", HUB.listeners)  # the file brings a listener, which is to go with the test
    cascade = config.load(demo.folder / "cascade.toml")
    assert [tier.name for tier in cascade.tiers] == ["rules", "small", "large"]
    cases = load_cases(demo.folder / "cases.jsonl")
    assert len(cases) == 400 and is_right(cases[0], Reply((Text(f"Answer: {cases[0].expected}"),)))
    until(lambda: (demo.folder / "run.db").exists())


def test_it_ends_as_it_is_told(demo: Demo) -> None:
    """Ctrl-C ends the gateway, its customers and itself, in order, and it was no failure."""
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(PATIENCE) == 0
    assert fetch(f"{demo.address}/healthz") == ""


def test_without_a_terminal_it_says_how_to_open_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that runs the demo gets its text, and comes to an end."""
    from fastcascade.cli import main  # noqa: PLC0415 - as the others start a process

    assert main(["demo", "--recorded", "--requests", "1"]) == 0
    assert "--console opens it here too" in capsys.readouterr().out
    assert main(["demo", "--recorded", "--requests", "1", "--text"]) == 0
    assert "--console" not in capsys.readouterr().out


@given(st.integers(0, 2**32))
def test_every_question_is_answered_by_the_rules_of_the_shop(seed: int) -> None:
    """Whatever is drawn has a right answer that its words alone give, or is of a kind that no model is to answer."""
    question = drawn(random.Random(seed))
    found = known(question.ask)
    if found is not None:
        kind, right = found
        assert (kind.task, right) == (question.task, question.right) and right
    else:
        assert question.task in {"account", "hours", "payment", "orders", "disputes"}


@pytest.mark.parametrize(
    ("ask", "right"),
    [
        ("My parcel came on 2026-01-31. Until which day can I return it?", "2 March"),
        ("I order for 49.99 euros within the EU. What is the shipping?", "4.90"),
        ("I order for 50.00 euros within the EU. What is the shipping?", "0"),
        ("I ordered at 13:59 on Friday. When does it leave?", "Friday"),
        ("I ordered at 14:00 on Friday. When does it leave?", "Monday"),
        ("I ordered at 9:00 on Saturday. When does it leave?", "Monday"),
        ("I ordered at 14:00 on Monday. When does it leave?", "Tuesday"),
        ("My kettle is 24 months old and stopped working. Is it under warranty?", "yes"),
        ("My kettle is 25 months old and stopped working. Is it under warranty?", "no"),
        ("I buy 2 lamps at 10.00 euros and 3 cups at 2.50. What do I pay, with shipping?", "32.40"),
    ],
)
def test_the_truth_is_worked_out_right(ask: str, right: str) -> None:
    """At the edges of each rule too."""
    found = known(ask)
    assert found is not None and found[1] == right


def test_the_models_are_as_good_as_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small one is right about most of what is easy, the large one about nearly all; neither settles a dispute."""
    monkeypatch.setenv(PACE, "0")
    rng = random.Random(5)

    async def share(model: Any) -> float:
        right = 0
        for _ in range(400):
            ask = rng.choice(KINDS).ask(rng)
            reply = await model.complete(Request.of(ask))
            truth = known(ask)
            right += truth is not None and same(reply.text, truth[1])
        return right / 400

    async def scenario() -> None:
        low, high = await share(small), await share(elsewhere)
        assert 0.6 < low < 0.9 < high
        dispute = "The courier says that I signed for order 12345, and I did not. Who pays?"
        refused = await elsewhere.complete(Request.of(dispute))
        assert refused.stop == "refusal"

    asyncio.run(scenario())


def test_a_region_that_is_down_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated outage is a failure like a provider's own, so that what is done about it is real."""
    monkeypatch.setenv(PACE, "0.0001")
    from fastcascade.cli.demo_models import eu  # noqa: PLC0415 - patched below

    monkeypatch.setattr(eu, "_down", lambda: True)
    with pytest.raises(BackendError, match="down"):
        asyncio.run(eu.complete(Request.of("hello")))


def test_some_answers_are_graded_by_the_truth() -> None:
    """Grades come with the propensity that they were drawn at, and those of rules and of kept answers do not come."""
    heard: list[Event] = []
    end = subscribe(heard.append)
    asked = Request.of("My kettle is 3 months old and stopped working. Is it under warranty?")
    answer = Answer(Reply((Text("Answer: yes"),)), asked, "small")
    for _ in range(200):
        graded(Decision("dispatch", "small", 0.0, 0.1, answer=answer))
        graded(Decision("cache", "kept", 0.0, 0.1, answer=Answer(answer.reply, asked, "small", via="cache")))
    end()
    grades = [each for each in heard if type(each) is Graded]
    assert 20 < len(grades) < 90 and {(each.tier, each.score, each.propensity) for each in grades} == {
        ("small", 1.0, 0.25)
    }


def test_a_customer_speaks_http(tmp_path: Path) -> None:
    """A request is framed by its length, and names its task and its customer; the file laid out is not written over."""
    sent = request_of(drawn(random.Random(1)), "ada", again=True)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head and b"x-cascade-customer: ada" in head
    assert json.loads(body)["model"] == "shop" and b"x-cascade-regenerate" in head
    file = laid_out(tmp_path)
    file.write_text("mine")
    assert laid_out(tmp_path).read_text() == "mine"
