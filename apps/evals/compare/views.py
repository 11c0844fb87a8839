"""Pages that hold runs against each other: which to choose, what got better and worse, and the rows that flipped."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.pages import requires
from apps.core.code import Call, origin_of
from apps.core.keyset import page_of
from apps.datasets.models import Dataset
from apps.evals import baseline, code, standings
from apps.evals.compare import address, comparing, facts, flips, setup_diff
from apps.evals.compare.address import Asked
from apps.evals.compare.comparing import Comparison, Outcome
from apps.evals.models import Benchmark, Evaluation

Json = dict[str, Any]
PICKED = 25


@require_GET
@requires("viewer")
def evaluation_compare(request: HttpRequest) -> HttpResponse:
    """Compare a base with up to four other runs; what is missing in the address is asked for.

    Where no base is named, as by ``?run=`` of a list, it is the baseline of a benchmark, else the oldest run.
    """
    asked = address.of(request.GET)
    if chosen := address.baseless(request.GET):
        return redirect(reverse("evals:evaluation-compare") + _with_base(chosen, "pick" in request.GET))
    if not asked.base or not asked.others:
        return _pick(request, asked)
    found = address.runs([*asked.names, *asked.left_out])
    runs, left_out = found[: len(asked.names)], found[len(asked.names) :]
    if "now" not in request.GET and sum(run.row_count for run in runs) > comparing.LATE:
        # So many rows are worth waiting for with the page in sight.
        now = asked.link(start=asked.start, now=True)
        return render(request, "evals/compare_late.html", {"runs": runs, "now": now})
    return render(request, "evals/compare.html", _compared(request, asked, runs) | {"left_out": left_out})


def _with_base(chosen: list[str], is_pick: bool) -> str:
    """Return the query string that compares these runs: one alone with the baseline of its benchmark.

    Where there is no other, it is a base that others are chosen for.
    """
    found = address.runs(chosen)
    base = baseline.of(found[0].benchmark_id) if len(found) == 1 else None
    if base is not None and base not in found:
        found.append(base)
    baselines = baseline.among(found)
    names = [one.job.job_id for one in sorted(found, key=lambda one: (one.pk not in baselines, one.pk))]
    return Asked(names[0], tuple(names[1:])).link() + ("&pick=yes" if is_pick and not names[1:] else "")


def comparisons(runs: list[Evaluation]) -> list[Comparison]:
    """Return the first run, the base, held against each of the others; a query for each one's scores."""
    base, *others = runs
    ours = comparing.side(base)
    return [comparing.compare(ours, comparing.side(one)) for one in others]


def flips_of(asked: Asked, all_: list[Comparison]) -> tuple[Comparison, Outcome | None]:
    """Return the comparison and the function's outcome whose flipped rows an address is about."""
    shown = next(one for one in all_ if one.other.job.job_id == asked.compared)
    return shown, shown.outcome(asked.scorer)


def _compared(request: HttpRequest, asked: Asked, runs: list[Evaluation]) -> Json:
    all_ = comparisons(runs)
    shown, outcome = flips_of(asked, all_)
    base = shown.base
    benchmark = Benchmark.objects.filter(benchmark_id=base.benchmark_id).first()
    return {
        "asked": asked,
        "base": base,
        "runs": runs,
        "newest": max(runs, key=lambda one: one.pk) if len(runs) > 2 else None,
        "with_cards": [
            (one.other, asked.based_on(one.other.job.job_id), setup_diff.words_of(base, one.other)) for one in all_
        ],
        "groups": _groups(asked, all_, outcome),
        "facts": _facts(all_),
        "is_many": len(all_) > 1,
        "notes": [note for one in all_ for note in _notes(one, len(all_) > 1)],
        "shown": shown,
        "outcome": outcome,
        "flips": _flips(asked, shown, outcome) if outcome else None,
        "scorers": [(one.name, asked.link(scorer=one.name, show="")) for one in shown.outcomes if one.is_shared],
        "against": [(one.other, asked.link(against=_against(asked, one))) for one in all_],
        "keep_query": asked.link(scorer=outcome.name, show="") if outcome else "",
        "query": asked.link(),
        "has_dataset": Dataset.objects.shown().filter(dataset_id=base.dataset_id).exists(),
        "has_benchmark": benchmark is not None,
        "baseline_id": benchmark.baseline_id if benchmark else None,
        "poll": any(one.job.is_active for one in runs),
        "calls": [("compare", "", _code(request, shown, all_, outcome))],
    }


def _code(request: HttpRequest, shown: Comparison, all_: list[Comparison], outcome: Outcome | None) -> Call:
    """Return the calls that make the same comparison: the base, the run that is shown, then the others."""
    runs = [shown.base, shown.other, *(one.other for one in all_ if one is not shown)]
    return code.compared(origin_of(request), runs, outcome.name if outcome else "SCORER")


def _against(asked: Asked, one: Comparison) -> str:
    job_id = one.other.job.job_id
    return "" if job_id == asked.others[0] else job_id


def _groups(asked: Asked, all_: list[Comparison], shown: Outcome | None) -> list[Json]:
    """Return the lines of the table of scores, those of a function together, the best number marked."""
    names = dict.fromkeys(one.name for comparison in all_ for one in comparison.outcomes)
    return [_group(asked, name, all_, shown) for name in names]


def _group(asked: Asked, name: str, all_: list[Comparison], shown: Outcome | None) -> Json:
    lines = [(one, line) for one in all_ for line in one.outcomes if line.name == name]
    values = [lines[0][1].base.value, *(line.other.value for _, line in lines)]
    best = max((value for value in values if value is not None), default=None)
    is_clear = len(all_) > 1 and best is not None and values.count(best) == 1
    return {
        "name": name,
        "is_base_best": is_clear and values[0] == best,
        "lines": [
            {
                "run": one.other,
                "told": line,
                "counts": line.counts,
                "is_shown": line is shown,
                "is_best": is_clear and line.other.value == best,
                "link": asked.link(scorer=name, against=_against(asked, one), show="") if line.is_shared else "",
            }
            for one, line in lines
        ],
    }


def _facts(all_: list[Comparison]) -> list[list[tuple[Evaluation, facts.Fact]]]:
    """Return what the runs took, those lines together that tell the same."""
    told = [(one.other, fact) for one in all_ for fact in facts.of(one)]
    return [[(run, fact) for run, fact in told if fact.name == name] for name in dict.fromkeys(f.name for _, f in told)]


def _flips(asked: Asked, shown: Comparison, outcome: Outcome) -> Json:
    counts = outcome.counts
    page = flips.page_of(shown, outcome, asked.show, asked.start)
    numbers = [(show, words, counts[show] if show else outcome.flipped) for show, words in flips.SHOWS.items()]
    always = ("", comparing.BETTER, comparing.WORSE)
    return {
        "page": page,
        "last": page.first + len(page.rows) - 1,
        "earlier": None if page.earlier is None else asked.link(start=page.earlier),
        "later": None if page.later is None else asked.link(start=page.later),
        "shows": [
            (words, count, asked.link(show=show), show == asked.show)
            for show, words, count in numbers
            if count or show in always or show == asked.show
        ],
    }


def _notes(one: Comparison, is_many: bool) -> list[str]:
    """Return what a reader has to know about how far two runs can be compared."""
    who = f"Run {one.other.pk}: " if is_many else ""
    notes = []
    if one.base.dataset_id != one.other.dataset_id:
        notes.append(f"The runs are of different datasets, {one.base.dataset_id} and {one.other.dataset_id}.")
    if one.base_only or one.other_only:
        left = [
            f"{count:,} {'is' if count == 1 else 'are'} only in run {run.pk}"
            for count, run in ((one.base_only, one.base), (one.other_only, one.other))
            if count
        ]
        same = len(one.pairs)
        are = "row is the same in both and is" if same == 1 else "rows are the same in both and are"
        notes.append(f"{same:,} {are} compared; {' and '.join(left)}.")
    active = [run for run in (one.base, one.other) if run.job.is_active]
    notes += [f"Run {run.pk} is not finished: {run.row_count:,} of {run.row_total:,} rows." for run in active]
    return [who + note for note in notes]


def _pick(request: HttpRequest, asked: Asked) -> HttpResponse:
    """Ask for the runs: any, or those of a benchmark, of which the baseline is the base.

    With a base they are those of its own benchmark unless all are wanted.
    """
    benchmark = request.GET.get("benchmark", "")
    base = address.runs([asked.base])[0] if asked.base else baseline.of(benchmark) if benchmark else None
    rows = Evaluation.objects.listed().filter(row_count__gt=0).annotate(is_baseline=baseline.IS_BASELINE)
    of_all = base is None or request.GET.get("of") == "all"
    if base is not None:
        rows = rows.exclude(pk=base.pk)
        benchmark = "" if of_all else base.benchmark_id
    if benchmark:
        rows = rows.filter(benchmark_id=benchmark)
    page = page_of(rows, request.GET, size=PICKED)
    context = {
        "base": base,
        "page": page,
        "rows": [(run, standings.scores_of(run)) for run in page],
        "of_all": of_all,
        "too_few": "pick" in request.GET,
        "base_scores": standings.scores_of(base) if base else None,
    }
    return render(request, "evals/compare_pick.html", context)
