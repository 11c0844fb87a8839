"""Another run like one that is there: the form of a new evaluation, filled in from it."""

import re
from typing import Any

from django.test import Client

from apps.agents.models import Agent
from apps.evals import evaluation, schemas
from apps.evals.models import Benchmark, Evaluation
from tests import build
from tests.evals import made
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import reader as reader
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web

JUDGE = "llm-as-judge::base"


def run_of(model: str, on: str = "bench", params: Any = None, **sampling: Any) -> Evaluation:
    """Return a run that has something in every field."""
    top_p = {"type": "top_p", "temperature": 0.5, "top_p": 0.8}
    candidate = {
        "type": "model",
        "model": model,
        "sampling_params": {"strategy": top_p, "max_tokens": 48, **sampling},
        "system_message": {"role": "system", "content": "Be\nshort."},
    }
    asked = {"eval_candidate": candidate, "num_examples": 3, "scoring_params": params or {}}
    return evaluation.start(on, schemas.BenchmarkConfig.model_validate(asked), build.actor())


def form_like(web: Client, run: Evaluation) -> str:
    return text(web, f"/evaluations/new/?like={run.job.job_id}")


def value_of(page: str, name: str) -> str:
    found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', page)
    return found.group(1) if found else ""


def test_a_run_is_offered_with_changes_and_its_form_is_filled_in(
    web: Client, reader: Client, bench: Benchmark, model: str
) -> None:
    run = run_of(model)
    made.benchmark("newer")
    here = f"/evaluations/{run.job.job_id}/"

    page = text(web, here)
    assert f'href="/evaluations/new/?like={run.job.job_id}"' in page and "Run with changes" in page
    assert "Run with changes" not in text(reader, here)

    form = form_like(web, run)
    assert '<option value="bench" selected>' in form and f"run {run.pk}</a>" in form
    assert re.search(rf'value="{model}"[^>]*checked', form) and '<option value="top_p" selected>' in form
    assert [value_of(form, name) for name in ("temperature", "top_p", "max_tokens", "num_examples")] == [
        "0.5", "0.8", "48", "3",
    ]  # fmt: skip
    assert "\nBe\nshort.</textarea>" in form and "any more" not in form


def test_what_a_judge_was_told_is_filled_in_too(web: Client, bench: Benchmark, model: str) -> None:
    made.benchmark("judged", "qa", "basic::equality", JUDGE)
    said = {
        "type": "llm_as_judge", "judge_model": model, "prompt_template": "Rate {generated_answer}",
        "judge_score_regexes": ["A: (.)", "B: (.)"], "aggregation_functions": ["average"],
    }  # fmt: skip
    form = form_like(web, run_of(model, "judged", {JUDGE: said}))

    assert "Rate {generated_answer}</textarea>" in form and "A: (.)\nB: (.)</textarea>" in form
    assert f'<option value="{model}" selected>' in form and "no field" not in form


def test_the_form_says_what_of_the_run_is_gone(web: Client, bench: Benchmark, model: str) -> None:
    made.benchmark("judged", "qa", JUDGE)
    said = {
        "type": "llm_as_judge", "judge_model": model, "prompt_template": "{generated_answer}",
        "judge_score_regexes": ["(.)"], "aggregation_functions": ["median"],
    }  # fmt: skip
    run = run_of(model, "judged", {JUDGE: said}, stop=["END"])
    asked = run.config.model_copy(deep=True)
    asked.eval_candidate.model = "old/model"  # type: ignore[union-attr]
    asked.scoring_params[JUDGE].judge_model = "old/judge"  # type: ignore[union-attr]
    Evaluation.objects.filter(pk=run.pk).update(config=asked)

    page = form_like(web, run).replace("&#x27;", "'")
    assert "Its model 'old/model' is not on this server any more" in page
    assert f"Its judge of '{JUDGE}', 'old/judge' is not on this server" in page
    assert "Its stop words and its repetition penalty" in page and "added up its scores has no field" in page
    assert 'value="old/model"' not in page and 'value="old/judge"' not in page

    Benchmark.objects.get(benchmark_id="judged").delete()
    elsewhere = form_like(web, run).replace("&#x27;", "'")
    assert "Its benchmark 'judged' was deleted" in elsewhere
    assert f"'{JUDGE}', which scored it, is no scorer of this benchmark" in elsewhere


def test_an_agent_is_chosen_again_or_missed(web: Client, bench: Benchmark, agent: Agent) -> None:
    config = {"eval_candidate": {"type": "agent", "config": agent.agent_config.model_dump(exclude_none=True)}}
    run = evaluation.start("bench", schemas.BenchmarkConfig.model_validate(config), build.actor())

    assert re.search(rf'value="{agent.agent_id}"[^>]*checked', form_like(web, run))
    agent.delete()
    assert "Its agent" in form_like(web, run)


def test_a_run_that_is_not_there_fills_in_nothing(web: Client, bench: Benchmark) -> None:
    text(web, "/evaluations/new/?like=nobody", 404)
