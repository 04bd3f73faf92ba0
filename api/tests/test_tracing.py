"""Traces as a collector gets them: a server that makes them, and an OTLP receiver that reads what comes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from codesession_api.settings import SettingsError, load

KEY = "canary-key-5b1d"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "canary=state"}


class Collector:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.session = ""
        """Of the run."""
        self.url = ""

    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        resources = [spans for request in requests for spans in request.resource_spans]
        return [span for one in resources for scope in one.scope_spans for span in scope.spans]

    def services(self) -> set[str]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        resources = [spans.resource for request in requests for spans in request.resource_spans]
        return {
            pair.value.string_value
            for one in resources
            for pair in one.attributes
            if pair.key == "service.name"
        }


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            collector.bodies.append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def attributes(span: Span) -> dict[str, Any]:
    found = {}
    for pair in span.attributes:
        found[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return found


@pytest.fixture(scope="module")
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """What came of three requests and of looks at the server's health, at the end of the server."""
    directory = tmp_path_factory.mktemp("traced")
    (directory / "keys").write_text(f"acme:{hashlib.sha256(KEY.encode()).hexdigest()}")
    run_server = request.getfixturevalue("run_server")
    settings = {"auth": "api-key", "api_keys_file": directory / "keys"}
    with collecting() as collector:
        with run_server(directory, **settings, traces_endpoint=collector.url) as server:
            assert server.client.get("/livez").status_code == 200
            assert server.client.get("/v1/files/canary-session", headers=TRACEPARENT).status_code == 401
            server.client.headers["X-API-Key"] = KEY
            ref = server.upload("canary-name.csv", b"canary-contents")
            body = {
                "lang": "py",
                "code": "print('canary-code'); open('canary-output', 'w').write('canary-bytes')",
                "args": ["canary-argument"],
                "files": [ref],
            }
            answer = server.client.post("/v1/exec", json=body, headers=TRACEPARENT).json()
            assert answer["stdout"] == "canary-code\n"
            collector.session = answer["session_id"]
        return collector


@pytest.mark.sandbox
def test_a_request_is_a_trace_of_its_steps_within_its_clients(traced: Collector) -> None:
    spans = [span for span in traced.spans() if span.trace_id.hex() == TRACE]
    (root,) = [span for span in spans if span.name == "POST /exec"]
    assert root.parent_span_id.hex() == PARENT
    assert root.kind == Span.SPAN_KIND_SERVER
    told = attributes(root)
    assert told.pop("codesession.request_id")
    assert told == {
        "http.request.method": "POST",
        "http.route": "/exec",
        "http.response.status_code": 200,
    }
    steps = {span.name: span for span in spans if span.parent_span_id == root.span_id}
    assert {"auth", "claim", "inputs", "run", "outputs"} <= steps.keys()
    assert attributes(steps["inputs"]) == {"codesession.files": 1, "codesession.mounted": 1}
    assert attributes(steps["run"]) == {"codesession.language": "py", "codesession.outcome": "exit"}
    assert attributes(steps["outputs"]) == {"codesession.changed": 1, "codesession.stored": 1}
    moved = {span.name: span for span in spans if span.parent_span_id == steps["inputs"].span_id}
    assert attributes(moved["objects.get"]) == {"codesession.bytes": len("canary-contents")}
    stored = [span for span in spans if span.parent_span_id == steps["outputs"].span_id]
    assert {"codesession.bytes": len("canary-bytes")} in map(attributes, stored)
    assert traced.services() == {"codesession-api"}


@pytest.mark.sandbox
def test_of_a_refusal_its_type_is_told(traced: Collector) -> None:
    (refused,) = [span for span in traced.spans() if span.name == "auth" and span.status.message]
    assert refused.status == Status(message="Unauthorized", code=Status.STATUS_CODE_ERROR)
    assert not refused.events


@pytest.mark.sandbox
def test_no_span_tells_what_was_sent_or_made_nor_where(traced: Collector) -> None:
    sent = b"".join(traced.bodies)
    assert b"canary" not in sent
    assert KEY.encode() not in sent
    assert traced.session.encode() not in sent
    assert not [span.name for span in traced.spans() if "livez" in span.name]


@pytest.mark.sandbox
def test_what_goes_on_outside_of_requests_is_no_span(traced: Collector) -> None:
    """As the sweep, which asks the store for everything."""
    first = [span for span in traced.spans() if not span.parent_span_id]
    assert {span.kind for span in first} == {Span.SPAN_KIND_SERVER}


@pytest.mark.sandbox
def test_without_its_collector_a_server_serves_and_ends(
    run_server: Any, tmp_path: Path, unused_port: int
) -> None:
    with run_server(tmp_path, traces_endpoint=f"http://127.0.0.1:{unused_port}/v1/traces") as server:
        assert server.exec("print(1)")["stdout"] == "1\n"


async def test_fastapi_itself_tells_a_collector_nothing(
    monkeypatch: pytest.MonkeyPatch, application: Any
) -> None:
    """Its spans have the path, its log records the text of exceptions; asked by these it would send them."""
    turns = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> dict[str, str]:
        if len(turns) == 1:
            assert (await application.user().get("/files/{}", "A" * 21)).status_code == 200
        return turns.pop(0)

    async def send(message: dict[str, Any]) -> None:
        pass

    with collecting() as collector:
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.removesuffix("/v1/traces"))
        application.start()
        await application.app({"type": "lifespan", "state": {}}, receive, send)
    assert turns == []
    assert collector.bodies == []


def test_where_it_is_off_nothing_of_it_is_imported() -> None:
    parts = ("cli", "serve", "objects.s3", "sandboxes.kubernetes", "sandboxes.local")
    code = f"""
import importlib, sys
from codesession_api import tracing
from codesession_api.settings import load
for part in {parts}:
    importlib.import_module("codesession_api." + part)
with tracing.opened(load(backend="local")), tracing.request("") as outer, tracing.span("a", n=1) as inner:
    assert outer is inner is tracing.NOTHING
assert not [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "endpoint",
    ["collector:4318", "ftp://collector/v1/traces", "http://user:key@collector/v1/traces", "http://"],
)
def test_an_endpoint_is_a_url_without_a_key(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="CODESESSION_TRACES_ENDPOINT"):
        load(backend="local", traces_endpoint=endpoint)
