"""Calls as code: what a page shows can be pasted and does what the page did."""

import ast
import json
import shlex
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from apps.evals import code, schemas
from tests.evals import runs

ORIGIN = "https://console.test"


def test_the_code_of_a_comparison_finds_the_rows_that_flipped(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'mine/o\'d "one"'
    rows = [runs.row(f"Say {n}") for n in range(3)]
    some = [runs.run(rows, ["x"] * 3, {name: scores}) for scores in ([1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0] * 3)]
    scores = {one.job.job_id: told for one, told in zip(some, ([1.0, 1.0, 0.0], [1.0, 0.0, 1.0]), strict=False)}

    def retrieve(job_id: str, benchmark_id: str) -> Any:
        assert benchmark_id == "bench"
        return SimpleNamespace(scores={name: SimpleNamespace(score_rows=[{"score": one} for one in scores[job_id]])})

    def client(base_url: str, api_key: str) -> Any:
        assert (base_url, api_key) == (ORIGIN, "sc_key")
        return SimpleNamespace(alpha=SimpleNamespace(eval=SimpleNamespace(jobs=SimpleNamespace(retrieve=retrieve))))

    monkeypatch.setenv("STACK_CONSOLE_KEY", "sc_key")
    monkeypatch.setitem(sys.modules, "llama_stack_client", SimpleNamespace(LlamaStackClient=client))  # type: ignore[arg-type]

    call = code.compared(ORIGIN, some, name)

    found: dict[str, Any] = {}
    exec(call.python, found)
    assert found["flipped"] == [2, 3]
    calls = call.curl.replace("\\\n", " ").splitlines()
    assert [shlex.split(one)[1] for one in calls] == [
        f"{ORIGIN}/v1alpha/eval/benchmarks/bench/jobs/{one.job.job_id}/result" for one in some
    ]


def test_a_row_with_quotes_survives_the_shell() -> None:
    body = {"input_rows": [{"generated_answer": 'It\'s "Ä" $HOME `x`\n'}], "scoring_functions": {"a": None}}

    words = shlex.split(code.score(ORIGIN, body).replace("\\\n", " "))

    assert words[:4] == ["curl", "-X", "POST", f"{ORIGIN}/v1/scoring/score"]
    assert json.loads(words[-1]) == body


def test_the_python_of_a_run_is_indented_by_four() -> None:
    sampling = {"strategy": {"type": "greedy"}, "max_tokens": 64}
    message = {"role": "system", "content": "Answer in one word. " * 4}
    candidate = {"type": "model", "model": "m", "sampling_params": sampling, "system_message": message}
    config = schemas.BenchmarkConfig.model_validate({"eval_candidate": candidate, "num_examples": 3})

    python = code.run(ORIGIN, "bench", config).python

    told = python.partition("config = ")[2].partition("job = ")[0]
    assert "\n    'eval_candidate': {\n        'type': 'model',\n" in told
    assert ast.literal_eval(told) == code.body_of(config)["benchmark_config"]
