"""Proof: what quality and cost are on one's own cases, with error bars. `pip install 'fastcascade[evals]'`."""
