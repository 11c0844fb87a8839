"""Where a trace belongs: among those of its turn, which goes on in another whenever it waits; to an evaluated row."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.agents.models import Turn
from apps.telemetry.models import Trace
from apps.telemetry.traces.naming import TURNS

EVALUATED = "evaluate_row"  # the name of the span of a row


@dataclass(frozen=True, slots=True)
class Lineage:
    """The ids of the traces before and after this one, of the same turn, or the job and the number of its row.

    Empty where there is none.
    """

    before: str = ""
    after: str = ""
    job_id: str = ""
    row: int = 0


def lineage_of(trace: Trace) -> Lineage:
    """Return what a trace of a turn continues, and what continues it; of an evaluated row, which one it is."""
    if trace.name == EVALUATED:
        return _row_of(trace)
    if not trace.turn_id or trace.name not in TURNS:
        return Lineage()
    ids = _stored(trace.turn_id)
    at = ids.index(trace.trace_id) if trace.trace_id in ids else None
    if at is None:
        return Lineage()
    return Lineage(before=ids[at - 1] if at else "", after=ids[at + 1] if at + 1 < len(ids) else "")


def _row_of(trace: Trace) -> Lineage:
    about = trace.spans.filter(name=EVALUATED).order_by("id").values_list("attributes", flat=True).first() or {}
    job_id, row = about.get("job_id"), about.get("row")
    return Lineage(job_id=job_id, row=row) if isinstance(job_id, str) and isinstance(row, int) else Lineage()


def traces_of_turn(turn_id: str) -> list[str]:
    """Return the ids of a turn's traces, oldest first; the newest may not be stored yet."""
    newest = Turn.objects.filter(turn_id=turn_id).values_list("trace_id", flat=True).first()
    ids = _stored(turn_id)
    return [*ids, newest] if newest and newest not in ids else ids


def earlier(turn_ids: Iterable[str], but: Iterable[str]) -> list[str]:
    """Return the ids of these turns' stored traces but some."""
    found = Trace.objects.filter(turn_id__in=set(turn_ids) - {""}, name__in=TURNS).exclude(trace_id__in=set(but))
    return list(found.order_by().values_list("trace_id", flat=True))


def _stored(turn_id: str) -> list[str]:
    found = Trace.objects.filter(turn_id=turn_id, name__in=TURNS).order_by("start_ns", "id")
    return list(found.values_list("trace_id", flat=True))
