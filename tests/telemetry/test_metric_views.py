"""Pages of metrics: numbers that are true, gaps that stay gaps, and the way to what is behind a number."""

import csv
import gzip
import io
import json
import re
import time
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from apps.jobs.models import Job
from apps.jobs.models import Status as JobStatus
from apps.telemetry.metrics import dashboard, points
from apps.telemetry.metrics.panels import Buckets
from apps.telemetry.metrics.points import Point
from apps.telemetry.metrics.turn_panels import ranked
from apps.telemetry.records import SpanRecord
from apps.telemetry.traces import listing as trace_list
from apps.telemetry.windows import Window
from tests.telemetry import spans

pytestmark = pytest.mark.django_db
MINUTE_MS = 60_000


@pytest.fixture
def web(viewer: Any) -> Client:
    client = Client()
    client.force_login(viewer)
    return client


def ago(minutes: float) -> int:
    """Return a moment as the makers of spans count it."""
    return time.time_ns() // spans.MS - spans.START_NS // spans.MS - round(minutes * MINUTE_MS)


def turn(minutes: float = 5, **fields: Any) -> list[SpanRecord]:
    made = spans.turn_trace(at_ms=ago(minutes), **fields)
    spans.save(*made)
    return made


def child(of: list[SpanRecord], name: str, **fields: Any) -> None:
    spans.save(
        spans.record(
            trace_id=of[0].trace_id, parent_span_id=of[0].span_id, name=name, start_ns=of[0].start_ns + 1, **fields
        )
    )


def given(name: str, *values: float, unit: str = "", minutes: float = 5, **labels: str) -> None:
    at = int(time.time() - minutes * 60)
    points.save([Point(name, labels, unit, at, value) for value in values])


def built(**query: str) -> dict[str, Any]:
    return dashboard.build(dashboard.wanted(query)).panels


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="metric-data" type="application/json">(.*?)</script>', page)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def behind(url: str) -> int:
    """Return how many traces the list at this address shows."""
    return trace_list.asked(QueryDict(urlsplit(url).query)).traces().count()


def test_without_anything_the_page_says_how_to_get_metrics(web: Client) -> None:
    page = web.get("/metrics/").content.decode()

    assert "See how it runs" in page
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in page
    assert "uPlot" not in page


def test_M1_twenty_turns_are_twenty_in_the_number_and_in_the_chart(web: Client) -> None:
    for number in range(20):
        turn(number * 3, turn_id=f"turn-{number}")

    page = web.get("/metrics/?range=24h").content.decode()

    [line] = data_of(page)["panels"]["turns"]["lines"]
    assert sum(value or 0 for value in line["values"]) == 20
    assert re.search(r'data-ui="total-turns">20\s*<', page)


def test_a_resumed_turn_is_one_turn_and_two_runs() -> None:
    turn(5)
    resumed = spans.turn_trace(at_ms=ago(4), status="error")
    resumed[0].name = "resume_agent_turn"
    spans.save(*resumed)

    panels = built()

    assert panels["turns"].total == 1
    assert (panels["errors"].total, panels["errors"].about) == (1.0, "1 failed")
    assert behind(panels["turns"].links[0].url) == 1


def test_M2_no_data_is_told_and_not_zero(web: Client) -> None:
    turn(60 * 24 * 3)

    page = web.get("/metrics/?range=1h").content.decode()

    assert page.count('data-ui="no-data"') == len(dashboard.NAMES) + 1
    assert data_of(page)["panels"] == {}
    assert all(panel.total is None for panel in built(range="1h").values())
    assert re.search(r'data-ui="total-errors">–\s*<', page)


def test_a_bucket_without_turns_is_a_gap() -> None:
    turn(2)
    turn(50)

    for name in ("turns", "errors", "time", "tokens"):
        for line in built(range="1h")[name].lines:
            assert len([value for value in line.values if value is not None]) == 2, (name, line.name)


@pytest.mark.parametrize("query", [{}, {"range": "1h"}, {"model": "tiny"}, {"agent": "Tester"}, {"from": "", "to": ""}])
def test_M3_the_link_of_a_panel_shows_exactly_what_it_counted(query: dict[str, str]) -> None:
    for number in range(7):
        name, model = ("Tester", "tiny/one") if number % 2 else ("Clerk", "openai/fake")
        turn(number * 25 + 1, agent_name=name, model=model, status="error" if number in (1, 2) else "ok")
    if "from" in query:
        start = time.time() - 100 * 60
        query = {"from": str(int(start)), "to": str(int(start) + 3000)}

    panels = built(**query)

    for name, counted in (("turns", panels["turns"].total), ("errors", int(panels["errors"].about.split()[0]))):
        assert behind(panels[name].links[0].url) == counted, name
    assert 0 < panels["turns"].total < 7 or not query
    assert behind(panels["tokens"].links[0].url) == panels["turns"].total
    assert behind(panels["time"].links[0].url) == panels["turns"].total - behind(panels["errors"].links[0].url)


def test_the_filter_and_the_time_are_in_the_link() -> None:
    turn(2, model="tiny/one")

    [link] = built(model="tiny/one", range="1h")["errors"].links

    assert parse_qs(urlsplit(link.url).query) == {"q": ["kind:turn status:error model:tiny/one"], "range": ["1h"]}


def test_turn_times_are_ranked_over_every_turn() -> None:
    for number in range(1, 101):
        made = spans.turn_trace(at_ms=ago(30))
        made[0].end_ns = made[0].start_ns + number * spans.MS * 100
        spans.save(made[0])

    panel = built(range="24h")["time"]

    assert panel.total == pytest.approx(9.5)
    values = {line.name: [value for value in line.values if value is not None] for line in panel.lines}
    assert values == {"p50": [pytest.approx(5.0)], "p95": [pytest.approx(9.5)], "p99": [pytest.approx(9.9)]}
    assert panel.note == ""


def test_a_turn_that_failed_says_nothing_of_the_turn_time() -> None:
    turn(5)
    failed = spans.turn_trace(at_ms=ago(5), status="error")
    failed[0].end_ns = failed[0].start_ns + 40_000 * spans.MS
    spans.save(*failed)

    assert built()["time"].total == pytest.approx(0.11)


def test_models_of_other_programs_can_be_chosen(web: Client) -> None:
    turn(5, model="shop/own")
    given("completion_tokens", 1.0, unit="tokens", model_id="tiny/one")
    page = web.get("/metrics/").content.decode()
    assert re.findall(r"<option>([^<]+)</option>", page)[:2] == ["shop/own", "tiny/one"]
    assert built(model="shop/own")["tokens"].total == 50


def test_ranks_are_those_of_the_nearest_value() -> None:
    assert [ranked([1, 2, 3, 4], share) for share in (1, 25, 26, 50, 95, 100)] == [1, 1, 2, 2, 4, 4]
    assert ranked([7], 50) == 7


def test_of_very_many_turns_a_sample_is_ranked_and_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        turn(number)
    monkeypatch.setattr("apps.telemetry.metrics.turn_panels.TIMED", 3)

    panel = built()["time"]

    assert panel.note == "one in 3 measured"
    assert panel.total == pytest.approx(0.11)


def test_first_tokens_and_speed_are_told_of_calls_of_models() -> None:
    made = spans.turn_trace(at_ms=ago(5))
    for span, seconds in zip([made[1], made[3]], (0.2, 0.6), strict=True):
        span.attributes["time_to_first_token_s"] = seconds
    spans.save(*made)

    panels = built()

    assert panels["first"].total == pytest.approx(0.6)
    assert panels["speed"].total == pytest.approx(10 / 0.08)
    assert behind(panels["first"].links[0].url) == 1
    assert built(model="other")["first"].total is None
    assert built(model="fake")["speed"].total == pytest.approx(10 / 0.08)


def test_tokens_are_those_of_all_traces_and_unknown_ones_are_not_zero() -> None:
    turn(5)
    turn(6)
    spans.save(spans.record(at_ms=ago(5)))

    panel = built()["tokens"]

    assert (panel.total, panel.about) == (100, "80 in")
    assert [sum(value or 0 for value in line.values) for line in panel.lines] == [80, 20]


def test_tools_are_told_with_their_errors_and_their_times() -> None:
    made = turn(5)
    child(made, "tool_execution", attributes={"tool_name": "refund"}, status="error", for_ms=300)
    child(made, "execute_tool x", attributes={"gen_ai.tool.name": "refund", "gen_ai.operation.name": "execute_tool"})
    both = {"tool_name": "both", "gen_ai.tool.name": "both", "gen_ai.operation.name": "execute_tool"}
    child(made, "execute_tool both", attributes=both)
    child(made, "tool_execution", attributes={"tool_name": "running"}, end_ns=None)

    told = {tool.name: (tool, url) for tool, url in dashboard.build(dashboard.wanted({})).tools}

    assert {name: (tool.calls, tool.failed) for name, (tool, _) in told.items()} == {
        "refund": (2, 1), "lookup": (1, 0), "both": (1, 0),
    }  # fmt: skip
    assert told["refund"][0].p95_s == pytest.approx(0.3)
    assert told["refund"][0].error_rate == 0.5
    assert behind(told["lookup"][1]) == 1


def test_shields_that_looked_and_let_pass_are_zero_and_none_is_no_data() -> None:
    made = turn(5)
    assert built()["blocks"].total is None

    child(made, "run_shields", attributes={"output": "no violations"})
    assert (built()["blocks"].total, built()["blocks"].has_data) == (0, True)

    child(made, "run_shields", attributes={"violation_level": "error"})
    child(made, "run_shields", attributes={"violation_level": "warn"})
    panel = built()["blocks"]
    assert (panel.total, panel.about) == (1, "of 3 looks")
    assert behind(panel.links[0].url) == 1


def test_jobs_are_told_by_their_outcome_and_those_that_wait_by_number(web: Client) -> None:
    turn(5)
    for status in (JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.FAILED):
        Job.objects.create(work="x", kind="x", title="x", status=status, completed_at=now())
    Job.objects.create(work="x", kind="x", title="x")
    Job.objects.create(work="x", kind="upkeep", title="x", status=JobStatus.COMPLETED, completed_at=now())

    panel = built()["jobs"]
    page = web.get("/metrics/").content.decode()

    assert (panel.total, panel.about) == (3, "1 failed")
    assert {line.name: sum(value or 0 for value in line.values) for line in panel.lines} == {
        "Completed": 2, "Failed": 1, "Cancelled": 0,
    }  # fmt: skip
    assert "1 waiting now" in page


def test_the_page_costs_the_same_for_much(web: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        made = turn(number, agent_name=f"Agent {number % 4}", model=f"model-{number % 5}")
        child(made, "tool_execution", attributes={"tool_name": f"tool-{number}"})
        given("completion_tokens", 1.0, unit="tokens", model_id=f"model-{number % 5}")

    with django_assert_max_num_queries(16):
        assert web.get("/metrics/?model=model-1").status_code == 200


def test_a_panel_is_shown_as_a_table_and_back(web: Client) -> None:
    turn(5)

    page = web.get("/metrics/?tables=turns,none,turns&range=1h").content.decode()

    assert '<caption class="sr">Turns, newest first</caption>' in page
    assert "turns" not in data_of(page)["panels"]
    assert "tables=turns%2Cerrors" in page
    assert 'href="/metrics/?range=1h"' in page, "the way back"


def test_a_panel_leaves_as_csv(web: Client) -> None:
    turn(2)
    turn(50, status="error")

    answer = web.get("/metrics/panels/tokens.csv?range=1h")

    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert answer["Content-Disposition"] == 'attachment; filename="metrics-tokens.csv"'
    assert rows[0] == ["time", "In (tokens)", "Out (tokens)"]
    assert [row[1:] for row in rows[1:]] == [["40", "10"], ["40", "10"]]
    assert rows[1][0] < rows[2][0]
    assert web.get("/metrics/panels/nothing.csv").status_code == 404


def test_what_did_not_change_is_not_sent_again(web: Client) -> None:
    turn(5)
    path = f"/metrics/panels/?from={int(time.time()) - 3600}&to={int(time.time()) + 3600}"
    first = web.get(path)

    again = web.get(path, headers={"if-none-match": first["ETag"]})
    turn(4)
    changed = web.get(path, headers={"if-none-match": first["ETag"]})

    assert (first.status_code, again.status_code, changed.status_code) == (200, 304, 200)
    assert b"<html" not in first.content


@pytest.mark.parametrize(
    "query",
    ["range=nonsense", "from=x", "from=2026-01-02&to=2026-01-01", "model=%22%27%5C", "tables=,,", "agent=" + "a" * 5000,
     "range=all", "from=0", "to=4102444799", "from=1&to=2"],
)  # fmt: skip
def test_a_strange_address_still_answers(web: Client, query: str) -> None:
    turn(5)
    given("calls", 1.0)

    for path in ("/metrics/", "/metrics/calls/", "/metrics/calls/points.csv"):
        assert web.get(f"{path}?{query}").status_code == 200, path


def test_strangers_see_nothing(db: None) -> None:
    for path in (
        "/metrics/",
        "/metrics/panels/",
        "/metrics/calls/",
        "/metrics/panels/turns.csv",
        "/metrics/x/points.csv",
    ):
        assert Client().get(path).status_code == 302


def test_the_explorer_begins_with_the_first_metric(web: Client) -> None:
    assert web.get("/metrics/?pick=").headers["location"] == "/metrics/"
    given("b", 1.0)
    given("a/b c.d", 1.0)

    answer = web.get("/metrics/?pick=&range=7d")

    assert answer.headers["location"] == "/metrics/a/b%20c.d/?range=7d"
    assert web.get(answer.headers["location"]).status_code == 200
    assert web.get("/metrics/?pick=b").headers["location"] == "/metrics/b/"
    assert web.get("/metrics/other/").status_code == 404


def test_a_foreign_metric_is_told_by_its_labels(web: Client) -> None:
    given("http.requests", 1.0, 2.0, unit="1", route="/a", code="200")
    given("http.requests", 4.0, unit="1", route="/b", code="500")

    page = web.get("/metrics/http.requests/?range=1h").content.decode()

    lines = data_of(page)["panels"]["points"]["lines"]
    assert [(line["name"], sum(value or 0 for value in line["values"])) for line in lines] == [
        ("code=500, route=/b", 4), ("code=200, route=/a", 3),
    ]  # fmt: skip
    assert page.count('data-ui="series"') == 2


@pytest.mark.parametrize(
    ("op", "value", "left"), [("=", "200", 1), ("!=", "200", 2), ("=~", "2..|5..", 2), ("!~", ".*", 0)]
)
def test_label_matchers_leave_series(web: Client, op: str, value: str, left: int) -> None:
    given("http.requests", 1.0, code="200")
    given("http.requests", 1.0, code="500")
    given("http.requests", 1.0)

    answer = web.get(
        reverse("telemetry:metric-detail", args=("http.requests",)), {"label": "code", "op": op, "value": value}
    )

    assert answer.content.decode().count('data-ui="series"') == left
    assert ("No data" in answer.content.decode()) == (left == 0)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"label": "code", "op": "=~", "value": "(a"}, "cannot be read"),
        ({"label": "code", "op": "??", "value": "a"}, "matcher cannot be read"),
        ({"step": "7q"}, "granularity"),
        ({"step": "1s", "range": "30d"}, "Choose a longer step"),
    ],
)
def test_what_cannot_be_asked_is_told_on_the_page(web: Client, query: dict[str, str], words: str) -> None:
    given("calls", 1.0, code="200")

    answer = web.get("/metrics/calls/", query)

    assert answer.status_code == 200
    assert words in answer.content.decode()


def test_times_are_averaged_and_counts_added_up(web: Client) -> None:
    given("took", 1.0, 3.0, unit="s")
    given("calls", 1.0, 3.0, unit="calls")

    def values(path: str) -> list[float]:
        [line] = data_of(web.get(path).content.decode())["panels"]["points"]["lines"]
        return [value for value in line["values"] if value is not None]

    assert values("/metrics/took/?range=24h") == [2]
    assert values("/metrics/calls/?range=24h") == [4]
    assert values("/metrics/calls/?range=24h&how=largest") == [3]
    assert values("/metrics/took/?range=24h&how=count") == [2]


def test_a_series_leads_to_the_traces_its_labels_speak_of(web: Client) -> None:
    turn(5, model="openai/fake")
    turn(6, model="openai/other")
    given("total_tokens", 25.0, unit="tokens", model_id="openai/fake")
    given("total_tokens", 25.0, unit="tokens", host="x")

    page = web.get("/metrics/total_tokens/?range=1h").content.decode()

    [url] = [unescape(found) for found in re.findall(r'href="([^"]+)" data-ui="series-traces"', page)]
    assert parse_qs(urlsplit(url).query) == {"q": ["model:openai/fake"], "range": ["1h"]}
    assert behind(url) == 1


def test_one_number_has_no_chart(web: Client) -> None:
    given("calls", 1.0, 3.0)

    page = web.get("/metrics/calls/?type=instant").content.decode()

    assert data_of(page)["panels"] == {}
    assert re.search(r'<td class="num">4\s*</td>', page)


def test_a_metric_leaves_as_csv_and_its_labels_cannot_be_formulas(web: Client) -> None:
    given("calls", 1.0, 3.0, who="=cmd()", unit="calls")
    given("calls", 5.0, where="x", unit="calls")

    rows = list(csv.reader(io.StringIO(web.get("/metrics/calls/points.csv?range=24h").content.decode())))
    bad = web.get("/metrics/calls/points.csv?label=a&op=%3D~&value=(")

    assert rows[0] == ["time", "where", "who", "unit", "sum"]
    assert sorted(row[1:] for row in rows[1:]) == [["", "'=cmd()", "calls", "4.0"], ["x", "", "calls", "5.0"]]
    assert bad.status_code == 400


def test_a_page_of_charts_loads_little() -> None:
    common = ("app.css", "work.css", "console.js", "live.js", "icons.svg", "vendor/basecoat/basecoat.cdn.min.css")
    others = ("vendor/htmx/htmx.min.js", "vendor/idiomorph/idiomorph-ext.min.js", "vendor/uplot/uPlot.iife.min.js")
    static = Path(__file__).resolve().parents[2] / "static"

    packed = (
        gzip.compress((static / name).read_bytes(), 9) for name in (*common, *others, "metrics.css", "metrics.js")
    )

    assert sum(map(len, packed)) <= 105 * 1024


def test_a_window_is_cut_at_multiples_of_the_step() -> None:
    second = 1_000_000_000
    window = Window("own", 1_000_000 * second, 1_003_600 * second, 2_000_000 * second)

    buckets = Buckets.of(window)

    assert (buckets.step_s, buckets.words, len(buckets.times)) == (60, "1 min", 61)
    assert buckets.times[0] == 999_960
    assert buckets.times[-1] < 1_003_600
    assert all(time % 60 == 0 for time in buckets.times)
