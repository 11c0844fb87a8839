"""The trace page: head, outline, structure, search, and the pane of a span."""

import gzip
import json
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils.html import escape

from apps.core import live as topics
from apps.telemetry import live
from apps.telemetry.models import Span, Trace
from apps.telemetry.traces import outline
from apps.telemetry.traces.outline import PAGE
from tests.telemetry import spans

pytestmark = pytest.mark.django_db(transaction=True)
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is <order> 7?"}]


@pytest.fixture
def page(viewer: Any) -> Client:
    client = Client()
    client.force_login(viewer)
    return client


def read(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.content
    return response.content.decode()


def pane(client: Client, span: Span, **query: str) -> str:
    """Return the pane of a span."""
    response = client.get(f"/traces/{span.trace.trace_id}/spans/{span.pk}/", query)
    assert response.status_code == 200, response.content
    return response.content.decode()


def one(**fields: Any) -> Span:
    """Store one span and return it."""
    record = spans.record(**fields)
    spans.save(record)
    return Span.objects.get(span_id=record.span_id, trace__trace_id=record.trace_id)


def test_the_trace_of_an_evaluated_row_leads_back_to_it(page: Client) -> None:
    told = one(name="evaluate_row", attributes={"job_id": "job-1", "row": 3})
    odd = one(name="evaluate_row", attributes={"row": "3"})

    html = read(page, f"/traces/{told.trace.trace_id}/")
    assert 'href="/evaluations/job-1/"' in html and 'href="/evaluations/job-1/rows/3/"' in html
    assert "/evaluations/job" not in read(page, f"/traces/{odd.trace.trace_id}/")


def test_the_page_names_the_turn_and_leads_to_it(page: Client, session: Any) -> None:
    from apps.agents.models import Turn

    turn = Turn.objects.create(session=session, input_messages=[], status="completed")
    trace = spans.trace(turn_id=turn.turn_id, session_id=session.session_id, agent_id=session.agent.agent_id)

    html = read(page, f"/traces/{trace.trace_id}/")

    assert "Turn 1 · Test</h1>" in html
    assert f"/chat/{session.agent.agent_id}/{session.session_id}/?turn={turn.turn_id}#turn-{turn.turn_id}" in html
    assert "Completed" in html and "4 spans" in html
    assert "40 in · 10 out" in html


@pytest.mark.parametrize(
    ("status", "words"), [("waiting", "Waiting for you"), ("cancelled", "Stopped"), ("completed", "Completed")]
)
def test_the_head_says_how_the_turn_of_the_trace_stands(page: Client, session: Any, status: str, words: str) -> None:
    from apps.agents.models import Turn

    trace = spans.trace(session_id=session.session_id, turn_id=(of := str(uuid.uuid4())))
    Turn.objects.create(session=session, turn_id=of, input_messages=[], status=status, trace_id=trace.trace_id)

    head = read(page, f"/traces/{trace.trace_id}/head/")

    assert words in head
    assert "continues in" not in head and "continued from" not in head


def test_traces_of_a_turn_that_waited_lead_to_each_other(page: Client, session: Any) -> None:
    from apps.agents.models import Turn

    of, asked, answered = str(uuid.uuid4()), spans.trace_id(), spans.trace_id()
    told = {"turn_id": of, "session_id": session.session_id}
    spans.save(
        spans.record(trace_id=asked, name="create_agent_turn", attributes=told),
        spans.record(trace_id=answered, name="resume_agent_turn", at_ms=5_000, attributes=told),
    )
    Turn.objects.create(session=session, turn_id=of, input_messages=[], status="cancelled", trace_id=answered)

    first, second = (read(page, f"/traces/{one}/head/") for one in (asked, answered))

    assert "continues in" in first and f'href="/traces/{answered}/"' in first and "Stopped" not in first
    assert "continued from" in second and f'href="/traces/{asked}/"' in second and "Stopped" in second
    links = read(page, f"/traces/turn/{of}/")
    assert links.index(f"asked {asked[:8]}") < links.index(f"resumed {answered[:8]}")
    assert read(page, f"/traces/turn/{uuid.uuid4()}/").strip() == ""


def test_a_span_that_was_stopped_says_so(page: Client) -> None:
    span = one(name="inference", attributes={"stopped": True, "stop_reason": "end_of_turn"})

    assert "Stopped" in pane(page, span)


def test_errors_are_counted_and_a_good_end_means_recovered(page: Client) -> None:
    of, root = spans.trace_id(), spans.span_id()
    spans.save(
        spans.record(trace_id=of, span_id=root, name="run"),
        *(spans.record(trace_id=of, parent_span_id=root, status="error") for _ in range(2)),
    )

    assert "2 errors, recovered" in read(page, f"/traces/{of}/")


def test_a_trace_nobody_hears_of_is_unfinished(page: Client) -> None:
    of = spans.trace_id()
    spans.save(spans.record(trace_id=of, name="run", end_ns=None))

    html = read(page, f"/traces/{of}/head/")

    assert "Unfinished" in html and "Running" not in html


def test_an_unknown_trace_and_a_span_of_another_are_404(page: Client) -> None:
    trace, other = spans.trace(), spans.trace()
    span = other.spans.first()

    gone = page.get(f"/traces/{spans.trace_id()}/")
    assert gone.status_code == 404 and "traces are kept for 7 days" in gone.content.decode()
    assert page.get(f"/traces/{trace.trace_id}/spans/{span.pk}/").status_code == 404
    assert page.get(f"/traces/{trace.trace_id}/spans/{10**30}/").status_code == 404


def test_strangers_sign_in_first() -> None:
    trace = spans.trace()

    for path in ("", "spans.json", "head/", "find/?q=a"):
        assert Client().get(f"/traces/{trace.trace_id}/{path}").status_code == 302


def test_the_structure_is_compressed_and_has_no_bodies(page: Client) -> None:
    trace = spans.trace(said="a very secret question")

    response = page.get(f"/traces/{trace.trace_id}/spans.json", headers={"accept-encoding": "gzip"})
    text = gzip.decompress(response.content)

    assert json.loads(text)["total"] == 4
    assert b"secret" not in text


def test_a_trace_that_is_not_stored_yet_has_no_spans(page: Client) -> None:
    told = json.loads(read(page, f"/traces/{spans.trace_id()}/spans.json"))
    stored = json.loads(read(page, f"/traces/{spans.trace().trace_id}/spans.json"))

    assert told["id"] == [] and told.keys() == stored.keys()


def test_a_page_asks_few_questions_whatever_the_size(page: Client, django_assert_max_num_queries: Any) -> None:
    of, root = spans.trace_id(), spans.span_id()
    spans.save(
        spans.record(trace_id=of, span_id=root, name="run", for_ms=500),
        *(spans.record(trace_id=of, parent_span_id=root, name=f"n{at}", at_ms=at) for at in range(200)),
    )

    with django_assert_max_num_queries(15):
        read(page, f"/traces/{of}/")


def test_without_script_the_spans_are_a_nested_list_in_pages(page: Client) -> None:
    of, root, child = spans.trace_id(), spans.span_id(), spans.span_id()
    spans.save(
        spans.record(trace_id=of, span_id=root, name="run", for_ms=10_000),
        spans.record(trace_id=of, span_id=child, parent_span_id=root, name="child", at_ms=1),
        spans.record(trace_id=of, parent_span_id=child, name="grandchild", at_ms=2),
        *(spans.record(trace_id=of, parent_span_id=root, name=f"n{at}", at_ms=at + 3) for at in range(PAGE)),
    )

    first = read(page, f"/traces/{of}/").partition("<noscript>")[2].partition("</noscript>")[0]
    second = read(page, f"/traces/{of}/?page=2").partition("<noscript>")[2].partition("</noscript>")[0]

    assert first.index("child</a>") < first.index("<ul><li>", first.index("child</a>")) < first.index("grandchild</a>")
    assert first.count("<ul>") == first.count("</ul>") and first.count("<li>") == first.count("</li>") == PAGE
    assert f"?span={child}" in first and "?page=2" in first
    assert second.count("<li>") == 3 and f"n{PAGE - 1}</a>" in second


def test_a_span_is_chosen_by_its_id_and_else_the_root(page: Client) -> None:
    trace = spans.trace()
    tool = trace.spans.get(name="tool_execution")

    chosen = read(page, f"/traces/{trace.trace_id}/?span={tool.span_id}")
    without = read(page, f"/traces/{trace.trace_id}/?span=0123456789abcdef")

    assert f'data-selected="{tool.pk}"' in chosen and f'data-span-id="{tool.span_id}"' in chosen
    assert f'data-span-id="{trace.root_span_id}"' in without


def test_an_inference_reads_as_a_chat(page: Client) -> None:
    asked = {"tool_name": "lookup", "call_id": "c1", "arguments": '{"order": 7}'}
    span = one(
        name="inference",
        attributes={
            "input": json.dumps(CHAT),
            "output": json.dumps({"content": "I **look**.", "tool_calls": [asked]}),
            "gen_ai.request.model": "openai/fake",
            "time_to_first_token_s": 0.25,
        },
    )

    html = pane(page, span)

    assert html.count('data-ui="said"') == 3
    assert escape("Where is <order> 7?") in html
    assert "<strong>look</strong>" in html
    assert "lookup" in html and "&quot;order&quot;" in html
    assert "inference openai/fake" in html and "250 ms" in html


def test_messages_of_other_conventions_read_as_a_chat_too(page: Client) -> None:
    parts = [{"role": "user", "parts": [{"type": "text", "content": "From parts"}]}]
    call = {"type": "tool_call", "name": "lookup", "id": "1", "arguments": {"order": 7}}
    answer = [{"role": "assistant", "parts": [call, {"type": "text", "content": "Answered"}]}]
    genai = one(attributes={"gen_ai.input.messages": json.dumps(parts), "gen_ai.output.messages": json.dumps(answer)})
    flat = one(
        attributes={
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "From numbers",
            "retrieval.documents.0.document.content": "A passage",
            "retrieval.documents.0.document.score": 0.5,
        }
    )

    assert "From parts" in pane(page, genai) and "Answered" in pane(page, genai)
    assert 'data-role="user"' in pane(page, flat) and "From numbers" in pane(page, flat)
    assert "A passage" in pane(page, flat) and "0.500" in pane(page, flat)


def test_a_tool_shows_its_arguments_and_result(page: Client) -> None:
    calls = [
        {"tool_name": "other", "call_id": "0", "arguments": '{"a": 1}'},
        {"tool_name": "lookup", "call_id": "1", "arguments": '{"order": 7}'},
    ]
    asked = {"role": "assistant", "content": "", "tool_calls": calls}
    span = one(
        name="tool_execution",
        attributes={
            "tool_name": "lookup",
            "input": json.dumps(asked),
            "output": json.dumps({"role": "tool", "content": '{"sent": true}'}),
        },
    )

    html = pane(page, span)

    assert "&quot;order&quot;" in html and "&quot;a&quot;" not in html
    assert "&quot;sent&quot;" in html and 'data-ui="said"' not in html


def test_a_long_text_is_cut_until_all_is_asked_for(page: Client) -> None:
    span = one(attributes={"input": "x" * 5_000, "output": "{broken"})

    assert "x" * 2_049 not in pane(page, span) and "5,000 characters" in pane(page, span)
    assert "x" * 5_000 in pane(page, span, all="1")
    assert "{broken" in pane(page, span)


def test_an_error_comes_first_and_its_stack_is_an_event(page: Client) -> None:
    attributes = {"exception.type": "TimeoutError", "exception.stacktrace": "at <reserve>"}
    event = {"name": "exception", "time_ns": spans.START_NS + 5 * spans.MS, "attributes": attributes}
    span = one(status="error", message="Deadline <passed>", events=[event])

    assert escape("Deadline <passed>") in pane(page, span).partition('data-ui="span-facts"')[0]
    told = pane(page, span, tab="events")
    assert escape("at <reserve>") in told and "+5.0 ms" in told


def test_self_time_leaves_out_the_time_of_children_once(page: Client) -> None:
    of, root = spans.trace_id(), spans.span_id()
    child = {"trace_id": of, "parent_span_id": root}
    spans.save(
        spans.record(trace_id=of, span_id=root, name="run", for_ms=100),
        spans.record(**child, at_ms=10, for_ms=40),
        spans.record(**child, at_ms=30, for_ms=40),
        spans.record(**child, at_ms=90, for_ms=500),
    )

    assert "<dt>Self time</dt><dd>30 ms</dd>" in pane(page, Span.objects.get(span_id=root))


def test_another_clock_and_a_missing_parent_are_told(page: Client) -> None:
    of, root = spans.trace_id(), spans.span_id()
    spans.save(
        spans.record(trace_id=of, span_id=root, name="run", at_ms=100),
        spans.record(trace_id=of, parent_span_id=root, name="early", at_ms=60),
        spans.record(trace_id=of, parent_span_id="0123456789abcdef", name="orphan"),
    )

    assert "Starts 40 ms before its parent" in pane(page, Span.objects.get(name="early"))
    assert "is not here" in pane(page, Span.objects.get(name="orphan"))


def test_attributes_raw_and_links(page: Client) -> None:
    good, bad = spans.trace_id(), {"trace_id": "../admin", "span_id": "1"}
    links = [{"trace_id": good, "span_id": spans.span_id(), "attributes": {}}, bad]
    span = one(attributes={"a.b<c": "<x>", "n": 7, "yes": True}, resource={"service.name": "shop"}, links=links)

    told = pane(page, span, tab="attributes")
    assert escape("a.b<c") in told and escape("<x>") in told and "shop" in told
    assert span.span_id in pane(page, span, tab="raw")
    assert f"/traces/{good}/" in pane(page, span, tab="events") and "admin" not in pane(page, span, tab="events")
    assert pane(page, span, tab="nonsense")


def test_a_search_finds_what_is_inside_spans(page: Client) -> None:
    trace = spans.trace(answer="The parcel left Göteborg.")
    spans.trace(answer="The parcel left Göteborg.")

    found = json.loads(read(page, f"/traces/{trace.trace_id}/find/?q=g%C3%B6teborg"))

    assert found["spans"] == [trace.spans.filter(name="inference").order_by("start_ns").last().pk]
    assert json.loads(read(page, f"/traces/{trace.trace_id}/find/?q=")) == {"spans": []}


def test_the_span_of_a_step_is_found(page: Client) -> None:
    span = one(name="inference", attributes={"step_id": "step-7"})

    found = json.loads(read(page, "/traces/step/step-7.json"))

    assert found == {"trace": span.trace.trace_id, "number": span.pk}
    assert json.loads(read(page, "/traces/step/none.json")) == {}


def test_an_id_leads_to_its_trace(page: Client) -> None:
    trace = spans.trace()
    span = trace.spans.get(name="tool_execution")

    assert page.get(f"/go/trace/{trace.trace_id}/").headers["location"] == f"/traces/{trace.trace_id}/"
    assert page.get(f"/go/span/{span.span_id}/").headers["location"].endswith(f"/?span={span.span_id}")
    assert page.get(f"/go/span/{spans.span_id()}/").status_code == 404
    assert f"/traces/{trace.trace_id}/" in read(page, f"/search/?q={trace.trace_id}")


def test_a_viewer_is_not_offered_to_write(page: Client, operator: Any) -> None:
    trace = spans.trace()
    worker = Client()
    worker.force_login(operator)

    assert 'data-ui="keep-span"' not in read(page, f"/traces/{trace.trace_id}/")
    assert 'data-ui="keep-span"' in read(worker, f"/traces/{trace.trace_id}/")


def test_frames_bring_the_spans_that_changed() -> None:
    trace = spans.trace()
    number = trace.spans.get(name="tool_execution").pk

    [frame] = async_to_sync(live.frames)(trace.topic, 1, {"spans": [number]})
    gone = async_to_sync(live.frames)(f"trace:{spans.trace_id()}", 1, {"spans": [number]})

    assert frame["k"] == "spans" and frame["cols"]["id"] == [number]
    assert gone == [{"k": "resync"}]


def test_news_of_the_list_count_what_is_new_and_name_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(topics, "tell", lambda topic, event: told.append((topic, event)))
    one = spans.trace()

    live.announce(spans.save(*(spans.record() for _ in range(300)), spans.record(trace_id=one.trace_id)))

    [frame] = async_to_sync(live.list_frames)(*told[0][:1], 1, told[0][1])
    assert frame == {"k": "state", "v": {"new": 300, "changed": [one.trace_id]}}
    assert [topic for topic, _ in told] == ["traces", one.topic]


def test_the_outline_leaves_out_no_span() -> None:
    one = spans.trace()
    a, b = spans.span_id(), spans.span_id()
    of = {"trace_id": one.trace_id, "name": "round"}
    spans.save(spans.record(**of, span_id=a, parent_span_id=b), spans.record(**of, span_id=b, parent_span_id=a))

    shown = outline.outline_of(Trace.objects.get(), 1)

    assert len(shown.lines) == shown.count == 6
    assert sum(line.opens for line in shown.lines) == sum(len(line.closes) for line in shown.lines)
