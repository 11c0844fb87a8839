"""What watchers of traces see, and how the store tells them from its thread.

``trace:<id>`` carries the spans of one trace that are new or changed; ``traces`` tells that traces began or changed.
"""

from collections.abc import Iterable
from typing import Any

from apps.core import db, live
from apps.core.live import Event, Topic
from apps.telemetry.store import Saved
from apps.telemetry.traces import structure

LIST = "traces"
TOLD = 200  # changed traces one event names


def register() -> None:
    """Make the topics of this app watchable."""
    live.register("trace", Topic(_may_watch, frames))
    live.register(LIST, Topic(_may_watch, list_frames))


def announce(saved: Saved) -> None:
    """Tell what was stored; from any thread, without waiting.

    A trace that came whole has no watchers yet: only those that existed before have a topic of their own.
    """
    if saved.new or saved.changed:
        event = {"event_type": "traces_changed", "new": len(saved.new), "changed": list(saved.changed)[:TOLD]}
        live.tell(LIST, event)
    for trace_id, spans in saved.changed.items():
        live.tell(f"trace:{trace_id}", {"event_type": "spans_changed", "spans": spans})


def announce_earlier(traces: Iterable[str]) -> None:
    """Tell who watches these traces that their turn goes on in another: their heads say how it stands."""
    for trace_id in traces:
        live.tell(f"trace:{trace_id}", {"event_type": "spans_changed", "spans": []})


async def frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    """Return what an event of a trace paints: its new and changed spans as columns, or that it is to be read anew."""
    columns = await db.read(structure.of_spans, topic.partition(":")[2], event["spans"])
    return [{"k": "resync"}] if columns is None else [{"k": "spans", "cols": columns}]


async def list_frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    """Return what an event of the list tells: how many are new, and which changed; the page asks for the rest."""
    return [{"k": "state", "v": {"new": event["new"], "changed": event["changed"]}}]


async def _may_watch(user: Any, topic: str) -> bool:
    return bool(user.is_authenticated and user.can("viewer"))
