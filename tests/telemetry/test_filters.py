"""The filter of the list of traces is its text: what it finds, what it refuses, and how it is written back."""

import pytest

from apps.agents.models import Turn
from apps.telemetry.models import Trace
from apps.telemetry.traces import filters
from tests import build
from tests.telemetry import spans


def found(text: str) -> set[str]:
    """Return the names of the traces that fit."""
    asked = filters.parse(text)
    assert asked.problems == []
    return set(asked.of(Trace.objects.all()).values_list("name", flat=True))


def problem(text: str) -> str:
    """Return what is said of a filter that is not understood."""
    (only,) = filters.parse(text).problems
    return only


@pytest.fixture
def traces(db: None) -> None:
    """Four traces that differ in everything a filter knows."""
    usage = {"gen_ai.usage.input_tokens": 1_500, "gen_ai.usage.output_tokens": 600}
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "local/tiny-135m", "input": "Jacket?"}
    spans.save(
        spans.record(name="slow", for_ms=3_000, attributes=attributes | usage | {"user": 42, "flag": True}),
        spans.record(name="failed", status="error", resource={"service.name": "shop"}, attributes={"user": "42"}),
        spans.record(name="runs", end_ns=None, attributes={"user": 7, "size": 2.5}),
        spans.record(
            name="create_agent_turn",
            attributes={"agent_id": "a-1", "agent_name": 'The "Desk"', "session_id": "s-1", "turn_id": "t-1"},
        ),
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {"slow", "failed", "runs", "create_agent_turn"}),
        ("status:error", {"failed"}),
        ("status:running", {"runs"}),
        ("-status:ok", {"failed", "runs"}),
        ("status!=ok", {"failed", "runs"}),
        ("kind:turn", {"create_agent_turn"}),
        ("kind:inference", {"slow"}),
        ("name:SLO", {"slow"}),
        ("model:tiny", {"slow"}),
        ("-model:tiny", {"failed", "runs", "create_agent_turn"}),
        ("service:shop", {"failed"}),
        ("duration>2s", {"slow"}),
        ("duration<=10ms", {"failed", "create_agent_turn"}),
        ("duration>0.04min", {"slow"}),
        ("duration>400h", set()),
        ("duration<9999999h", {"slow", "failed", "create_agent_turn"}),
        ("tokens>2k", {"slow"}),
        ("tokens<99999999999m", {"slow"}),
        ("spans<99999999999999", {"slow", "failed", "runs", "create_agent_turn"}),
        ("tokens=2100", {"slow"}),
        ("spans>1", set()),
        ("errors>0", {"failed"}),
        ("agent:desk", {"create_agent_turn"}),
        ("agent:a-1", {"create_agent_turn"}),
        (r'agent:"The \"Desk\""', {"create_agent_turn"}),
        ("session:s-1 turn:t-1", {"create_agent_turn"}),
        ("attr.user=42", {"slow", "failed"}),
        ("attr.user>7", {"slow", "failed"}),
        ("attr.user>=7", {"slow", "failed", "runs"}),
        ("-attr.user=42", {"runs", "create_agent_turn"}),
        ("attr.size<3", {"runs"}),
        ("attr.flag=true", {"slow"}),
        ("attr.session_id=s-1", {"create_agent_turn"}),
        ("attr.gen_ai.request.model=local/tiny-135m", {"slow"}),
        ('attr."gen_ai.request.model"=local/tiny-135m', {"slow"}),
        ("attr.nobody=1", set()),
        ("jacket", {"slow"}),
        ("“Jacket?”", {"slow"}),
        ('-"Jacket?"', {"failed", "runs", "create_agent_turn"}),
        ("100%", set()),
        ("status:error kind:turn", set()),
    ],
)
def test_a_filter_finds(traces: None, text: str, names: set[str]) -> None:
    assert found(text) == names


def test_words_find_the_session_they_name(traces: None) -> None:
    build.session(build.agent(), session_id="s-1", session_name="Jacket exchange")
    assert found('session:"jacket ex"') == {"create_agent_turn"}
    assert found("exchange") == {"create_agent_turn"}


def test_an_attribute_is_compared_with_a_colon_too(db: None) -> None:
    spans.save(spans.record(name="one", attributes={"order.id": "A-3", "a:b": "c=d"}))
    assert found("attr.order.id:A-3") == {"one"}
    assert found("-attr.order.id:A-3") == set()
    assert found(filters.attribute_term("a:b", "c=d")) == {"one"}
    assert filters.attribute_term("order.id", "A 3") == 'attr.order.id="A 3"'


def test_words_find_why_a_span_failed_in_this_time(db: None) -> None:
    root = spans.record(name="root")
    child = spans.record(
        name="child", trace_id=root.trace_id, parent_span_id=root.span_id, status="error", message="Card declined"
    )
    spans.save(root, child)
    assert found("declined") == {"root"}
    assert not filters.parse("declined", child.start_ns + 1).of(Trace.objects.all()).exists()
    assert found(child.span_id.upper()) == {"root"}


def test_tools_are_found_by_name_and_ids_by_their_attribute(traces: None) -> None:
    spans.trace(turn_id="t-2", session_id="s-2", agent_id="a-2")
    spans.save(spans.record(name="foreign", attributes={"gen_ai.tool.name": "lookup"}))
    assert found("tool:lookup") == {"create_agent_turn", "foreign"}
    assert found("tool:other") == set()
    for word, value in (("session_id", "s-2"), ("turn_id", "t-2"), ("agent_id", "a-2")):
        assert found(f"{word}:{value}") == {"create_agent_turn"}, word


def test_a_stopped_turn_is_found(db: None) -> None:
    one = spans.trace()
    spans.trace()
    assert found("status:stopped") == set()
    Turn.objects.create(
        session=build.session(build.agent()), input_messages=[], trace_id=one.trace_id, status="cancelled"
    )
    assert [row.pk for row in filters.parse("status:stopped").of(Trace.objects.all())] == [one.pk]
    spans.save(spans.record(name="of a session that is gone", attributes={"stopped": True}))
    assert found("status:stopped") == {"create_agent_turn", "of a session that is gone"}


def test_plain_requests_to_the_console_are_no_work(db: None) -> None:
    own = {"service.name": "stack-console"}
    spans.save(
        spans.record(name="read", resource=own),
        spans.record(name="failed", resource=own, status="error"),
        spans.record(name="foreign", resource={"service.name": "shop"}),
        spans.record(name="inference", resource=own, attributes={"gen_ai.operation.name": "chat"}),
    )
    assert found("is:request") == {"read"}
    assert found("is:work") == {"failed", "foreign", "inference"}


def test_a_duration_without_a_unit_says_how_it_is_read(db: None) -> None:
    assert [term.note for term in filters.parse("duration>1000 duration>2s tokens>7").terms] == ["seconds", "", ""]


def test_a_trace_is_found_by_the_beginning_of_its_id(traces: None) -> None:
    one = Trace.objects.get(name="slow")
    assert found(f"trace:{one.trace_id[:9].upper()}") == {"slow"}
    assert found(one.trace_id) == {"slow"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stauts:error", "Did you mean “status”?"),
        ("status:eror", "Did you mean “error”?"),
        ("status:", "such as status:error"),
        ("duration>soon", "write one like 250ms"),
        ("duration:2s", "compared with < or >"),
        ("tokens>many", "write one like 2000"),
        ("name>a", "compared with “:”"),
        ("attr.user", "attr.user=42"),
        ("zzzz:1", "There are status, kind"),
        ("order.id:A-3", "Did you mean “attr.order.id:A-3”?"),
        ("-order.id=A-3", "Did you mean “attr.order.id=A-3”?"),
        ("is:nothing", "There are work, request"),
        ("https://example.org", "put it in quotes"),
    ],
)
def test_what_is_not_understood_is_told_and_finds_nothing(traces: None, text: str, said: str) -> None:
    assert said in problem(text)
    assert not filters.parse(text).of(Trace.objects.all()).exists()
    assert not filters.parse(f"status:ok {text}").of(Trace.objects.all()).exists()


def test_a_filter_is_written_back_as_it_was_read(db: None) -> None:
    text = 'status:error -agent:docs attr."a b"=1 "free text" "open'
    asked = filters.parse(text)
    assert asked.text == text
    assert asked.without(1) == 'status:error attr."a b"=1 "free text" "open'


@pytest.mark.parametrize("value", ['a "b" c', "back\\slash", "two words", "plain", '"', ""])
def test_a_written_value_is_read_again(db: None, value: str) -> None:
    spans.save(spans.record(name="one", attributes={"key": value}))
    assert found(f"attr.key={filters.quoted(value)}") == {"one"}


@pytest.mark.parametrize(
    "text", ['"' * 500, "\\" * 999, "-" * 50, "a:" * 900, "attr." * 300, "\0", "'; DROP TABLE x --"]
)
def test_a_hostile_text_is_no_failure(db: None, text: str) -> None:
    asked = filters.parse(text)
    assert list(asked.of(Trace.objects.all())) == []


def test_a_filter_has_an_end(db: None) -> None:
    asked = filters.parse("word " * 300)
    assert len(asked.terms) == filters.MOST_TERMS + 1
    assert asked.problems == ["A filter has at most 20 parts; take some away."]
