"""ETH's cascade routing (Dekoninck, Baader, Vechev 2024): it is not on PyPI, so a checkout is named by a variable.

    git clone https://github.com/eth-sri/cascade-routing
    pip install "numpy<2.4" scipy scikit-learn loguru hyperopt
    CASCADE_ROUTING=cascade-routing python benches/rivals/cascades/all.py

Only its algorithm is loaded, not the torch and transformers its package asks for. Estimators give constants at once,
so what is timed is the decision alone; lambdas and gamma are set rather than fitted, which costs nothing at run time.
"""

import importlib
import os
import sys
import tomllib
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

from said import GOOD, LAMBDA, QUESTION, STANDINGS, costs, qualities

PACKAGE = "selection"


def _algorithm() -> tuple[Any, Any, Any]:
    where = os.environ.get("CASCADE_ROUTING")
    if not where:
        raise ImportError("not on PyPI; clone github.com/eth-sri/cascade-routing and name it in CASCADE_ROUTING")
    folder = Path(where).resolve() / "src" / "selection"
    if not folder.is_dir():
        msg = f"no src/selection in CASCADE_ROUTING={where}"
        raise ImportError(msg)
    package = ModuleType("selection")  # in the place of its __init__, which imports torch
    package.__path__ = [str(folder)]
    about = tomllib.loads((folder.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    package.__version__ = about["project"]["version"]
    sys.modules["selection"] = package
    router = importlib.import_module("selection.cascade_router").CascadeRouter
    quality = importlib.import_module("selection.quality_computer").BaseQualityComputer
    cost = importlib.import_module("selection.cost_computer").BaseCostComputer
    return router, quality, cost


def decide(tiers: int) -> Callable[[], Any]:
    import numpy as np

    router_class, base_quality, base_cost = _algorithm()
    # What has been run is known better than what has not.
    sigmas = np.array([np.diag([1e-6] + [0.04] * (tiers - 1))])
    known = [
        (np.array([[score, *qualities(tiers)[1:]]]), np.array([costs(tiers, length)])) for score, length in STANDINGS
    ]
    now = known[0]

    class Quality(base_quality):  # type: ignore[misc, valid-type]
        """What is known of the models' quality."""

        def predict(self, questions: Any, answers: Any) -> Any:
            return now[0], sigmas

    class Cost(base_cost):  # type: ignore[misc, valid-type]
        """What they cost."""

        def predict(self, questions: Any, answers: Any) -> Any:
            return now[1]

    names = [f"model-{index}" for index in range(tiers)]
    router = router_class(Quality(), Cost(), models=names, max_expected_cost=0.005)
    router.lambdas, router.gamma = [LAMBDA] * tiers, 0.5
    answers, questions, predict = [[GOOD] + [None] * (tiers - 1)], [QUESTION], router.predict
    following = cycle(known).__next__

    def run() -> Any:
        nonlocal now
        now = following()
        return predict(questions, answers)[0]

    return run
