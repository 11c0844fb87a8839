"""What evaluations cost: tokens of candidates and judges, at the prices of the start; told by pages and exports."""

import ast
import html
import json
import shlex
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.test import Client

from apps.core import db
from apps.evals import costs, results, schemas
from apps.evals.models import Benchmark, Evaluation
from apps.inference.models import Model
from apps.jobs.models import Job, Status
from apps.providers.models import Provider
from tests import build
from tests.evals import made
from tests.evals.conftest import ROWS, config
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web
from tests.jobs.conftest import ended

PRICE = {"input": "1000", "output": "2000", "currency": "USD"}
JUDGE = {"input": "10000", "output": "0", "currency": "USD"}
JUDGED = {"m/judge": {"calls": 2, "input_tokens": 30, "output_tokens": 5, "uncounted": 0}}


def run(**fields: Any) -> Evaluation:
    """Return a run of four rows, 3 tokens in and 4 out each, judged twice a row."""
    given: dict[str, Any] = {"prices": {"candidate": PRICE, "judges": {"m/judge": JUDGE}}, "judged": JUDGED} | fields
    rows_judged = given.pop("judged")
    one = made.evaluation(given.pop("scores", [1.0, 0.0, 1.0, 1.0]), **given)
    one.rows.update(judged=json.dumps(rows_judged))
    Evaluation.objects.filter(pk=one.pk).update(**results.sums(one.pk))
    one.refresh_from_db()
    return one


def test_tokens_of_candidate_and_judges_are_added_up(bench: Benchmark) -> None:
    one = run()

    told = costs.of(one)
    # 4 × (3 × 0.001 + 4 × 0.002) of the candidate, 4 × 30 × 0.01 of the judge
    assert (str(told), told.calls, told.input_tokens, told.output_tokens) == ("1.24 USD", 8, 120, 20)
    assert str(costs.of_row(one, one.rows.get(position=1))) == "0.311 USD"


@pytest.mark.parametrize(
    "fields, told, why",
    [
        ({"prices": {}}, "", ""),
        ({"prices": {"judges": {"m/judge": JUDGE}}}, "", "price of the candidate not known"),
        ({"prices": {"candidate": PRICE, "judges": {}}}, "at least 0.044 USD", "price of m/judge not known"),
        ({"prices": {"candidate": PRICE, "judges": {"m/judge": JUDGE | {"currency": "EUR"}}}}, "",
         "prices in several currencies"),
        ({"judged": {"m/judge": {"calls": 2, "input_tokens": 0, "output_tokens": 0, "uncounted": 2}}},
         "at least 0.044 USD", "tokens of m/judge not known"),
        ({"judged": {"m/judge": {"calls": 2, "input_tokens": 30, "output_tokens": 0, "uncounted": 1}}},
         "at least 1.24 USD", ""),
        ({"prices": {"candidate": PRICE, "judges": {}}, "judged": {}}, "0.044 USD", ""),
        ({"scores": ["!away"], "judged": {}}, "0.00 USD", ""),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(bench: Benchmark, fields: Any, told: str, why: str) -> None:
    spent = costs.of(run(**fields))

    assert (str(spent), spent.why) == (told, why)


def test_answers_without_a_count_make_it_the_least(bench: Benchmark) -> None:
    one = run(judged={})
    one.rows.filter(position=0).update(input_tokens=None)
    Evaluation.objects.filter(pk=one.pk).update(**results.sums(one.pk))
    one.refresh_from_db()

    assert str(costs.of(one)).startswith("at least 0.04")
    one.rows.update(input_tokens=None)
    Evaluation.objects.filter(pk=one.pk).update(**results.sums(one.pk))
    one.refresh_from_db()
    assert costs.of(one).why == "tokens of the candidate not known"


async def test_a_run_counts_its_judges_and_keeps_the_prices_of_its_start(
    api: httpx2.AsyncClient, benchmark: Callable[..., Any], model: str, worker: Any
) -> None:
    await db.write(lambda: build.model(Provider.objects.get(), "vectors", "embedding"))
    await db.write(lambda: Model.objects.update(input_price="1000", output_price="2000"))
    await benchmark("bench", ROWS, "basic::equality", "llm-as-judge::base", "braintrust::answer-similarity")
    judge = {
        "type": "llm_as_judge", "judge_model": model, "prompt_template": "Score: {generated_answer}",
        "judge_score_regexes": [r"(\d)"], "aggregation_functions": ["average"],
    }  # fmt: skip
    asked = config(model, scoring_params={"llm-as-judge::base": judge}, num_examples=4)
    answer = await api.post("/v1alpha/eval/benchmarks/bench/jobs", json=asked)
    job_id = answer.json()["job_id"]
    await db.write(lambda: Model.objects.update(input_price="7"))
    await ended(await db.read(Job.objects.get, job_id=job_id))

    one = await db.read(Evaluation.objects.get)
    assert one.prices == {"candidate": PRICE, "judges": {model: PRICE, "scripted/vectors": PRICE}}
    assert (one.judged[model]["calls"], one.judged["scripted/vectors"]["calls"]) == (4, 4)
    tokens = [one.input_tokens, *(counts["input_tokens"] for counts in one.judged.values())]
    out = [one.output_tokens, *(counts["output_tokens"] for counts in one.judged.values())]
    assert all(tokens) and one.judged["scripted/vectors"]["output_tokens"] == 0
    cost = costs.of(one).cost
    assert cost and float(cost.amount) == pytest.approx(sum(tokens) / 1_000 + sum(out) / 500)
    result = (await api.get(f"/v1alpha/eval/benchmarks/bench/jobs/{job_id}/result")).json()
    assert set(result) == {"generations", "scores"} and set(result["generations"][0]) == {"generated_answer"}


def test_pages_and_exports_tell_the_cost(web: Client, bench: Benchmark, django_assert_max_num_queries: Any) -> None:
    one = run()
    path = f"/evaluations/{one.job.job_id}/"

    with django_assert_max_num_queries(15):
        page = text(web, path)
    assert 'data-ui="cost">1.24 USD' in page and "judges 20 out · 120 in" in page
    assert 'data-ui="row-cost">0.311 USD' in text(web, path + "rows/2/", **{"HX-Request": "true"})
    assert 'data-ui="run-cost">1.24 USD' in text(web, "/evaluations/")
    assert 'data-ui="standing-cost">1.24 USD' in text(web, "/benchmarks/bench/")
    lines = b"".join(web.get(path + "export/jsonl/").streaming_content).decode().splitlines()
    row = json.loads(lines[0])
    assert (row["cost"], row["currency"], row["judge_input_tokens"]) == ("0.311", "USD", 30)
    table = b"".join(web.get(path + "export/csv/").streaming_content).decode().splitlines()
    assert table[1].endswith(",30,5,0.311,USD")


def test_without_prices_nothing_is_said_of_cost(web: Client, bench: Benchmark) -> None:
    one = run(prices={}, judged={})

    for path in (f"/evaluations/{one.job.job_id}/", "/evaluations/", "/benchmarks/bench/"):
        page = text(web, path)
        assert "Cost" not in page and "judges" not in page.lower()


def test_the_cost_of_a_run_at_work_is_so_far(web: Client, bench: Benchmark) -> None:
    one = run(status=Status.IN_PROGRESS, row_total=10)

    assert "Cost so far" in text(web, f"/evaluations/{one.job.job_id}/")


def estimate(web: Client, **sent: Any) -> str:
    """Return what the form says of what it would start."""
    answer = web.post("/evaluations/estimate/?benchmark=bench", {"times": "1", **sent})
    return answer.content.decode()


def test_an_estimate_follows_earlier_runs_of_the_candidate(
    web: Client, bench: Benchmark, model: str, django_assert_max_num_queries: Any
) -> None:
    Model.objects.update(input_price=1000, output_price=2000)
    build.model(Provider.objects.get(), "other")
    assert "earlier" not in estimate(web, models=[model])
    one = run(judged={}, prices={})  # that it had no prices then does not matter: today's count
    Job.objects.filter(pk=one.job.pk).update(started_at=one.job.completed_at - timedelta(seconds=8))

    with django_assert_max_num_queries(15):
        told = estimate(web, models=[model], times="3")
    # Four rows took 8 s and 0.044: 3 runs of 8 rows are 48 s and 0.264.
    assert "24 calls" in told and ">48 s<" in told and ">0.264 USD<" in told
    assert ">8 s<" in estimate(web, models=[model], num_examples="4")
    assert "earlier" not in estimate(web, models=[model, "scripted/other"])
    Model.objects.update(output_price=None)
    told = estimate(web, models=[model])
    assert ">16 s<" in told and "USD" not in told


def test_a_form_shows_the_call_it_makes(web: Client, bench: Benchmark, model: str) -> None:
    assert "as soon as the form is complete" in text(web, "/evaluations/new/?benchmark=bench")

    told = html.unescape(estimate(web, models=[model], num_examples="2", system_message="Don't shout."))

    assert 'id="form-code" hx-swap-oob="true"' in told
    body = shlex.split(told.split('data-ui="code-curl">')[1].split("</div>")[0].replace("\\\n", ""))[-1]
    config = json.loads(body)["benchmark_config"]
    assert config["eval_candidate"]["system_message"] == {"role": "system", "content": "Don't shout."}
    assert config["num_examples"] == 2
    assert "as soon as the form is complete" in estimate(web, models=[model], num_examples="-2")


@pytest.mark.parametrize("address", ["/evaluations/{job}/", "/evaluations/{job}/rows/1/", "/benchmarks/bench/"])
def test_the_code_of_a_page_is_the_call_of_its_run(web: Client, bench: Benchmark, address: str) -> None:
    one = run()

    page = html.unescape(text(web, address.format(job=one.job.job_id)))

    python = page.split('id="python-run"')[1].partition(">")[2].split("</div>")[0]
    given = next(one for one in ast.parse(python).body if ast.unparse(one).startswith("config ="))
    assert isinstance(given, ast.Assign)
    assert schemas.BenchmarkConfig.model_validate(ast.literal_eval(given.value)) == one.config
    assert "data-copy-link" in page or "benchmarks" in address
