"""What tests of tracing share: spans as they are kept in memory, looked at as a tree; a collector of OTLP."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fastcascade import Cascade, Price, Tier
from fastcascade.errors import BackendError
from fastcascade.gates.check import UserCheck
from fastcascade.messages import Delta, Reply, Request, Usage
from fastcascade.telemetry.tracing import Tracing
from wire.server import Canned, Seen, WireServer

__all__ = ["PARENT", "SECRET", "Collector", "Kept", "Says", "Waits", "asks", "ladder", "traced"]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "sk-test-0123456789abcdef-of-the-provider"


@dataclass
class Kept:
    """Spans that have ended."""

    provider: TracerProvider
    exporter: InMemorySpanExporter

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, start: str) -> list[ReadableSpan]:
        """Those whose name begins so, in the order of their beginnings."""
        found = [each for each in self.spans if each.name.startswith(start)]
        return sorted(found, key=lambda each: each.start_time or 0)

    def one(self, start: str) -> ReadableSpan:
        (found,) = self.named(start)
        return found

    def tree(self) -> list[str]:
        """The names of all, each behind those of its parents, in order."""
        known = {each.context.span_id: each for each in self.spans if each.context}

        def path(span: ReadableSpan) -> str:
            above = known.get(span.parent.span_id) if span.parent else None
            return f"{path(above)} > {span.name}" if above is not None else span.name

        return sorted(map(path, self.spans))

    def everything(self) -> str:
        """All that left."""
        return "\n".join(each.to_json() for each in self.spans)


@contextmanager
def traced(**settings: Any) -> Iterator[Kept]:
    """Trace for a block; every span that was begun is to have ended by its end."""
    begun: list[Any] = []

    class Counting(SimpleSpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            begun.append(span)

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Counting(exporter))
    with Tracing(provider, **settings):
        yield Kept(provider, exporter)
    assert [each.name for each in begun if each.end_time is None] == []


def asks(span: ReadableSpan) -> str:
    """The `traceparent` that a server is to get which this span asks."""
    context = span.context
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


class Collector(WireServer):
    """Takes what is exported over HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self._news = Condition()
        self.handler = self._take

    def _take(self, seen: Seen) -> Canned:
        raw = seen.body if isinstance(seen.body, bytes) else b""
        told = ExportTraceServiceRequest()
        told.ParseFromString(gzip.decompress(raw) if seen.headers.get("content-encoding") == "gzip" else raw)
        with self._news:
            for resource in told.resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                self.services.add(names.get("service.name", ""))
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self._news.notify_all()
        return Canned.plain(200, b"", {"content-type": "application/x-protobuf"})

    def wait(self, count: int, seconds: float = 15.0) -> list[Span]:
        """Wait until there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.spans) >= count, seconds), self.spans
            return list(self.spans)


class Says:
    """A backend that says its name."""

    gives: frozenset[str] = frozenset()

    def __init__(self, name: str, error: BackendError | None = None) -> None:
        self.name, self.error = name, error
        self.inside: list[Any] = []

    async def complete(self, _request: Request, /) -> Reply:
        self.inside.append(trace.get_current_span().get_span_context())
        await asyncio.sleep(0)
        if self.error is not None:
            raise BackendError.of(self.error.failure)
        return Reply(f"I am {self.name}", self.name, usage=Usage(3, 4, 2), id="r-1")

    async def stream(self, _request: Request, /) -> AsyncIterator[Delta | Reply]:
        self.inside.append(trace.get_current_span().get_span_context())
        for piece in ("I am ", self.name):
            yield Delta("text", piece)
        yield Reply(f"I am {self.name}", self.name)


class Waits(Says):
    """One that waits until it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked = asyncio.Event()

    async def complete(self, _request: Request, /) -> Reply:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def stream(self, _request: Request, /) -> AsyncIterator[Delta | Reply]:
        self.asked.set()
        await asyncio.Event().wait()
        yield Delta("text", "never")


def unsure(_request: Request, _reply: Reply) -> float:
    """No reply will do."""
    return 0.25


def ladder(*, gate: bool = True, **more: Any) -> Cascade:
    """Two tiers; the lower one is not trusted."""
    small = Tier(Says("haiku"), name="small", gate=UserCheck(unsure) if gate else None, price=Price(1.0, 2.0))
    return Cascade(small, Tier(Says("opus"), name="large", price=Price(10.0, 20.0)), name="support", **more)
