"""The dialog that adds the rows that got worse to a dataset; without script it is a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from pydantic_core import from_json

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core import once
from apps.core.errors import ConsoleError
from apps.datasets import live
from apps.evals import compare_asked, compare_rows, comparing, failing
from apps.evals.compare_views import comparisons, flips_of
from apps.evals.forms import KeepForm
from apps.evals.models import EvaluatedRow, Evaluation

SHOWN = 3
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Worse(failing.Failing):
    """Rows of a run that scored worse than in its base, by their places."""

    positions: tuple[int, ...] = ()

    def rows(self, evaluation: Evaluation) -> Iterator[EvaluatedRow]:
        """Yield them in their order."""
        for at in range(0, len(self.positions), CHUNK):
            found = compare_rows.rows_at(evaluation, self.positions[at : at + CHUNK])
            yield from (found[place] for place in sorted(found))


class KeepWorseForm(KeepForm):
    """Which dataset the rows go to."""

    which = None  # type: ignore[assignment]
    below = None  # type: ignore[assignment]

    def __init__(self, data: Any, *, evaluation: Evaluation, worse: Worse) -> None:
        self.worse = worse
        super().__init__(data, evaluation=evaluation)

    def _look(self) -> None:
        self.failing = self.worse
        self.count = len(self.worse.positions)
        first = compare_rows.rows_at(self.evaluation, self.worse.positions[: failing.CHUNK // 10])
        self.shown = [first[place] for place in sorted(first)]


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def compare_keep(request: HttpRequest) -> HttpResponse:
    """Ask which dataset the rows that got worse go to, show the first of them, and add them."""
    asked = compare_asked.of(request.GET)
    if not asked.base or not asked.others:
        raise Http404("Name the runs: ?base=<job>&with=<job>")
    shown, outcome = flips_of(asked, comparisons(asked))
    found = compare_rows.flipped(shown, outcome, comparing.WORSE) if outcome else []
    worse = Worse(comparing.WORSE, positions=tuple(sorted(two for _, two in found)))
    sent = request.method == "POST"
    form = KeepWorseForm(request.POST if sent else request.GET, evaluation=shown.other, worse=worse)
    if sent and form.is_valid() and (added := _kept(request, form)):
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, "evals/_kept.html", {"added": added})
        return redirect("datasets:dataset-detail", added.dataset.dataset_id)
    context: dict[str, Any] = {
        "form": form,
        "outcome": outcome,
        "comparison": shown,
        "rows": [from_json(row.row) for row in form.shown[:SHOWN]],
        "query": asked.link(),
        "back": reverse("evals:evaluation-compare") + asked.link(),
    }
    template = "evals/_compare_keep.html" if request.htmx else "evals/compare_keep.html"  # type: ignore[attr-defined]
    return render(request, template, context, status=422 if sent else 200)


def _kept(request: HttpRequest, form: KeepWorseForm) -> failing.Added | None:
    given = form.cleaned_data
    purpose = form.target.purpose if form.target else given["purpose"] or next(iter(form.fit), "")
    try:
        with transaction.atomic():
            added = failing.keep(
                form.evaluation, form.failing, form.target, given["name"], purpose, principal_of(request)
            )
    except ConsoleError as error:
        form.add_error(None, error.detail)
        return None
    live.changed_from_sync(added.dataset)
    return added
