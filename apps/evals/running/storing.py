"""Results of an evaluation, stored a few at a time while it runs, and how far it is told."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from django.conf import settings
from django.db.models import F

from apps.core import db, live
from apps.core.fields import json_text
from apps.evals import calls, human, results, spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.running.evaluating import Result
from apps.evals.scoring.counting import Counted, Counting
from apps.jobs.handle import Handle

Json = dict[str, Any]
FLUSH_S = 0.25  # how long a result waits to be stored with others
FLUSH_ROWS = 64
FLUSH_CHARS = 4_000_000  # of what was asked and answered: rows may be long
ERRORS_TOLD = 50  # lines about rows in the job's log; all of them stand on the evaluation's page
TELL_S = 1.0  # how often the scores so far are added up
ADDING_SHARE = 20  # of the time, one part in so many goes to adding up
SILENT_S = 10.0  # how often it tells that nothing comes
WAITING = "Waits for {} to answer"
SILENCE = "No row was done for {:.0f} s; a call that gets no answer fails after {:g} s"


class Keeper:
    """Stores results a few at a time, and tells how far it is."""

    def __init__(self, evaluation: Evaluation, handle: Handle, done: int) -> None:
        self._evaluation, self._handle, self._done = evaluation, handle, done
        self.counting = Counting()  # of the functions whose rows it stores
        self._waiting: list[Result] = []
        self._chars = 0  # of those
        self._error, self._errors = "", 0  # the one of the last row, and how many were to be told
        self._away: set[str] = set()  # names of models that are waited for
        self._since = self._add_up_at = 0.0
        self._unadded = done  # rows that the scores so far do not speak of
        self._heard_at, self._silent_s = time.monotonic(), 0.0  # the last result, and the silence that was told since

    def take(self, result: Result) -> None:
        """Keep a result for the next flush."""
        self._heard_at, self._silent_s = time.monotonic(), 0.0
        self._since = self._since if self._waiting else self._heard_at
        self._waiting.append(result)
        self._chars += len(result.row) + len(str(result.generation.get("generated_answer")))
        if result.error and result.error != self._error:  # a dead server fails all rows with the same words
            self._log_error(result)
        self._error = result.error

    def _log_error(self, result: Result) -> None:
        self._errors += 1
        if self._errors <= ERRORS_TOLD:
            self._handle.log(f"Row {result.position + 1}: {result.error}", "warning")
        if self._errors == ERRORS_TOLD:
            self._handle.log("Further rows without an answer are told on the evaluation's page alone.", "warning")

    def tell(self, name: str, text: str, is_away: bool) -> None:
        """Tell how it stands with a model of this name, in the log and beside the progress."""
        self._handle.log(text, "warning")
        self._away = self._away | {name} if is_away else self._away - {name}
        self._progress()
        self._handle.flush()  # nothing further may come for minutes

    @property
    def is_due(self) -> bool:
        """Whether it is time to flush: enough wait, or the first has waited for a moment."""
        is_much = len(self._waiting) >= FLUSH_ROWS or self._chars >= FLUSH_CHARS
        return is_much or time.monotonic() - self._since >= FLUSH_S

    def hear_nothing(self) -> None:
        """Tell every few seconds for how long no result has come: a silent model server is waited for for minutes."""
        silent_s = time.monotonic() - self._heard_at
        if silent_s >= self._silent_s + SILENT_S:
            self._silent_s = silent_s
            self._progress()

    def _progress(self) -> None:
        silence = SILENCE.format(self._silent_s, settings.MODEL_TIMEOUT_S) if self._silent_s else ""
        away = " and ".join(f"{name[0].lower()}{name[1:]}" for name in sorted(self._away))
        note = WAITING.format(away) if away else silence
        self._handle.progress(self._done, self._evaluation.row_total, "rows", note, bool(away))

    async def flush(self) -> None:
        """Store what waits, in one transaction that also shows that the lease is still held; add up what is due."""
        some, self._waiting, self._chars = self._waiting, [], 0
        if some:
            await db.write(_store, self._evaluation.pk, some, self._handle, self.counting.take())
            self._done += len(some)
            self._unadded += len(some)
            self._progress()
        is_added = await self._add_up()
        if some or is_added:
            news = {"event_type": "rows_evaluated", "positions": [result.position for result in some]}
            live.tell(f"evaluation:{self._handle.job_id}", news)

    async def _add_up(self) -> bool:
        """Add the scores so far up, if some are new and it is time to; return whether that was done."""
        if not self._unadded or time.monotonic() < self._add_up_at:
            return False
        sums, cost_s = await db.read(_timed_sums, self._evaluation.pk)
        await db.write(keep_sums, self._evaluation.pk, sums, self._handle)
        self._unadded = 0
        self._add_up_at = time.monotonic() + max(TELL_S, ADDING_SHARE * cost_s)
        return True


async def in_time(results: AsyncGenerator[Result], keeper: Keeper) -> AsyncGenerator[Result]:
    """Yield results, and flush them when enough wait or a moment has passed."""
    coming: asyncio.Future[Result | None] = asyncio.ensure_future(anext(results, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=FLUSH_S)
            if not coming.done():
                await keeper.flush()
                keeper.hear_nothing()
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


def _store(evaluation_pk: int, some: list[Result], handle: Handle, counted: Counted) -> None:
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
                is_cut=result.is_cut,
                trace_id=result.trace_id,
                judged=json_text(result.judged) if result.judged else "",
                worst=spread.worst(result.scores, result.error),
            )
            for result in some
        ]
    )
    for run in {result.answered_in for result in some if result.answered_in is not None}:
        kept = [result.position for result in some if result.answered_in == run]
        human.copy(run, evaluation_pk, EvaluatedRow.objects.filter(evaluation=evaluation_pk, position__in=kept))
    failed = sum(bool(result.error) for result in some)
    Evaluation.objects.filter(pk=evaluation_pk).update(
        row_count=F("row_count") + len(some), failed_count=F("failed_count") + failed
    )
    calls.keep(counted)
    handle.keep({"rows": (handle.checkpoint or {}).get("rows", 0) + len(some)})  # another number each time: progress


def _timed_sums(evaluation_pk: int) -> tuple[Json, float]:
    """Return what the rows so far come to, and the seconds of work that took.

    Waiting for others on a busy machine is no work: counted as such, it would let the scores stand still for longer
    the more there is to see.
    """
    began = time.thread_time()
    sums = results.sums(evaluation_pk)
    return sums, time.thread_time() - began


def keep_sums(evaluation_pk: int, sums: Json, handle: Handle) -> None:
    """Store what the rows so far come to; called inside a write. Raises Cancelled when another worker has the job."""
    handle.keep(handle.checkpoint or {})
    Evaluation.objects.filter(pk=evaluation_pk).update(**sums)
