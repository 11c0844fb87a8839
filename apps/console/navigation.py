"""The menu as data: one line an item. Later pages add a line here and appear for the roles that may open them."""

from dataclasses import dataclass, replace

from apps.accounts.models import User


@dataclass(frozen=True)
class Item:
    """A place in the menu; ``under`` is the part of the address that belongs to it."""

    name: str
    label: str
    icon: str
    path: str
    role: str = "viewer"
    under: str = ""
    is_here: bool = False


@dataclass(frozen=True)
class Group:
    """Items under one heading."""

    title: str
    items: tuple[Item, ...]


MENU = (
    Group("", (Item("home", "Home", "house", "/"),)),
    Group(
        "Build",
        (
            Item("agents", "Agents", "bot", "/agents/"),
            Item("chat", "Chat", "messages-square", "/chat/"),
            Item("waiting", "Waiting", "hand", "/waiting/"),
        ),
    ),
    Group(
        "Observe",
        (
            Item("traces", "Traces", "list-tree", "/traces/"),
            Item("metrics", "Metrics", "chart-line", "/metrics/"),
        ),
    ),
    Group(
        "Improve",
        (
            Item("datasets", "Datasets", "database", "/datasets/"),
            Item("benchmarks", "Benchmarks", "target", "/benchmarks/"),
            Item("evaluations", "Evaluations", "clipboard-check", "/evaluations/"),
        ),
    ),
    Group(
        "Stack",
        (
            Item("models", "Models", "box", "/models/"),
            Item("scorers", "Scorers", "ruler", "/scorers/"),
            Item("providers", "Providers", "plug", "/providers/"),
        ),
    ),
    Group(
        "System",
        (
            Item("jobs", "Jobs and workers", "server", "/system/jobs/", under="/system/"),
            Item("settings", "Settings", "settings", "/settings/profile/", under="/settings/"),
        ),
    ),
)


def menu_of(user: User, path: str) -> list[Group]:
    """Return the groups this person may see, the place they are at marked."""
    groups = (Group(group.title, _open_items(group, user, path)) for group in MENU)
    return [group for group in groups if group.items]


def _open_items(group: Group, user: User, path: str) -> tuple[Item, ...]:
    return tuple(replace(item, is_here=_is_here(item, path)) for item in group.items if user.can(item.role))


def _is_here(item: Item, path: str) -> bool:
    return path == "/" if item.path == "/" else path.startswith(item.under or item.path)
