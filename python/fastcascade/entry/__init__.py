"""Layer 0 within: the places where a backend can be asked, who is asked next, and how they are known to be well."""

from fastcascade.entry.balance import Balancer, ByPrefix, LeastOutstanding, PowerOfTwo, RoundRobin
from fastcascade.entry.health import Health
from fastcascade.entry.instance import Instance
from fastcascade.entry.outliers import Outliers
from fastcascade.entry.pool import Pool
from fastcascade.entry.seen import Seen

__all__ = [
    "Balancer",
    "ByPrefix",
    "Health",
    "Instance",
    "LeastOutstanding",
    "Outliers",
    "Pool",
    "PowerOfTwo",
    "RoundRobin",
    "Seen",
]
