"""Pages of benchmarks and evaluations: what they show, what their forms do, what they cost."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.evals import registry, schemas
from apps.evals.models import Benchmark
from apps.jobs.models import Job, Status
from tests import build
from tests.evals import made


@pytest.fixture
def web(operator: Any) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def reader(viewer: Any) -> Client:
    client = Client()
    client.force_login(viewer)
    return client


@pytest.fixture
def bench(transactional_db: None) -> Benchmark:
    made.dataset()
    return made.benchmark()


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    answer = client.get(path, headers=headers or None)
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


def test_without_a_benchmark_one_is_made_of_a_dataset_in_one_step(web: Client) -> None:
    made.dataset()
    made.dataset("talk", [{"messages": [{"role": "user", "content": "Hi"}]}], "post-training/messages")

    for path in ("/benchmarks/", "/evaluations/", "/evaluations/new/"):
        page = text(web, path)
        assert "/benchmarks/new/?dataset=qa" in page and "dataset=talk" not in page
    form = text(web, "/benchmarks/new/?dataset=qa")
    assert 'name="benchmark_id" value="qa"' in form and '<option value="qa" selected>' in form
    assert text(web, "/datasets/qa/").count("/benchmarks/new/?dataset=qa") == 1
    assert "/benchmarks/new/" not in text(web, "/datasets/talk/")


def test_a_dataset_with_rows_that_do_not_fit_is_offered_and_says_so(web: Client) -> None:
    made.dataset("poems", [{"question": "Write a poem."}])

    form = text(web, "/benchmarks/new/?dataset=poems")
    assert "poems (1 rows, some do not fit its purpose)" in " ".join(form.split()) and 'data-ui="unfit"' not in form


def test_who_deletes_a_dataset_is_told_which_benchmarks_need_it(web: Client) -> None:
    made.dataset()
    assert "eeded by" not in text(web, "/datasets/qa/delete/")

    for number in range(7):
        made.benchmark(f"b{number}")
    assert "Needed by the benchmarks b6, b5, b4, b3, b2 and 2 more." in text(web, "/datasets/qa/delete/")


def test_a_dataset_that_is_not_fit_is_refused_with_the_reason(web: Client) -> None:
    made.dataset("talk", [{"messages": [{"role": "user", "content": "Hi"}]}], "post-training/messages")

    assert "talk cannot be evaluated: it is for" in text(web, "/benchmarks/new/?dataset=talk")
    sent = {"benchmark_id": "b", "dataset_id": "talk", "scoring_functions": ["basic::equality"]}
    assert web.post("/benchmarks/new/", sent).status_code == 422
    assert not Benchmark.objects.exists()


def test_a_benchmark_is_made_by_the_form(web: Client) -> None:
    made.dataset()
    sent = {
        "benchmark_id": "suite/a",
        "dataset_id": "qa",
        "scoring_functions": ["basic::equality", "basic::subset_of"],
        "metadata": '{"owner": "ana"}',
    }

    answer = web.post("/benchmarks/new/", sent)

    assert answer.headers["Location"] == "/benchmarks/suite/a/"
    kept = Benchmark.objects.get()
    assert (kept.dataset_id, kept.scoring_functions) == ("qa", ["basic::equality", "basic::subset_of"])
    assert kept.metadata == {"owner": "ana"}
    page = text(web, "/benchmarks/suite/a/")
    assert "owner" in page and "No candidate has a score yet" in page
    again = web.post("/benchmarks/new/", sent)
    assert again.status_code == 422 and "exists already" in again.content.decode()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"benchmark_id": ""}, "required"), ({"scoring_functions": []}, "required"),
        ({"metadata": "[1]"}, "JSON object"),
        ({"metadata": "{"}, "not JSON"), ({"benchmark_id": "a?b"}, "&#x27;?&#x27; or"),
        ({"scoring_functions": ["basic::nothing"]}, "not one of the available"),
    ],
)  # fmt: skip
def test_bad_input_is_told_beside_its_field(web: Client, wrong: dict[str, Any], words: str) -> None:
    made.dataset()
    sent = {"benchmark_id": "b", "dataset_id": "qa", "scoring_functions": ["basic::equality"], "metadata": ""} | wrong

    answer = web.post("/benchmarks/new/", sent)

    assert answer.status_code == 422 and words in answer.content.decode()
    assert not Benchmark.objects.exists()


def test_a_benchmark_made_by_a_key_names_it(web: Client) -> None:
    asked = schemas.RegisterBenchmarkRequest(benchmark_id="bench", dataset_id="qa", scoring_functions=[])
    registry.register(asked, build.actor(name="key nightly"))

    assert "by key nightly<" in text(web, "/benchmarks/bench/")


def test_a_benchmark_of_what_is_not_there_is_marked_and_says_what_to_do(web: Client, bench: Benchmark) -> None:
    made.benchmark("early", "later", "basic::nope")
    mark, wide = 'data-ui="missing"', re.compile(r'data-ui="run-benchmark"\s+data-variant="outline"')

    listed, whole = text(web, "/benchmarks/"), text(web, "/benchmarks/bench/")
    assert listed.count(mark) == 1 and "Dataset and scorer missing" in listed
    assert "benchmark-problem" not in whole and not wide.search(whole)

    page = text(web, "/benchmarks/early/")
    assert "Its dataset later: it does not exist" in page and "Its scorer basic::nope: it does not exist" in page
    assert "/benchmarks/new/?copy=early" in page and wide.search(page)

    made.benchmark("half", "qa", "basic::nope")
    assert "Scorer missing" in text(web, "/benchmarks/") and "Make a scorer" in text(web, "/benchmarks/half/")


def test_the_call_of_the_empty_page_names_a_dataset_that_is_there_or_says_it_must_be(web: Client) -> None:
    assert "once a dataset" in text(web, "/benchmarks/")
    made.dataset()
    page = text(web, "/benchmarks/")
    assert "once a dataset" not in page and '"dataset_id": "qa"' in page


def test_a_copy_begins_with_the_content_of_the_other(web: Client, bench: Benchmark) -> None:
    form = text(web, "/benchmarks/new/?copy=bench")

    assert 'value="bench-copy"' in form
    assert 'value="basic::equality" checked' in form and 'value="basic::subset_of" checked' not in form


def test_deleting_a_benchmark_tells_what_runs_and_what_stays(web: Client, bench: Benchmark) -> None:
    made.evaluation([1.0])
    made.evaluation([1.0], candidate="busy", status=Status.SCHEDULED)

    page = text(web, "/benchmarks/bench/delete/")
    assert "1 running evaluation is cancelled." in page and "1 ended evaluation can still be read." in page
    for number in range(6):
        made.evaluation([1.0], candidate=f"busy-{number}", status=Status.SCHEDULED)
    assert "7 running evaluations are cancelled." in text(web, "/benchmarks/bench/delete/")
    places = {web.post("/benchmarks/bench/delete/", {"once": "k"}).get("Location") for _ in range(2)}

    assert places == {"/benchmarks/"}
    assert not Benchmark.objects.exists()
    assert Job.objects.filter(status=Status.CANCELLED).count() == 7
    assert "operator deleted this benchmark: " in text(web, "/benchmarks/bench/", 404)
    text(web, "/benchmarks/never/", 404)
    assert "benchmark bench, deleted" in text(web, f"/evaluations/{Job.objects.earliest('id').job_id}/")


def test_the_leaderboard_ranks_by_the_newest_score_and_tells_the_change(web: Client, bench: Benchmark) -> None:
    made.evaluation([0.0, 0.0, 1.0, 1.0], candidate="ana")
    made.evaluation([1.0, 1.0, 1.0, 1.0], candidate="bob")
    made.evaluation([1.0, 1.0, 1.0, 0.0], candidate="ana")

    page = text(web, "/benchmarks/bench/")

    board = page[page.index('data-ui="leaderboard"') : page.index('data-ui="history"')]
    assert board.index(">bob<") < board.index(">ana<")
    assert "0.75" in board and "+0.25" in board
    assert "ana: last 0.75" in page and "bob: last 1" in page
    listed = text(web, "/benchmarks/")
    assert listed.count('data-ui="benchmark-row"') == 1 and "0.75" in listed and "1.00" in listed


def test_the_page_of_a_benchmark_costs_the_same_for_many_runs(
    web: Client, bench: Benchmark, django_assert_max_num_queries: Any
) -> None:
    for at in range(30):
        made.evaluation([1.0, 0.0], candidate=f"model-{at % 7}")

    with django_assert_max_num_queries(15):
        text(web, "/benchmarks/bench/")
    with django_assert_max_num_queries(12):
        text(web, "/benchmarks/")
    with django_assert_max_num_queries(12):
        assert text(web, "/evaluations/").count('data-ui="run-row"') == 30


def test_the_list_of_evaluations_is_filtered_and_paged(web: Client, bench: Benchmark) -> None:
    for at in range(55):
        made.evaluation([1.0], candidate=f"model-{at}", status=Status.FAILED if at == 3 else Status.COMPLETED)

    page = text(web, "/evaluations/")
    assert page.count('data-ui="run-row"') == 50 and 'data-ui="older"' in page
    assert text(web, "/evaluations/?status=failed").count('data-ui="run-row"') == 1
    of_one = text(web, "/evaluations/?status=failed&benchmark=bench&q=model")
    assert 'href="?status=failed&amp;q=model" aria-label="All benchmarks"' in of_one
    assert text(web, "/evaluations/?q=model-54").count('data-ui="run-row"') == 1
    assert "No evaluation matches" in text(web, "/evaluations/?benchmark=other")


def test_a_benchmark_named_like_the_deleting_of_another_is_shown_and_deleted_alone(web: Client) -> None:
    for name in ("x", "x/delete", "new"):
        made.benchmark(name)

    listed = re.findall(r'href="(/benchmarks/[^"]+)" title', text(web, "/benchmarks/"))
    assert listed == ["/benchmarks/~new/", "/benchmarks/x/~delete/", "/benchmarks/x/"]
    assert 'benchmark-name">x/delete</h1>' in text(web, listed[1])
    web.post("/benchmarks/x/delete/")
    web.post(f"{listed[0]}delete/")
    assert [one.benchmark_id for one in Benchmark.objects.all()] == ["x/delete"]
    assert "deleted" in text(web, "/benchmarks/~new/", 404)


@pytest.mark.parametrize("name", ["benchmark", "scoringfunction", "evaluation", "evaluatedrow"])
def test_the_admin_shows_and_does_not_change(client: Client, bench: Benchmark, admin: Any, name: str) -> None:
    made.evaluation([1.0])
    client.force_login(build.user("admin", username="root"))

    page = text(client, f"/admin/evals/{name}/")

    assert f"/admin/evals/{name}/add/" not in page


def test_benchmarks_and_runs_are_found_by_the_search(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0])

    assert 'href="/benchmarks/bench/"' in text(web, "/search/?q=enc")
    assert f'href="/evaluations/{one.job.job_id}/"' in text(web, f"/search/?q={one.job.job_id}")


def test_an_agent_is_evaluated_from_its_page(web: Client, bench: Benchmark, agent: Any) -> None:
    path = f"/evaluations/new/?agent={agent.agent_id}"

    assert f'href="{path}"' in text(web, f"/agents/{agent.agent_id}/")
    form = text(web, path)
    assert re.search(f'value="{agent.agent_id}"[^>]* checked', form)


def test_an_empty_form_of_a_benchmark_says_what_to_do(web: Client) -> None:
    page = web.post("/benchmarks/new/", {"benchmark_id": "", "dataset_id": ""}).content.decode()

    for told in ("Give the benchmark a name.", "Choose a dataset.", "Choose at least one scorer."):
        assert told in page
    assert "This field is required" not in page
