"""Programs of others send their telemetry to a live console, each from a process of its own, and find it again."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.client.test_clients import run
from tests.processes import ROOT, Console
from tests.program import Program

TELEMETRY = "/v1alpha/telemetry"


def tree(program: Program, trace_id: str) -> dict[str, Any]:
    """Return the spans of a trace by their name."""
    root = program.read(f"{TELEMETRY}/traces/{trace_id}")["root_span_id"]
    found = program.ok(program.http.post(f"{TELEMETRY}/spans/{root}/tree", json={}))["data"]
    return {span["name"]: span for span in found.values()}


def points(program: Program, metric: str, **labels: str) -> list[float]:
    """Return the values of the one series of a metric that has these labels."""
    matchers = [{"name": name, "value": value, "operator": "="} for name, value in labels.items()]
    asked = {"start_time": int(time.time()) - 10**8, "query_type": "range", "label_matchers": matchers}
    series = program.ok(program.http.post(f"{TELEMETRY}/metrics/{metric}", json=asked))["data"]
    assert len(series) == 1, series
    return [point["value"] for point in series[0]["values"]]


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_an_instrumented_program_needs_only_environment_variables(
    console: Console, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    service = f"travel-{compression}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    monkeypatch.setenv("SERVICE", service)

    trace_id = run(console, "instrumented.py").split()[-1]

    program = Program(console, "viewer")
    spans = tree(program, trace_id)
    root, chat, tool = spans["invoke_agent planner"], spans["chat acme-large"], spans["execute_tool book"]
    assert set(spans) == {root["name"], chat["name"], tool["name"], "deep", "deeper"}
    assert chat["parent_span_id"] == tool["parent_span_id"] == root["span_id"]
    assert spans["deeper"]["parent_span_id"] == spans["deep"]["span_id"]
    assert (root["status"], tool["status"]) == ("ok", "error")
    assert "no seats left" in tool["attributes"]["error"]
    assert chat["attributes"]["gen_ai.usage.input_tokens"] == 210
    assert chat["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert spans["deeper"]["attributes"] == {"ok": True, "sizes": [1, 2], "ratio": 0.25}

    mine = [{"key": "session_id", "op": "eq", "value": service}]
    found = program.ok(program.http.post(f"{TELEMETRY}/traces", json={"attribute_filters": mine}))["data"]
    assert [trace["trace_id"] for trace in found] == [trace_id]
    assert points(program, "trips", service=service, city="Porto") == [3.0, 4.0]
    assert points(program, "trip.duration_count", service=service) == [1.0, 1.0]
    assert points(program, "trip.duration_sum", service=service) == [1.5, 1.5]
    assert points(program, "trips.waiting", service=service)[:2] == [1.0, 2.0]


def test_the_program_of_the_guide_sends_its_span(console: Console, tmp_path: Path) -> None:
    guide = (ROOT / "docs/telemetry.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)[:1])
    shell = shell.replace("http://127.0.0.1:8000", console.url)
    shell = re.sub(r"STACK_CONSOLE_KEY=\$\(.*\)", f"STACK_CONSOLE_KEY={console.key()}", shell)  # of this console
    (tmp_path / "program.py").write_text(code)

    command = f"{shell}\n{sys.executable} program.py"
    done = subprocess.run(command, shell=True, cwd=tmp_path, text=True, capture_output=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    program = Program(console, "viewer")
    asked = [{"key": "gen_ai.request.model", "op": "eq", "value": "my-model"}]
    found = program.ok(program.http.post(f"{TELEMETRY}/traces", json={"attribute_filters": asked}))["data"]
    assert len(found) == 1


@pytest.mark.parametrize("version", ["0.2.23", "0.2.12"])
def test_the_client_logs_events(console: Console, version: str) -> None:
    trace_id, root_id, _ = run(console, "events.py", version).split()[-3:]

    program = Program(console, "viewer")
    spans = tree(program, trace_id)
    assert spans["research"]["span_id"] == spans["fetch"]["parent_span_id"] == root_id
    assert (spans["research"]["status"], spans["fetch"]["status"]) == ("ok", "error")
    assert spans["fetch"]["attributes"]["error"] == "no such page"
    assert spans["fetch"]["attributes"]["tries"] == 2
    assert spans["fetch"]["start_time"] == "2026-09-21T14:13:02.000000Z"
    assert points(program, f"pages_{trace_id}", site="example") == [3.0]


def test_eight_exporters_at_once_lose_no_span(console: Console) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    def exporter(number: int) -> list[str]:
        headers = {"Authorization": f"Bearer {console.key()}"}
        provider = TracerProvider(resource=Resource({"service.name": f"worker {number}"}), shutdown_on_exit=False)
        sender = OTLPSpanExporter(f"{console.url}/v1/traces", headers=headers)
        provider.add_span_processor(BatchSpanProcessor(sender, schedule_delay_millis=50, max_export_batch_size=64))
        tracer = provider.get_tracer("test")
        made = []
        for _ in range(10):
            with tracer.start_as_current_span("work") as root:
                for step in range(30):
                    tracer.start_span(f"step {step}", attributes={"step": step}).end()
            made.append(format(root.get_span_context().trace_id, "032x"))
        assert provider.force_flush(30_000)
        provider.shutdown()
        return made

    with ThreadPoolExecutor(8) as threads:
        made = [trace_id for ids in threads.map(exporter, range(8)) for trace_id in ids]

    program = Program(console, "viewer")
    assert len(set(made)) == 80
    for trace_id in made:
        assert len(tree(program, trace_id)) == 31


def test_an_exporter_without_a_key_is_told_so(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{console.url}/v1/traces")))

    provider.get_tracer("test").start_span("lost").end()
    provider.shutdown()

    assert "401" in caplog.text


def test_the_doors_of_telemetry_leave_no_spans_of_their_own(console: Console) -> None:
    program = Program(console)
    event = {"type": "metric", "trace_id": "a", "span_id": "b", "timestamp": "2026-01-01T00:00:00Z"}
    metric = {"metric": "doors", "value": 1, "unit": ""}
    empty = {"content": b"", "headers": {"Content-Type": "application/x-protobuf"}}
    sent = [program.http.post(path, **empty) for path in ("/v1/traces", "/v1/metrics")]
    sent.append(program.http.post("/v1/telemetry/events", json={"event": event | metric, "ttl_seconds": 60}))
    assert [answer.status_code for answer in sent] == [200, 200, 200]

    behind = program.http.get("/v1beta/datasets").headers["x-trace-id"]
    end = time.monotonic() + 10
    while program.http.get(f"{TELEMETRY}/traces/{behind}").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)

    for path in ("/v1/traces", "/v1/metrics", "/v1/telemetry/events"):
        asked = {"attribute_filters": [{"key": "raw_path", "op": "eq", "value": path}]}
        assert program.ok(program.http.post(f"{TELEMETRY}/traces", json=asked))["data"] == []
