"""Pages of datasets: what they show, what their forms do."""

import json
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from apps.datasets import registry, rows, schemas
from apps.datasets.models import Dataset, Row, State, Upload
from apps.jobs.models import Job
from tests import build
from tests.datasets.test_excel import book, text_row

QA = [{"question": f"What is {n}?", "answer": f"It is {n}"} for n in range(60)]


def make(name: str = "qa", given: Any = QA, purpose: str = "eval/question-answer") -> Dataset:
    asked = schemas.RegisterDatasetRequest(
        purpose=purpose,
        source=schemas.RowsDataSource(rows=[]),
        dataset_id=name,  # type: ignore[arg-type]
    )
    texts = [json.dumps(row) for row in given]
    return registry.register_now(registry.Request(asked, texts, given[:20]), build.actor())


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


def test_an_empty_list_says_what_to_do(web: Client) -> None:
    page = web.get("/datasets/").content.decode()
    assert "Upload a file" in page
    assert "/v1beta/datasets" in page


def test_the_list_costs_the_same_for_many(web: Client, django_assert_max_num_queries: Any) -> None:
    for at in range(60):
        make(f"set-{at}", QA[:1])
    with django_assert_max_num_queries(10):
        page = web.get("/datasets/").content.decode()
    assert page.count('data-ui="dataset-row"') == 50
    assert web.get("/datasets/?q=set-59").content.decode().count('data-ui="dataset-row"') == 1


def test_the_list_names_what_is_fit_for_a_use(web: Client) -> None:
    make("qa", QA[:1])
    make("talk", [{"messages": [{"role": "user", "content": "Hi"}]}], "post-training/messages")

    page = web.get("/datasets/?use=training").content.decode()
    assert page.count('data-ui="dataset-row"') == 1 and "/datasets/talk/" in page
    page = web.get("/datasets/?use=training&q=qa").content.decode()
    assert "No dataset matches" in page and "qa · Fit for training" in page
    assert web.get("/datasets/?use=nonsense").content.decode().count('data-ui="dataset-row"') == 2


def test_rows_are_shown_newest_first_and_paged(web: Client, django_assert_max_num_queries: Any) -> None:
    make()
    with django_assert_max_num_queries(15):
        page = web.get("/datasets/qa/").content.decode()
    assert page.count('data-ui="row"') == 50
    assert page.index("What is 59?") < page.index("What is 10?")
    assert "?after=10" in page
    older = web.get("/datasets/qa/?after=10").content.decode()
    assert older.count('data-ui="row"') == 10
    assert "What is 0?" in older


def test_rows_are_found_by_text(web: Client) -> None:
    make(given=[*QA, {"question": "Wie groß?", "answer": "<b>x</b>"}])
    page = web.get("/datasets/qa/", {"q": "groß"}, headers={"HX-Request": "true"}).content.decode()
    assert page.count('data-ui="row"') == 1
    assert "&lt;b&gt;x" in page
    assert "No row matches" in web.get("/datasets/qa/?q=nothing-like-it").content.decode()


def test_a_row_is_read_as_a_chat_and_as_json(web: Client) -> None:
    talk = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "**Yes**"}]}
    make("talk/set", [talk], "post-training/messages")
    page = web.get("/datasets/talk/set/rows/1/").content.decode()
    assert "<strong>Yes</strong>" in page
    assert "row-json" in web.get("/datasets/talk/set/rows/1/?tab=json").content.decode()
    assert "the tests" in web.get("/datasets/talk/set/rows/1/?tab=origin").content.decode()
    assert web.get("/datasets/talk/set/rows/2/").status_code == 404


def test_a_row_is_edited_and_two_editors_do_not_overwrite_each_other(web: Client) -> None:
    make(given=QA[:2])
    was = Row.objects.get(position=1).content
    new = '{"question": "Changed \\u0000", "answer": 12345678901234567890}'

    saved = web.post("/datasets/qa/rows/2/edit/", {"content": new, "was": was})
    late = web.post("/datasets/qa/rows/2/edit/", {"content": '{"question": "", "answer": ""}', "was": was})
    broken = web.post("/datasets/qa/rows/2/edit/", {"content": "[1]", "was": new})
    unfit = web.post("/datasets/qa/rows/2/edit/", {"content": "{}", "was": new})

    assert saved.status_code == 302
    assert (late.status_code, broken.status_code, unfit.status_code) == (422, 422, 422)
    assert "changed meanwhile" in late.content.decode()
    assert Row.objects.get(position=1).content == new
    assert Dataset.objects.get().size_bytes == sum(len(row.content) for row in Row.objects.all())


def test_rows_are_deleted_after_asking(web: Client) -> None:
    make()
    asked = web.post("/datasets/qa/rows/delete/", {"row": ["3", "4", "60"]})
    assert "Delete 3 rows?" in asked.content.decode()
    assert Row.objects.count() == 60

    web.post("/datasets/qa/rows/delete/", {"row": ["3", "4", "60"], "count": "3"})

    dataset = Dataset.objects.get()
    assert (dataset.row_count, dataset.next_position, dataset.gaps) == (57, 60, [[2, 2], [59, 1]])
    assert [json.loads(text) for text in rows.iterrows(dataset, 2, 2)] == QA[4:6]
    with transaction.atomic():
        rows.append_rows("qa", ['{"question": "new", "answer": ""}'], build.actor())
    dataset.refresh_from_db()
    assert [json.loads(text)["question"] for text in rows.iterrows(dataset, 56, 5)] == ["What is 58?", "new"]


def test_rows_are_typed(web: Client) -> None:
    form = {"dataset_id": "typed", "purpose": "eval/question-answer", "description": "By hand"}
    bad = web.post("/datasets/new/", form | {"text": "question,answer\na,b\nc,d,e\n"})
    assert "Line 3" in bad.content.decode()
    assert not Dataset.objects.exists()

    made = web.post("/datasets/new/", form | {"text": '{"question": "a", "answer": "b"}\n'})

    assert made.headers["Location"] == "/datasets/typed/"
    taken = web.post("/datasets/new/", form | {"text": "question,answer\nx,y"})
    assert taken.status_code == 422
    assert "exists with other content" in taken.context["form"].errors["dataset_id"][0]
    assert web.get("/datasets/typed/rows/1/").context["addition"].how == "typed"
    nameless = web.post("/datasets/new/", form | {"dataset_id": "", "text": ""})
    assert "Give the dataset a name." in nameless.content.decode()
    assert web.post("/datasets/typed/add/", {"text": "question,answer\nx,y"}).status_code == 302
    assert web.post("/datasets/typed/add/", {"text": "a,b\nx,y"}).status_code == 422
    assert web.post("/datasets/typed/add/", {"text": ""}).status_code == 422
    assert [row.content for row in Row.objects.all()] == [
        '{"question": "a", "answer": "b"}', '{"question":"x","answer":"y"}',
    ]  # fmt: skip


def test_an_address_is_read(web: Client) -> None:
    form = {"dataset_id": "there", "purpose": "eval/question-answer"}
    made = web.post("/datasets/new/?from=uri", form | {"uri": "data:text/csv,question,answer%0Aa,b"})
    assert made.headers["Location"] == "/datasets/there/"
    refused = web.post("/datasets/new/?from=uri", form | {"uri": "http://127.0.0.1/x.csv", "dataset_id": "x"})
    assert "private address" in refused.content.decode()
    assert web.post("/datasets/new/?from=uri", form | {"uri": "file:///etc/passwd"}).status_code == 422


def sent(web: Client, body: bytes, name: str = "rows.jsonl", part: int = 100, **fields: str) -> str:
    """Send a file in parts, as the page's script does; return the address of its preview."""
    place = web.post("/datasets/files/", {"name": name, "size": len(body), **fields}).json()
    for at in range(0, len(body), part):
        answer = web.post(
            place["part"], body[at : at + part], content_type="application/octet-stream", headers={"X-Offset": str(at)}
        )
        assert answer.json()["received"] == min(at + part, len(body))
    return str(place["preview"])


LINES = b'{"q": "a", "answer": "1"}\n{broken\n{"q": "b", "answer": "2"}\n'


def test_a_file_is_looked_at_mapped_and_loaded_without_its_bad_line(web: Client) -> None:
    place = sent(web, LINES, purpose="eval/question-answer", dataset_id="file")
    look = web.get(place).content.decode()
    assert "Line 2" in look
    assert "Nothing was kept yet" in look
    form = {"act": "load", "purpose": "eval/question-answer", "dataset_id": "file", "column-question": "q"}

    assert web.post(place, form).status_code == 422
    assert not Dataset.objects.exists()
    assert web.post(place, form | {"skip_bad": "on"}).headers["Location"] == "/datasets/file/"

    dataset = Dataset.objects.get()
    assert [json.loads(text) for text in rows.iterrows(dataset, 0, 9)] == [
        {"question": "a", "answer": "1"}, {"question": "b", "answer": "2"},
    ]  # fmt: skip
    assert dataset.warning == ""
    assert not Upload.objects.exists()
    assert web.get(place).status_code == 404


def test_lines_of_a_file_keep_their_numbers(web: Client) -> None:
    body = b'{"question": "a", "answer": "1"}\n\n{"question": \n{"question": "c"}\n'
    place = sent(web, body, purpose="eval/question-answer", dataset_id="file")
    page = web.get(place)
    assert page.context["warning"].startswith("Line 4: ")
    [bad] = page.context["look"].bad
    assert (bad.number, bad.error) == (3, "not a JSON object: Expecting value at column 13")

    nameless = web.post(place, {"act": "load", "purpose": "eval/question-answer", "skip_bad": "on"})
    assert nameless.status_code == 422 and "Give the dataset a name." in nameless.content.decode()
    assert not Dataset.objects.exists()


def test_a_row_of_other_columns_hides_no_others(web: Client) -> None:
    make(given=[*QA[:2], {"trace_id": "t1", "answer": "none"}, {"trace_id": "t2", "span_id": "s2"}])
    page = web.get("/datasets/qa/").context["page"]
    assert page.columns == ("Question", "Answer")
    assert [row.cells for row in page.rows] == [
        ["trace_id: t2", "span_id: s2"], ["trace_id: t1", "answer: none"], ["What is 1?", "It is 1"],
        ["What is 0?", "It is 0"],
    ]  # fmt: skip


def test_a_file_is_for_what_its_rows_fit(web: Client) -> None:
    place = sent(web, b"question,answer\na,b\n", "qa.csv")
    page = web.get(place)
    assert page.context["purpose"] == "eval/question-answer" and not page.context["warning"]

    odd = web.get(sent(web, b"colour\nred\n", "odd.csv"))
    assert odd.context["purpose"] == "post-training/messages" and "needs" in odd.context["warning"]


def test_a_new_dataset_begins_with_the_purpose_it_is_wanted_for(web: Client) -> None:
    page = web.get("/datasets/new/?purpose=eval/question-answer").content.decode()
    assert '<option value="eval/question-answer" selected>' in page


def test_a_workbook_is_looked_at_and_loaded(web: Client) -> None:
    rows_of_it = text_row("q", "answer") + text_row("a", "1") + text_row("b", "2", "3")
    place = sent(web, book(rows_of_it), "qa.xlsx", purpose="eval/question-answer", dataset_id="sheet")
    look = web.get(place).content.decode()
    assert "1 row, 1 bad line" in look and "Line 3" in look

    web.post(place, {"act": "load", "dataset_id": "sheet", "purpose": "eval/question-answer", "column-question": "q",
                     "skip_bad": "on"})  # fmt: skip
    assert rows.iterrows(Dataset.objects.get(), 0, 9) == ['{"question":"a","answer":"1"}']


def test_a_file_that_cannot_be_loaded_offers_another_choice(web: Client) -> None:
    place = sent(web, b'[{"a": 1}', "broken.json")

    look = web.get(place).content.decode()

    assert "This file cannot be loaded" in look and 'data-ui="load"' not in look
    assert 'data-ui="another-file" href="/datasets/new/?from=file"' in " ".join(look.split())


def test_parts_that_do_not_come_next_are_asked_for_again(web: Client, people: Any) -> None:
    place = web.post("/datasets/files/", {"name": "x.csv", "size": 10}).json()

    def put(at: int, body: bytes) -> Any:
        return web.post(place["part"], body, content_type="application/octet-stream", headers={"X-Offset": str(at)})

    assert put(5, b"late").json()["received"] == 0
    assert put(0, b"12345").json() == {"received": 5}
    assert put(0, b"12345").status_code == 409
    assert put(5, b"1234567").status_code == 400
    assert "Only 5 of 10 bytes" in web.get(place["preview"]).content.decode()
    other = Client()
    other.force_login(people["admin"])
    assert other.get(place["preview"]).status_code == 404


def test_files_of_other_kinds_are_refused(web: Client) -> None:
    assert web.post("/datasets/files/", {"name": "x.exe", "size": 10}).status_code == 400
    assert web.post("/datasets/files/", {"name": "x.csv", "size": 10**13}).status_code == 413
    assert web.post("/datasets/files/", {"name": "x.csv", "size": 0}).json() == {"detail": "The file is empty."}
    assert web.post("/datasets/files/", {"name": "x.csv", "size": "x"}).status_code == 413


def test_a_large_file_goes_to_a_job(web: Client, settings: Any) -> None:
    settings.DATASET_AT_ONCE_BYTES = 10
    make(given=QA[:2])
    for fields in ({"dataset_id": "big"}, {"into": "qa"}):
        place = sent(web, b'{"question": "a", "answer": "1"}\n' * 3, **fields)
        assert web.post(place, {"act": "load", "purpose": "eval/question-answer", **fields}).status_code == 302
    from apps.datasets import loading
    from apps.jobs.handle import Handle

    assert Dataset.objects.get(dataset_id="big").state == State.LOADING
    assert "Loading" in web.get("/datasets/big/").content.decode()
    for _ in range(2):
        job = Job.objects.claim_next(["default"], "a worker")
        assert job is not None
        loading.load(Handle(job))
    assert Dataset.objects.get(dataset_id="big").row_count == 3
    assert Dataset.objects.get(dataset_id="qa").row_count == 5
    assert Dataset.objects.count() == 2
    assert loading.load(Handle(job)) == {"rows": 0}  # a second delivery adds nothing


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_what_is_exported_comes_back_equal(web: Client, kind: str) -> None:
    make()
    answer = web.get(f"/datasets/qa/export/{kind}/")
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    answer.close()
    assert answer.headers["Content-Disposition"] == f'attachment; filename="qa.{kind}"'

    place = sent(web, body, f"back.{kind}", 100_000, dataset_id="back")
    web.post(place, {"act": "load", "purpose": "eval/question-answer", "dataset_id": "back"})

    back = Dataset.objects.get(dataset_id="back")
    assert [json.loads(text) for text in rows.iterrows(back, 0, 99)] == QA


def test_a_large_export_is_a_job_with_a_file(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.datasets import export_views
    from apps.jobs.handle import Handle
    from apps.jobs.models import Status

    monkeypatch.setattr(export_views, "AT_ONCE_ROWS", 10)
    make()
    place = web.get("/datasets/qa/export/csv/").headers["Location"]
    job = Job.objects.claim_next(["default"], "a worker")
    assert job is not None
    assert place == f"/system/jobs/{job.job_id}/"
    result = export_views.run(Handle(job))
    Job.objects.end(job.lease_owner, Status.COMPLETED, result=result)
    answer = web.get(result["url"])
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    answer.close()
    assert body.count(b"\n") == 61


def test_deleting_asks_and_tells(web: Client) -> None:
    make("a/b")
    assert "60 rows" in web.get("/datasets/a/b/delete/").content.decode()
    assert web.post("/datasets/a/b/delete/").headers["Location"] == "/datasets/"
    assert web.get("/datasets/a/b/").status_code == 404


def test_the_schema_names_rows_that_do_not_fit(web: Client) -> None:
    make(given=[{"other": 1}, *QA])
    page = web.get("/datasets/qa/schema/").content.decode()
    assert "Row 1" in page
    assert "whole number" in page


def test_readers_see_but_do_not_change(reader: Client) -> None:
    make()
    assert "Add rows" not in reader.get("/datasets/qa/").content.decode()
    for place in ("new/", "qa/add/", "qa/delete/", "qa/rows/1/edit/"):
        assert reader.get(f"/datasets/{place}").status_code == 403
    assert reader.post("/datasets/qa/rows/delete/", {"row": "1", "count": "1"}).status_code == 403
    answer = reader.get("/datasets/qa/export/csv/")
    assert answer.status_code == 200
    answer.close()


def test_the_admin_counts_no_rows(people: Any, django_assert_max_num_queries: Any) -> None:
    make()
    client = Client()
    client.force_login(people["admin"])
    for place in ("row", "dataset", "addition"):
        with django_assert_max_num_queries(12) as queries:
            assert client.get(f"/admin/datasets/{place}/").status_code == 200
        assert not any("COUNT(*)" in one["sql"] and "datasets_row" in one["sql"] for one in queries.captured_queries)
    dataset = Dataset.objects.get()
    assert client.get(f"/admin/datasets/dataset/{dataset.pk}/change/").status_code == 200
    gone = client.post(f"/admin/datasets/dataset/{dataset.pk}/delete/", {"post": "yes"})
    assert gone.status_code == 302
    assert not Row.objects.exists()
