"""White space as a browser reads it, so that tests are about pages and not about the line breaks of templates."""

import re
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

TAG = re.compile(r"""</?\w(?:"[^"]*"|'[^']*'|[^'">])*>""")
# Elements that show white space as it is: by themselves, or by their class in our style sheets.
AS_IT_IS = re.compile(
    r'(<(textarea|pre)\b.*?</\2>|<(\w+)\b[^>]*\bclass="[^"]*\b(?:code|said|wrapt|c-answer)\b.*?</\3>)', re.DOTALL
)


@sync_and_async_middleware
def as_read(get_response: Any) -> Any:
    """Return a middleware that answers pages and their parts with the white space a browser makes of them."""

    async def later(request: HttpRequest) -> HttpResponseBase:
        return _read(await get_response(request))

    def now(request: HttpRequest) -> HttpResponseBase:
        return _read(get_response(request))

    return later if iscoroutinefunction(get_response) else now


def markup(html: str) -> str:
    """Return HTML with one space for every white space, and with none inside of a tag's ends or at an element's."""
    html = TAG.sub(lambda tag: re.sub(r"\s+(/?>)$", r"\1", " ".join(tag.group().split())), html)
    parts = AS_IT_IS.split(html)
    # Each match brings the whole element and two names of tags; what stands between two matches is every fourth.
    return "".join(part if at % 4 else _joined(part) for at, part in enumerate(parts) if at % 4 < 2).strip()


def _joined(html: str) -> str:
    html = re.sub(r"\s+", " ", html)
    return re.sub(r"(<(?!ins|del|mark)\w[^>]*>) | (?=</)", r"\1", html)


def _read(answer: HttpResponseBase) -> HttpResponseBase:
    if isinstance(answer, HttpResponse) and answer.get("Content-Type", "").startswith("text/html"):
        answer.content = markup(answer.content.decode()).encode()
    return answer
