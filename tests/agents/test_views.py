"""Pages of agents and chat: what they show, what they refuse, what they cost."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditLine
from apps.agents import models
from tests import build
from tests.agents import past

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def browser_of(role: str) -> Client:
    browser = Client()
    browser.force_login(build.user(role), backend=BACKEND)
    return browser


@pytest.fixture
def client() -> Client:
    return browser_of("operator")


@pytest.fixture
def model() -> str:
    return build.scripted_model([])


@pytest.fixture
def session(model: str) -> Any:
    return build.session(build.agent(model=model, name="Support desk"), session_name="Jacket exchange")


def chat(session: Any, part: str = "") -> str:
    return f"/chat/{session.agent.agent_id}/{session.session_id}/{part}"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def queries_of(ask: Callable[[], Any]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert ask().status_code == 200
    return len(seen)


def form(model: str, **fields: str) -> dict[str, str]:
    return {"name": "New one", "model": model, "instructions": "Be kind.", "strategy": "greedy", **fields}


# Agents


def test_the_empty_list_offers_three_beginnings(client: Client) -> None:
    page = text(client.get("/agents/"))

    assert "Create your first agent" in page
    assert page.count("?template=") == 3


def test_the_list_costs_the_same_for_one_and_for_fifty(client: Client, session: Any, model: str) -> None:
    past.turn(session)
    few = queries_of(lambda: client.get("/agents/"))
    for _ in range(50):
        past.turn(build.session(build.agent(model=model)), status="failed")

    assert queries_of(lambda: client.get("/agents/")) == few <= 10


def test_the_list_is_paged_by_key(client: Client, model: str) -> None:
    for number in range(60):
        build.agent(model=model, name=f"Agent {number:02}")

    first = text(client.get("/agents/"))
    older = re.search(r'href="(\?after=\d+)"[^>]*data-ui="older"', first)
    assert older
    second = text(client.get(f"/agents/{older[1]}"))

    assert "Agent 59" in first
    assert "Agent 09" not in first
    assert "Agent 09" in second


def test_the_filter_knows_its_words_and_helps_with_others(client: Client, session: Any) -> None:
    build.agent(model="gone/model", name="Orphan", toolgroups=["builtin::rag"])

    assert "Support desk" not in text(client.get("/agents/?q=tool:rag"))
    assert "Orphan" in text(client.get("/agents/?q=tool:rag model:gone"))
    assert "did you mean &#x27;model&#x27;" in text(client.get("/agents/?q=modle:gone"))
    assert "No agent matches" in text(client.get("/agents/?q=shield:none"))


def test_a_model_that_is_not_there_is_marked(client: Client) -> None:
    build.agent(model="gone/model")

    assert "Missing" in text(client.get("/agents/"))


def test_a_model_is_enough_for_an_agent_and_the_chat_opens(client: Client, model: str) -> None:
    answer = client.post("/agents/new/", form(model, once="k1"))
    again = client.post("/agents/new/", form(model, once="k1"))

    session = models.Session.objects.get()
    assert answer["Location"] == again["Location"] == chat(session)
    assert session.agent.agent_config.instructions == "Be kind."
    assert set(AuditLine.objects.values_list("action", "kind")) == {("create", "agent"), ("create", "session")}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("toolgroups", "mcp::nowhere", "mcp::nowhere"),
        ("input_shields", "guard", "guard"),
        ("model", "gone/model", "gone/model"),
        ("client_tools", "[{", "not JSON"),
        ("client_tools", '[{"nam": "x"}]', "did you mean &#x27;name&#x27;"),
        ("client_tools", '[{"name": "x"}, {"name": "x"}]', "two tools are named"),
        ("response_format", '{"type": "yaml"}', "yaml"),
        ("toolgroup_args", '{"other": {}}', "other"),
        ("stop", "a\nb\nc\nd\ne", "4 items"),
        ("temperature", "0", "greater than or equal to"),
    ],
)
def test_what_cannot_be_is_named_beside_its_field(
    client: Client, model: str, field: str, value: str, words: str
) -> None:
    answer = client.post("/agents/new/", form(model) | {field: value})

    page = text(answer)
    assert answer.status_code == 422
    assert re.search(rf'id="id_{field}-e">.*?{re.escape(words)}', page, re.DOTALL), page
    assert 'value="New one"' in page
    assert not models.Agent.objects.exists()


def test_a_field_is_checked_while_it_is_filled(client: Client, model: str) -> None:
    wrong = client.post("/agents/check/?field=toolgroups", form(model, toolgroups="mcp::nowhere"))
    right = client.post("/agents/check/?field=toolgroups", form(model))

    assert "mcp::nowhere" in text(wrong)
    assert text(right).strip() == ""
    assert client.post("/agents/check/?field=nothing", form(model)).status_code == 404


def test_everything_of_an_agent_survives_a_copy(client: Client, model: str) -> None:
    config = {
        "model": model, "name": "Whole", "instructions": "All of it.", "client_tools": [build.tool()],
        "tool_config": {"tool_choice": "required"}, "max_infer_iters": 3, "enable_session_persistence": True,
        "sampling_params": {
            "strategy": {"type": "top_p", "temperature": 0.7, "top_p": 0.9}, "max_tokens": 50,
            "repetition_penalty": 1.1, "stop": ["END"],
        },
        "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
    }  # fmt: skip
    origin = build.agent(**config)
    page = client.get(f"/agents/{origin.agent_id}/edit-copy/")
    filled = {name: value for name, value in page.context["form"].initial.items() if value is not None}
    assert "The API has no update" in text(page)

    client.post(f"/agents/{origin.agent_id}/edit-copy/", filled)

    copy = models.Agent.objects.latest("pk")
    assert copy.agent_config == origin.agent_config.model_copy(update={"name": "Whole (copy)"})
    assert origin.agent_id in text(client.get(f"/agents/{copy.agent_id}/"))


def test_an_agents_page_tells_what_it_is_and_did(client: Client, session: Any) -> None:
    past.turn(session)

    page = text(client.get(f"/agents/{session.agent.agent_id}/"))

    assert "Jacket exchange" in page
    assert "Be brief." in page
    assert "1 session goes with it" in page
    assert queries_of(lambda: client.get(f"/agents/{session.agent.agent_id}/")) <= 15


@pytest.mark.django_db(transaction=True)
def test_a_deleted_agent_leaves_a_tombstone(client: Client, session: Any) -> None:
    path = f"/agents/{session.agent.agent_id}/"
    assert "Jacket exchange" in text(client.get(f"{path}delete/"))

    assert client.post(f"{path}delete/")["Location"] == "/agents/"

    answer = client.get(path)
    assert answer.status_code == 410
    assert "By operator" in text(answer)
    assert not models.Session.objects.exists()
    assert client.get("/agents/never-was/").status_code == 404


# Chat


def test_chat_leads_to_the_session_used_last(client: Client, session: Any) -> None:
    assert client.get("/chat/")["Location"] == chat(session)
    assert client.get(f"/chat/{session.agent.agent_id}/")["Location"] == chat(session)


def test_chat_without_an_agent_says_what_to_do(client: Client) -> None:
    assert "Nobody to talk to yet" in text(client.get("/chat/"))


def test_thirty_turns_cost_what_one_costs(client: Client, session: Any) -> None:
    past.turn(session)
    few = queries_of(lambda: client.get(chat(session)))
    for _ in range(40):
        row = past.turn(session)
        past.used_tool(row, past.call(), "rain")

    page = client.get(chat(session))

    assert text(page).count('data-ui="turn"') == 30
    assert queries_of(lambda: client.get(chat(session))) == few <= 15


def test_earlier_turns_come_page_by_page(client: Client, session: Any) -> None:
    rows = [past.turn(session, f"Question {number:02}") for number in range(40)]

    page = text(client.get(chat(session)))
    part = text(client.get(chat(session, f"turns/?before={rows[10].pk}"), headers={"HX-Request": "true"}))

    assert f"?before={rows[10].pk}" in page
    assert "Question 09" not in page
    assert part.count('data-ui="turn"') == 10
    assert 'aria-label="Turn 1"' in part
    assert "earlier" not in part


def test_a_turn_shows_its_steps_with_what_went_in_and_out(client: Client, session: Any) -> None:
    row = past.turn(session, answer="It **rains**.", first_token_ms=120.0)
    past.used_tool(row, past.call(), '{"sky": "grey"}')
    past.used_tool(row, past.call("refund"), "no such order", error=True)
    past.step(row, "shield_call", violation={"violation_level": "error", "user_message": "Not so fast", "metadata": {}})
    past.step(row, "memory_retrieval", vector_db_ids="docs", inserted_context="A passage")

    page = text(client.get(chat(session)))

    assert "<strong>rains</strong>" in page
    assert "&quot;city&quot;" in page
    assert "&quot;grey&quot;" in page
    assert "Not so fast" in page
    assert "A passage" in page
    assert "first token 120 ms" in page
    assert "12 tokens" in page


def test_a_models_markup_is_only_text(client: Client, session: Any) -> None:
    past.turn(
        session, "<script>1</script>", "<script>alert(1)</script> <img src=http://x.example/y> ![p](http://x.example/z)"
    )

    page = text(client.get(chat(session)))

    assert "<script>alert" not in page
    assert "<script>1" not in page
    assert "<img" not in page


def test_a_failed_turn_says_why_and_keeps_what_was_written(client: Client, session: Any) -> None:
    row = past.turn(session, answer="Half an ans", status="failed", error="The model is gone.")
    row.steps.update(facts={"is_partial": True})

    page = text(client.get(chat(session)))

    assert "The model is gone." in page
    assert "Half an ans" in page
    assert 'data-ui="send-again"' in page


def test_a_running_turn_is_painted_as_far_as_it_is_known(client: Client, session: Any) -> None:
    written = "First.\n\nSecond so far"
    partial = {"step_id": "s-1", "text": written}
    past.turn(session, status="running", output_message=None, completed_at=None, partial=partial, live_from=77)

    page = text(client.get(chat(session)))

    assert 'data-live-n="77"' in page
    assert f'data-live-text="s-1" data-len="{len(written)}" data-done="8"' in page
    assert "<p>First.</p>" in page
    assert "data-live-tail>Second so far</p>" in page
    assert 'data-state="running"' in page


def test_a_waiting_turn_shows_the_card_to_those_who_may_answer(client: Client, session: Any) -> None:
    past.waiting(session)

    assert 'data-ui="send-result"' in text(client.get(chat(session)))
    watched = text(browser_of("viewer").get(chat(session)))
    assert 'data-ui="send-result"' not in watched
    assert "&quot;Oslo&quot;" in watched


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", 'data-ui="side-steps"'),
        ("pane=json", "&quot;turn_id&quot;"),
        ("pane=agent", "Be brief."),
        ("pane=no", "side-steps"),
    ],
)
def test_the_pane_tells_of_one_turn(client: Client, session: Any, query: str, words: str) -> None:
    row = past.turn(session)

    assert words in text(client.get(chat(session, f"side/?turn={row.turn_id}&{query}")))


def test_a_session_is_found_by_its_name(client: Client, session: Any) -> None:
    build.session(session.agent, session_name="Refund over limit")

    part = text(client.get(f"/chat/{session.agent.agent_id}/sessions/?find=refund"))

    assert "Refund over limit" in part
    assert "Jacket exchange" not in part


def test_many_sessions_are_listed_page_by_page(client: Client, session: Any) -> None:
    for number in range(50):
        build.session(session.agent, session_name=f"Session {number:02}")
    path = f"/chat/{session.agent.agent_id}/sessions/"
    few = queries_of(lambda: client.get(path))

    first = text(client.get(path))
    more = re.search(r'hx-get="([^"]*after=[^"]*)"', first)
    assert more
    second = text(client.get(more[1].replace("&amp;", "&")))

    assert few <= 8
    assert "Session 49" in first
    assert "Jacket exchange" not in first
    assert "Jacket exchange" in second


@pytest.mark.django_db(transaction=True)
def test_a_session_gets_another_name_and_goes(client: Client, session: Any) -> None:
    client.post(chat(session, "rename/"), {"session_name": "  Boots  and coats "})
    session.refresh_from_db()
    assert session.session_name == "Boots and coats"

    client.post(chat(session, "delete/"))

    assert client.get(chat(session)).status_code == 404
    assert [*AuditLine.objects.filter(kind="session").order_by("pk").values_list("action", flat=True)] == [
        "rename",
        "delete",
    ]


def test_a_picture_is_given_out_by_the_console_itself(client: Client, session: Any) -> None:
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
    content = [
        {"type": "image", "image": {"data": dot}},
        {"type": "image", "image": {"url": {"uri": "http://x.example/a.png"}}},
    ]
    row = past.turn(session, input_messages=[{"role": "user", "content": content}])

    page = text(client.get(chat(session)))
    answer = client.get(chat(session, f"turn/{row.turn_id}/picture/0-0/"))

    assert page.count("<img") == 1
    assert 'href="http://x.example/a.png"' in page
    assert answer["Content-Type"] == "image/png"
    assert client.get(chat(session, f"turn/{row.turn_id}/picture/0-1/")).status_code == 404


def test_a_viewer_is_refused_what_changes_things(session: Any) -> None:
    viewer, agent_id = browser_of("viewer"), session.agent.agent_id

    for path in (chat(session, "send/"), chat(session, "stop/"), chat(session, "delete/"), f"/chat/{agent_id}/new/",
                 f"/agents/{agent_id}/delete/", "/agents/new/"):  # fmt: skip
        assert viewer.post(path).status_code == 403, path


def test_what_is_not_there_is_not_found(client: Client, session: Any) -> None:
    for path in (
        "/chat/no-agent/",
        f"/chat/{session.agent.agent_id}/no-session/",
        f"/agents/{session.session_id}/edit-copy/",
    ):
        assert client.get(path).status_code == 404, path
