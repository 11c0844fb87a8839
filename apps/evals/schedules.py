"""Benchmarks that run by themselves: schedules made, and started once when they are due. Their times are in UTC.

Being due is looked for by the workers (``settings.PERIODIC``). What was missed while none ran is run once.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from asgiref.sync import async_to_sync
from django.db import InterfaceError, OperationalError, transaction
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.models import Role
from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import BadRequest, ConsoleError
from apps.evals import evaluation, schemas
from apps.evals.models import Benchmark, Evaluation, Every, Outcome, Schedule
from apps.evals.running import candidates
from apps.jobs.carrying import reason
from apps.jobs.handle import Handle
from apps.jobs.models import ACTIVE

log = logging.getLogger(__name__)
STEPS = {
    Every.HOUR: timedelta(hours=1),
    Every.SIX_HOURS: timedelta(hours=6),
    Every.DAY: timedelta(days=1),
    Every.WEEK: timedelta(weeks=1),
}
STILL_RUNS = "The runs it had started before were not finished when it was due."
MAY_NOT = "Whoever made this schedule may no longer start evaluations. Make a new one."


def make(
    benchmark: Benchmark, configs: list[schemas.BenchmarkConfig], every: Every, first_at: datetime, actor: Principal
) -> Schedule:
    """Store a schedule and return it; called inside a write. A first time that has passed is moved on by whole steps.

    The candidates are looked up by the caller.
    """
    one = Schedule.objects.create(
        benchmark=benchmark,
        configs=configs,
        every=every,
        next_at=_after(first_at, every, now()),
        created_by_id=actor.user_id,
    )
    audit.note(actor, "create", "schedule", str(one.pk), benchmark=benchmark.benchmark_id, every=str(every))
    return one


def change(one: Schedule, every: Every, next_at: datetime, actor: Principal) -> None:
    """Let a schedule run so often from a time on; called inside a write. As it is already is no change.

    A time that has passed is moved on by whole steps. Who is evaluated stays: that is another schedule.
    """
    next_at = _after(next_at, every, now())
    if (one.every, one.next_at) == (every, next_at):
        return
    Schedule.objects.filter(pk=one.pk).update(every=every, next_at=next_at)
    audit.note(actor, "update", "schedule", str(one.pk), every=str(every), next_at=next_at.isoformat())


def set_paused(one: Schedule, is_paused: bool, actor: Principal) -> None:
    """Pause a schedule, or let it go on at its next time; called inside a write. As it is already is no change."""
    if one.is_paused == is_paused:
        return
    changes = {} if is_paused else {"next_at": _after(one.next_at, one.every, now())}
    Schedule.objects.filter(pk=one.pk).update(is_paused=is_paused, **changes)
    audit.note(actor, "pause" if is_paused else "resume", "schedule", str(one.pk))


def delete(one: Schedule, actor: Principal) -> None:
    """Take a schedule away; what it started stays. Called inside a write. One that is gone already is no change."""
    gone, _ = Schedule.objects.filter(pk=one.pk).delete()
    if gone:
        audit.note(actor, "delete", "schedule", str(one.pk), benchmark=one.benchmark.benchmark_id)


def run_now(one: Schedule, actor: Principal) -> list[Evaluation]:
    """Start the runs of a schedule at once and return them; its next time stays. Raises ConsoleError."""
    async_to_sync(check)(one.configs)
    with transaction.atomic():
        runs = _begin(one, actor)
        Schedule.objects.filter(pk=one.pk).update(last_at=now(), outcome=Outcome.STARTED, problem="")
    return runs


async def check(configs: Sequence[schemas.BenchmarkConfig]) -> None:
    """Raise ConsoleError for a candidate that cannot be asked as things are."""
    for config in configs:
        await candidates.ready(config.eval_candidate)


def is_any_due() -> bool:
    """Return whether a schedule waits to be started."""
    return Schedule.objects.filter(is_paused=False, next_at__lte=now()).exists()


async def run(job: Handle) -> dict[str, int]:
    """Start as a job what is due; return how many evaluations were started."""
    runs = await start_due(now())
    if runs:
        job.log(f"Started {', '.join(str(one) for one in runs)}.")
    return {"started": len(runs)}


async def start_due(at: datetime) -> list[Evaluation]:
    """Start what is due at a time and return it; of several who look, one starts a schedule."""
    runs: list[Evaluation] = []
    for one in await db.read(_due, at):
        runs += await db.write(_take, one, at, await _why_not(one))
    return runs


def _due(at: datetime) -> list[Schedule]:
    rows = Schedule.objects.filter(is_paused=False, next_at__lte=at).select_related("benchmark", "created_by")
    return list(rows.order_by("next_at", "pk"))


async def _why_not(one: Schedule) -> str:
    """Return why the candidates cannot be asked; empty when they can."""
    try:
        await check(one.configs)
    except Exception as error:
        return _words(error)
    return ""


def _words(error: Exception) -> str:
    """Return why a schedule cannot start. Whatever it is stays its own affair: others are due too."""
    if isinstance(error, InterfaceError | OperationalError):
        raise error  # the database is away: it is due as before
    if not isinstance(error, ConsoleError):
        log.error("a schedule could not be started", exc_info=error)
    return reason(error)


def _take(one: Schedule, at: datetime, problem: str) -> list[Evaluation]:
    """Claim a schedule that is due and start it; nothing when somebody else has, or something stands in the way."""
    mine = Schedule.objects.filter(pk=one.pk, next_at=one.next_at, is_paused=False)
    if not mine.update(next_at=_after(one.next_at, one.every, at), last_at=at):
        return []
    runs: list[Evaluation] = []
    outcome = Outcome.FAILED
    if Evaluation.objects.filter(schedule_id=one.pk, job__status__in=ACTIVE).exists():
        outcome, problem = Outcome.SKIPPED, STILL_RUNS
    elif not problem:
        try:
            with transaction.atomic():
                runs, outcome = _begin(one, _maker(one)), Outcome.STARTED
        except Exception as error:
            problem = _words(error)
    Schedule.objects.filter(pk=one.pk).update(outcome=outcome, problem=problem)
    return runs


def _begin(one: Schedule, actor: Principal) -> list[Evaluation]:
    """Start its runs, all of them or none."""
    runs = [evaluation.start(one.benchmark.benchmark_id, config, actor) for config in one.configs]
    Evaluation.objects.filter(pk__in=[run.pk for run in runs]).update(schedule_id=one.pk)
    audit.note(actor, "run", "schedule", str(one.pk), jobs=[run.job.job_id for run in runs])
    return runs


def _maker(one: Schedule) -> Principal:
    """Return who made it as the actor; raises BadRequest for somebody who could not start its runs by hand."""
    user = one.created_by
    if user is None or not user.can(Role.OPERATOR):
        raise BadRequest(MAY_NOT)
    return Principal(role=user.role, user_id=user.pk, name=user.username)


def _after(moment: datetime, every: str, at: datetime) -> datetime:
    """Return the moment, moved on by as many whole steps as it takes to be later than ``at``."""
    step = STEPS[Every(every)]
    return moment if moment > at else moment + ((at - moment) // step + 1) * step
