"""Graders: how right an answer to a case is. `Grade.score` is None where that could not be told.

words.py      Exact, Normalized, Regex, Choice
numbers.py    Numeric
forms.py      Schema
own.py        Function, Subprocess
judged.py     Judged
names.py      grader_of("numeric:0.01"), grader_for(case, default)
"""

from fastcascade.evals.graders.forms import Schema
from fastcascade.evals.graders.grader import Grade, Grader
from fastcascade.evals.graders.judged import Judged
from fastcascade.evals.graders.names import grader_for, grader_of
from fastcascade.evals.graders.numbers import Numeric
from fastcascade.evals.graders.own import Function, Subprocess
from fastcascade.evals.graders.words import Choice, Exact, Normalized, Regex

__all__ = [
    "Choice",
    "Exact",
    "Function",
    "Grade",
    "Grader",
    "Judged",
    "Normalized",
    "Numeric",
    "Regex",
    "Schema",
    "Subprocess",
    "grader_for",
    "grader_of",
]
