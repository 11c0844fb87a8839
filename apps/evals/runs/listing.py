"""The list of evaluations: what a filter in the address asks for."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import QueryDict

from apps.evals.baseline import IS_BASELINE
from apps.evals.models import Evaluation
from apps.jobs.listing import query_of, tabs_of
from apps.jobs.models import ACTIVE, Status

STATES = {
    "": "All",
    "active": "Active",
    Status.COMPLETED.value: "Completed",
    Status.FAILED.value: "Failed",
    Status.CANCELLED.value: "Cancelled",
}


@dataclass(frozen=True)
class Filter:
    """What the address asks for; ``query`` is that part of the address, without the place in the list."""

    status: str
    benchmark: str
    words: str
    query: str

    @property
    def is_set(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.query)

    @property
    def sought(self) -> str:
        """The filter in words."""
        return " · ".join(filter(None, (self.words, self.benchmark, self.status and STATES[self.status])))

    @property
    def tabs(self) -> list[tuple[str, str, bool]]:
        """The states: words, address with the rest of the filter kept, and whether it is this one."""
        return tabs_of(STATES, self.status, self.query)

    @property
    def of_all_benchmarks(self) -> str:
        """The address with the rest of the filter kept, but for the benchmark."""
        return f"?{query_of({'status': self.status, 'q': self.words})}"

    def rows(self) -> QuerySet[Evaluation]:
        """Return the evaluations it leaves."""
        rows = Evaluation.objects.listed().defer("job__arguments", "job__checkpoint", "job__result")
        rows = rows.annotate(is_baseline=IS_BASELINE)
        if self.status:
            rows = rows.filter(job__status__in=ACTIVE if self.status == "active" else [self.status])
        if self.benchmark:
            rows = rows.filter(benchmark_id=self.benchmark)
        for word in self.words.split():
            rows = rows.filter(
                Q(candidate__icontains=word) | Q(benchmark_id__icontains=word) | Q(job__job_id__istartswith=word)
            )
        return rows


def asked(query: QueryDict) -> Filter:
    """Return the filter of an address; values that mean nothing are left out."""
    status = query.get("status", "")
    values = {
        "status": status if status in STATES else "",
        "benchmark": query.get("benchmark", "")[:255],
        "q": query.get("q", "").strip()[:200],
    }
    return Filter(values["status"], values["benchmark"], values["q"], query_of(values))
