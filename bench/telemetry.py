"""How fast telemetry answers with a million spans: fills a database, asks it through the API, prints a table.

``python -m bench.telemetry`` uses a temporary SQLite file; with DATABASE_URL an empty database of Postgres. With
``--keep`` what is filled stays, the file in STACK_CONSOLE_DATA_DIR, and is used again.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from opentelemetry import trace

Json = Any
Question = tuple[str, str, Json]
TIMES = 9
BATCH = 2_000


def main() -> int:
    """Fill, ask, print; return 0."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--spans", type=int, default=1_000_000)
    arguments.add_argument("--keep", action="store_true")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="stack-console-bench-") as folder:
        _set_up(folder, keep=asked.keep)
        until = _fill(asked.spans)
        asyncio.run(_measure(until))
        trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]
    return 0


def _set_up(folder: str, *, keep: bool) -> None:
    if not keep:
        os.environ["STACK_CONSOLE_DATA_DIR"] = folder
    os.environ |= {"DJANGO_SETTINGS_MODULE": "stack_console.settings", "API_RATE": "", "EMBEDDED_MODELS": "0"}
    os.environ["ALLOWED_HOSTS"] = "testserver"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from apps.telemetry.models import Trace

    if not keep and Trace.objects.exists():
        sys.exit("The database has traces already: name an empty one, or measure it as it is with --keep.")


def _fill(count: int) -> int:
    """Store spans and points, unless they are there; return the time of the last turn."""
    from django.db import connection, transaction

    from apps.telemetry import store
    from apps.telemetry.metrics import points
    from apps.telemetry.models import MetricPoint, Trace
    from bench import spans

    newest = Trace.objects.filter(turn_id__startswith="turn-").order_by("-start_ns").first()
    if newest is not None:
        return newest.start_ns // spans.SECOND
    until = int(time.time()) - 60
    began = time.perf_counter()
    for batch in _batches((span for turn in spans.turns(count // spans.SPANS, until) for span in turn), BATCH):
        with transaction.atomic():
            store.save(batch)
    took = time.perf_counter() - began
    _print("store.save", f"{count / took:,.0f} spans/s", f"{count:,} spans in {took:.0f} s")
    with transaction.atomic():
        store.save(spans.large(10_000, (until - 3_600) * spans.SECOND))
    began = time.perf_counter()
    for some in _batches(spans.points(count // 4, until), 10_000):
        with transaction.atomic():
            points.save(some)
    told = MetricPoint.objects.count()
    _print("points.save", f"{told / (time.perf_counter() - began):,.0f} points/s", f"{told:,} points")
    if connection.vendor == "postgresql":  # as its autovacuum does; nobody does it for SQLite
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return until


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _is(key: str, value: Json, op: str = "eq") -> Json:
    return {"key": key, "op": op, "value": value}


def _questions(until: int) -> Iterator[Question]:
    def traces(name: str, *filters: Json, **more: Json) -> Question:
        return f"traces: {name}", "traces", {"limit": 50, "attribute_filters": filters, **more}

    yield traces("latest 50")
    yield traces("latest 50 after 10,000", offset=10_000)
    yield traces("by end time", order_by=["-end_time"])
    yield traces("one user (sparse, 4)", _is("user.id", "user-77"))
    yield traces("one session (column)", _is("session_id", "session-77"))
    yield traces("one agent (5 %)", _is("agent_name", "Agent 3"))
    yield traces("an agent of a month ago", _is("agent_name", "Retired"))
    yield traces("gold (a third)", _is("user.tier", "gold"))
    yield traces("gold, oldest first", _is("user.tier", "gold"), order_by=["start_time"])
    yield traces("name inference (60 % of spans)", _is("name", "inference"))
    yield traces("failed", _is("status", "error"))
    yield traces("nobody", _is("user.id", "nobody"))
    yield traces("tokens > 3,990 (range, rare)", _is("gen_ai.usage.input_tokens", 3_990, "gt"))
    yield traces("tokens > 100 (range, dense)", _is("gen_ai.usage.input_tokens", 100, "gt"))
    yield traces("number = 1,000", _is("gen_ai.usage.input_tokens", 1_000))
    yield traces("gold of one agent", _is("user.tier", "gold"), _is("agent_name", "Agent 3"))
    yield traces(
        "one agent, > 3,990 tokens", _is("agent_name", "Agent 3"), _is("gen_ai.usage.input_tokens", 3_990, "gt")
    )
    yield traces("tier not gold", _is("user.tier", "gold", "ne"))
    yield traces("without a user", _is("user.id", None), _is("name", "create_agent_turn"))
    yield traces("two that never meet", _is("user.tier", "gold"), _is("name", "inference"))
    yield (
        "spans: of one session",
        "spans",
        {"attribute_filters": [_is("session_id", "session-77")], "attributes_to_return": []},
    )
    yield "tree of 11", "tree of a turn", {}
    yield "tree of 11, names only", "tree of a turn", {"attributes_to_return": ["agent_name"]}
    yield "tree of 10,000", "spans/0000000000000001/tree", {}
    yield "10,000 to depth 2", "spans/0000000000000001/tree", {"max_depth": 2}
    asked = {"attribute_filters": [_is("agent_name", "Agent 3")], "attributes_to_return": ["agent_name"]}
    yield "spans: of one agent, its name (5 %)", "spans", asked
    for name, more in (
        ("by day", {"granularity": "1d"}),
        ("by hour", {"granularity": "1h"}),
        ("one sum", {"query_type": "instant"}),
    ):
        body = {"start_time": until - 30 * 86_400, "end_time": until, **more}
        yield f"metrics: 30 days {name}", "metrics/total_tokens", body


async def _measure(until: int) -> None:
    import httpx2

    from apps.core import db
    from stack_console.asgi import application
    from tests import build

    key = await db.write(build.key, "viewer")
    transport = httpx2.ASGITransport(app=application)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://testserver", headers=headers, timeout=600
    ) as api:
        turn = await api.post("/v1alpha/telemetry/traces", json={"attribute_filters": [_is("turn_id", "turn-99")]})
        root = turn.json()["data"][0]["root_span_id"]
        for name, path, body in _questions(until):
            await _ask(api, name, path.replace("tree of a turn", f"spans/{root}/tree"), body)


async def _ask(api: Any, name: str, path: str, body: Json) -> None:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = await api.post(f"/v1alpha/telemetry/{path}", json=body)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    times = f"{min(took):,.1f} to {max(took):,.1f} ms"
    found = f"{len(answer.json()['data']):,} found, {len(answer.content):,} bytes"
    _print(name, f"{statistics.median(took):,.1f} ms", f"{times}, {found}")


def _print(name: str, value: str, more: str) -> None:
    sys.stdout.write(f"{name:<36}{value:>18}   {more}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
