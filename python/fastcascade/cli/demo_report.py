"""What `fastcascade demo` prints of its cascade: a line for each request, the sums, other thresholds."""

from collections.abc import Iterable, Sequence
from textwrap import shorten, wrap
from typing import Final

from fastcascade.cli.demo_cascade import SAMPLES, Asked, Trial
from fastcascade.cli.demo_sums import Sums, comparing_usd
from fastcascade.cli.report import table
from fastcascade.evals.live_bounds import Interval, exact
from fastcascade.evals.savings import FEWEST

__all__ = ["WIDTH", "opening", "summary", "thresholds", "trace_line"]

WIDTH: Final = 100
COLUMNS: Final = (("request", -31), ("way", -21), ("score", 5), ("right", 5), ("cost", 8), ("why", -20))
SURE: Final = "95 % interval"
WITHIN: Final = 0.05
"""How near a saving should be known."""
MEANINGS: Final = {0.3: "any will do", 0.6: "2 of 3 agree", 1.0: "all 3 agree"}


def opening(trial: Trial) -> list[str]:
    """What is about to be shown, and what it is not."""
    rates = [
        f"{model}, ${price.input:g} in and ${price.output:g} out"
        for model, price in zip(trial.models, trial.prices, strict=True)
    ]
    days = " and ".join(sorted({price.date or "a day not known" for price in trial.prices}))
    where = "the real API" if trial.live else "recorded answers: no key, no network"
    lines = [
        f"1. A cascade of three tiers answers {len(trial.questions)} requests ({where})",
        "",
        "rules   patterns and known questions; free",
        f"cheap   {rates[0]}; its reply is judged by {SAMPLES - 1} samples more",
        f"large   {rates[1]}; asked where less than {100 * trial.accept:.0f} % of the {SAMPLES} replies agree",
        f"Prices are US dollars per million tokens, of {days}.",
    ]
    if not trial.live:
        lines += _paragraph(
            "The replies were written by hand for this demo, not taken from a model; token counts are estimated "
            "from their length. So this shows how a cascade works and is counted, not how good any model is."
        )
    return [*lines, "", _line([name for name, _ in COLUMNS])]


def trace_line(each: Asked) -> str:
    """One request: the way it took, the last score, what it cost, and why it stopped or went on."""
    judged = next((attempt for attempt in reversed(each.answer.attempts) if attempt.tier == "cheap"), None)
    score = judged.score if judged else None
    if judged is None:
        why = "a rule answers" if each.answer.tier == "rules" else each.answer.degraded
    elif judged.error:
        why = f"{judged.error.kind}: {judged.error.message}"
    else:
        why = judged.reason.split(",")[0]
    cells = [
        each.question.ask,
        " > ".join(each.path),
        "-" if score is None else f"{score:.2f}",
        "-" if each.right is None else "yes" if each.right else "no",
        _usd(each.answer.cost_usd),
        why or each.answer.degraded,
    ]
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    shown = []
    for cell, (_, width) in zip(cells, COLUMNS, strict=True):
        text = shorten(cell, abs(width), placeholder="...")
        shown.append(text.ljust(-width) if width < 0 else text.rjust(width))
    return "  ".join(shown).rstrip()


def summary(trial: Trial, asked: Sequence[Asked], made: Sums) -> Iterable[str]:
    """The sums, with their n and how sure they are."""
    rows = [
        [tier.name, str(tier.answered), *_share(tier.answered, made.n), _at_least(tier.known_usd, tier.unknown)]
        for tier in made.tiers
    ]
    if nobody := made.n - sum(tier.answered for tier in made.tiers):
        rows.append(["no tier", str(nobody), *_share(nobody, made.n), "-"])
    if failures := sorted({failure for each in asked for failure in each.failures}):
        for failure in failures:
            yield from _paragraph(f"Failed: {failure}")
        yield ""
    yield from table([f"answered, of {made.n}", "n", "share", SURE, "its calls cost"], rows)
    yield ""
    rate, sure = _share(made.escalated, made.tried)
    yield from _paragraph(
        f"Escalated: {made.escalated} of the {made.tried} that came to the cheap model, {rate} (95 % interval {sure})."
    )
    if made.fell_back:
        yield f"Fell back, as the cheap model failed: {made.fell_back} of them."
    whose = "own" if trial.live else "recorded"
    alone = f"{_usd(made.large_usd)} for {_compared(made)}, counted in the same way from its {whose} replies"
    yield from _paragraph(
        f"Cost: {_known(made.known_usd, made.unknown)} for {made.n} requests. The large model alone: "
        f"{alone if made.compared else 'not known'}."
    )
    if trial.live:
        yield f"To ask it for that comparison cost {_usd(comparing_usd(asked))} more."
    yield from _paragraph(_saved(made))
    rate, sure = _share(made.right, made.graded)
    alone, sure_alone = _share(made.alone_right, made.alone_graded)
    yield from _paragraph(
        f"Right: {made.right} of {made.graded} answers where one is right, {rate} ({sure}); the large model alone: "
        f"{made.alone_right} of {made.alone_graded}, {alone} ({sure_alone})."
    )
    yield "Intervals of shares are exact (Clopper and Pearson); those of savings a bootstrap over requests."


def _compared(made: Sums) -> str:
    return "the same" if made.compared == made.n else f"the {made.compared} of them where both costs are known"


def _saved(made: Sums) -> str:
    if made.saved is None:
        return "Saved: not known, as there is no request of which both costs are known."
    rules, cheap = (f"{100 * part:.1f} points" for part in made.saved_by.values())
    said = f"Saved: {100 * made.saved:.1f} % of the large model's cost, n = {made.compared}"
    parts = f"Of it the rules bring {rules}, and the cheap model, its samples and escalations paid, {cheap}."
    if made.saved_interval is None:
        return f"{said}; too few for an interval, which takes {FEWEST}, and rather 100. {parts}"
    low, high = made.saved_interval
    half = (high - low) / 2
    said = f"{said} (95 % interval {_interval(made.saved_interval)}). {parts}"
    if half > WITHIN:
        # The width of an interval falls with the root of n.
        wanted = round(made.compared * (half / WITHIN) ** 2, -1)
        said += f" To know it within {100 * WITHIN:.0f} points takes about {wanted:.0f} requests such as these."
    return said


def thresholds(trial: Trial, replayed: Sequence[Sums]) -> Iterable[str]:
    """The same recording under other thresholds."""
    yield f"The same {len(trial.questions)} requests at other thresholds, replayed from the recording without a call"
    yield ""
    rows = []
    for made in replayed:
        name = f"{'*' if made.accept == trial.accept else ' '} {made.accept:g}"
        escalated = f"{made.escalated} of {made.tried}"
        saved = "-" if made.saved is None else f"{100 * made.saved:.1f} %"
        sure = "-" if made.saved_interval is None else _interval(made.saved_interval)
        right = [f"{made.right} of {made.graded}", _share(made.right, made.graded)[1]]
        cost = _at_least(made.known_usd, made.unknown)
        rows.append([name, escalated, cost, saved, sure, *right, MEANINGS.get(made.accept, "")])
    last = replayed[-1]
    right = [f"{last.alone_right} of {last.alone_graded}", _share(last.alone_right, last.alone_graded)[1]]
    alone = _at_least(last.large_usd, last.n - last.compared) if last.compared else "-"
    rows.append(["  -", "-", alone, "-", "-", *right, "large alone"])
    yield from table(["  accept", "escalated", "cost", "saved", SURE, "right", SURE, "note"], rows)
    yield ""
    yield from _paragraph(_next(trial, replayed))


def _next(trial: Trial, replayed: Sequence[Sums]) -> str:
    own = "then cascade.run on your own requests, and record and replay to choose its threshold"
    made = next(each for each in replayed if each.accept == trial.accept)
    if not made.compared:
        return "Try next: mend what failed; fastcascade demo --recorded shows the whole without the real API."
    if trial.live and made.saved_by.get("cheap", 0.0) <= 0:
        return (
            f"Try next: a pair further apart in price, with --cheap and --large: {SAMPLES} replies of this cheap model "
            f"and what it escalates cost more than the large one alone; {own}."
        )
    if trial.live:
        return f"Try next: --accept 1.0, or other models with --cheap and --large; {own}."
    return f"Try next: fastcascade demo --accept 1.0; with ANTHROPIC_API_KEY set it asks the real models; {own}."


def _usd(cost: float | None) -> str:
    return "-" if cost is None else f"${cost:.5f}"


def _at_least(cost: float, unknown: int) -> str:
    """Where some of it is not known, what is known and a sign of the rest."""
    return f"{_usd(cost)} + ?" if unknown else _usd(cost)


def _known(cost: float, unknown: int) -> str:
    return f"{_usd(cost)}, and {unknown} of unknown cost," if unknown else _usd(cost)


def _share(part: int, whole: int) -> tuple[str, str]:
    """A share, and how sure it is."""
    return (f"{100 * part / whole:.0f} %", _interval(exact(part, whole))) if whole else ("-", "-")


def _interval(interval: Interval) -> str:
    return f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %"


def _paragraph(text: str) -> list[str]:
    return wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
