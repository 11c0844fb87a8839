"""The way from a list of the admin site to the console; from a row's own page Django leads by itself."""

from typing import Protocol

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString


class HasPage(Protocol):
    """A row that the console has a page for."""

    def get_absolute_url(self) -> str:
        """Return the address of that page."""


@admin.display(description="console")
def in_console(row: HasPage) -> SafeString:
    """Return a link to the row's page; a column of lists."""
    return format_html('<a href="{}">Open</a>', row.get_absolute_url())
