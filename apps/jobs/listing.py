"""The list of jobs: what a filter in the address asks for, and the pages' words for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from django.db.models import Q
from django.http import QueryDict

from apps.jobs.models import QUEUES, UPKEEP, Job, JobQuerySet, Status

STATES = {
    "": "All",
    "active": "Active",
    Status.SCHEDULED.value: "Queued",
    Status.IN_PROGRESS.value: "Running",
    Status.COMPLETED.value: "Completed",
    Status.FAILED.value: "Failed",
    Status.CANCELLED.value: "Cancelled",
}
COUNTED = 10_000


@dataclass(frozen=True)
class Filter:
    """What the address asks for; ``query`` is that part of the address, without the place in the list."""

    status: str
    kind: str
    queue: str
    words: str
    query: str

    @property
    def is_set(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.query)

    @property
    def ended_badly(self) -> bool:
        """Whether it leaves only jobs that can be tried again."""
        return self.status in (Status.FAILED, Status.CANCELLED)

    @property
    def tabs(self) -> list[tuple[str, str, bool]]:
        """The states: words, address with the rest of the filter kept, and whether it is this one."""
        return tabs_of(STATES, self.status, self.query)

    def rows(self) -> JobQuerySet:
        """Return the jobs it leaves; upkeep that goes well is news to those only who ask for it by its kind."""
        rows = Job.objects.all()
        if not self.kind:
            rows = rows.filter(~Q(kind=UPKEEP) | Q(status=Status.FAILED))
        if self.status == "active":
            rows = rows.active()
        elif self.status:
            rows = rows.filter(status=self.status)
        if self.kind:
            rows = rows.filter(kind=self.kind)
        if self.queue:
            rows = rows.filter(queue=self.queue)
        for word in self.words.split():
            rows = rows.filter(Q(title__icontains=word) | Q(job_id__istartswith=word) | Q(about_id=word))
        return rows


def asked(query: QueryDict) -> Filter:
    """Return the filter of an address; values that mean nothing are left out."""
    status, queue = query.get("status", ""), query.get("queue", "")
    values = {
        "status": status if status in STATES else "",
        "kind": query.get("kind", "")[:60],
        "queue": queue if queue in QUEUES else "",
        "q": query.get("q", "").strip()[:200],
    }
    return Filter(values["status"], values["kind"], values["queue"], values["q"], query_of(values))


def query_of(values: Mapping[str, str]) -> str:
    """Return the part of an address that says these values; empty ones are left out."""
    return urlencode({name: value for name, value in values.items() if value})


def tabs_of(states: Mapping[str, str], status: str, query: str) -> list[tuple[str, str, bool]]:
    """Return states for the tabs of a list: words, address with the rest of the query kept, whether it is this one."""
    rest = dict(parse_qsl(query))
    rest.pop("status", None)
    return [(words, f"?{query_of({**rest, 'status': state})}", state == status) for state, words in states.items()]


def count(rows: JobQuerySet) -> int:
    """Return how many there are, up to one more than are counted."""
    return rows.order_by()[: COUNTED + 1].count()


def kinds() -> list[str]:
    """Return the kinds of jobs there are, in order."""
    return list(Job.objects.order_by("kind").values_list("kind", flat=True).distinct())
