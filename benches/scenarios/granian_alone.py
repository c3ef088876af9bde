"""What we are built on, alone: granian with one answer, and with pyreqwest as a proxy. Neither looks at a route."""

from contender import Contender
from mission_mix import PAGE, Mix
from with_granian import granian
from with_nginx import GET


def answering(mix: Mix, workers: int = 1) -> Contender:
    """Answers all by itself."""
    more = {**GET, "environment": {"PAGE": PAGE}, "note": "one answer, routes nothing"}
    return granian("granian alone", "hello", path=mix.asked[0][0], **more)


def passing(mix: Mix, upstream: str, workers: int = 1) -> Contender:
    """Passes all to one place."""
    more = {**GET, "environment": {"UPSTREAM": f"http://{upstream}"}, "note": "with pyreqwest, routes nothing"}
    return granian("granian alone", "passing", path=mix.asked[0][0], **more)
