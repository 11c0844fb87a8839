"""What pages of a run show only the beginning of when it is long, as JSON, whole."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from apps.accounts.pages import requires
from apps.core.fields import json_text
from apps.evals import code, lookup


@require_GET
@requires("viewer")
def evaluation_json(request: HttpRequest, job_id: str, what: str) -> HttpResponse:
    """Answer with the body of the request that starts the same run, or with the parameters of its functions."""
    evaluation = lookup.evaluation_or_404(job_id)
    if what == "request":
        return _as_json(json_text(code.body_of(evaluation.config)))
    if what == "scoring":
        return _as_json(json_text(evaluation.scoring))
    raise Http404(f"'{what}' of an evaluation is not there as JSON.")


@require_GET
@requires("viewer")
def row_json(request: HttpRequest, job_id: str, number: int) -> HttpResponse:
    """Answer with a row, its generation and its scores, as they are stored."""
    row = lookup.row_or_404(lookup.evaluation_or_404(job_id), number)
    return _as_json(f'{{"row":{row.row},"generation":{row.generation},"scores":{row.scores}}}')


def _as_json(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="application/json; charset=utf-8")
