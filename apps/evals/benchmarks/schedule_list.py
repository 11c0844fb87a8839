"""The schedules of a benchmark as its page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.evals import schemas, standings
from apps.evals.benchmarks import schedule_form
from apps.evals.benchmarks.schedule_form import ScheduleForm
from apps.evals.models import Benchmark, Evaluation, Outcome, Schedule
from apps.evals.running import candidates, variants
from apps.evals.spread import Headline

# The page's state of what came of it the last time; what was started has runs that say more.
STATES = {Outcome.SKIPPED: "partial", Outcome.FAILED: "failed"}


@dataclass(frozen=True)
class Shown:
    """A schedule with the newest run of each of its candidates."""

    schedule: Schedule
    candidates: list[str]
    runs: list[tuple[Evaluation, list[tuple[str, Headline]]]]

    @property
    def num_examples(self) -> int | None:
        """How many rows are evaluated, None for all."""
        number = self.schedule.configs[0].num_examples
        return number if number and number > 0 else None

    @property
    def what_goes(self) -> str:
        """What a person should know before it is deleted."""
        return what_goes(self.schedule)

    @property
    def form(self) -> ScheduleForm:
        """The form that changes it."""
        return schedule_form.changing(self.schedule)

    @property
    def state(self) -> str:
        """The state of the last time it was due, empty when something was started or it never was."""
        return STATES.get(Outcome(self.schedule.outcome), "") if self.schedule.outcome else ""


def of(benchmark: Benchmark) -> list[Shown]:
    """Return a benchmark's schedules, oldest first; two queries."""
    schedules = list(benchmark.schedules.select_related("created_by"))
    runs = _newest([one.pk for one in schedules])
    return [
        Shown(one, names_of(one), [(run, standings.scores_of(run)) for run in runs if run.schedule_id == one.pk])
        for one in schedules
    ]


def what_goes(one: Schedule) -> str:
    """Return what a person should know before a schedule is deleted."""
    return f"{', '.join(names_of(one))}: {one}. It starts nothing more; the runs it started stay."


def names_of(one: Schedule) -> list[str]:
    """Return who is evaluated, each once."""
    return list(dict.fromkeys(_asked(config.eval_candidate) for config in one.configs))


def _asked(candidate: schemas.EvalCandidate) -> str:
    return " · ".join(filter(None, (candidates.name_of(candidate), variants.words_of(candidate))))


def _newest(schedule_ids: Sequence[int]) -> list[Evaluation]:
    if not schedule_ids:
        return []
    runs = Evaluation.objects.filter(schedule_id__in=schedule_ids)
    return list(runs.newest_of_each("schedule_id", "fingerprint").listed())
