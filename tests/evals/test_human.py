"""What people give rows: who may, what becomes of it, where it is seen."""

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.core import live
from apps.datasets.models import Row
from apps.evals import human
from apps.evals.models import Benchmark, Evaluation, HumanScore
from apps.jobs.models import Job, Status
from tests.evals import made
from tests.evals.test_pages import bench as bench
from tests.evals.test_pages import reader as reader
from tests.evals.test_pages import text
from tests.evals.test_pages import web as web


@pytest.fixture
def other(admin: Any) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def give(client: Client, one: Evaluation, number: int, **fields: Any) -> Any:
    return client.post(f"/evaluations/{one.job.job_id}/rows/{number}/score/", fields)


def means(one: Evaluation) -> list[float | None]:
    return list(one.rows.order_by("position").values_list("human", flat=True))


def test_each_person_has_a_score_and_the_row_shows_the_mean(
    web: Client, other: Client, bench: Benchmark, operator: Any
) -> None:
    one = made.evaluation([1.0, 0.0])

    answer = give(web, one, 2, score="2", note=" Too short. ")
    give(web, one, 2, score="4", note="Better than I thought.")
    give(other, one, 2, score="1")

    assert answer.headers["Location"] == f"/evaluations/{one.job.job_id}/rows/2/"
    assert means(one) == [None, 2.5]
    mine = HumanScore.objects.get(given_by=operator)
    assert (mine.score, mine.note) == (4, "Better than I thought.")
    part = text(web, f"/evaluations/{one.job.job_id}/rows/2/", **{"HX-Request": "true"})
    assert 'value="4" checked' in part and "Better than I thought." in part and part.count(" checked") == 1
    assert 'data-ui="human-mean">2.50<' in part and "admin" in part.split('data-ui="human-others"')[1]
    page = text(web, f"/evaluations/{one.job.job_id}/")
    assert 'data-ui="human-score">2.50<' in page and 'data-ui="human-score">–<' in page
    lines = AuditLine.objects.filter(action="score", kind="evaluation", object_id=one.job.job_id)
    assert sorted(line["score"] for line in lines.values_list("detail", flat=True)) == [1, 2, 4]


def test_a_score_is_taken_back(web: Client, other: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0])
    give(web, one, 1, score="5")
    give(other, one, 1, score="2")

    give(web, one, 1, clear="1")
    give(web, one, 1, clear="1")

    assert means(one) == [2.0] and HumanScore.objects.count() == 1
    assert AuditLine.objects.filter(action="unscore").count() == 1
    give(other, one, 1, clear="1")
    assert means(one) == [None]


@pytest.mark.parametrize(
    "sent", [{}, {"score": "6"}, {"score": "0"}, {"score": "²"}, {"score": "3", "note": "x" * 2001}]
)
def test_nonsense_changes_nothing_and_says_so(web: Client, bench: Benchmark, sent: dict[str, str]) -> None:
    one = made.evaluation([1.0])

    path = f"/evaluations/{one.job.job_id}/rows/1/score/"
    answer = web.post(path, sent, headers={"HX-Request": "true"})

    assert answer.status_code == 422 and 'data-ui="human-problem"' in answer.content.decode()
    assert give(web, one, 1, **sent).status_code == 302
    assert not HumanScore.objects.exists() and means(one) == [None]
    assert give(web, one, 2, score="3").status_code == 404


def test_who_reads_sees_scores_and_gives_none(web: Client, reader: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0])
    give(web, one, 1, score="3", note="So so.")

    part = text(reader, f"/evaluations/{one.job.job_id}/rows/1/")

    assert "So so." in part and 'data-ui="human-mean">3.00<' in part and "human-form" not in part
    assert give(reader, one, 1, score="1").status_code == 403
    assert means(one) == [3.0]


def test_the_tile_tells_mean_count_and_bars(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0, 0.0, 1.0, 1.0])
    assert 'data-name="Human"' not in text(web, f"/evaluations/{one.job.job_id}/")
    for number, score in ((1, "5"), (2, "2"), (3, "5")):
        give(web, one, number, score=score)

    tile = text(web, f"/evaluations/{one.job.job_id}/").split('data-name="Human"')[1].split("</section>")[0]

    assert ">4.00<" in tile and "3 of 4 rows" in tile and "1 not scored" in tile
    assert "1: 0 rows, 2: 1 row, 3: 0 rows, 4: 0 rows, 5: 2 rows" in tile
    assert "/scorers/" not in tile


def test_rows_come_by_human_score_and_those_without_one_alone(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0] * 4)
    for number, score in ((1, "5"), (3, "2")):
        give(web, one, number, score=score)
    path = f"/evaluations/{one.job.job_id}/"

    def order(query: str) -> list[str]:
        return [part.split('"')[0] for part in text(web, path + query).split('<tr id="r')[1:]]

    assert order("?by=human") == ["3", "1", "2", "4"]
    assert order("?by=human&after=2.0,2") == ["1", "2", "4"]
    assert order("?by=human&before=1000000000.0,3") == ["3", "1", "2"]
    assert order("?unscored=1") == ["2", "4"]
    part = text(web, f"{path}rows/2/?unscored=1", **{"HX-Request": "true"})
    assert "/rows/4/?unscored=1" in part and "/rows/1/" not in part and "/rows/3/" not in part
    give(web, one, 2, score="1")
    give(web, one, 4, score="1")
    assert "People scored every row" in text(web, path + "?unscored=1")


def test_scores_leave_in_files_and_never_in_the_result(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0, 0.0])
    before = list(one.rows.values_list("row", "generation", "scores"))
    give(web, one, 2, score="4", note="=Fine")
    path = f"/evaluations/{one.job.job_id}/export/"

    table = list(csv.DictReader(io.StringIO(b"".join(web.get(path + "csv/").streaming_content).decode())))
    lines = [json.loads(line) for line in b"".join(web.get(path + "jsonl/").streaming_content).splitlines()]

    assert [(row["human_score"], row["human_notes"]) for row in table] == [("", ""), ("4.0", "'=Fine")]
    assert "human" not in lines[0]
    assert lines[1]["human"]["score"] == 4 and lines[1]["human"]["given"][0]["note"] == "=Fine"
    only = list(csv.DictReader(io.StringIO(b"".join(web.get(path + "csv/?unscored=1").streaming_content).decode())))
    assert [row["row"] for row in only] == ["1"]
    assert list(one.rows.values_list("row", "generation", "scores")) == before


def test_rows_people_found_bad_go_to_a_dataset(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0] * 3)
    path = f"/evaluations/{one.job.job_id}/keep/"
    assert "human score" not in text(web, path)
    for number, score in ((1, "3"), (2, "4"), (3, "1")):
        give(web, one, number, score=score)

    page = text(web, path + "?which=human&purpose=post-training/messages")  # it fitted the rows meant before
    assert "Select a valid choice" not in page
    assert "1 row" in page.split('data-ui="keep-count"')[1] and "What is 2?" in page
    web.post(path, {"which": "human", "at_most": "3", "name": "bad", "purpose": "eval/question-answer"})

    rows = Row.objects.filter(dataset__dataset_id="bad").order_by("position")
    assert [json.loads(row.content)["question"] for row in rows] == ["What is 0?", "What is 2?"]


def test_a_run_that_goes_on_keeps_what_people_gave_the_rows_it_keeps(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0, "!away", 0.0], status=Status.CANCELLED)
    for number in (1, 2):
        give(web, one, number, score="4", note="Kept")

    web.post(f"/evaluations/{one.job.job_id}/again/")

    fresh = Evaluation.objects.latest("id")
    assert fresh.pk != one.pk and means(fresh) == [4.0, None]
    assert list(fresh.human_scores.values_list("position", "score", "note")) == [(0, 4, "Kept")]
    assert one.human_scores.count() == 2


def test_a_running_evaluation_is_scored_and_watchers_hear_of_it(
    web: Client, bench: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(live, "tell", lambda topic, event: told.append((topic, event)))
    one = made.evaluation([1.0], status=Status.IN_PROGRESS, row_total=9)

    give(web, one, 1, score="5")

    assert told == [(f"evaluation:{one.job.job_id}", {"event_type": "row_scored", "positions": [0]})]
    assert means(one) == [5.0]


def test_who_leaves_leaves_their_scores(bench: Benchmark, operator: Any, web: Client) -> None:
    one = made.evaluation([1.0])
    give(web, one, 1, score="5")

    operator.delete()

    assert HumanScore.objects.get().given_by is None and means(one) == [5.0]
    assert human.distribution(one)["scored"] == 1  # type: ignore[index]


def test_an_evaluation_is_deleted_with_its_scores(web: Client, bench: Benchmark) -> None:
    one = made.evaluation([1.0])
    give(web, one, 1, score="5")

    Job.objects.filter(pk=one.job_id).delete()

    assert not HumanScore.objects.exists()
