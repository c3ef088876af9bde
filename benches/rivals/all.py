"""Every comparison, one after the other, each in an interpreter of its own: `all.py --json out.json [--quick]`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import options

SCRIPTS = ("exact", "routes", "prefixes", "patterns", "caches", "hit_ratios", "rate_limits", "whole")


def main() -> int:
    """Run them, gather what they wrote, and say which failed."""
    chosen = options(__doc__ or "")
    gathered: dict[str, Any] = {}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SCRIPTS:
            print(f"\n# {name}", flush=True)
            out = Path(folder) / f"{name}.json"
            command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), "--json", str(out)]
            done = subprocess.run(command + ["--quick"] * chosen.quick, check=False)
            if done.returncode or not out.exists():
                failed.append(name)
            else:
                gathered[name] = json.loads(out.read_text(encoding="utf-8"))
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(gathered, indent=1), encoding="utf-8")
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
