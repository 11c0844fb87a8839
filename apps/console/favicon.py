"""The mark of the console, for pages that name none of their own: the admin, a picture opened alone."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control

MARK = (
    b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='#6259e6' stroke-width='2' "
    b"stroke-linejoin='round'>"
    b"<path d='m12 2.5 9.5 4.5-9.5 4.5L2.5 7zM2.5 12l9.5 4.5 9.5-4.5m-19 5 9.5 4.5 9.5-4.5'/></svg>"
)


@cache_control(public=True, max_age=86_400)
def favicon(request: HttpRequest) -> HttpResponse:
    """Return the mark; browsers ask for it at this address by themselves."""
    return HttpResponse(MARK, content_type="image/svg+xml")
