"""What watchers of an evaluation are told: which rows were scored. Its state and progress are its job's topic."""

from typing import Any

from apps.core import db, live
from apps.core.live import Event, Topic
from apps.evals.models import Evaluation


def register() -> None:
    """Make the topics of this app watchable."""
    live.register("evaluation", Topic(_may_watch, _frames))


async def _may_watch(user: Any, topic: str) -> bool:
    if not (user.is_authenticated and user.can("viewer")):
        return False
    return await db.read(Evaluation.objects.filter(job__job_id=topic.partition(":")[2]).exists)


async def _frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    """Return that rows came; the page fetches what it shows of them, at most once a second."""
    return [{"k": "state", "v": {"event_type": event["event_type"], "rows": len(event["positions"])}}]
