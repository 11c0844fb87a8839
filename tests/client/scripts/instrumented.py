"""A program that knows OpenTelemetry and nothing of the console: it plans a trip, with a model, a tool and an error.

Where its telemetry goes is told by OpenTelemetry's own environment variables alone.
"""

import json
import os
from contextlib import suppress

os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = os.environ["BASE_URL"]
os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer%20{os.environ['API_KEY']}"

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

service = os.environ["SERVICE"]
resource = Resource.create({"service.name": service, "service.version": "2.1"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(traces)
meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 3_600_000)], resource=resource)
metrics.set_meter_provider(meters)

tracer = trace.get_tracer("trips.planner", "1.0")
meter = metrics.get_meter("trips.planner")
trips = meter.create_counter("trips", unit="{trip}")
took = meter.create_histogram("trip.duration", unit="s")
waiting = meter.create_up_down_counter("trips.waiting")

chat = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "acme",
    "gen_ai.request.model": "acme-large",
    "gen_ai.usage.input_tokens": 210,
    "gen_ai.usage.output_tokens": 34,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.request.temperature": 0.5,
}
messages = [{"role": "user", "parts": [{"type": "text", "content": "A weekend in Porto, please. Where is it quiet?"}]}]

with tracer.start_as_current_span("earlier request") as earlier:
    pass

with tracer.start_as_current_span(
    "invoke_agent planner",
    kind=trace.SpanKind.SERVER,
    links=[trace.Link(earlier.get_span_context(), {"why": "the person asked before"})],
    attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "session_id": service},
) as root:
    root.add_event("asked", {"words": 9})
    with tracer.start_as_current_span("chat acme-large", kind=trace.SpanKind.CLIENT, attributes=chat) as span:
        span.set_attribute("gen_ai.input.messages", json.dumps(messages))
        span.set_attribute("unusual", float("nan"))
    with suppress(RuntimeError):
        with tracer.start_as_current_span("execute_tool book", attributes={"gen_ai.tool.name": "book"}):
            raise RuntimeError("no seats left")
    with tracer.start_as_current_span("deep"):
        with tracer.start_as_current_span("deeper", attributes={"ok": True, "sizes": [1, 2], "ratio": 0.25}):
            pass

for number in (3, 4):
    trips.add(number, {"city": "Porto"})
    took.record(1.5, {"city": "Porto"})
    waiting.add(1)
    assert meters.force_flush(20_000)

assert traces.force_flush(20_000)
print(format(root.get_span_context().trace_id, "032x"))
traces.shutdown()
meters.shutdown()
