"""Run as a process of its own: put traces into the console the environment names, as they come from programs.

``python -m tests.telemetry.fill COUNT [HOURS]`` stores so many traces of three spans each, spread over the last hours.
"""

import json
import os
import random
import sys
import time
from typing import Any

AGENTS = ("Support desk", "SQL analyst", "Release notes", "Invoice reader")
ASKED = (
    "Thanks. Is the slate colour the same batch?",
    "Please do. Same address. And tell her how to check the seam",
    "Revenue per region for week 46, compared with the week before",
    "Summarise merged changes since 2.13 for people who run it",
    "Read the attached invoice and fill in what the form asks for",
)
SECOND = 1_000_000_000
BATCH = 2_000


def main(count: int, hours: float) -> None:
    """Store the traces, the newest a second ago."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stack_console.settings")
    import django

    django.setup()
    from django.db import transaction

    from apps.telemetry import store

    chance, now = random.Random(7), time.time_ns()
    step = int(hours * 3_600 * SECOND / count)
    for first in range(0, count, BATCH):
        records = [
            span
            for n in range(first, min(count, first + BATCH))
            for span in one(chance, n, now - SECOND - (count - n) * step)
        ]
        with transaction.atomic():
            store.save(records)


def one(chance: random.Random, number: int, start: int) -> list[Any]:
    """Return the spans of one trace; every fiftieth failed."""
    from tests.telemetry import spans

    took = int(chance.lognormvariate(1.2, 0.7) * SECOND)
    agent, asked = AGENTS[number % len(AGENTS)], ASKED[number % len(ASKED)]
    ended = "error" if number % 50 == 7 else "ok"
    trace_id, root = spans.trace_id(), spans.span_id()
    said = json.dumps([{"role": "user", "content": f"{asked} ({number})"}])
    answer = json.dumps({"content": f"Answer {number}", "tool_calls": []})
    about = {"agent_name": agent, "request": json.dumps({"messages": json.loads(said)}), "number": number}
    usage = {"gen_ai.usage.input_tokens": chance.randint(200, 6_000), "gen_ai.usage.output_tokens": 60}
    model = {"gen_ai.request.model": "local/tiny-135m", "input": said, "output": answer, "agent_name": agent}

    def child(name: str, at: float, length: float, attributes: Any, status: str = "ok") -> Any:
        begin = start + int(took * at)
        return spans.record(
            trace_id=trace_id, parent_span_id=root, name=name, start_ns=begin, end_ns=begin + int(took * length),
            attributes=attributes, status=status,
        )  # fmt: skip

    return [
        spans.record(
            trace_id=trace_id, span_id=root, name="create_agent_turn", start_ns=start, end_ns=start + took,
            attributes=about, status=ended,
        ),
        child("inference", 0.01, 0.7, model | usage),
        child("tool_execution", 0.72, 0.2, {"tool_name": "lookup", "input": "{}", "output": "{}"}, ended),
    ]  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 24.0)
