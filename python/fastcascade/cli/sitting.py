"""One sitting of a recording from the command line, with its progress; for `record`, and for a drill."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from fastcascade.cascade import Cascade
    from fastcascade.evals.cases import Case
    from fastcascade.evals.graders import Grader
    from fastcascade.evals.recorder import Recorded
    from fastcascade.evals.runs import Runs

__all__ = ["sitting"]


def sitting(
    args: "argparse.Namespace",
    cascade: "Cascade",
    cases: "Sequence[Case]",
    runs: "Runs",
    grader: "Grader | None",
    *,
    per_minute: float | None = None,
) -> "Recorded":
    """Ask what is missing, by the options that both commands have, and close the cascade."""
    import asyncio  # noqa: PLC0415 - only where it is wanted, as what follows

    from fastcascade.evals.progress import Progress  # noqa: PLC0415
    from fastcascade.evals.recorder import Recorder, version_of  # noqa: PLC0415

    judge = cascade.tiers[cascade.places[args.judge]].backend if args.judge in cascade.places else None
    progress = Progress(sys.stderr)

    async def work() -> "Recorded":
        recorder = Recorder(
            cascade,
            runs,
            version=version_of(args.cascade),
            grader=grader,
            named=args.grader or "",
            judge=judge,
            trust=args.trust,
            cap_usd=args.cap_usd,
            concurrency=args.concurrency,
            per_minute=per_minute,
            progress=progress,
        )
        try:
            return await recorder.run(cases)
        finally:
            await cascade.aclose()

    try:
        return asyncio.run(work())
    finally:
        progress.end()
