"""The list of traces: what its pages show and cost, its numbers, its files, and taking traces away."""

import csv
import io
import json
import re
import time
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.agents.models import Step, Turn
from apps.jobs.handle import Handle
from apps.jobs.models import Job
from apps.telemetry.models import Span, SpanAttribute, Trace
from apps.telemetry.otlp import in_json as otlp_json
from apps.telemetry.traces import export as trace_export
from apps.telemetry.traces import list_views
from apps.telemetry.traces import listing as trace_list
from apps.telemetry.traces import numbers as trace_numbers
from apps.telemetry.traces import pages as trace_pages
from tests import build
from tests.telemetry import spans

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
NOW = time.time_ns()


@pytest.fixture
def web(operator: Any) -> Client:
    """The pages for somebody who works with them."""
    client = Client()
    client.force_login(operator)
    return client


def make(count: int = 1, *, before_ns: int = MINUTE, took_ms: int = 10, **fields: Any) -> list[str]:
    """Store traces of one span, a second apart, the newest a minute ago; return their ids, newest first."""
    made = []
    for n in range(count):
        start = NOW - before_ns - n * SECOND
        made.append(
            spans.record(**{"name": f"work {n}", "start_ns": start, "end_ns": start + took_ms * 10**6, **fields})
        )
    spans.save(*made)
    return [one.trace_id for one in made]


def shown(client: Client, query: str = "") -> list[str]:
    """Return the ids of the rows a page shows."""
    return re.findall(r'<tr id="trace-([0-9a-f]{32})"', text_of(client, query))


def text_of(client: Client, query: str = "", place: str = "/traces/") -> str:
    """Return a page's text."""
    answer = client.get(f"{place}{query}", follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def link(page: str, name: str) -> str:
    """Return where the part of a page with this stable name leads."""
    found = re.search(rf'<a[^>]*data-ui="{name}"', page)
    assert found, name
    return re.search(r'href="(?:/traces/)?([^"]*)"', found[0])[1].replace("&amp;", "&")  # type: ignore[index]


def refetch_of(page: str) -> str:
    """Return where the part that tells what is new is fetched anew."""
    return re.search(r'id="trace-news"[^>]*data-live-refetch="([^"]*)"', page)[1].replace("&amp;", "&")  # type: ignore[index]


def downloaded(client: Client, path: str) -> bytes:
    """Return a file that is sent."""
    answer = client.get(path)
    assert answer.status_code == 200, path
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    answer.close()
    return body


def test_pages_lead_through_all_traces_and_back(web: Client) -> None:
    make(120, start_ns=NOW - MINUTE, end_ns=NOW)  # all began at once: the last that was stored is the newest
    ids = list(Trace.objects.order_by("-pk").values_list("trace_id", flat=True))

    first = text_of(web)
    second = text_of(web, link(first, "older"))
    third = text_of(web, link(second, "older"))

    pages = [re.findall(r'<tr id="trace-(\w{32})"', page) for page in (first, second, third)]
    assert [one for page in pages for one in page] == ids
    assert 'data-ui="older"' not in third
    assert "51–100 of 120" in second
    assert shown(web, link(third, "newer")) == pages[1]
    assert shown(web, link(second, "newer")) == pages[0]


def test_a_page_costs_the_same_for_any_number_of_rows(web: Client, django_assert_max_num_queries: Any) -> None:
    agent = build.agent(name="Clerk")
    for number in range(60):
        session = build.session(agent, session_name=f"Session {number % 5}")
        turn = Turn.objects.create(session=session, input_messages=[], status="waiting")
        spans.trace(turn_id=turn.turn_id, session_id=session.session_id, agent_id=agent.agent_id, at_ms=_late())
    with django_assert_max_num_queries(15) as queries:
        assert len(shown(web)) == 50
    assert not any("OFFSET" in one["sql"] for one in queries.captured_queries)


def _late() -> int:
    return (NOW - MINUTE - spans.START_NS) // 10**6


def test_a_trace_is_named_after_its_turn(web: Client) -> None:
    session = build.session(build.agent(name="Desk"), session_name="Jacket exchange")
    turns = [Turn.objects.create(session=session, input_messages=[], status="completed") for _ in range(2)]
    about = {"session_id": session.session_id, "agent_id": session.agent.agent_id, "turn_id": turns[1].turn_id}
    spans.trace(at_ms=_late(), said="Is it slate?", **about)
    page = text_of(web)
    assert "Turn 2 · Jacket exchange" in page
    assert "Is it slate?" in page


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"status": "error"}, "Error"),
        ({}, "OK"),
        ({"end_ns": None}, "Running"),
        ({"end_ns": None, "start_ns": NOW - 120 * MINUTE}, "Unfinished"),
    ],
)
def test_a_state_is_a_word(web: Client, fields: dict[str, Any], word: str) -> None:
    make(**fields)
    assert f"</svg>{word}</span></td>" in text_of(web)


def test_only_the_newest_trace_of_a_turn_waits(web: Client) -> None:
    first, second = make(2, attributes={"turn_id": "will be"})
    turn = Turn.objects.create(
        session=build.session(build.agent()), input_messages=[], status="waiting", trace_id=first
    )
    Trace.objects.update(turn_id=turn.turn_id)
    assert text_of(web).count("Waiting for you</span>") == 1
    assert shown(web, "?q=status:waiting") == [first]
    Turn.objects.update(trace_id=second)
    assert shown(web, "?q=status:waiting") == [second]


def test_a_shield_that_blocked_is_told(web: Client) -> None:
    from datetime import UTC, datetime

    turn = Turn.objects.create(session=build.session(build.agent()), input_messages=[], status="completed")
    spans.trace(turn_id=turn.turn_id, at_ms=_late())
    at = datetime.fromtimestamp(Trace.objects.get().start_ns / SECOND + 0.001, UTC)
    details = {"step_type": "shield_call", "violation": {"violation_level": "error"}}
    Step.objects.create(turn=turn, step_type="shield_call", details=details, started_at=at, completed_at=at)
    assert "Blocked</span>" in text_of(web)


def test_a_trace_whose_root_never_came_says_so(web: Client) -> None:
    make(parent_span_id="0123456789abcdef", name="a branch")
    page = text_of(web)
    assert "missing root" in page
    assert "a branch" in page


def test_the_address_is_the_filter(web: Client) -> None:
    bad = make(2, status="error", name="bad")
    make(3, before_ns=2 * MINUTE)
    assert shown(web, "?q=status:error") == bad
    chips = re.findall(r'aria-label="Remove ([^"]+)"', text_of(web, "?q=status:error+name:bad"))
    assert chips == ["status:error", "name:bad"]
    assert link(text_of(web, "?q=status:error+name:bad"), "remove-chip") == "?q=name%3Abad"


def test_plain_requests_to_the_console_are_left_out_unless_asked_for(admin: Any) -> None:
    web = Client()
    web.force_login(admin)
    own = {"service.name": "stack-console"}
    read = make(2, resource=own)
    assert link(text_of(web), "show-all") == "?q="
    failed = make(1, resource=own, status="error", before_ns=0)
    assert shown(web) == failed
    assert shown(web, "?q=") == failed + read
    assert shown(web, "?q=&range=7d") == failed + read
    assert 'aria-label="Remove' not in text_of(web)
    page = text_of(web, "?q=")
    assert re.search(r'aria-current="page">All</a>', page)
    assert 'name="q" value=""' in page  # a form of the list means the same
    assert re.search(r'href="/traces/\?range=7d"', text_of(web))
    assert re.search(r'href="/traces/\?q=&amp;range=7d"', page)
    assert "Delete 1 trace?" in text_of(web, "?all=1", "/traces/delete/")
    assert "Delete 3 traces?" in text_of(web, "?all=1&q=", "/traces/delete/")


@pytest.mark.parametrize("sort", ["start", "-duration", "duration"])
def test_a_head_sorts_and_pages_go_on_in_its_order(web: Client, sort: str) -> None:
    tied = make(60, took_ms=7, name="tied")
    slow = make(3, took_ms=9_000, before_ns=5 * MINUTE)
    runs = make(1, end_ns=None, before_ns=0, start_ns=NOW - SECOND)
    page = text_of(web, f"?sort={sort}&q=")
    first, rest = shown(web, f"?sort={sort}&q="), shown(web, link(page, "older"))
    assert len(first) == 50
    assert sorted(first + rest) == sorted(tied + slow + runs)
    if sort == "start":
        assert (first[:3], rest[-1:]) == (slow[::-1], runs)
    elif sort == "-duration":
        assert (set(first[:3]), rest[-1:]) == (set(slow), runs)
    else:
        assert (first[:1], set(rest[-3:])) == (runs, set(slow))
    second = text_of(web, link(page, "older"))
    assert f"{trace_pages.WORDS[sort]}</span>" in second
    assert shown(web, link(second, "newer")) == first
    assert web.get(f"/traces/?q=a&q=b&sort={sort}").headers["Location"].endswith(f"sort={sort}")


def test_heads_are_links_that_turn_round(web: Client) -> None:
    make(2)
    page = text_of(web, "?q=status:ok&range=7d")
    assert link(page, "sort-duration") == "?q=status%3Aok&range=7d&sort=-duration"
    assert link(page, "sort-start") == "?q=status%3Aok&range=7d&sort=start"
    page = text_of(web, link(page, "sort-duration"))
    assert page.count("aria-sort") == 1
    assert link(page, "sort-duration") == "?q=status%3Aok&range=7d&sort=duration"
    assert link(page, "sort-start") == "?q=status%3Aok&range=7d"


def test_a_cell_adds_its_value_to_the_filter(web: Client) -> None:
    spans.trace(agent_name='The "big" desk', at_ms=_late(), agent_id="")
    spans.trace(agent_name="Other", at_ms=_late(), agent_id="")
    place = link(text_of(web, "?q=kind:turn&range=7d"), "only-agent")
    found = web.get(f"/traces/{place}").context
    assert found["asked"].filter.text == "kind:turn agent:Other"
    assert found["asked"].window.preset == "7d"
    assert len(shown(web, place)) == 1
    assert len(shown(web, link(text_of(web, "?q=desk"), "only-agent"))) == 1


def test_a_form_writes_the_same_text(web: Client) -> None:
    answer = web.get(
        "/traces/?q=kind:io&q=&status=error&duration=2s&agent=Big+desk&key=user&value=4 2&text=a b&range=7d"
    )
    assert answer.status_code == 302
    place = web.get(answer.headers["Location"])
    assert place.context["asked"].filter.text == (
        'kind:io agent:"Big desk" duration>2s status:error attr.user="4 2" "a b"'
    )
    assert place.context["asked"].window.preset == "7d"


def test_what_is_not_understood_is_said(web: Client) -> None:
    make()
    page = text_of(web, "?q=stauts:error")
    assert "Did you mean “status”?" in page
    for name in ("trace-row", "choose-page", "choose-all", "delete-traces", "clear-last"):
        assert f'data-ui="{name}"' not in page, name
    page = text_of(web, "?q=status:ok+stauts:error")
    assert re.findall(r"Remove ([^<]+)</a>", page) == ["stauts:error"]
    assert link(page, "drop-term") == "?q=status%3Aok"
    assert "There is no time range" in text_of(web, "?range=9y")
    assert "must be after its start" in text_of(web, "?from=2026-01-02&to=2026-01-01")


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=1.99999999999999999999", "?before=-1.5", "?at=x", "?from=²", "?from=1e400"]
)
def test_a_hostile_address_is_the_list(web: Client, query: str) -> None:
    make()
    assert 'data-ui="filter"' in text_of(web, query)


def test_the_time_is_two_moments_or_a_preset(web: Client) -> None:
    old = make(1, before_ns=30 * 60 * MINUTE)
    new = make(1)
    assert shown(web) == new
    assert shown(web, "?range=7d") == new + old
    assert shown(web, "?range=all") == new + old
    seconds = (NOW - 31 * 60 * MINUTE) // SECOND
    assert shown(web, f"?from={seconds}&to={seconds + 7_200}") == old
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    assert shown(web, f"?from={at}&to={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds + 7_200))}") == old


def test_nothing_at_all_and_nothing_that_fits_are_told_apart(web: Client) -> None:
    assert "Send by OpenTelemetry" in text_of(web)
    make(before_ns=48 * 60 * MINUTE)
    page = text_of(web, "?q=name:x+status:ok")
    assert "No trace matches" in page
    assert link(page, "clear-last") == "?q=name%3Ax"
    assert "range=all" in link(page, "widen")


def test_a_sample_is_a_trace(web: Client) -> None:
    place = web.post("/traces/sample/").headers["Location"]
    one = Trace.objects.get()
    assert place == f"/traces/{one.trace_id}/"
    assert (one.span_count, one.kind, one.tokens) == (4, "turn", 535)
    assert shown(web) == [one.trace_id]


def test_numbers_are_those_of_the_filter(web: Client) -> None:
    make(20, took_ms=100)
    make(1, took_ms=5_000, before_ns=5 * MINUTE, status="error")
    make(10, took_ms=50, before_ns=26 * 60 * MINUTE)
    numbers = web.get("/traces/").context["numbers"]
    assert (numbers.count, numbers.has_more) == (21, False)
    assert numbers.error_rate == pytest.approx(1 / 21)
    assert numbers.p95_s == 0.1
    assert (numbers.error_change.words, numbers.error_change.is_good) == ("+4.8", False)
    assert (numbers.p95_change.words, numbers.p95_change.is_good) == ("+50 ms", False)
    assert sum(bool(bar.error_height) for bar in numbers.strip.bars) == 1
    only = web.get("/traces/?q=status:error").context["numbers"]
    assert (only.count, only.error_rate, only.p95_s) == (1, 1.0, 5.0)


def test_more_than_is_counted_is_said(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_numbers, "EXACT", 5)
    make(6)
    page = text_of(web)
    assert "the newest 5, since" in page
    assert "of 5+" in page


def test_news_count_what_fits_and_bring_open_rows_up_to_date(web: Client) -> None:
    root = spans.record(start_ns=NOW - MINUTE, end_ns=None)
    spans.save(root)
    page = text_of(web, "?q=-status:error")
    refetch = refetch_of(page)
    assert root.trace_id in refetch
    make(3)
    make(2, status="error")
    spans.save(spans.record(trace_id=root.trace_id, span_id=root.span_id, start_ns=root.start_ns, end_ns=NOW))

    news = web.get(refetch).content.decode()

    assert ">3 new<" in news.replace("</svg>", ">")
    assert f'data-for="trace-{root.trace_id}"' in news
    assert "OK</span>" in news
    assert "open=" not in refetch_of(news)


def test_csv_has_a_row_for_each_trace_and_no_formula(web: Client) -> None:
    make(30)
    make(1, name="=1+1", status="error", attributes={"input": "@evil", "output": "-2"})
    rows = list(csv.DictReader(io.StringIO(downloaded(web, "/traces/export/csv/").decode())))
    assert len(rows) == 31 == web.get("/traces/").context["numbers"].count
    (bad,) = csv.DictReader(io.StringIO(downloaded(web, "/traces/export/csv/?q=status:error").decode()))
    assert (bad["name"], bad["title"], bad["status"]) == ("'=1+1", "'=1+1", "error")
    assert bad["duration_ms"] == "10.0"


def test_json_lines_tell_the_same(web: Client) -> None:
    ids = make(2)
    lines = [json.loads(line) for line in downloaded(web, f"/traces/export/jsonl/?trace={ids[1]}").splitlines()]
    assert [line["trace_id"] for line in lines] == [ids[1]]
    assert lines[0]["spans"] == 1


def test_otlp_is_read_again_as_it_was(web: Client) -> None:
    odd = {"text": "ü\n", "whole": -(2**62), "part": 0.25, "yes": True, "list": [1, "a", None], "map": {"deep": [1.5]}}
    root = spans.record(
        start_ns=NOW - MINUTE, end_ns=NOW, status="error", message="boom", attributes=odd, otel_kind=2, scope="lib",
        resource={"service.name": "shop"}, events=[{"name": "e", "time_ns": NOW, "attributes": {"n": 1}}],
        links=[{"trace_id": "a" * 32, "span_id": "b" * 16, "attributes": {}}],
    )  # fmt: skip
    child = spans.record(trace_id=root.trace_id, parent_span_id=root.span_id, start_ns=NOW - MINUTE, end_ns=NOW)
    spans.save(root, child)
    whole = downloaded(web, "/traces/export/otlp/")
    assert {"traceId": root.trace_id, "startTimeUnixNano": str(root.start_ns)}.items() <= json.loads(whole)[
        "resourceSpans"
    ][0]["scopeSpans"][0]["spans"][0].items()
    for body in (whole, downloaded(web, f"/traces/{root.trace_id}/otlp.json")):
        assert sorted(otlp_json.spans(body), key=lambda span: span.span_id) == sorted(
            [root, child], key=lambda span: span.span_id
        )
    assert json.loads(downloaded(web, "/traces/export/otlp/?q=name:nobody")) == {"resourceSpans": []}


def test_a_large_export_is_a_job_with_a_file(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_export, "AT_ONCE", 10)
    monkeypatch.setattr(trace_export, "CHUNK", 7)
    make(30)
    place = web.get("/traces/export/csv/?q=kind:io").headers["Location"]
    job = Job.objects.claim_next(["default"], "a worker")
    assert job is not None
    assert place == f"/system/jobs/{job.job_id}/"
    result = trace_export.run(Handle(job))
    Job.objects.end(job.lease_owner, "completed", result=result)
    assert downloaded(web, result["url"]).count(b"\n") == 31


def test_a_filter_that_is_not_understood_exports_nothing(web: Client) -> None:
    make()
    answer = web.get("/traces/export/csv/?q=stauts:error")
    assert answer.status_code == 302
    assert "Did you mean" in text_of(web, "?q=stauts:error")


def test_deleting_asks_with_the_count_and_takes_what_was_there(admin: Any) -> None:
    client = Client()
    client.force_login(admin)
    make(3, status="error", attributes={"a": 1})
    kept = make(2)
    page = text_of(client, "?all=1&q=status:error", "/traces/delete/")
    assert "Delete 3 traces?" in page
    (until,) = re.findall(r'name="until" value="(\d+)"', page)
    make(1, status="error", before_ns=0)
    sent = {"all": "1", "q": "status:error", "until": until}
    assert client.post("/traces/delete/", sent | {"count": "2"}).status_code == 422
    assert Trace.objects.count() == 6
    assert client.post("/traces/delete/", sent | {"count": "3"}).status_code == 302
    left = set(Trace.objects.values_list("trace_id", flat=True))
    assert len(left) == 3
    assert left > set(kept)
    assert (Span.objects.count(), SpanAttribute.objects.count()) == (3, 0)
    line = AuditLine.objects.get(kind="trace", action="delete")
    assert (line.detail["traces"], line.detail["filter"]) == (3, "status:error")


def test_deleting_leads_back_to_the_filter(admin: Any) -> None:
    client = Client()
    client.force_login(admin)
    ids = make(3, status="error")
    page = text_of(client, f"?trace={ids[0]}&q=status:error&range=7d", "/traces/delete/")
    sent = dict(re.findall(r'type="hidden" name="(trace|q|range|until|count)" value="([^"]+)"', page))
    assert client.post("/traces/delete/", sent).headers["Location"] == "/traces/?q=status%3Aerror&range=7d"
    assert Trace.objects.count() == 2
    sent = {"all": "1", "q": "status:error", "until": str(trace_list.newest_pk()), "count": "2"}
    assert client.post("/traces/delete/", sent).headers["Location"] == "/traces/?q=status%3Aerror"
    assert client.get("/traces/delete/?q=status:error").headers["Location"] == "/traces/?q=status%3Aerror"


def test_deleting_much_is_a_job(admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_views, "AT_ONCE", 2)
    client = Client()
    client.force_login(admin)
    make(5)
    sent = {"all": "1", "until": str(trace_list.newest_pk()), "count": "5"}
    place = client.post("/traces/delete/", sent).headers["Location"]
    job = Job.objects.claim_next(["default"], "a worker")
    assert job is not None
    assert place == f"/system/jobs/{job.job_id}/"
    assert list_views.run_delete(Handle(job)) == {"traces": 5, "spans": 5}
    assert not Trace.objects.exists()


def test_readers_see_and_do_not_change(viewer: Any, web: Client) -> None:
    client = Client()
    client.force_login(viewer)
    make()
    page = text_of(client)
    assert "keep-spans" not in page
    assert "delete-traces" not in page
    assert client.get("/traces/keep/?all=1").status_code == 403
    assert client.post("/traces/sample/").status_code == 403
    assert web.get("/traces/delete/?all=1").status_code == 403
    assert Client().get("/traces/").status_code == 302
