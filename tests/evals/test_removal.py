"""Ended evaluations are deleted for good, with what they had, and nothing else is."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.evals import human
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation, HumanScore
from apps.evals.runs import removal
from apps.jobs.handle import Handle
from apps.jobs.models import Job, Status
from tests import build
from tests.evals import made
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import reader as reader
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web


def page_of(run: Evaluation) -> str:
    return f"/evaluations/{run.job.job_id}/"


def delete(web: Client, run: Evaluation) -> Any:
    return web.post(f"{page_of(run)}delete/")


def test_a_run_goes_with_all_it_had_and_is_missed_nowhere(web: Client, bench: Benchmark, operator: Any) -> None:
    goes, stays = made.evaluation([1.0, 0.0], candidate="typo"), made.evaluation([0.0])
    human.give(goes, 0, 4, "", build.actor(user_id=operator.pk))
    Benchmark.objects.update(baseline=goes)
    retry = made.evaluation([1.0])
    Job.objects.filter(pk=retry.job.pk).update(retry_of=goes.job)

    told = text(web, f"{page_of(goes)}delete/")
    for words in (
        f"Run {goes.pk} and its 2 rows go for good", "So does 1 human score", "It is the baseline of bench",
        f"Run {retry.pk} went on from it and keeps its rows",
    ):  # fmt: skip
        assert words in told
    dialog = text(web, f"{page_of(goes)}delete/", **{"HX-Request": "true"})
    assert "Delete run" in dialog and "<html" not in dialog
    assert delete(web, goes).headers["Location"] == "/benchmarks/bench/"

    assert set(Evaluation.objects.all()) == {stays, retry} and EvaluatedRow.objects.count() == 2
    assert not HumanScore.objects.exists() and not Job.objects.filter(pk=goes.job.pk).exists()
    assert Benchmark.objects.get().baseline is None and Job.objects.get(pk=retry.job.pk).retry_of is None
    assert "typo" not in text(web, "/benchmarks/bench/") and "typo" not in text(web, "/evaluations/")
    text(web, f"/evaluations/compare/?base={stays.job.job_id}&with={goes.job.job_id}", 404)
    line = AuditLine.objects.get(kind="evaluation", action="delete")
    assert line.object_id == goes.job.job_id and line.detail["rows"] == 2


def test_a_deleted_run_says_who_deleted_it(web: Client, bench: Benchmark, operator: Any) -> None:
    run = made.evaluation([1.0])
    delete(web, run)

    gone = text(web, page_of(run), 404)
    assert f"Run {run.pk} was deleted" in gone and str(operator) in gone and "scripted/scripted" in gone
    text(web, f"{page_of(run)}rows/1/", 404)
    assert delete(web, run).status_code == 404


def test_the_rows_of_a_large_run_are_removed_by_a_job(
    web: Client, bench: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 4)
    monkeypatch.setattr(removal, "PART", 2)
    large, other = made.evaluation([1.0] * 5), made.evaluation([1.0])

    delete(web, large)

    assert not Evaluation.objects.filter(pk=large.pk).exists() and EvaluatedRow.objects.count() == 6
    job = Job.objects.get(kind="evaluation removal")
    assert removal.run(Handle(job)) == {"rows": 5}
    assert [row.evaluation_id for row in EvaluatedRow.objects.all()] == [other.pk]


def test_what_runs_is_cancelled_first(web: Client, bench: Benchmark) -> None:
    runs, ended = made.evaluation([1.0], status=Status.IN_PROGRESS), made.evaluation([1.0], status=Status.CANCELLED)
    Job.objects.filter(pk=runs.job.pk).update(retry_of=ended.job)
    assert 'data-ui="delete-run"' not in text(web, page_of(runs))

    delete(web, runs)
    assert "It still runs: cancel it first" in text(web, page_of(runs))
    delete(web, ended)
    assert "A run that goes on from it still runs" in text(web, page_of(ended))
    assert Evaluation.objects.count() == 2


def test_a_viewer_deletes_nothing(reader: Client, bench: Benchmark) -> None:
    run = made.evaluation([1.0])

    assert 'data-ui="delete-run"' not in text(reader, page_of(run))
    assert delete(reader, run).status_code == 403 and Evaluation.objects.exists()
