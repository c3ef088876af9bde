"""The names of `fastcascade.evals` where the extra is not installed."""

import subprocess
import sys
from typing import Final

import pytest

SCRIPT: Final = """
import sys
sys.modules["{lacking}"] = None
from fastcascade.evals import Case, Shadow, Runs, QualityAlarm
try:
    from fastcascade.evals import {name}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "lacking"), [("guarantee", "numpy"), ("outcomes_of", "numpy"), ("guarantee", "scipy")]
)
def test_what_needs_the_extra_names_it(name: str, lacking: str) -> None:
    """Without numpy or scipy what needs them says how to get them, and what runs in a server does without."""
    script = SCRIPT.format(name=name, lacking=lacking)
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert made.stdout.startswith(f"fastcascade.evals.{name} needs {lacking}")
    assert made.stdout.endswith("pip install 'fastcascade[evals]'\n")
