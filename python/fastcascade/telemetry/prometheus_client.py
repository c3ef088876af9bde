"""What we count, for those who serve their metrics with `prometheus_client`."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fastcascade.errors import ConfigError
from fastcascade.telemetry.prometheus_kinds import KINDS, Sample

try:
    from prometheus_client.core import Metric
except ImportError:
    raise ConfigError("prometheus_client is not installed: pip install prometheus-client") from None

if TYPE_CHECKING:
    from prometheus_client.registry import Collector as Registered
else:
    Registered = object

__all__ = ["Collector"]


class Collector(Registered):
    """A collector, made anew of what there is at each scrape.

    Args:
        samples: all of them.
    """

    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        """Look at nothing yet."""
        self._samples = samples

    def describe(self) -> Iterator[Metric]:
        """Every family, without samples: what a registry finds names that are taken by."""
        return (_family(name) for name in KINDS)

    def collect(self) -> Iterator[Metric]:
        """Every family that has samples."""
        found: dict[str, Any] = {}
        for name, labels, value in self._samples():
            family = name if name in KINDS else name.rpartition("_")[0]
            metric = found.get(family)
            if metric is None:
                metric = found[family] = _family(family)
            metric.add_sample(name, dict(labels), value)
        return iter(found[name] for name in KINDS if name in found)


def _family(name: str) -> Metric:
    kind, text = KINDS[name]
    return Metric(name.removesuffix("_total") if kind == "counter" else name, text, kind)
