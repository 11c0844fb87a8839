"""What the frame of every page shows: menu, theme, waiting badge, who is signed in."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from pydantic_core import to_json

from apps.accounts.models import User
from apps.agents.records import count_waiting
from apps.console.navigation import Group, menu_of
from apps.core import live
from apps.jobs.models import Job

THEME_COOKIE = "theme"
# Answers with a refused form (409, 422) are swapped in; other failures are told by a message (static/console.js).
HTMX = {
    "includeIndicatorStyles": False,
    # Not "style": where a person made a text field larger, copying that would break the policy of the page.
    "attributesToSettle": ["class", "width", "height"],
    "allowEval": False,
    "selfRequestsOnly": True,
    "historyCacheSize": 0,
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..", "swap": True},
        {"code": "4(09|22)", "swap": True, "error": False},
        {"code": "[45]..", "swap": False, "error": True},
    ],
}


class Theme(NamedTuple):
    """A choice of colours."""

    value: str
    label: str
    icon: str


THEMES = (Theme("system", "Like the system", "monitor"), Theme("light", "Light", "sun"), Theme("dark", "Dark", "moon"))


@dataclass(frozen=True)
class Badge:
    """How many turns wait, and the number of the topic from which the count is kept current."""

    count: int
    number: int


@dataclass
class Frame:
    """Answers what the templates of the frame ask; nothing is looked up that no template asks for."""

    request: HttpRequest

    htmx_config = to_json(HTMX).decode()
    themes = THEMES

    @cached_property
    def user(self) -> User | None:
        """The person signed in."""
        user = getattr(self.request, "user", None)
        return user if isinstance(user, User) else None

    @cached_property
    def groups(self) -> list[Group]:
        """The menu; strangers have none."""
        return menu_of(self.user, self.request.path) if self.user else []

    @cached_property
    def waiting(self) -> Badge:
        """Turns that wait for somebody."""
        number = async_to_sync(live.head)("waiting")  # before the count: what happens between is told again, not lost
        return Badge(count_waiting(), number)

    @cached_property
    def failed_jobs(self) -> Badge:
        """Jobs that failed lately and wait for somebody to look."""
        number = async_to_sync(live.head)("jobs")
        return Badge(Job.objects.unanswered_failures().count(), number)

    @property
    def theme(self) -> str:
        """The person's colours; a stranger's come from the cookie."""
        value = self.user.theme if self.user else self.request.COOKIES.get(THEME_COOKIE, "")
        return value if value in ("light", "dark") else "system"

    @property
    def theme_icon(self) -> str:
        """The symbol of the colours in use."""
        return next(theme.icon for theme in THEMES if theme.value == self.theme)

    @property
    def nav_state(self) -> str:
        """How the menu stands: none, auto, full or rail."""
        return self.user.nav if self.user else "none"

    @property
    def zone(self) -> str:
        """The time zone a person chose; empty is the browser's."""
        return self.user.time_zone if self.user else ""

    @property
    def shortcuts(self) -> bool:
        """Whether single keys act."""
        return self.user.shortcuts if self.user else False

    @property
    def initials(self) -> str:
        """Two letters for the account button."""
        name = (self.user.get_full_name() or self.user.username) if self.user else ""
        words = name.replace(".", " ").replace("-", " ").split()
        return "".join(word[0] for word in words[:2]).upper() if len(words) > 1 else name[:2].upper()

    @property
    def role(self) -> str:
        """The person's role in words."""
        return self.user.get_role_display() if self.user else ""


def frame(request: HttpRequest) -> dict[str, Any]:
    """Return the frame for the templates."""
    return {"frame": Frame(request)}
