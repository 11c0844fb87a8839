"""Spans as rows of datasets: what they become, where they go, and that they lead back."""

import json
import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.datasets import purposes, registry, rows, schemas
from apps.datasets.models import Addition, Dataset, Purpose, Row
from apps.jobs.handle import Handle
from apps.jobs.models import Job
from apps.telemetry.models import Span, Trace
from apps.telemetry.traces import keep_views, keeping
from tests import build
from tests.telemetry import spans

PLACE = "/traces/keep/"
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which pole?"}]
CALL = {"call_id": "c1", "tool_name": "lookup", "arguments": '{"part": 7}'}
CALLED = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"part": 7}'}}


@pytest.fixture
def web(operator: Any) -> Client:
    """The pages for somebody who works with them."""
    client = Client()
    client.force_login(operator)
    return client


def dataset(name: str, purpose: str = "post-training/messages", given: list[Any] | None = None) -> Dataset:
    """Return a new dataset."""
    source = schemas.RowsDataSource(rows=[])
    asked = schemas.RegisterDatasetRequest(purpose=purpose, source=source, dataset_id=name)  # type: ignore[arg-type]
    texts = [json.dumps(row) for row in given or []]
    return registry.register_now(registry.Request(asked, texts, given or []), build.actor())


def span(name: str = "inference", **attributes: Any) -> Span:
    """Return a stored span with these attributes; those that are no text are told as JSON text."""
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    one = spans.record(name=name, attributes=told)
    spans.save(one)
    return Span.objects.select_related("trace").get(span_id=one.span_id)


def answered(content: str = "11-204", **more: Any) -> dict[str, Any]:
    """Return what the runtime tells as an answer."""
    return {"content": content, "tool_calls": [], **more}


@pytest.mark.parametrize(
    ("purpose", "row"),
    [
        (Purpose.TRAINING, {"messages": [*ASKED, {"role": "assistant", "content": "11-204"}]}),
        (Purpose.QUESTIONS, {"question": "Which pole?", "answer": "11-204"}),
        (Purpose.MESSAGES, {"messages": ASKED, "answer": "11-204"}),
    ],
)
def test_a_model_call_becomes_what_it_was_asked_and_answered(db: None, purpose: str, row: Any) -> None:
    kept = keeping.row_of(span(input=ASKED, output=answered()), purpose)
    assert kept.row == row
    assert purposes.problem(purpose, row) is None


def test_calls_are_kept_for_training_alone(db: None) -> None:
    one = span(input=ASKED, output=answered("", tool_calls=[CALL]))
    told = {"role": "assistant", "content": "", "tool_calls": [CALLED]}
    assert keeping.row_of(one, Purpose.TRAINING).row == {"messages": [*ASKED, told]}
    assert keeping.row_of(one, Purpose.QUESTIONS).why == "that answered with calls and no text"


def test_a_tool_call_becomes_its_input_and_output(db: None) -> None:
    one = span("tool_execution", input={"part": 7}, output="in stock")
    assert keeping.row_of(one, Purpose.QUESTIONS).row == {"question": '{"part":7}', "answer": "in stock"}
    training = keeping.row_of(one, Purpose.TRAINING).row
    assert training == {
        "messages": [{"role": "user", "content": '{"part":7}'}, {"role": "assistant", "content": "in stock"}]
    }


def test_a_tool_call_of_another_program_becomes_its_input_and_output(db: None) -> None:
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": {"part": 7}}
    one = span("execute_tool lookup", **told, **{"gen_ai.tool.call.result": "7: sent"})

    kept = keeping.row_of(one, Purpose.QUESTIONS)

    assert kept.row == {"question": '{"part":7}', "answer": "7: sent"}


def test_messages_of_other_instrumentations_are_read(db: None) -> None:
    said = [
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "lookup", "arguments": {"part": 7}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"stock": 3}}]},
    ]
    output = [{"role": "assistant", "parts": [{"type": "text", "content": "Three."}], "finish_reason": "stop"}]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": said, "gen_ai.output.messages": output}
    called = CALLED | {"function": {"name": "lookup", "arguments": '{"part":7}'}}
    row = keeping.row_of(span("chat gpt", **attributes), Purpose.TRAINING).row
    assert row == {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "", "tool_calls": [called]},
            {"role": "tool", "content": '{"stock":3}', "tool_call_id": "c1"},
            {"role": "assistant", "content": "Three."},
        ]
    }  # fmt: skip


def test_roles_of_other_programs_are_told_in_words_every_model_knows(db: None) -> None:
    said = [{"role": role, "content": "x"} for role in ("developer", "Human", "model", "ipython")]

    roles = [message["role"] for message in keeping.messages_of(span(input=said))]

    assert roles == ["system", "user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({}, "without a recorded input"),
        ({"input": ASKED}, "without a recorded output"),
        ({"input": ASKED, "output": answered("")}, "without a recorded output"),
        ({"input": "[broken", "output": "x"}, ""),
        ({"input": [], "output": "x"}, ""),
        ({"input": "null", "output": {"content": None, "tool_calls": None}}, "without a recorded output"),
        ({"input": [{"role": 5, "content": {"a": 1}}], "output": [1, 2]}, ""),
    ],
)
def test_anything_a_span_may_hold_is_a_row_or_a_reason(db: None, attributes: Any, why: str) -> None:
    one = span(**attributes)
    for purpose in Purpose.values:
        kept = keeping.row_of(one, purpose)
        if why:
            assert (kept.row, kept.why) == (None, why)
        elif kept.row is not None:
            assert purposes.problem(purpose, kept.row) is None
            assert json.loads(kept.text) == kept.row


def test_a_row_leads_back(db: None) -> None:
    one = spans.trace()
    of = one.spans.filter(kind="inf").last()
    assert of is not None
    assert keeping.origin_of(of) == {
        "kind": "span", "trace_id": one.trace_id, "span_id": of.span_id, "span_name": "inference",
        "session_id": "session-1", "turn_id": "turn-1", "agent_id": "agent-1",
    }  # fmt: skip


def test_the_dialog_shows_rows_and_offers_what_fits(web: Client) -> None:
    dataset("train")
    dataset("odd", "eval/question-answer", [{"other": 1}])
    one = span(input=ASKED, output=answered("", tool_calls=[CALL]))
    page = web.get(PLACE, {"span": one.pk}).content.decode()
    assert '<span class="b">1 row</span> of 1 span' in page
    assert "Which pole?" in page
    assert '<option value="train">' in page
    assert '<option value="odd">' not in page
    assert "its rows do not fit its purpose" in page


def test_chosen_traces_become_rows_of_a_new_dataset(web: Client) -> None:
    made = [spans.trace(said=f"Question {n}") for n in range(3)]
    sent = {"trace": ",".join(one.trace_id for one in made), "name": "kept", "purpose": "eval/question-answer"}
    place = web.post(PLACE, sent).headers["Location"]
    assert place == "/datasets/kept/"
    texts = rows.iterrows(Dataset.objects.get(), 0, 9)
    assert [json.loads(text)["question"] for text in texts] == ["Question 0", "Question 1", "Question 2"]
    assert Addition.objects.get().how == "span"
    assert Addition.objects.get().about == "3 traces"
    assert AuditLine.objects.filter(kind="dataset", action="append", object_id="kept").count() == 1
    origin = Row.objects.first().origin  # type: ignore[union-attr]
    page = web.get("/datasets/kept/rows/1/?tab=origin").content.decode()
    assert f"/traces/{origin['trace_id']}/?span={origin['span_id']}" in page


def test_all_that_fit_are_meant_by_their_filter(web: Client) -> None:
    good, bad = spans.trace(), spans.trace(status="error")
    sent = {"all": "1", "q": "status:error", "range": "all", "name": "bad", "which": "tool"}
    web.post(PLACE, sent | {"purpose": "eval/question-answer"})
    assert [row.origin["trace_id"] for row in Row.objects.all()] == [bad.trace_id]
    assert good.trace_id != bad.trace_id


def test_the_last_model_call_of_each_trace(db: None) -> None:
    spans.trace()
    spans.trace(answer="Second.")
    chosen = keeping.spans_of(Trace.objects.all(), "last")
    made = keeping.rows_of(chosen.select_related("trace").order_by("pk"), Purpose.QUESTIONS)
    assert [kept.row["answer"] for kept in made.kept] == ["On its way.", "Second."]  # type: ignore[index]


def test_what_is_in_a_dataset_is_passed_over(web: Client) -> None:
    one = spans.trace()
    target = dataset("twice")
    sent = {"trace": one.trace_id, "into": "twice", "purpose": "post-training/messages"}
    assert web.post(PLACE, sent).status_code == 302
    again = web.post(PLACE, sent)
    assert again.status_code == 422
    assert "1 that are in it already" in again.content.decode()
    other = spans.trace()
    assert web.post(PLACE, sent | {"trace": f"{one.trace_id},{other.trace_id}"}).status_code == 302
    target.refresh_from_db()
    assert target.row_count == 2
    assert web.post(PLACE, sent | {"again": "on"}).status_code == 302
    assert Row.objects.count() == 3


def test_nothing_is_left_of_a_refused_send(web: Client) -> None:
    one = span(input=ASKED, output="")
    assert web.post(PLACE, {"span": one.pk, "name": "empty"}).status_code == 422
    assert web.post(PLACE, {"span": span(input="a", output="b").pk, "name": "bad\tname"}).status_code == 422
    assert not Dataset.objects.exists()


@pytest.mark.parametrize(
    "query", ["", "?trace=", "?span=x", "?all=1&q=stauts:error", f"?span={','.join(map(str, range(501)))}"]
)
def test_nothing_chosen_is_said(web: Client, query: str) -> None:
    assert web.get(f"{PLACE}{query}").headers["Location"] == "/traces/"
    part = web.get(f"{PLACE}{query}", headers={"HX-Request": "true"})
    assert "Nothing to add" in part.content.decode()


def test_many_spans_are_added_by_a_job_that_goes_on_where_it_stopped(
    web: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_views, "AT_ONCE", 3)
    monkeypatch.setattr(keeping, "CHUNK", 2)
    for number in range(5):
        spans.trace(said=f"Question {number}")
    sent = {"all": "1", "range": "all", "name": "many", "purpose": "eval/question-answer"}
    place = web.post(PLACE, sent).headers["Location"]
    job = Job.objects.claim_next(["default"], "a worker")
    assert job is not None
    assert place == f"/system/jobs/{job.job_id}/"
    spans.trace(said="Question 9")
    assert keep_views.run(Handle(job))["rows"] >= 5
    job.refresh_from_db()
    assert keep_views.run(Handle(job))["rows"] == Row.objects.count()
    asked = [json.loads(text)["question"] for text in rows.iterrows(Dataset.objects.get(), 0, 99)]
    assert asked[:5] == [f"Question {n}" for n in range(5)]
    assert len(set(asked)) == len(asked)


def test_the_dialog_costs_the_same_for_any_number_of_spans(web: Client, django_assert_max_num_queries: Any) -> None:
    ids = [spans.trace().trace_id for _ in range(30)]
    with django_assert_max_num_queries(12):
        page = web.get(PLACE, {"trace": ids}).content.decode()
    assert len(re.findall('data-ui="keep-row"', page)) == 3


def test_a_dataset_that_is_not_offered_says_why(web: Client) -> None:
    dataset("broken", given=[{"other": 1}])
    page = web.get(PLACE, {"span": span(input=ASKED, output=answered()).pk}).content.decode()
    assert "broken</span> is not offered: its rows do not fit its purpose." in page
    assert "<details" not in page
