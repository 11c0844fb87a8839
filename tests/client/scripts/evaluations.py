"""Every benchmarks and eval call of the published client, in a process with one version of it."""

import os
import sys
import time

from llama_stack_client import BadRequestError, ConflictError, LlamaStackClient, NotFoundError, __version__

client = LlamaStackClient(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60)
alpha = getattr(client, "alpha", client)
evals = alpha.eval
benchmarks = getattr(client, "benchmarks", None) or alpha.benchmarks
datasets = getattr(client, "datasets", None) or client.beta.datasets
MODEL = os.environ["MODEL"]
name = f"bench::{__version__}"
rows = [{"question": f"{word}?", "answer": "tok0"} for word in ("one", "two", "three")]
datasets.register(
    purpose="eval/question-answer", source={"type": "rows", "rows": rows}, dataset_id=f"rows-{__version__}"
)


def refused(kind: type[Exception], call, *given, **arguments) -> None:
    try:
        call(*given, **arguments)
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


about = {
    "benchmark_id": name,
    "dataset_id": f"rows-{__version__}",
    "scoring_functions": ["basic::equality", "basic::subset_of"],
}
assert benchmarks.register(**about) is None
assert benchmarks.register(**about) is None
refused(ConflictError, benchmarks.register, **{**about, "dataset_id": "other"})
read = benchmarks.retrieve(name)
assert (read.identifier, read.dataset_id) == (name, about["dataset_id"]), read
assert name in [one.identifier for one in benchmarks.list()]

greedy = {"strategy": {"type": "greedy"}}
config = {"eval_candidate": {"type": "model", "model": MODEL, "sampling_params": greedy}, "scoring_params": {}}
job = evals.run_eval(name, benchmark_config=config)
assert job.status in ("scheduled", "in_progress", "completed"), job
for _ in range(300):
    status = evals.jobs.status(job_id=job.job_id, benchmark_id=name)
    if status.status == "completed":
        break
    time.sleep(0.1)
assert status.status == "completed", status
result = evals.jobs.retrieve(job_id=job.job_id, benchmark_id=name)
assert len(result.generations) == 3 and result.generations[0]["generated_answer"].startswith("tok0"), result
assert [row["score"] for row in result.scores["basic::equality"].score_rows] == [0.0] * 3
assert result.scores["basic::subset_of"].aggregated_results["accuracy"]["accuracy"] == 1.0
refused(ConflictError, evals.jobs.cancel, job_id=job.job_id, benchmark_id=name)
refused(NotFoundError, evals.jobs.status, job_id="none", benchmark_id=name)

direct = evals.evaluate_rows(name, input_rows=rows[:1], scoring_functions=["basic::subset_of"], benchmark_config=config)
assert direct.scores["basic::subset_of"].score_rows[0]["score"] == 1.0, direct
agent = {"model": MODEL, "instructions": "Answer.", "enable_session_persistence": False}
by_agent = evals.evaluate_rows(
    name,
    input_rows=rows[:1],
    scoring_functions=["basic::subset_of"],
    benchmark_config={"eval_candidate": {"type": "agent", "config": agent}, "scoring_params": {}},
)
assert by_agent.scores["basic::subset_of"].score_rows[0]["score"] == 1.0, by_agent
refused(BadRequestError, evals.run_eval, name, benchmark_config={**config, "num_examples": 0})

slow = {**config, "eval_candidate": {**config["eval_candidate"], "model": "openai/fake-i1500-n3"}}
running = evals.run_eval(name, benchmark_config=slow)
assert evals.jobs.cancel(job_id=running.job_id, benchmark_id=name) is None
refused(BadRequestError, evals.jobs.retrieve, job_id=running.job_id, benchmark_id=name)
unregister = getattr(benchmarks, "unregister", None)
if unregister is not None:
    unregister(name)
    refused(NotFoundError, benchmarks.retrieve, name)
sys.stdout.write("all eval calls were answered as a client expects\n")
