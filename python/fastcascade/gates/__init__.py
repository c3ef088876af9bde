"""Checks after a reply: how likely is it to be good enough? One file each, cheapest first in this list.

    Structure        schema, pattern, length, truncation, refusal, tool calls     microseconds
    Hedging          phrases that show doubt, in several languages                microseconds
    Logprobs         the probabilities the model gave its tokens                  microseconds, where they are given
    SelfReport       the model's own estimate                                     a line in the same call, or one more
    UserCheck        your function            Command   your program              whatever they take
    Similarity       near enough to what it should be like                        an embedding
    Consistency      several samples that agree                                   k - 1 more calls
    Judge            another model's opinion                                      one more call
    Learned          several of these, weighed by what a fit has found            what they take
    Gain             likewise: would the next tier be right where this one is not  what they take

    all_of  any_of  weighted  first_decisive    several gates as one
    Isotonic  Platt  Slices  calibrate          from a raw score to a probability

What a gate cannot judge it abstains from, and abstaining is not passing.
"""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.gates.calibration import Calibration, Isotonic, Platt, Slices, calibrate
    from fastcascade.gates.check import Command, UserCheck
    from fastcascade.gates.combine import all_of, any_of, first_decisive, weighted
    from fastcascade.gates.consistency import Consistency
    from fastcascade.gates.gain import Gain
    from fastcascade.gates.gate import Calibrator, Exam, Gate, Judging, Verdict, Watch
    from fastcascade.gates.hedging import Hedging
    from fastcascade.gates.judge import Judge
    from fastcascade.gates.learned import Learned
    from fastcascade.gates.logprobs import Logprobs
    from fastcascade.gates.self_report import SelfReport
    from fastcascade.gates.similarity import Similarity
    from fastcascade.gates.structure import Structure

__all__ = [
    "Calibration",
    "Calibrator",
    "Command",
    "Consistency",
    "Exam",
    "Gain",
    "Gate",
    "Hedging",
    "Isotonic",
    "Judge",
    "Judging",
    "Learned",
    "Logprobs",
    "Platt",
    "SelfReport",
    "Similarity",
    "Slices",
    "Structure",
    "UserCheck",
    "Verdict",
    "Watch",
    "all_of",
    "any_of",
    "calibrate",
    "first_decisive",
    "weighted",
]

__getattr__ = loader(
    __name__,
    {
        "calibration": "Calibration Isotonic Platt Slices calibrate",
        "check": "Command UserCheck",
        "combine": "all_of any_of first_decisive weighted",
        "consistency": "Consistency",
        "gain": "Gain",
        "gate": "Calibrator Exam Gate Judging Verdict Watch",
        "hedging": "Hedging",
        "judge": "Judge",
        "learned": "Learned",
        "logprobs": "Logprobs",
        "self_report": "SelfReport",
        "similarity": "Similarity",
        "structure": "Structure",
    },
)
