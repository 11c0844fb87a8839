"""What became of a run's scores since the baseline of its benchmark, in a line for each function."""

from dataclasses import dataclass

from django.core.cache import cache

from apps.evals import baseline
from apps.evals.compare import comparing
from apps.evals.compare.comparing import Outcome
from apps.evals.models import Evaluation

KEEP_S = 3_600


@dataclass(frozen=True, slots=True)
class Change:
    """How far a function's number is from the baseline's over the rows both have, and whether that could be chance."""

    delta: float | None
    better: int
    worse: int
    certainty: str


def changes(run: Evaluation, base: Evaluation, *, is_patient: bool) -> dict[str, Change] | None:
    """Return the change of each function both runs used; nothing while one of them runs.

    Rows of what has ended stay, so reading them all is done once in a while and not for each look at a page. None when
    that would take a while now and whoever asks is not patient.
    """
    if not baseline.can_be(run) or not baseline.can_be(base):
        return {}
    key = f"evals:against:{base.job.job_id}:{base.row_count}:{run.job.job_id}:{run.row_count}"
    found: dict[str, Change] | None = cache.get(key)
    if found is None and not is_patient and run.row_count + base.row_count > comparing.LATE:
        return None
    if found is None:
        told = comparing.compare(comparing.side(base), comparing.side(run))
        found = {one.name: _change(one) for one in told.outcomes if one.is_shared}
        cache.set(key, found, KEEP_S)
    return found


def _change(one: Outcome) -> Change:
    counts, words = one.counts, one.certainty.words if one.kinds else "no row is in both"
    return Change(one.delta, counts[comparing.BETTER], counts[comparing.WORSE], words)
