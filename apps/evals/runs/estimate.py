"""What a new evaluation would start: calls, and by earlier runs about how long it takes and what it costs."""

from dataclasses import dataclass, replace
from decimal import Decimal

from apps.evals import costs
from apps.evals.current import CURRENT
from apps.evals.models import Evaluation
from apps.evals.running import candidates
from apps.evals.runs.form import RunForm
from apps.inference import prices
from apps.inference.prices import Cost


@dataclass(frozen=True, slots=True)
class Estimate:
    """Runs, rows of each, and calls: of candidates, of judges, of the model that makes vectors.

    Seconds and cost are None where nothing tells them.
    Nothing is counted for a form that is refused: its errors say why.
    """

    runs: int
    rows: int
    calls: int
    judged: int
    embedded: int
    has_agents: bool
    seconds: float | None = None
    cost: Cost | None = None
    is_refused: bool = False

    @property
    def scoring(self) -> str:
        """The calls that scoring makes, in words; empty for none."""
        kinds = ((self.judged, "judges"), (self.embedded, "the embedding model"))
        return " and ".join(f"{count:,} of {who}" for count, who in kinds if count)


def of(form: RunForm) -> Estimate:
    """Return the estimate of the form as it stands, whole or not; two queries at most beyond its check."""
    chosen, rows, times = form.chosen, form.rows, form.repetitions
    if _is_refused(form):
        return Estimate(0, rows, 0, 0, 0, False, is_refused=True)
    runs = len(chosen) * times
    told = Estimate(
        runs=runs,
        rows=rows,
        calls=runs * rows,
        judged=runs * rows * sum(one.asks_judge for one in form.scorers),
        embedded=runs * rows * sum(bool(one.scorer.without_vectors) for one in form.scorers if one.has_vectors),
        has_agents=any(one.type == "agent" for one in chosen),
    )
    names = [candidates.name_of(one) for one in chosen]
    earlier = _earlier(form.benchmark.benchmark_id, names)
    if not chosen or any(name not in earlier for name in names):
        return told
    ran = [(candidates.model_of(one), earlier[name]) for one, name in zip(chosen, names, strict=True)]
    return replace(
        told, seconds=_seconds([run for _, run in ran], rows * times), cost=_cost(ran, form.judges, rows * times)
    )


def _is_refused(form: RunForm) -> bool:
    """Return whether a form that was sent has errors beyond that nobody is chosen yet, which the numbers tell."""
    return bool(form.errors) and (bool(form.chosen) or form.errors.keys() != {"models"})


def _earlier(benchmark_id: str, names: list[str]) -> dict[str, Evaluation]:
    """Return the newest completed run of each candidate that ran from its first row to its last."""
    runs = Evaluation.objects.filter(CURRENT, benchmark_id=benchmark_id, candidate__in=names, row_count__gt=0)
    whole = runs.completed().filter(job__retry_of=None)
    return {run.candidate: run for run in whole.newest_of_each("candidate").listed().defer("aggregated")}


def _seconds(ran: list[Evaluation], rows: int) -> float | None:
    """Return how long so many rows of each would take at the pace of these runs; None where one of them tells none."""
    paces = [run.job.ran_s / run.row_count for run in ran if run.job.ran_s is not None]
    return sum(paces) * rows if len(paces) == len(ran) else None


def _cost(ran: list[tuple[str, Evaluation]], judges: set[str], rows: int) -> Cost | None:
    """Return what so many rows would cost as each run's rows did, at the prices of today; None for other judges."""
    known = prices.named({name for model, run in ran for name in (model, *run.judged)})
    told = []
    for model, run in ran:
        spent = costs.of(run, costs.kept(model, run.judged, known)).cost if judges <= set(run.judged) else None
        told.append(Cost(spent.amount * rows / Decimal(run.row_count), spent.currency) if spent else None)
    return prices.total(told)
