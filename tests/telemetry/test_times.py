"""One moment reads the same wherever it is told."""

import json

import pytest

from apps.telemetry import trees, windows
from apps.telemetry.models import Trace
from apps.telemetry.traces import export as trace_export
from tests.telemetry import spans

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("rest_ns", [123_456_789, 999_999_999, 500])
def test_a_file_tells_the_times_the_api_tells(rest_ns: int) -> None:
    one = spans.record(start_ns=spans.START_NS + rest_ns, end_ns=spans.START_NS + 2 * rest_ns)
    spans.save(one)

    [line] = b"".join(trace_export.parts(Trace.objects.all(), "jsonl")).splitlines()

    told, answered = json.loads(line), json.loads(trees.trace_json(*trees.trace(one.trace_id)))
    assert [told[name] for name in ("start_time", "end_time")] == [answered["start_time"], answered["end_time"]]
    assert windows.time_of(one.start_ns).strftime("%FT%T.%fZ") == told["start_time"]
