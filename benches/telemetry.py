"""What an event costs: where nobody listens, and with Prometheus on; `prometheus_client` counts the same beside it.

Each line is the median of several rounds, in time of the processor, the empty loop subtracted; the rounds of all lines
take turns, so that a busy machine is busy for all alike. What is counted is one request that its first tier answered,
well enough: fourteen series of ours, of which three are histograms. The rival has a metric for each of them, used as
its own documentation does (`labels(...)` each time), and once more with the children kept, which is as fast as it gets.

    python benches/telemetry.py [--quick]
"""

import argparse
import statistics
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from fastcascade import Cascade, Tier
from fastcascade.answers import Answer, Attempt
from fastcascade.messages import Reply, Text, Usage
from fastcascade.prices import Price
from fastcascade.telemetry import Decision, Prometheus
from fastcascade.telemetry.baseline import baseline_usd
from fastcascade.telemetry.events import Events
from fastcascade.telemetry.prometheus_rows import BOUNDS
from fastcascade.testing import ScriptedBackend

PATH = "/v1/chat/completions"
USAGE = Usage(120, 40)


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--quick", action="store_true", help="for a look")
    rounds, calls = (5, 2_000) if options.parse_args().quick else (41, 20_000)
    cases = dict(made())
    timers = {name: timed("call()", call=call) for name, call in cases.items()}
    timers["`if events.listeners:`, nobody"] = timed("if events.listeners: events.tell(None)", events=Events())
    empty, empty_call = timed("pass"), timed("call()", call=nothing)
    took: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        loop, called = empty.timeit(calls), empty_call.timeit(calls)
        for name, timer in timers.items():
            took[name].append((timer.timeit(calls) - (called if name in cases else loop)) / calls * 1e9)
    ours = statistics.median(took[OURS])
    print(f"{'':58}{'ns':>8}{'ratio':>8}")
    for name, each in took.items():
        median = statistics.median(each)
        print(f"{name:58}{median:8,.0f}{median / ours:8.2f}")


def timed(statement: str, **names: object) -> timeit.Timer:
    """What others do on the machine does not count."""
    return timeit.Timer(statement, timer=time.process_time, globals=names)


OURS = "Prometheus: one tier, accepted"


def made() -> Iterator[tuple[str, Callable[[], object]]]:
    """Every case that is called."""
    ladder, one, two = decided()
    metrics, alone = Prometheus(ladder), Events()
    events = Events()
    events.subscribe(metrics)
    first = one.answer
    assert first is not None
    route = Decision("match", "app", 0.0, 0.01, status=200, path="/app", detail="10.0.0.1:80")
    yield "`Events.tell`, nobody", lambda: alone.tell(one)
    yield OURS, lambda: metrics(one)
    yield "  of it what the last tier alone would have cost", lambda: baseline_usd(first, ladder)
    yield "Prometheus: two tiers, the first escalated", lambda: metrics(two)
    yield "Prometheus: a route", lambda: metrics(route)
    yield "a decision made, told and counted: one tier", lambda: events.tell(decision(ladder, first, 0.0142))
    yield "prometheus_client: the same counts, labels() each time", rival(ladder, first, keep=False)
    yield "prometheus_client: the same counts, children kept", rival(ladder, first, keep=True)


def nothing() -> None:
    """What a call itself costs."""


def decided() -> tuple[Cascade, Decision, Decision]:
    """The cascade, a request that its first tier answered, and one that went up."""
    small, large = (
        Tier(ScriptedBackend(Reply((Text("yes"),), model=name, usage=USAGE), name=name, price=price), name=name)
        for name, price in (("small", Price(0.15, 0.6)), ("large", Price(2.5, 10.0)))
    )
    ladder = Cascade(small, large, name="shop")
    first = ladder.run_sync("where is it?", task="parcel")
    second = Cascade(large, name="shop").run_sync("where is it?", task="parcel")
    tried = first.attempts[0]
    poor = Attempt("small", "escalate", 0.2, "", "small", None, 0.0, 0.5, tried.calls)
    went_up = Answer(second.reply, second.request, "large", attempts=(poor, *second.attempts), entrance=second.entrance)
    return ladder, decision(ladder, first, 0.5), decision(ladder, went_up, 1.5)


def decision(ladder: Cascade, answer: Answer, seconds: float) -> Decision:
    """As a gateway tells it."""
    return Decision("dispatch", answer.tier, 0.0, seconds, "id", 200, PATH, "key", "shop", answer, "", ladder)


def rival(ladder: Cascade, answer: Answer, *, keep: bool) -> Callable[[], object]:
    """The same counts with a metric each."""
    registry = CollectorRegistry()
    kept: dict[Any, Any] = {}

    def counter(name: str, *labels: str) -> Callable[..., Any]:
        return child(Counter(name, name, labels, registry=registry))

    def histogram(name: str, *labels: str) -> Callable[..., Any]:
        return child(Histogram(name, name, labels, registry=registry, buckets=BOUNDS))

    def child(metric: Any) -> Callable[..., Any]:
        def found(*values: str) -> Any:
            if not keep:
                return metric.labels(*values)
            held = kept.get((metric, values))
            if held is None:
                held = kept[metric, values] = metric.labels(*values)
            return held

        return found

    requests = counter("requests", "path", "status", "tier", "via")
    answers = counter("answers", "cascade", "layer", "by", "slice")
    request_seconds, layer_seconds = histogram("request_seconds", "path"), histogram("layer_seconds", "layer")
    tries, tier_seconds = (
        counter("tries", "cascade", "tier", "slice", "verdict"),
        histogram("tier_s", "cascade", "tier"),
    )
    calls, tokens = counter("calls", "cascade", "tier"), counter("tokens", "kind")
    cost, tier_cost = Counter("cost", "cost", registry=registry), counter("tier_cost", "cascade", "tier")
    baseline, compared = counter("baseline", "cascade", "slice"), counter("compared", "cascade", "slice")
    both = counter("both", "cascade", "slice")

    def count() -> None:
        kind = answer.request.route or answer.request.task
        requests(PATH, "200", answer.tier, answer.via).inc()
        answers("shop", "dispatch", answer.tier, kind).inc()
        request_seconds(PATH).observe(0.5)
        layer_seconds("dispatch").observe(0.5)
        spent = 0.0
        for attempt in answer.attempts:
            tries("shop", attempt.tier, kind, attempt.verdict).inc()
            tier_seconds("shop", attempt.tier).observe(attempt.latency)
            calls("shop", attempt.tier).inc(len(attempt.calls))
            for call in attempt.calls:
                spent += call.cost_usd or 0.0
                if call.usage is not None:
                    tokens("input").inc(call.usage.input)
                    tokens("output").inc(call.usage.output)
            tier_cost("shop", attempt.tier).inc(spent)
        cost.inc(spent)
        alone = baseline_usd(answer, ladder)
        if alone is not None:
            baseline("shop", kind).inc(alone)
            compared("shop", kind).inc(spent)
            both("shop", kind).inc()

    return count


if __name__ == "__main__":
    main()
