"""What administrators do with accounts, and that one of them always stays."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from apps.accounts import people
from apps.accounts.models import AuditLine, User, includes
from apps.core.errors import Conflict
from tests import build

pytestmark = pytest.mark.django_db
ROLES = ["viewer", "operator", "admin"]


@pytest.fixture
def mara() -> User:
    """The only administrator."""
    person: User = build.user("admin", username="mara")
    return person


@pytest.mark.parametrize("role", ROLES)
def test_a_role_includes_those_before_it(role: str) -> None:
    assert [needed for needed in ROLES if includes(role, needed)] == ROLES[: ROLES.index(role) + 1]


def test_an_unknown_role_may_nothing() -> None:
    assert not includes("root", "viewer")


@pytest.mark.parametrize(
    "change",
    [
        lambda person: people.change_role(build.actor(), person.pk, "operator"),
        lambda person: people.set_active(build.actor(), person.pk, active=False),
    ],
    ids=["demoted", "disabled"],
)
def test_the_last_administrator_stays(mara: User, change: Callable[[User], Any]) -> None:
    people.invite(build.actor(), "an administrator who never came", "admin")
    build.user("admin", username="a disabled one", is_active=False)

    with pytest.raises(Conflict, match="mara is the last administrator"):
        change(mara)

    mara.refresh_from_db()
    assert mara.can("admin")
    assert not AuditLine.objects.exclude(action="invite").exists()


def test_with_a_second_administrator_the_first_may_go(mara: User) -> None:
    build.user("admin", username="tom")

    people.change_role(build.actor(), mara.pk, "viewer")

    mara.refresh_from_db()
    assert (mara.role, mara.is_staff, mara.is_superuser) == ("viewer", False, False)


def test_a_changed_form_cannot_take_the_last_administrator_either(mara: User) -> None:
    mara.role = "viewer"

    with pytest.raises(ValidationError, match="last administrator"):
        mara.full_clean()


def test_a_new_administrator_gets_the_admin_site(mara: User) -> None:
    tom = build.user("viewer", username="tom")

    people.change_role(build.actor(), tom.pk, "admin")

    tom.refresh_from_db()
    assert (tom.role, tom.is_staff, tom.is_superuser) == ("admin", True, True)


def test_every_change_leaves_one_line(mara: User) -> None:
    tom = people.invite(build.actor(), "tom", "viewer")
    people.renew_link(build.actor(), tom)
    people.change_role(build.actor(), tom.pk, "operator")
    people.set_active(build.actor(), tom.pk, active=False)
    people.set_active(build.actor(), tom.pk, active=True)

    lines = AuditLine.objects.order_by("pk")
    assert [line.action for line in lines] == ["invite", "make_link", "change_role", "disable", "enable"]
    assert {(line.kind, line.object_id) for line in lines} == {("user", str(tom.pk))}
    assert lines[2].detail == {"name": "tom", "before": "viewer", "after": "operator"}
