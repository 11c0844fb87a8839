"""Double sends act once; long lists are paged by key."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.test import RequestFactory

from apps.core import once
from apps.core.keyset import page_of
from tests import build


@pytest.fixture(autouse=True)
def no_keys() -> None:
    """Forget the keys of other tests."""
    cache.clear()


def sent(key: str = "k1", **headers: str) -> HttpRequest:
    """Return a form as it arrives."""
    request = RequestFactory().post("/things/", {once.FIELD: key} if key else {}, headers=headers)
    request.user = AnonymousUser()
    return request


def maker(answer: Callable[[int], HttpResponse]) -> tuple[Any, list[int]]:
    """Return a guarded view and the list of its acts."""
    acts: list[int] = []

    @once.only
    def view(request: HttpRequest) -> HttpResponse:
        acts.append(1)
        return answer(len(acts))

    return view, acts


def test_a_second_send_is_led_where_the_first_was() -> None:
    view, acts = maker(lambda number: HttpResponseRedirect(f"/things/{number}/"))

    first, second = view(sent()), view(sent())

    assert first["Location"] == second["Location"] == "/things/1/"
    assert acts == [1]


def test_another_key_acts_again() -> None:
    view, acts = maker(lambda number: HttpResponseRedirect(f"/things/{number}/"))

    view(sent("a"))
    view(sent("b"))
    view(sent(""))

    assert len(acts) == 3


def test_a_refused_form_can_be_sent_again() -> None:
    refused, made = HttpResponse("wrong", status=422), HttpResponseRedirect("/things/2/")
    view, acts = maker(lambda number: refused if number == 1 else made)

    view(sent())

    assert view(sent())["Location"] == "/things/2/"
    assert len(acts) == 2


def test_a_failed_send_gives_the_key_back() -> None:
    def fail(number: int) -> HttpResponse:
        raise RuntimeError("no")

    view, acts = maker(fail)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            view(sent())

    assert len(acts) == 2


def test_a_part_is_led_by_header() -> None:
    view, _ = maker(lambda number: HttpResponseRedirect("/things/1/"))
    view(sent())

    again = view(sent(**{"HX-Request": "true"}))

    assert again["HX-Redirect"] == "/things/1/"


def test_a_send_during_the_first_waits_for_it() -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(number: int) -> HttpResponse:
        started.set()
        go_on.wait(5)
        return HttpResponseRedirect("/things/1/")

    view, acts = maker(slow)
    answers: list[HttpResponse] = []
    threads = [threading.Thread(target=lambda: answers.append(view(sent()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    started.wait(5)
    go_on.set()
    for thread in threads:
        thread.join(5)

    assert [answer["Location"] for answer in answers] == ["/things/1/"] * 2
    assert len(acts) == 1


@pytest.mark.django_db
def test_pages_by_key_lead_there_and_back() -> None:
    from apps.providers.models import Provider

    rows = [build.provider(f"p{number}").pk for number in range(5)]

    first = page_of(Provider.objects.all(), QueryDict("q=x"), size=2)
    second = page_of(Provider.objects.all(), QueryDict(first.older[1:]), size=2)
    last = page_of(Provider.objects.all(), QueryDict(second.older[1:]), size=2)
    back = page_of(Provider.objects.all(), QueryDict(second.newer[1:]), size=2)

    assert [[row.pk for row in page] for page in (first, second, last)] == [rows[4:2:-1], rows[2:0:-1], rows[:1]]
    assert [row.pk for row in back] == [row.pk for row in first]
    assert first.older.startswith("?q=x&after=")
    assert (first.newer, last.older, back.newer) == ("", "", "")
