"""Evaluations with rows, made without a worker."""

import json
from typing import Any

from django.utils.timezone import now

from apps.datasets import registry as datasets
from apps.datasets import schemas as dataset_schemas
from apps.datasets.models import Dataset
from apps.evals import registry as benchmarks
from apps.evals import results, schemas, spread
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation
from apps.jobs.models import Job, Status
from tests import build

QA = [{"question": f"What is {n}?", "answer": f"It is {n}"} for n in range(8)]


def dataset(name: str = "qa", rows: Any = QA, purpose: str = "eval/question-answer") -> Dataset:
    """Return a new dataset with these rows."""
    asked = dataset_schemas.RegisterDatasetRequest(
        purpose=purpose,  # type: ignore[arg-type]
        source=dataset_schemas.RowsDataSource(rows=[]),
        dataset_id=name,
    )
    return datasets.register_now(datasets.Request(asked, [json.dumps(row) for row in rows], rows[:20]), build.actor())


def benchmark(name: str = "bench", dataset_id: str = "qa", *functions: str) -> Benchmark:
    """Return a new benchmark."""
    asked = schemas.RegisterBenchmarkRequest(
        benchmark_id=name, dataset_id=dataset_id, scoring_functions=list(functions or ("basic::equality",))
    )
    return benchmarks.register(asked, build.actor())


def evaluation(scores: list[Any], on: str = "bench", status: str = Status.COMPLETED, **fields: Any) -> Evaluation:
    """Return an evaluation with a row for each score; a score that is text beginning with ``!`` is a failed row."""
    job = Job.objects.create(
        work="apps.evals.evaluation.run", kind="evaluation", title=f"Evaluate on {on}", status=status, queue="eval",
        about_kind="benchmark", about_id=on, started_at=now(),
        completed_at=None if status in ("scheduled", "in_progress") else now(),
    )  # fmt: skip
    functions = fields.pop("functions", ["basic::equality"])
    candidate = {"type": "model", "model": "scripted/scripted", "sampling_params": {"strategy": {"type": "greedy"}}}
    params = {"type": "basic", "aggregation_functions": ["accuracy"]}
    given = {
        "benchmark_id": on,
        "dataset_id": "qa",
        "candidate": "scripted/scripted",
        "row_total": len(scores),
        "row_count": len(scores),
    } | fields
    given.setdefault("fingerprint", str(given["candidate"])[-16:])
    made = Evaluation.objects.create(
        job=job,
        config=schemas.BenchmarkConfig.model_validate({"eval_candidate": candidate}),
        scoring={name: {"function": name, "params": params} for name in functions},
        **given,
    )
    EvaluatedRow.objects.bulk_create([_row(made, at, score, functions) for at, score in enumerate(scores)])
    Evaluation.objects.filter(pk=made.pk).update(**results.sums(made.pk))
    made.refresh_from_db()
    return made


def _row(made: Evaluation, at: int, score: Any, functions: list[str]) -> EvaluatedRow:
    error = score[1:] if isinstance(score, str) and score.startswith("!") else ""
    told = {name: {"score": None if error else score} for name in functions}
    answer = {"generated_answer": None, "error": error} if error else {"generated_answer": f"It is {at} of them"}
    return EvaluatedRow(
        evaluation=made,
        position=at,
        row=json.dumps({"question": f"What is {at}?", "answer": f"It is {at}"}),
        generation=json.dumps(answer),
        scores=json.dumps(told),
        error=error,
        duration_ms=20 + at,
        input_tokens=3,
        output_tokens=4,
        trace_id=f"{at:032x}",
        worst=spread.worst(told, error),
    )
