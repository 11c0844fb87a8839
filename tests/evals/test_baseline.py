"""The baseline of a benchmark: set and unset by people, and what the pages tell against it."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.evals import standings
from apps.evals.compare import comparing
from apps.evals.models import Benchmark, Evaluation
from apps.jobs.models import Job, Status
from tests.evals import made
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import reader as reader
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web

MARK = 'data-ui="baseline"'


def page_of(run: Evaluation) -> str:
    return f"/evaluations/{run.job.job_id}/"


def choose(web: Client, run: Evaluation, word: str = "yes") -> Any:
    answer = web.post(f"{page_of(run)}baseline/", {"baseline": word})
    assert answer.headers["Location"] == page_of(run)


def query(base: Evaluation, other: Evaluation) -> str:
    return f"/evaluations/compare/?base={base.job.job_id}&amp;with={other.job.job_id}"


def test_a_run_becomes_the_baseline_and_is_marked_everywhere(web: Client, bench: Benchmark) -> None:
    first, second = made.evaluation([1.0, 0.0]), made.evaluation([1.0, 1.0])
    assert "Set as baseline" in text(web, page_of(first)) and MARK not in text(web, page_of(first))

    choose(web, first)
    choose(web, first)

    assert MARK in text(web, page_of(first)) and "Unset baseline" in text(web, page_of(first))
    assert MARK not in text(web, page_of(second)) and "Set as baseline" in text(web, page_of(second))
    assert text(web, "/evaluations/").count(MARK) == 1
    assert text(web, "/benchmarks/bench/").count(MARK) == 2  # of the candidate, and of its run
    line = AuditLine.objects.get(action="set_baseline")
    assert (line.kind, line.object_id, line.detail) == ("benchmark", "bench", {"job": first.job.job_id})

    choose(web, second)
    assert Benchmark.objects.get().baseline == second
    choose(web, first, "no")
    assert Benchmark.objects.get().baseline == second
    choose(web, second, "no")
    assert Benchmark.objects.get().baseline is None
    assert AuditLine.objects.filter(action="unset_baseline").count() == 1


@pytest.mark.parametrize(
    ("scores", "status", "may"),
    [
        ([1.0], Status.COMPLETED, True), ([1.0], Status.CANCELLED, True), ([1.0], Status.FAILED, True),
        ([], Status.CANCELLED, False), ([1.0], Status.IN_PROGRESS, False), ([], Status.SCHEDULED, False),
    ],
)  # fmt: skip
def test_only_what_has_ended_with_rows_can_be_a_baseline(
    web: Client, bench: Benchmark, scores: list[float], status: Status, may: bool
) -> None:
    run = made.evaluation(scores, status=status)

    assert ('data-ui="set-baseline"' in text(web, page_of(run))) is may
    choose(web, run)

    assert (Benchmark.objects.get().baseline == run) is may


def test_a_run_of_a_deleted_benchmark_cannot_be_one(web: Client, bench: Benchmark) -> None:
    run = made.evaluation([1.0])
    bench.delete()

    assert 'data-ui="set-baseline"' not in text(web, page_of(run))
    choose(web, run)
    assert "Benchmark &#x27;bench&#x27; not found" in text(web, page_of(run))


def test_a_deleted_run_is_no_baseline_any_more(web: Client, bench: Benchmark) -> None:
    run = made.evaluation([1.0])
    choose(web, run)

    Job.objects.all().delete()

    assert Benchmark.objects.get().baseline is None
    text(web, "/benchmarks/bench/")


def test_readers_see_the_baseline_and_set_none(reader: Client, bench: Benchmark) -> None:
    run = made.evaluation([1.0])
    Benchmark.objects.update(baseline=run)

    page = text(reader, page_of(run))

    assert MARK in page and 'data-ui="set-baseline"' not in page
    assert reader.post(f"{page_of(run)}baseline/", {"baseline": "no"}).status_code == 403


def test_compare_begins_with_the_baseline_else_with_the_run_before(web: Client, bench: Benchmark) -> None:
    one, two, three = (made.evaluation([1.0, 0.0]) for _ in range(3))
    assert query(two, three) in text(web, page_of(three))
    assert f"/evaluations/compare/?base={one.job.job_id}" in text(web, page_of(one))

    choose(web, three)

    assert query(three, one) in text(web, page_of(one)) and query(three, two) in text(web, page_of(two))
    assert f'/evaluations/compare/?base={three.job.job_id}"' in text(web, page_of(three))
    chosen = "".join(f"&run={run.job.job_id}" for run in (one, two, three))
    led = web.get(f"/evaluations/compare/?{chosen}").headers["Location"]
    assert led.startswith(f"/evaluations/compare/?base={three.job.job_id}&with={one.job.job_id}")
    assert ">Baseline<" in text(web, led)


def test_the_picker_marks_the_baseline_and_holds_one_run_against_it(web: Client, bench: Benchmark) -> None:
    base, other = made.evaluation([1.0, 0.0]), made.evaluation([1.0, 1.0])
    choose(web, base)
    pick = "/evaluations/compare/"
    compared = f"{pick}?base={base.job.job_id}&with={other.job.job_id}"

    assert text(web, pick).count(MARK) == 1
    assert web.get(f"{pick}?pick=yes&run={other.job.job_id}").headers["Location"] == compared
    alone = web.get(f"{pick}?pick=yes&run={base.job.job_id}").headers["Location"]
    assert alone == f"{pick}?base={base.job.job_id}&pick=yes"
    for path in (f"{pick}?benchmark=bench", f"{pick}?base={base.job.job_id}"):
        page = text(web, path)
        assert f'name="base" value="{base.job.job_id}"' in page and "against the baseline." in page
        assert page.count(MARK) == page.count('data-ui="pick-row"') == 1


def test_a_candidate_stays_the_baseline_when_it_runs_again(web: Client, bench: Benchmark) -> None:
    choose(web, made.evaluation([1.0, 0.0], candidate="ana"))
    made.evaluation([1.0, 1.0], candidate="ana")
    made.evaluation([1.0, 1.0], candidate="bob")

    bob, ana = standings.leaderboard(
        standings.completed("bench"), ["basic::equality"], "basic::equality", Benchmark.objects.get().baseline
    )

    assert [(one.newest.candidate, one.is_baseline, one.scores[0].change) for one in (ana, bob)] == [
        ("ana", True, 0.5),
        ("bob", False, 0.5),
    ]
    page = text(web, "/benchmarks/bench/")
    assert MARK in page[page.index('data-ui="leaderboard"') : page.index('data-ui="history"')]


def test_the_leaderboard_and_the_chart_tell_the_distance(web: Client, bench: Benchmark) -> None:
    base = made.evaluation([1.0, 1.0, 0.0, 0.0], candidate="old", status=Status.CANCELLED)
    made.evaluation([1.0, 0.0, 0.0, 0.0], candidate="new")
    made.evaluation([1.0, 1.0, 1.0, 0.0], candidate="new")
    page = text(web, "/benchmarks/bench/")
    assert "± to the run before" in page and "baseline-level" not in page
    assert 'data-ui="against">+0.50<' in page and page.count('data-ui="against"') == 1

    choose(web, base)

    page = text(web, "/benchmarks/bench/")
    assert page.count("to the baseline") == 1
    assert 'data-ui="against">+0.25<' in page and page.count('data-ui="against"') == 1
    assert f"Baseline, run {base.pk}: 0.50" in page and "Baseline 0.5." in page
    assert '<path class="b" d="M0 50.00H100"/>' in page


def test_the_tiles_tell_the_change_and_whether_it_could_be_chance(
    web: Client, bench: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = made.evaluation([0.0] * 10)
    few, many = made.evaluation([1.0] + [0.0] * 9), made.evaluation([1.0] * 9 + [0.0])
    choose(web, base)

    def tile(run: Evaluation) -> str:
        page = text(web, page_of(run))
        return page[page.index('data-ui="tiles"') : page.index('id="rows"')]

    assert "+0.10" in tile(few) and "too few flipped to tell (p = 1.00)" in tile(few)
    assert "+0.90" in tile(many) and "9 better, 0 worse: clear (p &lt; 0.01)" in tile(many)
    assert 'data-ui="against"' not in tile(base)

    monkeypatch.setattr(comparing, "side", None)  # what ended is not read again
    assert "+0.90" in tile(many)
    running = made.evaluation([1.0], status=Status.IN_PROGRESS)
    assert 'data-ui="against"' not in tile(running)


def test_verdicts_that_are_no_numbers_are_held_against_it_too(web: Client, bench: Benchmark) -> None:
    base, other = made.evaluation(["A", "B"]), made.evaluation(["A", "A"])
    for run in (base, other):
        run.refresh_from_db()
        params = {"type": "basic", "aggregation_functions": ["categorical_count"]}
        run.scoring = {name: told | {"params": params} for name, told in run.scoring.items()}
        run.aggregated = {name: {"categorical_count": {"categorical_count": {"A": 1}}} for name in run.scoring}
        run.save(update_fields=["scoring", "aggregated"])
    choose(web, base)

    assert "verdicts have no order" in text(web, page_of(other))
    assert "A 1" in text(web, "/benchmarks/bench/")


def test_runs_of_many_rows_are_held_against_it_once_the_page_is_there(
    web: Client, bench: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LATE", 3)
    base, run = made.evaluation([1.0, 0.0]), made.evaluation([1.0, 1.0])
    choose(web, base)

    first = text(web, page_of(run))
    assert f'hx-get="{page_of(run)}?changes=now"' in first and 'data-ui="against"' not in first
    assert 'data-ui="against"' in text(web, f"{page_of(run)}?changes=now")
    assert "changes=now" not in text(web, page_of(run)), "it is known now"


def test_what_a_baseline_costs_does_not_grow(web: Client, bench: Benchmark, django_assert_max_num_queries: Any) -> None:
    runs = [made.evaluation([1.0, 0.0], candidate=f"model-{at % 7}") for at in range(30)]
    choose(web, runs[3])

    for path in (page_of(runs[9]), "/benchmarks/bench/", "/evaluations/"):
        with django_assert_max_num_queries(15):
            text(web, path)
