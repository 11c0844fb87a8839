"""What watchers of a dataset and of the list of datasets are told: how many rows there are now."""

from typing import Any

from apps.core import db, live
from apps.core.live import Event, Topic
from apps.datasets.models import Dataset

LIST = "datasets"


def register() -> None:
    """Make the topics of this app watchable."""
    live.register("dataset", Topic(_may_watch, _frames))
    live.register(LIST, Topic(_may_watch, _frames))


async def _may_watch(user: Any, topic: str) -> bool:
    if not (user.is_authenticated and user.can("viewer")):
        return False
    pk = topic.partition(":")[2]
    return topic == LIST or (pk.isdecimal() and await db.read(Dataset.objects.shown().filter(pk=int(pk)).exists))


async def _frames(topic: str, number: int, event: Event) -> list[dict[str, Any]]:
    return [{"k": "state", "v": {name: value for name, value in event.items() if name != "event_type"}}]


def told(dataset: Dataset) -> Event:
    """Return the event that tells how a dataset stands."""
    return {
        "event_type": "dataset",
        "dataset_id": dataset.dataset_id,
        "state": dataset.state,
        "rows": dataset.row_count,
        "end": dataset.next_position,
    }


async def changed(dataset: Dataset) -> None:
    """Tell watchers, from async code."""
    await live.publish(dataset.topic, told(dataset))
    await live.publish(LIST, told(dataset))


def changed_from_sync(dataset: Dataset) -> None:
    """Tell watchers, from a page or a job."""
    live.tell(dataset.topic, told(dataset))
    live.tell(LIST, told(dataset))
