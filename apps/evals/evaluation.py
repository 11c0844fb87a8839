"""An evaluation as a job: started, run row by row, taken up again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from django.db import transaction

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core import db
from apps.core.errors import BadRequest, Conflict, NotFound
from apps.datasets import rows as dataset_rows
from apps.datasets.models import Dataset
from apps.datasets.positions import Places
from apps.evals import costs, functions, results, schemas, spread
from apps.evals.models import Benchmark, Evaluation
from apps.evals.running import candidates, retried, variants
from apps.evals.running.evaluating import Row, Run
from apps.evals.running.patience import Patience
from apps.evals.running.storing import Keeper, in_time, keep_sums
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.jobs.models import Job

Json = dict[str, Any]
WORK = "apps.evals.evaluation.run"
KIND = "evaluation"
CHUNK = 200
OUTAGE_S = 300.0  # how long a model server that answered before is waited for


def start(benchmark_id: str, config: schemas.BenchmarkConfig, actor: Principal) -> Evaluation:
    """Store an evaluation and its job, scheduled; called inside a write.

    Raises NotFound (benchmark, dataset, scoring function) and BadRequest. Before it, the caller looks the candidate up
    and has the expressions checked.
    """
    candidate = candidates.name_of(config.eval_candidate)
    with transaction.atomic():
        benchmark = Benchmark.objects.locked(benchmark_id)  # whoever deletes it now waits, and sees the job
        scoring = functions.resolved(benchmark.scoring_functions, config.scoring_params)
        dataset = dataset_rows.locked(benchmark.dataset_id)  # the same
        dataset.check_readable()
        row_total = wanted(config, dataset.row_count)
        job = runner.enqueue(
            WORK,
            # Rows keep their places: what is deleted later leaves gaps that were not there when they were counted.
            {"dataset_id": dataset.dataset_id, "dataset": dataset.pk, "gaps": dataset.gaps},
            kind=KIND,
            title=f"Evaluate {candidate} on {benchmark.benchmark_id}",
            about=("benchmark", benchmark.benchmark_id),
            queue="eval",
            actor=actor,
        )
        evaluation = Evaluation.objects.create(
            job=job,
            benchmark_id=benchmark.benchmark_id,
            dataset_id=dataset.dataset_id,
            config=config,
            scoring=functions.as_json(scoring),
            candidate=candidate,
            variant=variants.words_of(config.eval_candidate),
            fingerprint=variants.fingerprint_of(config.eval_candidate),
            prices=costs.at_start(config, scoring),
            row_total=row_total,
            is_partial=row_total < dataset.row_count,
            created_by_id=actor.user_id,
        )
        audit.note(actor, "create", "evaluation", job.job_id, benchmark=benchmark.benchmark_id, candidate=candidate)
    return evaluation


def wanted(config: schemas.BenchmarkConfig, row_count: int) -> int:
    """Return how many rows are evaluated; raises BadRequest for a number that asks for none."""
    number = config.num_examples
    if number is None or number == -1:
        return row_count
    if number < 1:
        raise BadRequest(f"benchmark_config.num_examples: must be 1 or more, or -1 for all rows, not {number}")
    return min(number, row_count)


def named(benchmark_id: str, job_id: str) -> Evaluation:
    """Return the evaluation of this job; raises NotFound, also when it is of another benchmark."""
    found = None
    if "\0" not in benchmark_id + job_id:
        found = Evaluation.objects.select_related("job").filter(job__job_id=job_id, benchmark_id=benchmark_id).first()
    if found is None:
        raise NotFound(f"Job '{job_id}' of benchmark '{benchmark_id}' not found")
    return found


async def run(handle: Handle) -> Json:
    """Evaluate the rows that have no result yet; results are stored a moment after they are there.

    Raises NotFound and Conflict for a dataset that is gone, BadRequest when no row was answered.
    """
    evaluation = await db.write(_load, handle.job_id)
    runs = await db.read(retried.before, evaluation)
    await retried.take_over(evaluation, runs, handle)
    done, total = await db.read(evaluation.rows.count), evaluation.row_total
    dataset = await db.read(_dataset, evaluation.dataset_id, handle.arguments)
    keeper = Keeper(evaluation, handle, done)
    work = await _work(evaluation, handle, keeper)
    handle.progress(done, total, "rows")  # what an earlier attempt told of its pace is over
    if done:
        handle.log(f"Going on: {done:,} of {total:,} rows are done.")
    async with aclosing(work.results(_rows(evaluation, dataset, runs))) as coming:  # type: ignore[type-var]
        async for result in in_time(coming, keeper):
            keeper.take(result)
    await keeper.flush()
    sums = await db.read(results.sums, evaluation.pk)
    await db.write(keep_sums, evaluation.pk, sums, handle)
    _log_what_is_missing(sums, total, handle)
    if sums["failed_count"] and sums["failed_count"] == sums["row_count"]:
        reason = await db.read(results.first_error, evaluation.pk)
        raise BadRequest(f"None of the {sums['row_count']:,} rows was answered. The first: {reason}")
    return {"rows": sums["row_count"], "failed": sums["failed_count"], "scores": sums["aggregated"]}


def _log_what_is_missing(sums: Json, total: int, handle: Handle) -> None:
    if gone := total - sums["row_count"]:
        handle.log(f"{gone:,} of {total:,} rows were deleted from the dataset meanwhile and are left out.", "warning")
    if failed := sums["failed_count"]:
        handle.log(f"{failed:,} rows have no answer; 'Run what is missing' asks them again.")
    if spread.lacks_scores(sums["spread"], failed):
        handle.log("Some answers have no score; 'Run what is missing' scores them again, as they are.")


async def _work(evaluation: Evaluation, handle: Handle, keeper: Keeper) -> Run:
    """Return what asks and scores the rows, and waits for models that are away."""

    def patience(name: str) -> Patience:
        return Patience(name, OUTAGE_S, partial(keeper.tell, name))

    ask = await candidates.ready(evaluation.config.eval_candidate)
    scoring = functions.scorers(evaluation.scoring, patience)
    keeper.counting = scoring.counting
    about = {"benchmark_id": evaluation.benchmark_id, "job_id": handle.job_id}
    at_once = await candidates.asked_at_once(evaluation.config.eval_candidate)
    return Run(ask, scoring.score, list(evaluation.scoring), at_once, about, patience("The model server"))


def _load(job_id: str) -> Evaluation:
    found = Evaluation.objects.select_related("job").filter(job__job_id=job_id).first()
    return found or retried.begin(Job.objects.get(job_id=job_id))


def _dataset(dataset_id: str, arguments: Json) -> Dataset:
    """Return the dataset with its gaps as they were when the evaluation was started; raises NotFound and Conflict."""
    dataset = Dataset.objects.named(dataset_id)
    if arguments.get("dataset", dataset.pk) != dataset.pk:
        raise Conflict(f"Dataset '{dataset_id}' was deleted and made anew since; start a new evaluation.")
    dataset.gaps = arguments.get("gaps", dataset.gaps)
    return dataset


async def _rows(evaluation: Evaluation, dataset: Dataset, runs: Sequence[int]) -> AsyncIterator[Row]:
    """Yield the rows without a result, chunk by chunk, with the answers that earlier runs have to them."""
    total, size, places = evaluation.row_total, min(CHUNK, dataset_rows.chunk_size(dataset)), dataset.places
    for index in range(0, total, size):
        for row in await db.read(_chunk, evaluation, dataset, places, runs, range(index, min(index + size, total))):
            yield row


def _chunk(evaluation: Evaluation, dataset: Dataset, places: Places, runs: Sequence[int], chunk: range) -> list[Row]:
    """Return those rows of a chunk that have no result yet; one that has an answer need not be there any more."""
    done = evaluation.rows.filter(position__gte=chunk.start, position__lt=chunk.stop)
    left = set(chunk) - set(done.values_list("position", flat=True))
    if not left:
        return []
    start, last = places.position_of(chunk.start), places.position_of(chunk.stop - 1)
    found = dataset_rows.within(dataset, start, last + 1).values_list("position", "content")
    placed = ((places.index_of(position), text) for position, text in found)
    rows = {place: Row(place, text) for place, text in placed if place in left}
    if runs:
        rows |= retried.answered(runs, left)  # the row as it was when it was answered
    return [rows[place] for place in sorted(rows)]
