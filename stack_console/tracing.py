"""Where spans go: the OpenTelemetry provider of this process. Code that traces asks the API alone."""

import os

from django.conf import settings
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from apps.core.process import this_process

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def start() -> None:
    """Give the process a tracer provider, once: spans go into the store, and to a collector if one is named."""
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    named = {"service.name": "stack-console", "service.version": settings.VERSION}
    resource = Resource.create({**named, "service.instance.id": this_process()})
    provider = TracerProvider(resource=resource, sampler=ALWAYS_ON)
    if settings.TELEMETRY:
        from apps.telemetry.sink import StoreSpans

        provider.add_span_processor(StoreSpans())
    if any(os.environ.get(name) for name in ENDPOINTS):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def stop() -> None:
    """Store and send what is left; called at a clean stop."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
