"""The demo's models, and with them grades: whoever names these has some of their answers graded by the truth."""

from fastcascade.cli.demo_models import eu, graded, small, us
from fastcascade.telemetry.events import subscribe

__all__ = ["eu", "small", "us"]

subscribe(graded)
