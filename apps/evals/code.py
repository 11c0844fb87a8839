"""Evaluations as code: calls that can be pasted into a shell or a Python file and work."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from django.urls import reverse

from apps.core.code import AUTHORIZED, CLIENT, Call, post, read
from apps.core.fields import json_text
from apps.evals import schemas
from apps.evals.models import Evaluation

Json = dict[str, Any]
FILE, LONGEST = "request.json", 10_000  # where a body of more characters is read from
SHORT = 60  # characters of Python that stand on one line
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


def run(origin: str, benchmark_id: str, config: schemas.BenchmarkConfig, path: str = "") -> Call:
    """Return the call that runs a benchmark so; a long body is read from a file, which is at the path."""
    body = body_of(config)
    text, told = json_text(body), _assigned("config", body["benchmark_config"])
    is_long = len(text) > LONGEST
    if is_long:
        text, told = f"@{FILE}", f'config = json.load(open("{FILE}"))["benchmark_config"]\n'
    head = ("import json\n" if is_long else "") + CLIENT.format(origin=origin)
    python = f"{told}job = client.alpha.eval.run_eval({benchmark_id!r}, benchmark_config=config)\n"
    curl = post(_jobs(origin, benchmark_id), text)
    return Call(curl, head + python + "print(job.job_id, job.status)", *((path, FILE) if is_long else ()))


def body_of(config: schemas.BenchmarkConfig) -> Json:
    """Return the body of the request that runs a benchmark so."""
    told = config.model_dump(mode="json", exclude_none=True)
    told.setdefault("scoring_params", {})
    return {"benchmark_config": told}


def path_of(evaluation: Evaluation) -> str:
    """Return where the body of the request that started a run is read."""
    return reverse("evals:evaluation-json", args=[evaluation.job.job_id, "request"])


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
    """Return the Python that gives a value a name."""
    return f"{name} = {_literal(value)}\n"


def _literal(value: Any, indent: str = "") -> str:
    """Return a value as Python: what is longer than a line has one entry a line, indented by four."""
    if not isinstance(value, dict | list) or len(repr(value)) <= SHORT:
        return repr(value)
    inner = indent + " " * 4
    if isinstance(value, dict):
        entries = [f"{key!r}: {_literal(one, inner)}" for key, one in value.items()]
        return "{\n" + "".join(f"{inner}{one},\n" for one in entries) + indent + "}"
    return "[\n" + "".join(f"{inner}{_literal(one, inner)},\n" for one in value) + indent + "]"
