"""Spans of requests: in memory, and as a collector receives them over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crosstower.errors import ServeError
from crosstower.serving.bundle import Bundle
from crosstower.serving.http import tracing
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Settings
from crosstower.serving.http.tracing import Tracing, check_tracing, current_trace

from ..conftest import event
from ..processes import serving
from .client import problem

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(Tracing, "from_environment", lambda: Tracing(provider))
    return found


@pytest.fixture
def traced(exporter: InMemorySpanExporter, bundle: Bundle, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(bundle=bundle.folder, state=tmp_path / "state", tracing=True)
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def spans(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, dict[str, ReadableSpan]]:
    """Return the span of the last request, and those of its stages by name."""
    found = exporter.get_finished_spans()
    exporter.clear()
    return found[-1], {span.name: span for span in found[:-1]}


def test_a_list_has_a_span_per_stage_below_the_caller(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    assert not exporter.get_finished_spans()  # the warm-up is not traced
    rules = {"boost": [{"where": "price < 100", "multiply": 1.5}]}
    body = {"user": 1, "log": True, "rules": rules}
    response = traced.post("/v1/recommend", json=body, headers=TRACEPARENT)
    assert response.status_code == 200, response.text
    whole, stages = spans(exporter)
    assert whole.name == "POST /v1/recommend"
    assert whole.kind.name == "SERVER"
    assert f"{whole.context.trace_id:032x}" == TRACE
    assert f"{whole.parent.span_id:016x}" == PARENT
    assert response.headers["traceresponse"] == f"00-{TRACE}-{whole.context.span_id:016x}-01"
    assert dict(whole.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/recommend",
        "http.response.status_code": 200,
        "crosstower.request_id": response.headers["x-request-id"],
    }
    assert list(stages) == ["queue", "retrieve", "rank", "blend", "rules", "write"]
    times = [(span.start_time, span.end_time) for span in stages.values()]
    assert times[0][0] >= whole.start_time
    assert times[-1][1] <= whole.end_time
    for (_, end), (start, _) in pairwise(times):
        assert end <= start + 1_000  # nanoseconds of rounding
    assert {span.parent.span_id for span in stages.values()} == {whole.context.span_id}


def test_other_requests_have_their_stages(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    traced.post("/v1/rank", json={"items": [1, 2, 3]})
    assert list(spans(exporter)[1]) == ["queue", "rank", "blend"]
    traced.post("/v1/similar", json={"item": 7})
    assert list(spans(exporter)[1]) == ["queue", "retrieve"]
    traced.post("/v1/events", json={"events": [event()]})
    assert list(spans(exporter)[1]) == ["write"]
    assert traced.delete("/v1/users", params={"id": "secret-user"}).status_code == 200
    whole, stages = spans(exporter)
    assert whole.name == "DELETE /v1/users"
    assert "secret-user" not in str([span.to_json() for span in (whole, *stages.values())])
    for path in ("/healthz", "/readyz", "/metrics"):
        assert "traceresponse" not in traced.get(path).headers
    assert not exporter.get_finished_spans()


def test_each_request_of_a_batch_has_its_own_trace(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    ids = [f"{number:032x}" for number in range(1, 9)]

    def ask(trace: str) -> None:
        headers = {"traceparent": f"00-{trace}-{PARENT}-01"}
        assert traced.post("/v1/recommend", json={"user": 1}, headers=headers).status_code == 200

    threads = [threading.Thread(target=ask, args=[trace]) for trace in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found: dict[str, list[str]] = {trace: [] for trace in ids}
    for span in exporter.get_finished_spans():
        found[f"{span.context.trace_id:032x}"].append(span.name)
    stages = {"queue", "retrieve", "rank", "blend", "POST /v1/recommend"}
    assert all(set(names) == stages and len(names) == 5 for names in found.values())


def test_problems_name_their_trace(
    traced: TestClient, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = traced.post("/v1/recommend", json={"k": 0}, headers=TRACEPARENT)
    assert problem(wrong, 422)["trace_id"] == TRACE
    assert spans(exporter)[0].status.is_unset  # the fault of the client
    missing = problem(traced.get("/nowhere"), 404)
    assert spans(exporter)[0].attributes["http.route"] == "none"
    assert len(missing["trace_id"]) == 32

    def broken(*_args: Any, **_more: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("crosstower.serving.http.routes.list_response", broken)
    failed = traced.post("/v1/recommend", json={"user": 1}, headers=TRACEPARENT)
    assert problem(failed, 500)["trace_id"] == TRACE
    assert spans(exporter)[0].status.status_code.name == "ERROR"


def test_a_trace_that_is_not_sampled_costs_no_spans(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    response = traced.post("/v1/recommend", json={"user": 1}, headers=headers)
    assert response.headers["traceresponse"].startswith(f"00-{TRACE}-")
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize("given", ["", "00-zz", f"00-{'0' * 32}-{PARENT}-01", "é" * 2_000])
def test_a_wrong_traceparent_begins_a_new_trace(
    traced: TestClient, exporter: InMemorySpanExporter, given: str
) -> None:
    headers = [(b"traceparent", given.encode("latin-1"))]
    response = traced.post("/v1/recommend", json={"user": 1}, headers=headers)
    assert response.status_code == 200
    assert spans(exporter)[0].parent is None


def test_baggage_is_neither_read_nor_logged(
    traced: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = TRACEPARENT | {"baggage": "a user,user=never-logged;" + ";" * 2_000}
    response = traced.post("/v1/recommend", json={"user": 1}, headers=headers)
    assert response.headers["traceresponse"].startswith(f"00-{TRACE}-")
    assert "user" not in caplog.text


def test_tracing_that_the_environment_disables_has_no_ids(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    app = create_app(Settings(bundle=bundle.folder, state=tmp_path / "state", tracing=True))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        response = client.post("/v1/recommend", json={"k": 0})
    assert "traceresponse" not in response.headers
    assert "trace_id" not in problem(response, 422)


def test_without_tracing_there_are_no_ids(client: TestClient) -> None:
    response = client.post("/v1/recommend", json={"k": 0}, headers=TRACEPARENT)
    assert "traceresponse" not in response.headers
    assert "trace_id" not in problem(response, 422)
    assert current_trace() is None


def test_a_missing_package_or_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tracing()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ServeError, match="expected otlp, console, none, got 'zipkin'"):
        check_tracing()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ServeError, match="OTLP_PROTOCOL: expected http/protobuf, got 'grpc'"):
        check_tracing()

    def missing(_name: str) -> None:
        raise ImportError(name="opentelemetry")

    monkeypatch.setattr(tracing.importlib, "import_module", missing)
    with pytest.raises(ServeError, match=r"package opentelemetry; .*crosstower\[tracing\]"):
        check_tracing()


class Collector(BaseHTTPRequestHandler):
    """Keeps what exporters send."""

    received: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_a_collector_receives_the_spans_of_a_server(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Collector, "received", [], raising=False)
    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
        options = "--tracing", "--log-format", "json"
        with serving(bundle.folder, tmp_path / "state", *options) as server:
            body = {"user": "never-logged"}
            httpx.post(f"{server.url}/v1/recommend", json=body, headers=TRACEPARENT)
            httpx.post(f"{server.url}/v1/recommend", json={"k": 0}, headers=TRACEPARENT)
        collector.shutdown()
    resources = [part for request in Collector.received for part in request.resource_spans]
    values = {a.key: a.value.string_value for r in resources for a in r.resource.attributes}
    assert values["service.name"] == "shop"
    found = [span for r in resources for scope in r.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in found} == {TRACE}
    names = [span.name for span in found]
    assert names.count("POST /v1/recommend") == 2
    assert {"queue", "retrieve", "rank", "blend"} <= set(names)
    text = (tmp_path / "server.log").read_text()
    assert "never-logged" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/v1/recommend", 200),
        ("/v1/recommend", 422),
    ]
    assert {line["trace_id"] for line in requests} == {TRACE}
