"""The dialog that adds the rows that got worse to a dataset; without script it is a page."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.pages import requires
from apps.core import once
from apps.evals.compare import address, comparing, flips
from apps.evals.compare.views import comparisons, flips_of
from apps.evals.models import EvaluatedRow, Evaluation
from apps.evals.runs import keep_views
from apps.evals.runs.keep_form import KeepForm

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Worse:
    """Rows of a run that scored worse than in its base, by their places in order."""

    positions: tuple[int, ...]

    def rows(self, evaluation: Evaluation) -> Iterator[EvaluatedRow]:
        """Yield them in their order."""
        for at in range(0, len(self.positions), CHUNK):
            found = flips.rows_at(evaluation, self.positions[at : at + CHUNK])
            yield from (found[place] for place in sorted(found))

    def look(self, evaluation: Evaluation, most: int) -> tuple[int, list[EvaluatedRow]]:
        """Return how many they are, and the first of them."""
        return len(self.positions), list(Worse(self.positions[:most]).rows(evaluation))


@require_http_methods(["GET", "POST"])
@requires("operator")
@once.only
def compare_keep(request: HttpRequest) -> HttpResponse:
    """Ask which dataset the rows that got worse go to, show the first of them, and add them."""
    asked = address.of(request.GET)
    if not asked.base or not asked.others:
        raise Http404("Name the runs: ?base=<job>&with=<job>")
    comparison, outcome = flips_of(asked, comparisons(address.runs(asked.names)))
    worse = flips.flipped(comparison, outcome, comparing.WORSE) if outcome else []
    chosen = Worse(tuple(sorted(position for _, position in worse)))
    data = request.POST if request.method == "POST" else request.GET
    form = KeepForm(data, evaluation=comparison.other, chosen=chosen)
    if answer := keep_views.kept(request, form):
        return answer
    more = {"outcome": outcome, "query": asked.link(), "back": reverse("evals:evaluation-compare") + asked.link()}
    return keep_views.asked(request, form, ("evals/_compare_keep.html", "evals/compare_keep.html"), **more)
