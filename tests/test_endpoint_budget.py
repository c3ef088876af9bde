"""Budgets of one request: the lower of what its client, its cascade and its caller have set holds."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Budget, Cascade, Price, Reply, Tier, Usage
from fastcascade.testing import ScriptedBackend
from fastcascade.wire.endpoint import Caller, Done, Endpoint, Response
from fastcascade.wire.endpoint_budget import lower

BODY = json.dumps({"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}).encode()


def asked(cascade: Cascade, caller: Caller, **headers: str) -> tuple[Response, Budget | None]:
    """Ask, and see with which budget the cascade was asked."""
    budgets: list[Budget | None] = []
    endpoint = Endpoint(cascade, on_done=lambda done: budgets.append(done.asked.request.budget))
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    response = asyncio.run(endpoint.handle("POST", "/v1/messages", given, BODY, caller))
    return response, budgets[0]


def cascade_of(budget: Budget) -> Cascade:
    """One cheap tier."""
    backend = ScriptedBackend(Reply("Hello", usage=Usage(1, 1)), name="m", price=Price(input=1.0, output=5.0))
    return Cascade(Tier(backend), budget=budget, last_resort=None)


@pytest.mark.parametrize(
    ("header", "usd"), [({}, 0.5), ({"x_cascade_budget_usd": "9"}, 0.5), ({"x_cascade_budget_usd": "0.1"}, 0.1)]
)
def test_a_callers_budget_can_be_lowered_and_not_raised(header: dict[str, str], usd: float) -> None:
    """What a header says holds where it is less; time and calls stay those of the cascade."""
    caller = Caller(fields={"budget": Budget(None, 0.5)})
    response, budget = asked(cascade_of(Budget(33.0, 2.0, 7)), caller, **header)
    assert (response.status, budget) == (200, Budget(33.0, usd, 7))


def test_money_that_does_not_suffice_is_told_as_such() -> None:
    """Nobody is asked, and the client is told that money is the reason, and not to ask again."""
    response, _ = asked(cascade_of(Budget()), Caller(fields={"budget": Budget(None, 1e-9)}))
    assert response.status == 402 and b"money" in (response.body or b"")
    assert ("x-should-retry", "false") not in response.headers  # SDKs do not repeat a 402 by themselves


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_money_that_does_not_suffice_is_no_apology(path: str, stream: bool) -> None:
    """An answer made beforehand, which says to come back in a moment, is not given where the money is spent."""
    backend = ScriptedBackend(Reply("Hello", usage=Usage(1, 1)), name="m", price=Price(input=1.0, output=5.0))
    cascade = Cascade(Tier(backend))
    assert asyncio.run(cascade.run("Hi", budget=Budget(None, 1e-9))).via == "static"  # in process it is
    told: list[Done] = []
    body = json.dumps({**json.loads(BODY), "input": "Hi", "stream": stream}).encode()
    caller = Caller(fields={"budget": Budget(None, 1e-9)})
    response = asyncio.run(Endpoint(cascade, on_done=told.append).handle("POST", path, {}, body, caller))
    assert response.status == 402 and response.body is not None
    said = json.loads(response.body)["error"]
    assert "money" in said["message"] and "in a moment" not in said["message"]
    assert said["type"] == ("billing_error" if path == "/v1/messages" else "insufficient_quota")
    assert [(each.status, each.failure) for each in told] == [(402, "no answer")] and not backend.seen


BOUND = st.none() | st.floats(0.001, 1e6)
BUDGETS = st.builds(Budget, BOUND, BOUND, st.none() | st.integers(1, 100))


@given(BUDGETS, BUDGETS)
def test_the_lower_of_two_budgets_is_below_both(one: Budget, other: Budget) -> None:
    """In each bound it is the lower one; the order makes no difference, and a budget is the lower of it and itself."""
    found = lower(one, other)
    assert found == lower(other, one) and lower(one, one) == one
    for name in ("deadline", "usd", "attempts"):
        bounds = [bound for each in (one, other) if (bound := getattr(each, name)) is not None]
        assert getattr(found, name) == min(bounds, default=None)
