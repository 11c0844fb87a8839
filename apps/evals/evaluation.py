"""An evaluation as a job: started, run row by row, taken up again, told as a result."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils.timezone import now

from apps.accounts import audit
from apps.accounts.principals import Principal
from apps.core import db, live
from apps.core.errors import BadRequest, Conflict, NotFound
from apps.core.fields import json_text
from apps.datasets import positions
from apps.datasets import rows as dataset_rows
from apps.datasets.models import Dataset
from apps.evals import candidates, functions, results, schemas, spread
from apps.evals.evaluating import Result, Run
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.jobs.models import Job

Json = dict[str, Any]
WORK = "apps.evals.evaluation.run"
KIND = "evaluation"
FLUSH_S = 0.25  # how long a result waits to be stored with others
FLUSH_ROWS = 64
TELL_S = 1.0  # how often the scores so far are added up
CHUNK = 200


def start(benchmark_id: str, config: schemas.BenchmarkConfig, actor: Principal) -> Evaluation:
    """Store an evaluation and its job, scheduled; called inside a write.

    Raises NotFound (benchmark, dataset, scoring function) and BadRequest. The candidate is looked up by the caller.
    """
    benchmark = Benchmark.objects.named(benchmark_id)
    scoring = functions.resolved(benchmark.scoring_functions, config.scoring_params)
    candidate = candidates.name_of(config.eval_candidate)
    with transaction.atomic():
        dataset = dataset_rows.locked(benchmark.dataset_id)  # whoever deletes it now waits, and sees the job
        dataset.check_readable()
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
            scoring={name: params.model_dump(mode="json") for name, params in scoring.items()},
            candidate=candidate,
            row_total=wanted(config, dataset.row_count),
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
    evaluation, done = await db.write(_load, handle.job_id)
    dataset = await db.read(_dataset, evaluation.dataset_id, handle.arguments)
    total, scoring = evaluation.row_total, functions.scorers(evaluation.scoring)
    ask = await candidates.ready(evaluation.config.eval_candidate)
    about = {"benchmark_id": evaluation.benchmark_id, "job_id": handle.job_id}
    work = Run(ask, scoring.score, list(evaluation.scoring), candidates.at_once(), about)
    if done:
        handle.log(f"Going on: {len(done):,} of {total:,} rows are done.")
    keeper = _Keeper(evaluation, handle, len(done))
    async with aclosing(work.results(_rows(dataset, total, done))) as coming:  # type: ignore[type-var]
        async for result in _in_time(coming, keeper):
            keeper.take(result)
    await keeper.flush()
    sums = await db.read(results.sums, evaluation.pk)
    await db.write(_keep_sums, evaluation.pk, sums, handle)
    if missing := total - sums["row_count"]:
        handle.log(
            f"{missing:,} of {total:,} rows were deleted from the dataset meanwhile and are left out.", "warning"
        )
    if sums["failed_count"] and sums["failed_count"] == sums["row_count"]:
        reason = await db.read(results.first_error, evaluation.pk)
        raise BadRequest(f"None of the {sums['row_count']:,} rows was answered. The first: {reason}")
    return {"rows": sums["row_count"], "failed": sums["failed_count"], "scores": sums["aggregated"]}


class _Keeper:
    """Stores results a few at a time, and tells how far it is."""

    def __init__(self, evaluation: Evaluation, handle: Handle, done: int) -> None:
        self._evaluation, self._handle, self._done = evaluation, handle, done
        self._waiting: list[Result] = []
        self._since = self._add_up_at = 0.0

    def take(self, result: Result) -> None:
        """Keep a result for the next flush."""
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting.append(result)
        if result.error:
            self._handle.log(f"Row {result.position + 1}: {result.error}", "warning")

    @property
    def is_due(self) -> bool:
        """Whether it is time to flush: enough wait, or the first has waited for a moment."""
        return len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._since >= FLUSH_S

    async def flush(self) -> None:
        """Store what waits, in one transaction that also shows that the lease is still held."""
        some, self._waiting = self._waiting, []
        if not some:
            return
        await db.write(_store, self._evaluation.pk, some, self._handle)
        self._done += len(some)
        self._handle.progress(self._done, self._evaluation.row_total, "rows")
        if time.monotonic() >= self._add_up_at:
            began = time.monotonic()
            sums = await db.read(results.sums, self._evaluation.pk)
            await db.write(_keep_sums, self._evaluation.pk, sums, self._handle)
            # The more rows there are the longer adding up takes: it never takes more than a small share of the time.
            self._add_up_at = time.monotonic() + max(TELL_S, 20 * (time.monotonic() - began))
        news = {"event_type": "rows_evaluated", "positions": [result.position for result in some]}
        live.tell(f"evaluation:{self._handle.job_id}", news)


async def _in_time(results: AsyncGenerator[Result], keeper: _Keeper) -> AsyncGenerator[Result]:
    """Yield results, and flush them when enough wait or a moment has passed."""
    coming: asyncio.Future[Result | None] = asyncio.ensure_future(anext(results, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=FLUSH_S)
            if not coming.done():
                await keeper.flush()
                continue
            result = coming.result()
            if result is None:
                return
            yield result
            if keeper.is_due:
                await keeper.flush()
            coming = asyncio.ensure_future(anext(results, None))
    finally:
        coming.cancel()
        await asyncio.wait({coming})


def _load(job_id: str) -> tuple[Evaluation, set[int]]:
    evaluation = Evaluation.objects.filter(job__job_id=job_id).first() or again(Job.objects.get(job_id=job_id))
    return evaluation, set(evaluation.rows.values_list("position", flat=True))


def again(job: Job) -> Evaluation:
    """Return the evaluation of a job that tries an ended one again: with the rows that were answered, not the others.

    A job that ended never changes, so its evaluation stays as it is. Raises NotFound when it was deleted meanwhile.
    """
    evaluation = Evaluation.objects.filter(job=job.retry_of).first()
    if evaluation is None:
        raise NotFound("The evaluation this one goes on from was deleted; start a new one.")
    before, evaluation.pk = evaluation.pk, None
    evaluation.job, evaluation.created_at, evaluation.failed_count = job, now(), 0
    evaluation.save(force_insert=True)
    table = EvaluatedRow._meta.db_table
    kept = ", ".join(str(field.column) for field in EvaluatedRow._meta.fields if field.name not in ("id", "evaluation"))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (evaluation_id, {kept}) "
            f"SELECT %s, {kept} FROM {table} WHERE evaluation_id = %s AND error = ''",
            [evaluation.pk, before],
        )
        evaluation.row_count = cursor.rowcount
    evaluation.save(update_fields=["row_count"])
    return evaluation


def _dataset(dataset_id: str, arguments: Json) -> Dataset:
    """Return the dataset with its gaps as they were when the evaluation was started; raises NotFound and Conflict."""
    dataset = Dataset.objects.named(dataset_id)
    if arguments.get("dataset", dataset.pk) != dataset.pk:
        raise Conflict(f"Dataset '{dataset_id}' was deleted and made anew since; start a new evaluation.")
    dataset.gaps = arguments.get("gaps", dataset.gaps)
    return dataset


async def _rows(dataset: Dataset, total: int, done: set[int]) -> AsyncIterator[tuple[int, str]]:
    """Yield the rows without a result, chunk by chunk, with their place in the evaluation."""
    size = min(CHUNK, dataset_rows.chunk_size(dataset))
    for index in range(0, total, size):
        for place, text in await db.read(_chunk, dataset, index, min(size, total - index)):
            if place not in done:
                yield place, text


def _chunk(dataset: Dataset, index: int, count: int) -> list[tuple[int, str]]:
    """Return what is left of ``count`` rows, each with its place."""
    rows = dataset_rows.between(dataset, positions.position_of(dataset.gaps, index), count).order_by("position")
    found = rows.values_list("position", "content")
    return [(positions.index_of(dataset.gaps, position), text) for position, text in found]


def _store(evaluation_pk: int, some: list[Result], handle: Handle) -> None:
    EvaluatedRow.objects.bulk_create(
        [
            EvaluatedRow(
                evaluation_id=evaluation_pk,
                position=result.position,
                row=result.row,
                generation=json_text(result.generation),
                scores=json_text(result.scores),
                error=result.error.replace("\0", ""),
                duration_ms=result.duration_ms,
                input_tokens=result.input_tokens,
                output_tokens=result.output_tokens,
                trace_id=result.trace_id,
                worst=spread.worst(result.scores, result.error),
            )
            for result in some
        ]
    )
    failed = sum(bool(result.error) for result in some)
    Evaluation.objects.filter(pk=evaluation_pk).update(
        row_count=F("row_count") + len(some), failed_count=F("failed_count") + failed
    )
    handle.keep({"rows": max(result.position for result in some) + 1})


def _keep_sums(evaluation_pk: int, sums: Json, handle: Handle) -> None:
    handle.keep(handle.checkpoint or {})  # nothing is written for a job another worker has
    Evaluation.objects.filter(pk=evaluation_pk).update(**sums)
