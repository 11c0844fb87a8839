"""Evaluations as code: calls that can be pasted into a shell or a Python file and work."""

import json
from collections.abc import Sequence
from pprint import pformat
from textwrap import indent
from typing import Any
from urllib.parse import quote

from apps.core.code import AUTHORIZED, CLIENT, Call, post, read
from apps.core.fields import json_text
from apps.evals import schemas
from apps.evals.models import Evaluation

Json = dict[str, Any]
FLIPPED = """\
base, other = (
    client.alpha.eval.jobs.retrieve(job, benchmark_id=benchmark)
    for job, benchmark in runs
)
rows = (run.scores[{function!r}].score_rows for run in (base, other))
flipped = [
    number
    for number, (one, two) in enumerate(zip(*rows), 1)
    if one["score"] != two["score"]
]
"""


def run(origin: str, benchmark_id: str, config: schemas.BenchmarkConfig) -> Call:
    """Return the call that runs a benchmark so."""
    told = config.model_dump(mode="json", exclude_none=True)
    told.setdefault("scoring_params", {})
    curl = post(_jobs(origin, benchmark_id), json_text({"benchmark_config": told}))
    python = f"{_assigned('config', told)}job = client.alpha.eval.run_eval({benchmark_id!r}, benchmark_config=config)\n"
    return Call(curl, CLIENT.format(origin=origin) + python + "print(job.job_id, job.status)")


def result(origin: str, benchmark_id: str, job_id: str) -> Call:
    """Return the call that reads the result of a run."""
    python = f"result = client.alpha.eval.jobs.retrieve({job_id!r}, benchmark_id={benchmark_id!r})\n"
    told = "for name, one in result.scores.items():\n    print(name, one.aggregated_results)"
    return read(origin, f"{_jobs('', benchmark_id)}/{job_id}/result", python + told)


def compared(origin: str, runs: Sequence[Evaluation], function: str) -> Call:
    """Return the calls that read the results of runs, and what finds the rows the first two flipped by a function."""
    curl = "\n".join(
        f'curl "{_jobs(origin, run.benchmark_id)}/{run.job.job_id}/result" \\\n  {AUTHORIZED} -o run-{run.pk}.json'
        for run in runs
    )
    two = _assigned("runs", [(run.job.job_id, run.benchmark_id) for run in runs[:2]])
    return Call(curl, CLIENT.format(origin=origin) + two + FLIPPED.format(function=function))


def score(origin: str, request: Json) -> str:
    """Return the call that scores rows, for a shell."""
    return post(f"{origin}/v1/scoring/score", json.dumps(request, ensure_ascii=False, indent=2))


def _jobs(origin: str, benchmark_id: str) -> str:
    return f"{origin}/v1alpha/eval/benchmarks/{quote(benchmark_id)}/jobs"


def _assigned(name: str, value: Any) -> str:
    """Return the Python that gives a value of several lines a name."""
    head = f"{name} = "
    return head + indent(pformat(value, width=80, sort_dicts=False), " " * len(head)).lstrip() + "\n"
