"""Ids in the addresses of pages: whatever a client named a thing, it has a page. Knows no domain."""

import re
from typing import ClassVar

from django.urls.converters import PathConverter


class IdConverter(PathConverter):
    """An id that may hold slashes, beside ``words`` that have a meaning of their own in the addresses of its kind.

    A part of an id that reads like one of them stands behind a tilde: the page of ``x/delete`` is ``x/~delete/``. Any
    other id stands as it is; an address that is typed without the tilde is read as well where it means nothing else.
    """

    words: ClassVar[tuple[str, ...]] = ()
    regex = "(?s:.+)"

    def __init__(self) -> None:
        any_word = "|".join(map(re.escape, self.words))
        self._plain = re.compile(rf"(?<![^/])(~*(?:{any_word}))(?![^/])")
        self._marked = re.compile(rf"(?<![^/])~(~*(?:{any_word}))(?![^/])")

    def to_url(self, value: str) -> str:
        """Return the id as it stands in an address; those with tildes of their own get one more."""
        return self._plain.sub(r"~\1", value)

    def to_python(self, value: str) -> str:
        """Return the id an address means."""
        return self._marked.sub(r"\1", value)
