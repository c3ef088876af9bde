"""The text that Prometheus reads, made where somebody asks.

What is counted is packed by its worker (`pack`), which takes it a fraction of a millisecond; whoever is asked makes the
lines of all workers (`told`) and puts those of a family together (`exposition`).
"""

import marshal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastcascade.telemetry.prometheus_kinds import KINDS, Labels, Sample
from fastcascade.telemetry.prometheus_rows import BOUNDS

__all__ = ["exposition", "pack", "samples_of", "told"]

ENDS: Final = (*map(str, BOUNDS), "+Inf")
POOR: Final = ("escalate", "abstain")
ROWS: Final = ("decided", "tried", "graded")
GRADED: Final = ("graded", "graded_weight", "graded_weight_squares", "graded_score")
FED_BACK: Final = ("feedback", "feedback_score")

Table = Mapping[Any, Sequence[float]]
Counts = dict[tuple[str, ...], float]


def pack(worker: str, tables: Mapping[str, Any], others: list[Sample]) -> bytes:
    """All of it as bytes."""
    rows = {name: {key: row.told() for key, row in tables[name].items()} for name in ROWS}
    return marshal.dumps((worker, {**tables, **rows}, others))


def samples_of(packed: bytes) -> tuple[str, list[Sample]]:
    """The worker, and all its samples."""
    worker, tables, others = marshal.loads(packed)  # noqa: S302 - a fellow worker has written it
    times = tables["times"].items()
    return worker, [
        *_requests(tables["decided"]),
        *_histograms("request_seconds", ("path",), (((path,), row) for (path, _), row in times)),
        *_histograms("layer_seconds", ("layer",), (((layer,), row) for (_, layer), row in times)),
        *_tries(tables["tried"]),
        *_histograms("tier_seconds", ("cascade", "tier"), tables["tier_times"].items()),
        *_keyed("degraded_total", ("cascade", "reason"), tables["degraded"]),
        *_keyed("regenerations_total", ("cascade", "tier", "model"), tables["again"]),
        *_columns(GRADED, ("cascade", "tier", "slice"), tables["graded"]),
        *_columns(FED_BACK, ("cascade", "tier", "source"), tables["feedback"]),
        *_keyed("notices_total", ("kind",), tables["notices"]),
        ("fastcascade_cost_unknown_total", (), tables["unknown"]),
        *others,
    ]


def _requests(rows: Table) -> Iterator[Sample]:
    requests: Counts = {}
    answers: Counts = {}
    money: dict[tuple[str, ...], list[float]] = {}
    for (path, status, layer, by, cascade, kind, tier, via), (n, *costs, both) in rows.items():
        _add(requests, (path, str(status), tier, via), n)
        _add(answers, (cascade, layer, by, kind), n)
        if both:
            _add_all(money, (cascade, kind), [*costs, both])
    yield from _keyed("requests_total", ("path", "status", "tier", "via"), requests)
    yield from _keyed("answers_total", ("cascade", "layer", "by", "slice"), answers)
    yield from _columns(("baseline_usd", "compared_usd", "compared"), ("cascade", "slice"), money)


def _tries(tries: Table) -> Iterator[Sample]:
    counts: Counts = {key: row[0] for key, row in tries.items()}
    poor: Counts = {}
    failed: Counts = {}
    sums: dict[tuple[str, ...], list[float]] = {}
    cost, read, written = 0.0, 0.0, 0.0
    for (cascade, tier, _, verdict), (n, *row, read_here, written_here) in tries.items():
        if verdict in POOR:
            _add(poor, (tier,), n)
        elif verdict == "failed":
            _add(failed, (tier,), n)
        _add_all(sums, (cascade, tier), row)
        cost, read, written = cost + row[3], read + read_here, written + written_here
    yield from _keyed("tries_total", ("cascade", "tier", "slice", "verdict"), counts)
    yield from _keyed("escalations_total", ("tier",), poor)
    yield from _keyed("failures_total", ("tier",), failed)
    yield from _columns(("calls", "calls_again", "unpriced", "tier_cost_usd"), ("cascade", "tier"), sums)
    yield "fastcascade_cost_usd_total", (), cost
    yield from _keyed("tokens_total", ("kind",), {("input",): read, ("output",): written})


def _keyed(name: str, labels: tuple[str, ...], table: Mapping[Any, float]) -> Iterator[Sample]:
    for key, value in table.items():
        yield f"fastcascade_{name}", tuple(zip(labels, key, strict=True)), value


def _columns(names: tuple[str, ...], labels: tuple[str, ...], table: Table) -> Iterator[Sample]:
    """A counter for each column of a table."""
    for place, name in enumerate(names):
        yield from _keyed(f"{name}_total", labels, {key: row[place] for key, row in table.items()})


def _add(table: Counts, key: tuple[str, ...], value: float) -> None:
    table[key] = table.get(key, 0) + value


def _add_all(table: dict[tuple[str, ...], list[float]], key: tuple[str, ...], row: Sequence[float]) -> None:
    before = table.get(key)
    table[key] = list(row) if before is None else [a + b for a, b in zip(before, row, strict=True)]


def _histograms(name: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Any]]) -> Iterator[Sample]:
    """Those of the same labels are counted as one; one without a sample is none."""
    found: dict[tuple[str, ...], list[float]] = {}
    for key, row in rows:
        _add_all(found, key, row)
    for key, row in found.items():
        if any(row):
            yield from _histogram(f"fastcascade_{name}", tuple(zip(labels, key, strict=True)), row)


def _histogram(name: str, labels: Labels, row: list[float]) -> Iterator[Sample]:
    total = 0.0
    for bound, counted in zip(ENDS, row, strict=False):
        total += counted
        yield f"{name}_bucket", (*labels, ("le", bound)), total
    yield f"{name}_sum", labels, row[-1]
    yield f"{name}_count", labels, total


def told(packed: bytes) -> str:
    """All lines of a worker, family by family, without their heads."""
    worker, samples = samples_of(packed)
    own: Labels = (("worker", worker),) if worker else ()
    return "".join(f"{name}{_said((*own, *labels))} {value:.12g}\n" for name, labels, value in samples)


def _said(labels: Labels) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{{{said}}}" if said else ""


def exposition(texts: Iterable[str]) -> str:
    """The whole text of what workers have said: all samples of a family stand together, below its head."""
    lines: dict[str, list[str]] = {name: [] for name in KINDS}
    for text in texts:
        for line in text.split("\n"):  # a label may hold what else ends a line elsewhere
            name = line.partition(" ")[0].partition("{")[0]
            family = name if name in lines else name.rpartition("_")[0]
            if family in lines:
                lines[family].append(f"{line}\n")
    return "".join(
        f"# HELP {name} {KINDS[name][1]}\n# TYPE {name} {KINDS[name][0]}\n{''.join(said)}"
        for name, said in lines.items()
        if said
    )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
