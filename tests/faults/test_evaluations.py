"""The console is killed in the middle of an evaluation, its model dies, somebody cancels: no row lost, none twice."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, Console, ModelServer
from tests.program import Program

pytestmark = pytest.mark.slow
COUNT = 600
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture
def program(own_console: Console) -> Program:
    """A program of a console with a benchmark of many rows."""
    return with_a_benchmark(own_console)


def with_a_benchmark(console: Console) -> Program:
    """Return a program of the console after it has made a benchmark of many rows."""
    one = Program(console)
    rows = [{"question": f"Question {n}", "answer": str(n)} for n in range(COUNT)]
    dataset = {"purpose": "eval/question-answer", "dataset_id": "rows", "source": {"type": "rows", "rows": rows}}
    one.ok(one.http.post("/v1beta/datasets", json=dataset))
    asked = {"benchmark_id": "bench", "dataset_id": "rows", "scoring_functions": ["basic::equality"]}
    one.ok(one.http.post("/v1alpha/eval/benchmarks", json=asked))
    return one


def start(program: Program, model: str) -> str:
    candidate = {"type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}}}
    body = {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}}}
    job = program.ok(program.http.post("/v1alpha/eval/benchmarks/bench/jobs", json=body))
    return str(job["job_id"])


def status(program: Program, job_id: str) -> str:
    return str(program.read(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}")["status"])


def until(program: Program, job_id: str, wanted: tuple[str, ...], seconds: float) -> str:
    """Wait for a status and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := status(program, job_id)) in wanted:
            return found
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s the job is {found}")


def result(program: Program, job_id: str) -> Any:
    return program.read(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result")


def test_an_evaluation_goes_on_after_the_console_was_killed(own_console: Console, program: Program) -> None:
    job_id = start(program, "openai/fake-i50-n1")
    until(program, job_id, ("in_progress",), 10)
    time.sleep(1)
    own_console.kill()
    asked_before = own_console.models.stats()["requests"]
    assert 16 < asked_before < COUNT

    own_console.start()
    again = Program(own_console)

    assert until(again, job_id, ENDED, 45) == "completed"
    told = result(again, job_id)
    assert len(told["generations"]) == len(told["scores"]["basic::equality"]["score_rows"]) == COUNT
    assert all(one["generated_answer"] for one in told["generations"])
    # What was asked but not stored when it was killed is asked again, and no more than that.
    assert own_console.models.stats()["requests"] <= COUNT + 16 + 64 + 40


def test_cancelling_takes_effect_soon_and_keeps_what_was_scored(own_console: Console, program: Program) -> None:
    job_id = start(program, "openai/fake-i1500-n3")
    until(program, job_id, ("in_progress",), 10)
    time.sleep(3)

    began = time.monotonic()
    program.ok(program.http.delete(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}"))
    assert until(program, job_id, ENDED, 5) == "cancelled"
    assert time.monotonic() - began < 5

    asked = own_console.models.stats()["requests"]
    time.sleep(2)
    assert own_console.models.stats()["requests"] == asked
    assert program.http.get(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result").status_code == 400


def test_a_dead_model_server_fails_the_rows_and_the_job_says_why(own_console: Console, program: Program) -> None:
    own_console.models.stop()

    job_id = start(program, "openai/fake")

    assert until(program, job_id, ENDED, 60) == "failed"
    detail = program.http.get(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result").json()["detail"]
    assert f"None of the {COUNT} rows was answered" in detail and "cannot be reached" in detail


def test_a_model_server_that_dies_halfway_costs_the_rest_of_the_rows(own_console: Console, program: Program) -> None:
    job_id = start(program, "openai/fake-i50-n1")
    until(program, job_id, ("in_progress",), 10)
    time.sleep(1)
    own_console.models.stop()

    assert until(program, job_id, ENDED, 110) == "completed"
    told = result(program, job_id)
    failed = [one for one in told["generations"] if one["generated_answer"] is None]
    assert 0 < len(failed) < COUNT and all(one["error"] for one in failed)


class Workers:
    """A console without a worker of its own, and workers beside it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self) -> "subprocess.Popen[str]":
        """Start a worker and return it once it takes jobs."""
        command = [sys.executable, "manage.py", "worker"]
        one = subprocess.Popen(command, cwd=ROOT, env=self.console.environment, stdout=subprocess.PIPE, text=True)
        self.processes.append(one)
        assert one.stdout is not None and "takes jobs" in one.stdout.readline()
        return one


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """A console without a worker of its own."""
    with ExitStack() as ending:
        models = ModelServer().start()
        ending.callback(models.stop)
        console = Console(tmp_path, models).prepare()
        ending.callback(console.remove)
        made = Workers(console.start("--no-worker"))
        yield made
        for process in made.processes:
            process.kill()
            process.communicate()


def test_another_worker_takes_over_from_one_that_was_killed(workers: Workers) -> None:
    program = with_a_benchmark(workers.console)
    first = workers.begin()  # alone, so that it is the one that has the job
    job_id = start(program, "openai/fake-n20-d50")
    until(program, job_id, ("in_progress",), 20)
    workers.begin()
    workers.begin()
    asked_before = workers.console.models.stats()["requests"]
    assert 0 < asked_before < COUNT and status(program, job_id) == "in_progress"
    first.kill()

    assert until(program, job_id, ENDED, 90) == "completed"
    told = result(program, job_id)
    assert len(told["generations"]) == len(told["scores"]["basic::equality"]["score_rows"]) == COUNT
    assert all(one["generated_answer"] for one in told["generations"])
    assert COUNT < workers.console.models.stats()["requests"] <= COUNT + 16 + 64


def test_a_worker_that_is_asked_to_end_leaves_a_trace_of_every_row(workers: Workers) -> None:
    program = with_a_benchmark(workers.console)
    worker = workers.begin()
    job_id = start(program, "openai/fake-i50-n1")
    assert until(program, job_id, ENDED, 60) == "completed"
    worker.terminate()
    worker.wait(20)

    wanted = {"key": "job_id", "op": "eq", "value": job_id}
    found = program.http.post("/v1alpha/telemetry/traces", json={"attribute_filters": [wanted], "limit": 1_000})

    assert len(program.ok(found)["data"]) == COUNT
