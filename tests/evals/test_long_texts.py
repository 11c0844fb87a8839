"""Texts of a million characters: pages show the beginning, say so, and lead to the whole."""

import gzip
import json
import random
from typing import Any

import pytest
from django.test import Client

from apps.evals import schemas
from apps.evals.models import Benchmark, Evaluation
from tests.evals import made, runs
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web

BUDGET = 60 * 1024  # of any page, as it is sent
JUDGE = "mine::judge"


def long(seed: int, size: int = 1_000_000) -> str:
    """Return a text that does not grow much smaller when it is packed."""
    return random.Random(seed).randbytes(size // 2).hex()


@pytest.fixture
def run(bench: Benchmark) -> Evaluation:
    """A run of three rows of which everything is long."""
    rows = [{"question": long(at), "answer": long(at + 10), "more": long(at + 20)} for at in range(3)]
    told = {"score": long(30), "judge_feedback": long(31), "why": long(32)}
    one = runs.run(rows, [long(at + 40) for at in range(3)], {JUDGE: [told] * 3, "basic::equality": [0.0] * 3},
                   dataset_id="qa")  # fmt: skip
    config = one.config.model_dump()
    config["eval_candidate"]["system_message"] = {"role": "system", "content": long(50)}
    one.config = schemas.BenchmarkConfig.model_validate(config)
    params = {"type": "llm_as_judge", "judge_model": "m", "prompt_template": long(51), "judge_score_regexes": ["(.*)"]}
    one.scoring[JUDGE] = {"function": "llm-as-judge::base", "params": params}
    one.save()
    bench.metadata = {"note": long(52)}
    bench.save()
    return one


@pytest.mark.parametrize(
    "path", ["evaluations/{}/", "evaluations/{}/rows/1/", "evaluations/{}/rows/1/?tab=json", "evaluations/{}/keep/",
             "benchmarks/bench/", "evaluations/"]
)  # fmt: skip
def test_pages_keep_their_budget_however_long_the_texts_are(web: Client, run: Evaluation, path: str) -> None:
    page = text(web, "/" + path.format(run.job.job_id))

    assert len(gzip.compress(page.encode())) <= BUDGET


def test_what_is_cut_says_how_much_is_shown_and_leads_to_the_whole(web: Client, run: Evaluation) -> None:
    home = f"/evaluations/{run.job.job_id}/"

    page = text(web, home + "rows/1/")

    assert "Shown: the first 10,000 of 1.00 M characters." in page
    assert f'href="{home}rows/1.json"' in page
    whole = web.get(home + "rows/1.json").json()
    row = run.rows.get(position=0)
    assert whole == {name: json.loads(getattr(row, name)) for name in ("row", "generation", "scores")}


def test_a_long_configuration_is_read_from_a_file_that_the_page_offers(web: Client, run: Evaluation) -> None:
    home = f"/evaluations/{run.job.job_id}/"

    page = text(web, home)

    assert "-d @request.json" in page and "json.load(open(&quot;request.json&quot;))" in page
    assert 'download="request.json"' in page
    assert f'href="{home}request.json"' in page and f'href="{home}scoring.json"' in page
    asked: Any = web.get(home + "request.json").json()
    assert schemas.RunEvalRequest.model_validate(asked).benchmark_config == run.config
    assert web.get(home + "scoring.json").json() == run.scoring
    assert web.get(home + "else.json").status_code == 404


def test_short_texts_are_shown_whole(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0])

    assert 'data-ui="cut"' not in text(web, f"/evaluations/{one.job.job_id}/rows/1/")
