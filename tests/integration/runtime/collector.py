"""A collector of traces: takes OTLP over HTTP, keeps every span, or refuses them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SOON_S = 15.0
ERROR = 2


class Got(Struct, frozen=True, kw_only=True):
    """One span as it arrived."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    failed: bool
    why: str


class Collector:
    """Where spans arrive."""

    def __init__(self) -> None:
        self.spans: list[Got] = []
        self.requests = 0
        self.refuses = False
        self.url = ""
        self._more = Condition()

    def take(self, path: str, body: bytes) -> int:
        """Keep what a request brings; return the status of the answer."""
        with self._more:
            self.requests += 1
            if path == "/v1/traces" and not self.refuses:
                self.spans += _read(body)
            self._more.notify_all()
        return 400 if self.refuses else 200

    def until(self, count: int) -> list[Got]:
        """Return every span once there are ``count``."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.spans) >= count, SOON_S), self.spans
            return list(self.spans)

    def until_asked(self) -> None:
        """Return once somebody sent something."""
        with self._more:
            assert self._more.wait_for(lambda: self.requests > 0, SOON_S)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Yield a collector that listens on a free port."""
    collector = Collector()

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(collector.take(self.path, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep the output of tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    listening = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    listening.start()
    try:
        yield collector
    finally:
        server.shutdown()
        listening.join()
        server.server_close()


def _read(body: bytes) -> list[Got]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Got(
            service=_values(of.resource.attributes)["service.name"],
            name=span.name,
            kind=span.kind,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            links=tuple((each.trace_id.hex(), each.span_id.hex()) for each in span.links),
            attributes=_values(span.attributes),
            failed=span.status.code == ERROR,
            why=span.status.message,
        )
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
