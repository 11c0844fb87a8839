"""The shell's other pages: the frame, the way to objects, preferences, errors."""

from typing import Any

import pytest
from django.test import Client, RequestFactory

from apps.accounts.models import User
from apps.agents.models import Turn
from apps.console import views
from apps.console.navigation import MENU
from tests import build
from tests.evals import made

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def browser_of(role: str) -> Client:
    """Return the browser of a new person of this role."""
    browser = Client(raise_request_exception=False)
    browser.force_login(build.user(role), backend=BACKEND)
    return browser


@pytest.fixture
def client() -> Client:
    """An operator's browser."""
    return browser_of("operator")


@pytest.fixture
def turn() -> Turn:
    """A turn of a session of an agent."""
    session = build.session(build.agent(name="Support desk"), session_name="Jacket exchange")
    return Turn.objects.create(session=session, status="completed", input_messages=[build.said("Hi")])


@pytest.mark.parametrize("item", [item for group in MENU for item in group.items], ids=lambda item: item.name)
def test_every_place_in_the_menu_opens_for_its_role(item: Any) -> None:
    assert browser_of(item.role).get(item.path, follow=True).status_code == 200


def test_the_menu_marks_where_one_is(client: Client) -> None:
    page = client.get("/").content.decode()

    assert 'href="/" data-ui="nav-home" aria-current="page"' in page
    assert page.count('aria-current="page" title=') == 1


def test_the_badge_comes_alone_in_few_queries(client: Client, turn: Turn, django_assert_max_num_queries: Any) -> None:
    Turn.objects.update(status="waiting")

    with django_assert_max_num_queries(3):
        part = client.get("/badge/").content.decode()

    assert part.startswith('<span class="cnt" id="waiting-badge"')
    assert "<span data-count>1</span>" in part
    assert " hidden" not in part


def test_only_staff_see_the_admin(client: Client) -> None:
    staff = Client()
    staff.force_login(build.user("admin"), backend=BACKEND)

    assert "/admin/" not in client.get("/").content.decode()
    assert 'href="/admin/"' in staff.get("/").content.decode()


def test_a_page_carries_the_policy_and_no_script_of_its_own(client: Client) -> None:
    answer = client.get("/")

    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "<script>" not in answer.content.decode()
    assert '"allowEval":false' in answer.content.decode().replace("&quot;", '"')


def test_colours_are_kept_on_the_account_and_rendered(client: Client) -> None:
    client.post("/preferences/theme/", {"theme": "dark"}, headers={"X-Quiet": "1"})

    assert 'data-theme="dark"' in client.get("/").content.decode()
    assert User.objects.get().theme == "dark"


def test_a_stranger_keeps_colours_in_a_cookie() -> None:
    build.user("operator")
    stranger = Client()
    stranger.cookies["theme"] = "light"

    assert 'data-theme="light"' in stranger.get("/login/").content.decode()


def test_a_made_up_theme_is_the_systems(client: Client) -> None:
    client.post("/preferences/theme/", {"theme": '"><script>'})

    assert "data-theme" not in client.get("/").content.decode()


def test_the_menu_stays_folded(client: Client) -> None:
    answer = client.post("/preferences/nav/", {"nav": "rail"}, headers={"Referer": "http://testserver/search/"})

    assert answer["Location"] == "http://testserver/search/"
    assert 'data-nav="rail"' in client.get("/").content.decode()


def test_preferences_lead_nowhere_else(client: Client) -> None:
    answer = client.post("/preferences/nav/", {"nav": "full"}, headers={"Referer": "https://example.com/"})

    assert answer["Location"] == "/"


def test_any_object_is_found_by_its_id(client: Client, turn: Turn) -> None:
    session = turn.session
    chat = f"/chat/{session.agent.agent_id}/{session.session_id}/"

    assert client.get(f"/go/agent/{session.agent.agent_id}/")["Location"] == f"/agents/{session.agent.agent_id}/"
    assert client.get(f"/go/session/{session.session_id}/")["Location"] == chat
    assert client.get(f"/go/turn/{turn.turn_id}/")["Location"] == f"{chat}#turn-{turn.turn_id}"


def test_what_evaluates_is_found_by_its_id(client: Client) -> None:
    made.dataset("sums")
    made.benchmark("sums/easy", "sums")
    run = made.evaluation([1.0], on="sums/easy")

    assert client.get("/go/dataset/sums/")["Location"] == "/datasets/sums/"
    assert client.get("/go/benchmark/sums/easy/")["Location"] == "/benchmarks/sums/easy/"
    assert client.get(f"/go/evaluation/{run.job.job_id}/")["Location"] == f"/evaluations/{run.job.job_id}/"
    assert client.get("/go/scorer/basic::equality/")["Location"] == "/scorers/basic::equality/"


@pytest.mark.parametrize("name", ["new", "x/delete", "new/x", "~new"])
def test_what_is_named_like_an_address_is_found_by_its_id(client: Client, name: str) -> None:
    made.dataset(name)
    made.benchmark(name, name)
    build.model(build.provider("scripted"), identifier=name)

    for kind in ("dataset", "benchmark", "model"):
        page = client.get(f"/go/{kind}/{name}/", follow=True)
        assert (page.status_code, page.resolver_match.view_name.partition(":")[2]) == (200, f"{kind}-detail")
        assert f'-name">{name}</h1>' in page.content.decode()


@pytest.mark.parametrize(
    "path",
    ["/go/agent/nobody/", "/go/thing/1/", "/nothing/here/", "/go/model/a/b/", "/go/benchmark/a/b/", "/go/dataset/a/"],
)
def test_what_does_not_exist_is_a_page_with_search_and_a_way_back(client: Client, path: str) -> None:
    answer = client.get(path)

    page = answer.content.decode()
    assert answer.status_code == 404
    assert 'data-ui="search"' in page
    assert 'data-ui="go-home"' in page
    assert "Request " in page


def test_search_finds_by_name_and_by_the_start_of_an_id(client: Client, turn: Turn) -> None:
    by_name = client.get("/search/", {"q": "jacket"}).content.decode()
    by_id = client.get("/search/", {"q": turn.turn_id[:8]}).content.decode()

    assert "Jacket exchange" in by_name
    assert f"#turn-{turn.turn_id}" in by_id
    assert "Nothing is called that" in client.get("/search/", {"q": "zebra"}).content.decode()


def test_search_shows_words_and_does_not_run_them(client: Client) -> None:
    assert "<script>alert" not in client.get("/search/", {"q": "<script>alert(1)</script>"}).content.decode()


def test_a_form_without_its_secret_is_told_plainly() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(build.user("operator"), backend=BACKEND)

    answer = strict.post("/preferences/nav/", {"nav": "rail"})

    assert answer.status_code == 403
    assert "Form too old" in answer.content.decode()


def test_a_bug_is_a_page_with_the_request_id_and_no_queries(django_assert_num_queries: Any) -> None:
    request = RequestFactory().get("/")
    request.request_id = "abc-123"  # type: ignore[attr-defined]

    with django_assert_num_queries(0):
        answer = views.server_error(request)

    assert answer.status_code == 500
    assert "abc-123" in answer.content.decode()


def test_a_role_too_low_is_a_page_that_says_which(client: Client) -> None:
    answer = client.get("/settings/users/")

    assert answer.status_code == 403
    assert "admin" in answer.content.decode()
