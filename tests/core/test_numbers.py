"""Whole numbers from outside: what is not one is None, never an exception."""

import pytest
from django.http import QueryDict

from apps.accounts.models import User
from apps.core.keyset import page_of
from apps.core.numbers import whole


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("42", 42), ("007", 7), ("9" * 18, 10**18 - 1)], ids=["0", "42", "007", "18 digits"]
)
def test_plain_digits_are_a_number(text: str, number: int) -> None:
    assert whole(text) == number


@pytest.mark.parametrize("text", [None, "", "-1", "+1", " 1", "1.0", "²", "٣", "1_0", "9" * 19, "9" * 5000])
def test_anything_else_is_none(text: str | None) -> None:
    assert whole(text) is None


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["²", "9" * 5000, "٣"])
def test_a_page_at_no_place_is_the_newest(place: str) -> None:
    user = User.objects.create_user("mara")
    query = QueryDict(mutable=True)
    query["after"] = place
    assert page_of(User.objects.all(), query).rows == [user]
