"""What the address of a comparison asks for, and the addresses beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, QueryDict

from apps.core.numbers import whole
from apps.evals.baseline import IS_BASELINE
from apps.evals.compare import flips
from apps.evals.models import Evaluation

MOST = 4  # runs beside the base


@dataclass(frozen=True)
class Asked:
    """The runs by their jobs, and which flipped rows of which function are shown.

    Runs beyond those that are compared are left out and stay in the address, so that they can take a place.
    """

    base: str
    others: tuple[str, ...]
    scorer: str = ""
    against: str = ""
    show: str = ""
    start: int = 0
    left_out: tuple[str, ...] = ()
    now: bool = False

    def link(self, **changes: Any) -> str:
        """Return the query string of the same with something changed; the place in the list begins anew."""
        one = replace(self, **{"start": 0, "now": False, **changes})
        query = QueryDict(mutable=True)
        query["base"] = one.base
        query.setlist("with", [*one.others, *one.left_out])
        told: Mapping[str, Any] = {"scorer": one.scorer, "against": one.against, "show": one.show, "from": one.start}
        query.update({name: str(value) for name, value in told.items() if value} | ({"now": "yes"} if one.now else {}))
        return "?" + query.urlencode()

    def based_on(self, job_id: str) -> str:
        """Return the query string in which one of the others is the base, and the base one of the others."""
        others = tuple(self.base if one == job_id else one for one in self.others)
        return self.link(base=job_id, others=others, against="")

    @property
    def names(self) -> list[str]:
        """The runs that are compared, the base first."""
        return [self.base, *self.others]

    @property
    def instead(self) -> str:
        """The query string in which those that are left out come first."""
        return self.link(others=self.left_out, left_out=self.others, against="")

    @property
    def compared(self) -> str:
        """The run the flipped rows are of."""
        return self.against or self.others[0]


def of(query: QueryDict) -> Asked:
    """Return what an address asks for: a run is compared once, and never with itself."""
    base = query.get("base", "")
    others = tuple(one for one in dict.fromkeys(query.getlist("with")) if one and one != base)
    against, show = query.get("against", ""), query.get("show", "")
    return Asked(
        base,
        others[:MOST],
        query.get("scorer", ""),
        against if against in others[1:MOST] else "",
        show if show in flips.SHOWS else "",
        whole(query.get("from")) or 0,
        others[MOST:],
    )


def baseless(query: QueryDict) -> list[str]:
    """Return the runs an address names without saying which of them is the base."""
    names = query.getlist("run") or ([] if query.get("base") else query.getlist("with"))
    return [name for name in dict.fromkeys(names) if name]


def usual(run: Evaluation, base: str | None) -> str:
    """Return the query string that holds a run against the job of a base; without another run it asks for one."""
    job_id = run.job.job_id
    return Asked(job_id, ()).link() if base in (None, job_id) else Asked(base, (job_id,)).link()


def runs(job_ids: list[str]) -> list[Evaluation]:
    """Return the evaluations of these jobs in this order, marked, or answer that one is missing; one query."""
    rows = Evaluation.objects.select_related("job").annotate(is_baseline=IS_BASELINE).filter(job__job_id__in=job_ids)
    found = {one.job.job_id: one for one in rows}
    if missing := [one for one in job_ids if one not in found]:
        raise Http404(f"Evaluation '{missing[0]}' not found")
    return [found[one] for one in job_ids]
