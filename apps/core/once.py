"""Double sends are harmless: a form carries a key, and a key acts once.

``{% once %}`` writes the key into the form; ``@once.only`` around the view answers a second send with the place the
first one led to. A view that leads nowhere claims ``key_of`` its request by itself. Keys live in the cache, shared by
all processes when the cache is.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

FIELD = "once"
KEEP_S = 3_600
WAIT_S = 10.0
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def only(view: View[P]) -> View[P]:
    """Return the view that acts once per key; a repeated send is led where the first one was.

    A first send that did not redirect (its input was refused, or it failed) gives the key back.
    """

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        key = key_of(request)
        if request.method != "POST" or key is None:
            return view(request, *args, **kwargs)
        if not cache.add(key, "", KEEP_S):
            return _again(request, key)
        place = ""
        try:
            response = view(request, *args, **kwargs)
            place = response.get("Location") or response.get("HX-Redirect") or ""
            return response
        finally:
            if place:
                cache.set(key, place, KEEP_S)
            else:
                cache.delete(key)

    return guarded


def key_of(request: HttpRequest) -> str | None:
    """Return the name under which this form's key is kept; None for a form without one, which acts each time."""
    token = request.POST.get(FIELD, "") if request.method == "POST" else ""
    return f"once:{getattr(request.user, 'pk', None)}:{token[:64]}" if token else None


def _again(request: HttpRequest, key: str) -> HttpResponse:
    """Wait for the first send to finish and answer as it did."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        place = cache.get(key)
        if place:
            return _led_to(request, place)
        if place is None:
            break
        time.sleep(0.05)
    return _led_to(request, request.get_full_path())


def _led_to(request: HttpRequest, place: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": place})
    return HttpResponseRedirect(place)
