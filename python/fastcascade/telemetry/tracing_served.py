"""Traces of a gateway: as `[gateway.tracing]` says, sent over OTLP to where OpenTelemetry's own variables point.

`OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`, `OTEL_BSP_*`, `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`
and `OTEL_SERVICE_NAME` are read by its SDK. A collector that is away holds up nobody: spans wait in a queue of
bounded length, and what does not fit is dropped.
"""

import os
import threading
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError
from fastcascade.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from fastcascade.gateway.settings_seen import TracingSettings

__all__ = ["Served", "tracing_of"]

PATIENCE: Final = 3.0
"""Seconds that a worker waits at its end for what has not been sent yet."""
PROTOCOL: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Served(Tracing):
    """Tracing with a provider of its own, which ends with it."""

    def end(self) -> None:
        """Trace no more, and send what waits, within `PATIENCE`: a collector that is away must not keep a worker."""
        provider, self.provider = self.provider, None
        super().end()
        shutdown = getattr(provider, "shutdown", None)
        if shutdown is not None:
            last = threading.Thread(target=shutdown, name="fastcascade-tracing", daemon=True)
            last.start()
            last.join(PATIENCE)


def tracing_of(settings: "TracingSettings") -> Served:
    """Tracing as a file says. Raises `ConfigError` where a package is missing, or a variable cannot be read."""
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - for those who trace
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise ConfigError("[gateway.tracing] needs OpenTelemetry's SDK: pip install 'fastcascade[otel]'") from None
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    try:
        resource = Resource.create({} if named else {"service.name": settings.service})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(_exporter()))
    except (ValueError, TypeError) as error:
        msg = f"[gateway.tracing]: a variable that begins with OTEL_ cannot be read ({type(error).__name__})"
        raise ConfigError(msg) from None
    return Served(provider, texts=settings.texts, share=settings.share)


def _exporter() -> Any:
    """What sends spans: over HTTP, unless the variables say gRPC."""
    told = next((value for name in PROTOCOL if (value := os.environ.get(name))), "http/protobuf")
    try:
        if told == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # type: ignore[import-not-found] # noqa: PLC0415 # it may not be there
                OTLPSpanExporter,
            )
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError:
        kind = "grpc" if told == "grpc" else "http"
        msg = f"[gateway.tracing] needs an exporter: pip install 'opentelemetry-exporter-otlp-proto-{kind}'"
        raise ConfigError(msg) from None
    return OTLPSpanExporter()
