"""What a request of htmx asks for."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django_htmx.middleware import HtmxMiddleware

from apps.core.htmx import is_partial


@pytest.mark.parametrize(
    ("headers", "is_part"),
    [({}, False), ({"HX-Request": "true"}, True), ({"HX-Request": "true", "HX-Boosted": "true"}, False)],
)
def test_a_part_is_asked_for_by_htmx_but_not_by_a_boosted_link(headers: dict[str, str], is_part: bool) -> None:
    request = RequestFactory().get("/", headers=headers)
    HtmxMiddleware(lambda _: HttpResponse())(request)

    assert is_partial(request) is is_part
