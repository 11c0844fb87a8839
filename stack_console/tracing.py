"""Where spans go: the OpenTelemetry provider of this process. Code that traces asks the API alone."""

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON


def start(version: str) -> None:
    """Give the process a tracer provider, once; every turn gets a trace id even while nobody stores spans."""
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    resource = Resource({"service.name": "stack-console", "service.version": version})
    trace.set_tracer_provider(TracerProvider(resource=resource, sampler=ALWAYS_ON))
