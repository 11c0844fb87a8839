"""The console is killed in the middle of an evaluation, its model dies, somebody cancels: no row lost, none twice."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.processes import ROOT, Console, ModelServer
from tests.program import Program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
COUNT = 600
FEW = 200  # of a model that takes a second for each: twelve seconds for all of them
SLOW = "openai/fake-n20-d50"
AT_ONCE = 16
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


def start(program: Program, model: str, rows: int = COUNT) -> str:
    candidate = {"type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}}}
    body = {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}, "num_examples": rows}}
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


def asked(models: ModelServer, more_than: int, seconds: float = 30) -> int:
    """Return how many rows the model server was asked once they are more than so many."""
    end = time.monotonic() + seconds
    while (found := models.stats()["requests"]) <= more_than:
        assert time.monotonic() < end, f"{found} rows were asked"
        time.sleep(0.05)
    return found


def page(console: Console, path: str, wanted: str, seconds: float = 20) -> "re.Match[str]":
    """Return where a page says what is wanted, once it does."""
    end = time.monotonic() + seconds
    with httpx2.Client(base_url=console.url, cookies={"sessionid": console.facts["cookies"]["viewer"]}) as browser:
        while (found := re.search(wanted, browser.get(path).text)) is None:
            assert time.monotonic() < end, f"{path} does not say {wanted!r}"
            time.sleep(0.1)
    return found


def result(program: Program, job_id: str) -> Any:
    return program.read(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result")


def is_whole(told: Any, rows: int) -> bool:
    """Return whether a result holds as many rows, each answered and scored."""
    scored = told["scores"]["basic::equality"]["score_rows"]
    return len(told["generations"]) == len(scored) == rows and all(
        one["generated_answer"] for one in told["generations"]
    )


def test_an_evaluation_goes_on_after_the_console_was_killed(own_console: Console, program: Program) -> None:
    job_id = start(program, "openai/fake-i50-n1")
    asked(own_console.models, 64)
    own_console.kill()
    asked_before = own_console.models.stats()["requests"]
    assert asked_before < COUNT

    own_console.start()
    again = Program(own_console)
    asked(own_console.models, asked_before)

    assert until(again, job_id, ENDED, 45) == "completed"
    assert is_whole(result(again, job_id), COUNT)
    # What was asked but not stored when it was killed is asked again, and no more than that.
    assert own_console.models.stats()["requests"] <= COUNT + AT_ONCE + 64 + 40


def test_cancelling_takes_effect_soon_and_keeps_what_was_scored(own_console: Console, program: Program) -> None:
    job_id = start(program, "openai/fake-i1500-n3")
    asked(own_console.models, 2 * AT_ONCE)  # those before them are answered

    began = time.monotonic()
    program.ok(program.http.delete(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}"))
    assert until(program, job_id, ENDED, 5) == "cancelled"
    assert time.monotonic() - began < 5

    asked_before = own_console.models.stats()["requests"]
    time.sleep(2)
    assert own_console.models.stats()["requests"] == asked_before
    assert program.http.get(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result").status_code == 400
    kept = page(own_console, f"/evaluations/{job_id}/", rf"Stopped after (\d+) of {COUNT} rows")
    assert AT_ONCE <= int(kept[1]) < COUNT


def test_a_dead_model_server_fails_the_rows_and_the_job_says_why(own_console: Console, program: Program) -> None:
    own_console.models.stop()

    job_id = start(program, "openai/fake")

    assert until(program, job_id, ENDED, 60) == "failed"
    detail = program.http.get(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result").json()["detail"]
    assert f"None of the {COUNT} rows was answered" in detail and "cannot be reached" in detail


def test_a_model_server_that_dies_halfway_and_comes_back_costs_no_row(own_console: Console, program: Program) -> None:
    job_id = start(program, SLOW, FEW)
    asked(own_console.models, AT_ONCE)
    own_console.models.stop()
    page(own_console, f"/evaluations/{job_id}/", "Waits for the model server to answer")
    own_console.models.start()

    assert until(program, job_id, ENDED, 90) == "completed"
    assert is_whole(result(program, job_id), FEW)


def test_cancelling_takes_effect_soon_while_a_dead_model_server_is_waited_for(
    own_console: Console, program: Program
) -> None:
    own_console.models.stop()
    job_id = start(program, "openai/fake")
    page(own_console, f"/evaluations/{job_id}/", "Waits for the model server to answer")

    program.ok(program.http.delete(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}"))

    assert until(program, job_id, ENDED, 5) == "cancelled"


class Workers:
    """A console without a worker of its own, and workers beside it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, number: int = 1) -> None:
        """Start workers and return once they take jobs."""
        command = [sys.executable, "manage.py", "worker"]
        new = [
            subprocess.Popen(command, cwd=ROOT, env=self.console.environment, stdout=subprocess.PIPE, text=True)
            for _ in range(number)
        ]
        self.processes += new
        for one in new:
            assert one.stdout is not None and "takes jobs" in one.stdout.readline()

    def with_job(self, job_id: str) -> "subprocess.Popen[str]":
        """Return the worker that runs a job."""
        told = page(self.console, f"/system/jobs/{job_id}/", r"<dt>Worker</dt><dd[^>]*>[^<:]*:(\d+):")
        return next(one for one in self.processes if one.pid == int(told[1]))


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
    workers.begin(3)
    job_id = start(program, SLOW, FEW)
    asked(workers.console.models, 2 * AT_ONCE)
    first = workers.with_job(job_id)
    first.kill()
    first.wait()
    asked_before = workers.console.models.stats()["requests"]
    assert asked_before < FEW and status(program, job_id) == "in_progress"
    asked(workers.console.models, asked_before)

    assert until(program, job_id, ENDED, 90) == "completed"
    assert is_whole(result(program, job_id), FEW)
    assert FEW < workers.console.models.stats()["requests"] <= FEW + AT_ONCE + 64


def test_a_worker_that_is_asked_to_end_leaves_a_trace_of_every_row(workers: Workers) -> None:
    program = with_a_benchmark(workers.console)
    workers.begin()
    job_id = start(program, "openai/fake-i50-n1")
    assert until(program, job_id, ENDED, 60) == "completed"
    [worker] = workers.processes
    worker.terminate()
    worker.wait(20)

    wanted = {"key": "job_id", "op": "eq", "value": job_id}
    found = program.http.post("/v1alpha/telemetry/traces", json={"attribute_filters": [wanted], "limit": 1_000})

    assert len(program.ok(found)["data"]) == COUNT
