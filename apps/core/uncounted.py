"""Pages of the admin site over tables that are too large to count."""

from django.core.paginator import Paginator

MANY = 10_000


class Uncounted(Paginator):  # type: ignore[type-arg]
    """Pages without counting the rows: there is a next page as long as rows come, up to a bound."""

    @property
    def count(self) -> int:  # type: ignore[override]
        """Return how many rows are offered for paging, by the keys in the list's own order rather than by a count."""
        return len(self.object_list.values_list("pk", flat=True)[:MANY])  # type: ignore[union-attr,attr-defined]
