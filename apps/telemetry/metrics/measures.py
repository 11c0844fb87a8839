"""What is counted in the spans of this console: tokens, times and calls, one point for each call and turn."""

from collections.abc import Iterable, Iterator

from apps.telemetry.metrics.points import Point
from apps.telemetry.models import Kind
from apps.telemetry.records import SpanRecord
from apps.telemetry.windows import SECOND_NS

FIRST_TOKEN = "time_to_first_token_s"
PROVIDER = "gen_ai.provider.name"


def of(records: Iterable[SpanRecord]) -> list[Point]:
    """Return the points of the spans that ended here; spans of other programs bring metrics of their own."""
    return [point for record in records if record.is_own and record.end_ns is not None for point in _points(record)]


def _points(record: SpanRecord) -> Iterator[Point]:
    time_s = (record.end_ns or 0) // SECOND_NS
    for metric, labels, unit, value in _measured(record):
        yield Point(metric, {name: label for name, label in labels.items() if label}, unit, time_s, value)


def _measured(record: SpanRecord) -> Iterator[tuple[str, dict[str, str], str, float]]:
    seconds = ((record.end_ns or 0) - record.start_ns) / SECOND_NS
    agent = {"agent_id": record.hot("agent_id")}
    match record.kind:
        case Kind.INFERENCE:
            model = {"model_id": record.model, "provider_id": str(record.attributes.get(PROVIDER) or "")}
            known = {"prompt_tokens": record.tokens("input"), "completion_tokens": record.tokens("output")}
            if any(count is not None for count in known.values()):
                known["total_tokens"] = sum(count or 0 for count in known.values())
            for metric, count in known.items():
                if count is not None:
                    yield metric, model | agent, "tokens", count
            first = record.attributes.get(FIRST_TOKEN)
            if isinstance(first, int | float):
                yield "time_to_first_token", model | agent, "s", first
        case Kind.TURN:
            yield "turn_duration", {"model_id": record.model, "status": record.status} | agent, "s", seconds
        case Kind.TOOL | Kind.RETRIEVAL if tool := record.attributes.get("tool_name"):
            yield "tool_calls", {"tool_name": str(tool), "status": record.status} | agent, "calls", 1
