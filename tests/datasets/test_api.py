"""The six operations as clients see them, every answer held against the contract, under both prefixes."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from apps.accounts.models import AuditLine
from apps.core import db
from apps.datasets.models import Row
from tests.spec.calls import Checked

QA = [{"question": f"What is {n}?", "answer": str(n)} for n in range(5)]


def of_rows(rows: Any = QA, **fields: Any) -> dict[str, Any]:
    return {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": rows}, "dataset_id": "qa", **fields}


async def test_a_dataset_is_registered_read_listed_and_deleted(calls: Checked) -> None:
    made = await calls.post("/datasets", of_rows(metadata={"about": "numbers", "deep": [1, None]}))
    read = await calls.get("/datasets/qa")
    listed = await calls.get("/datasets")

    assert made == read == listed["data"][0]
    assert made["identifier"] == made["provider_resource_id"] == "qa"
    assert made["provider_id"] == "localfs"
    assert made["source"] == {"type": "rows", "rows": QA}
    assert made["metadata"] == {"about": "numbers", "deep": [1, None]}
    assert "owner" not in made
    assert await calls.delete("/datasets/qa") is None
    await calls.get("/datasets/qa", status=404)
    await calls.delete("/datasets/qa", status=404)
    await calls.get("/datasetio/iterrows/qa", status=404)
    await calls.post("/datasetio/append-rows/qa", {"rows": QA}, status=404)
    assert await db.read(Row.objects.count) == 0


async def test_an_id_is_made_and_ids_may_hold_slashes(calls: Checked) -> None:
    made = await calls.post("/datasets", {name: value for name, value in of_rows().items() if name != "dataset_id"})
    assert made["identifier"].startswith("dataset-")
    await calls.post("/datasets", of_rows(dataset_id="llamastack/simple:qa"))

    response = await calls.api.get(f"{calls.prefix}/datasets/llamastack/simple:qa")
    page = await calls.api.get(f"{calls.prefix}/datasetio/iterrows/llamastack/simple:qa?limit=1")

    assert response.json()["identifier"] == "llamastack/simple:qa"
    assert page.json() == {
        "data": QA[:1], "has_more": True, "url": f"{calls.prefix}/datasetio/iterrows/llamastack/simple:qa",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "wanted", "more"),
    [
        ({}, QA, False), ({"limit": -1}, QA, False), ({"start_index": 2}, QA[2:], False),
        ({"start_index": 2, "limit": -1}, QA[2:], False), ({"limit": 2}, QA[:2], True),
        ({"start_index": 3, "limit": 2}, QA[3:], False), ({"start_index": 3, "limit": 9}, QA[3:], False),
        ({"limit": 0}, [], True), ({"start_index": 5, "limit": 0}, [], False), ({"start_index": 5}, [], False),
        ({"start_index": 99, "limit": 2}, [], False),
    ],
)  # fmt: skip
async def test_pages(beta: Checked, query: dict[str, int], wanted: list[Any], more: bool) -> None:
    await beta.post("/datasets", of_rows())

    page = await beta.get("/datasetio/iterrows/qa", params=query)

    assert (page["data"], page["has_more"]) == (wanted, more)
    assert page["url"] == "/v1beta/datasetio/iterrows/qa"


@pytest.mark.parametrize("query", ["limit=-5", "limit=abc", "start_index=-1", "start_index=1.5", "limit=1e3"])
async def test_bad_pages(calls: Checked, query: str) -> None:
    await calls.post("/datasets", of_rows())

    error = await calls.get(f"/datasetio/iterrows/qa?{query}", status=400)

    assert query.partition("=")[0] in error["detail"]


async def test_appended_rows_are_read_at_once_in_order(calls: Checked) -> None:
    await calls.post("/datasets", of_rows())
    more = [{"question": f"More {n}", "answer": "yes"} for n in range(1_000)]

    assert await calls.post("/datasetio/append-rows/qa", {"rows": more}) is None
    assert await calls.post("/datasetio/append-rows/qa", {"rows": []}) is None

    assert (await calls.get("/datasetio/iterrows/qa"))["data"] == QA + more
    assert (await calls.get("/datasetio/iterrows/qa", params={"start_index": 1000, "limit": 3}))["data"] == more[
        995:998
    ]
    assert (await calls.get("/datasets/qa"))["source"]["rows"] == QA + more


@pytest.mark.parametrize(
    "rows", ['"x"', "[1]", '[{"question": "only"}]', "[null]", "[[]]", "[{]", '[{"a": NaN}]', '[{"a": 01}]', "{}"]
)
async def test_rows_that_cannot_be_appended_leave_nothing(beta: Checked, rows: str) -> None:
    await beta.post("/datasets", of_rows())
    body = b'{"rows": [{"question": "good", "answer": "row"}, ' + rows.removeprefix("[").encode()
    bodies = [b'{"rows": ' + rows.encode() + b"}", body + b"}"]

    for one in bodies:
        response = await beta.api.post("/v1beta/datasetio/append-rows/qa", content=one)
        assert response.status_code == 400, response.text
    assert (await beta.get("/datasetio/iterrows/qa"))["data"] == QA


async def test_the_same_again_changes_nothing_and_something_else_is_a_conflict(calls: Checked) -> None:
    made = await calls.post("/datasets", of_rows())

    assert await calls.post("/datasets", of_rows()) == made
    spaced = b'{"dataset_id": "qa", "purpose": "eval/question-answer", "source": {"rows": [' + b",\n ".join(
        f'{{ "answer":"{n}",\n "question":"What is {n}?" }}'.encode() for n in range(5)
    ) + b'], "type": "rows"}}'  # fmt: skip
    assert (await calls.api.post(f"{calls.prefix}/datasets", content=spaced)).status_code == 200
    for other in (
        of_rows([{"a": 1}]), of_rows(QA[:4]), of_rows(metadata={"x": 1}), of_rows(purpose="eval/messages-answer"),
        of_rows(source={"type": "uri", "uri": "data:text/csv,a%0A1"}),
    ):  # fmt: skip
        await calls.post("/datasets", other, status=409)
    assert (await calls.get("/datasetio/iterrows/qa"))["data"] == QA


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "fun"}, {"purpose": None}, {"source": {"type": "ftp"}}, {"source": {"type": "rows"}},
        {"source": {"type": "uri"}}, {"source": None}, {"metadata": [1]}, {"dataset_id": ""}, {"dataset_id": "a\nb"},
        {"dataset_id": "x" * 256}, {"dataset_id": 5}, {"purposes": "x"}, {"source": {"type": "rows", "rows": [1]}},
        {"source": {"type": "rows", "rows": {"a": 1}}}, {"source": {"type": "uri", "uri": "x.csv", "rows": []}},
    ],
)  # fmt: skip
async def test_bad_registrations(beta: Checked, change: dict[str, Any]) -> None:
    await beta.post("/datasets", of_rows() | change, status=400)
    assert (await beta.get("/datasets"))["data"] == []


async def test_unknown_fields_are_refused_with_the_nearest_name(beta: Checked) -> None:
    error = await beta.post("/datasets", of_rows(dataset_ids="x"), status=400)
    assert "dataset_id" in error["detail"]


async def test_rows_that_do_not_fit_are_registered_with_a_warning(calls: Checked) -> None:
    made = await calls.post("/datasets", of_rows([{"a": 1}], metadata={"k": 1}))

    assert "eval/question-answer needs 'question' + 'answer'" in made["metadata"]["validation"]["warning"]
    assert await calls.post("/datasets", of_rows([{"a": 1}], metadata={"k": 1})) == made
    await calls.post("/datasetio/append-rows/qa", {"rows": [{"b": 2}]})
    assert (await calls.get("/datasetio/iterrows/qa"))["data"] == [{"a": 1}, {"b": 2}]


MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("purpose", "row"),
    [
        ("post-training/messages", {"messages": MESSAGES}),
        ("post-training/messages", {"messages": '[{"role": "user", "content": "Hi"}]'}),
        ("post-training/messages", {"dialog": MESSAGES}),
        ("post-training/messages", {"prompt": "a", "chosen": "b", "rejected": "c"}),
        ("post-training/messages", {"chat_completion_input": MESSAGES, "expected_answer": "x"}),
        ("eval/question-answer", {"input_query": "q", "expected_answer": "a"}),
        ("eval/question-answer", {"completion_input": "q", "expected_answer": "a"}),
        ("eval/messages-answer", {"messages": MESSAGES, "answer": "a", "further": None}),
    ],
)
async def test_accepted_columns(beta: Checked, purpose: str, row: Any) -> None:
    made = await beta.post("/datasets", of_rows([row], purpose=purpose))

    assert made["metadata"] == {}
    await beta.post("/datasetio/append-rows/qa", {"rows": [row]})
    await beta.post("/datasetio/append-rows/qa", {"rows": [{"zzz": 1}]}, status=400)


async def test_sixteen_writers_lose_nothing_and_keep_their_order(beta: Checked) -> None:
    await beta.post("/datasets", of_rows([]))

    async def write(writer: int) -> None:
        for at in range(6):
            rows = [{"question": f"{writer}", "answer": f"{at * 10 + n}"} for n in range(10)]
            await beta.post("/datasetio/append-rows/qa", {"rows": rows})

    await asyncio.gather(*map(write, range(16)))
    rows = (await beta.get("/datasetio/iterrows/qa"))["data"]

    assert len(rows) == 960
    for writer in range(16):
        assert [int(row["answer"]) for row in rows if row["question"] == str(writer)] == list(range(60))
    assert all(len({row["question"] for row in rows[at : at + 10]}) == 1 for at in range(0, 960, 10))


async def test_two_registrations_of_one_name_at_once(beta: Checked) -> None:
    answers = await asyncio.gather(*(beta.api.post("/v1beta/datasets", json=of_rows()) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await beta.get("/datasetio/iterrows/qa"))["data"] == QA


async def test_long_answers_are_streamed_whole(beta: Checked) -> None:
    many = [{"question": f"Q{n}", "answer": "a" * 20} for n in range(7_000)]
    made = await beta.post("/datasets", of_rows(many))

    assert made["source"]["rows"] == many
    assert (await beta.get("/datasets/qa"))["source"]["rows"] == many
    assert (await beta.get("/datasetio/iterrows/qa"))["data"] == many
    page = await beta.get("/datasetio/iterrows/qa", params={"start_index": 500, "limit": 5_000})
    assert (page["data"], page["has_more"]) == (many[500:5_500], True)
    assert len((await beta.get("/datasets"))["data"][0]["source"]["rows"]) == 10


async def test_a_reader_may_not_write(client_for: Callable[..., httpx2.AsyncClient]) -> None:
    reader = Checked(client_for("viewer"), "/v1beta")

    await reader.get("/datasets")
    await reader.post("/datasets", of_rows(), status=403)
    await reader.post("/datasetio/append-rows/qa", {"rows": []}, status=403)
    await reader.delete("/datasets/qa", status=403)
    await Checked(client_for(""), "/v1beta").get("/datasets", status=401)


async def test_every_write_leaves_a_line(beta: Checked) -> None:
    await beta.post("/datasets", of_rows())
    await beta.post("/datasetio/append-rows/qa", {"rows": QA})
    await beta.delete("/datasets/qa")

    lines = await db.read(lambda: list(AuditLine.objects.filter(kind="dataset").order_by("pk")))

    assert [(line.action, line.object_id) for line in lines] == [
        ("create", "qa"), ("append", "qa"), ("delete", "qa"),
    ]  # fmt: skip
    assert lines[1].detail["rows"] == 5
