"""The code that pages of evaluations show is pasted and works."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.client.test_clients import run
from tests.evals.runs import row
from tests.processes import ROOT, Console
from tests.program import Program


def test_the_code_of_a_run_reads_its_result_and_runs_it_again(console: Console, tmp_path: Path) -> None:
    program = Program(console)
    source = {"type": "rows", "rows": [row("say:It's 'one'", "It's 'one'")]}
    about = {"purpose": "eval/question-answer", "dataset_id": "pasted-rows", "source": source}
    program.ok(program.http.post("/v1beta/datasets", json=about))
    asked = {"benchmark_id": "pasted it's", "dataset_id": "pasted-rows", "scoring_functions": ["basic::equality"]}
    program.ok(program.http.post("/v1alpha/eval/benchmarks", json=asked))
    candidate = {
        "type": "model", "model": "openai/fake", "sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 9},
        "system_message": {"role": "system", "content": "Don't \"shout\": $HOME `id` \\ \n" + "long " * 40},
    }  # fmt: skip
    config = {"benchmark_config": {"eval_candidate": candidate, "scoring_params": {}, "num_examples": 1}}
    jobs = "/v1alpha/eval/benchmarks/pasted it's/jobs"
    first = program.ok(program.http.post(jobs, json=config))["job_id"]
    program.wait_until(f"{jobs}/{first}", lambda job: job["status"] == "completed")

    page = _page(console, f"/evaluations/{first}/")
    (tmp_path / "result.py").write_text(_block(page, "python-result"))
    (tmp_path / "again.py").write_text(_block(page, "python-run"))

    assert "'num_correct': 1" in run(console, str(tmp_path / "result.py"), "0.3.0")
    again = [run(console, str(tmp_path / "again.py"), "0.3.0").split()[0]]
    if shutil.which("curl"):
        again.append(json.loads(_shell(console, _block(page, "curl-run")))["job_id"])
        assert json.loads(_shell(console, _block(page, "curl-result")))["generations"]
    for job_id in again:
        told = _page(console, f"/evaluations/{job_id}/")
        assert _block(told, "python-run") == _block(page, "python-run")


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/benchmarks/", "listed"), ("/scorers/", "basic::equality"), ("/datasets/", "listed-rows"),
     ("/agents/", "Listed desk"), ("/models/", "openai/fake"), ("/providers/", "remote::openai")],
)  # fmt: skip
def test_the_code_of_a_list_reads_it(console: Console, tmp_path: Path, path: str, shown: str) -> None:
    program = Program(console)
    source = {"type": "rows", "rows": [row("say:one", "one")]}
    about = {"purpose": "eval/question-answer", "dataset_id": "listed-rows", "source": source}
    program.ok(program.http.post("/v1beta/datasets", json=about))
    asked = {"benchmark_id": "listed", "dataset_id": "listed-rows", "scoring_functions": ["basic::equality"]}
    program.ok(program.http.post("/v1alpha/eval/benchmarks", json=asked))
    config = {"model": "openai/fake", "instructions": "Be kind.", "name": "Listed desk"}
    program.ok(program.http.post("/v1alpha/agents", json={"agent_config": config}))

    (tmp_path / "list.py").write_text(_block(_page(console, path), "python-list"))

    assert shown in run(console, str(tmp_path / "list.py"), "0.3.0")


def _page(console: Console, path: str) -> str:
    cookies = {"sessionid": console.facts["cookies"]["viewer"]}
    answer = httpx2.get(console.url + path, cookies=cookies)
    assert answer.status_code == 200, answer.text[:2000]
    return answer.text


def _block(page: str, name: str) -> str:
    return html.unescape(page.split(f'id="{name}"')[1].partition(">")[2].split("</div>")[0])


def _shell(console: Console, command: str) -> str:
    environment = console.environment | {"STACK_CONSOLE_KEY": console.key("operator")}
    done = subprocess.run(["sh", "-c", command], env=environment, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_of_the_guide_evaluates_a_model(console: Console, tmp_path: Path) -> None:
    guide = (ROOT / "docs/evaluations.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    own = program.replace("http://127.0.0.1:8000", console.url).replace("embedded/smollm2-135m", "openai/fake")
    (tmp_path / "guide.py").write_text(own.replace("What is 2 + 2?", "say:4"))

    assert "'num_total': 1" in run(console, str(tmp_path / "guide.py"), "0.3.0")
