"""Evaluations as they stand once they have run, without running them."""

import json
from collections.abc import Sequence
from typing import Any

from apps.core.ids import new_id
from apps.evals import results, schemas, spread
from apps.evals.models import EvaluatedRow, Evaluation
from apps.jobs.models import Job, Status

EQUALITY = {"function": "basic::equality", "params": {"type": "basic", "aggregation_functions": ["accuracy"]}}


def row(question: str, expected: str = "yes") -> dict[str, Any]:
    """Return a row of a dataset."""
    return {"question": question, "answer": expected}


def _score_row(score: Any) -> dict[str, Any]:
    """Return the score row of a score; one that is a score row already is left as it is."""
    return score if isinstance(score, dict) else {"score": score}


def _row(one: Evaluation, at: int, value: dict[str, Any], answer: str | None, told: dict[str, Any]) -> EvaluatedRow:
    error = "" if answer is not None else "The model server did not answer."
    return EvaluatedRow(
        evaluation=one,
        position=at,
        row=json.dumps(value),
        generation=json.dumps({"generated_answer": answer}),
        scores=json.dumps(told, ensure_ascii=False),
        error=error,
        trace_id=f"{at + 1:032x}",
        worst=spread.worst(told, error),
    )


def run(
    rows: Sequence[dict[str, Any]],
    answers: Sequence[str | None],
    scores: dict[str, Sequence[Any]],
    *,
    scoring: dict[str, Any] | None = None,
    candidate: str = "scripted/scripted",
    benchmark_id: str = "bench",
    dataset_id: str = "rows",
    status: Status = Status.COMPLETED,
) -> Evaluation:
    """Store an evaluation of these rows, with the answer to each and each function's scores; an answer None failed."""
    job = Job.objects.create(
        job_id=new_id(), kind="evaluation", title="Evaluate", queue="eval", status=status, work="tests", arguments={}
    )
    greedy = {"strategy": {"type": "greedy"}}
    config = {"eval_candidate": {"type": "model", "model": candidate, "sampling_params": greedy}, "scoring_params": {}}
    one = Evaluation.objects.create(
        job=job,
        benchmark_id=benchmark_id,
        dataset_id=dataset_id,
        config=schemas.BenchmarkConfig.model_validate(config),
        scoring=scoring or dict.fromkeys(scores, EQUALITY),
        candidate=candidate,
        row_total=len(rows),
        row_count=len(answers),
    )
    told = [{name: _score_row(some[at]) for name, some in scores.items()} for at in range(len(answers))]
    EvaluatedRow.objects.bulk_create(_row(one, at, rows[at], answers[at], told[at]) for at in range(len(answers)))
    Evaluation.objects.filter(pk=one.pk).update(**results.sums(one.pk))
    one.refresh_from_db()
    return one
