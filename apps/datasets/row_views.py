"""Pages of one row: read it beside the grid, edit it as JSON, take rows away."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.core.errors import ConsoleError, NotFound
from apps.core.htmx import is_partial
from apps.datasets import grid, live, rows
from apps.datasets.forms import RowForm
from apps.datasets.models import Dataset, Row
from apps.datasets.views import dataset_or_404, detail

AT_ONCE = 500  # rows a form takes away


@require_GET
@requires("viewer")
def row_detail(request: HttpRequest, dataset_id: str, number: int) -> HttpResponse:
    """Show a row beside the rows around it; ``?tab=json`` shows its text."""
    dataset = dataset_or_404(dataset_id)
    context = row_context(request, dataset, number)
    if is_partial(request):
        return render(request, "datasets/_row.html", context)
    query = request.GET.copy()
    if not {"after", "before", "q"} & query.keys():
        query["after"] = str(number)  # the page of the grid on which this row stands first
    return render(request, "datasets/dataset_detail.html", detail(request, dataset, query) | context)


def row_context(request: HttpRequest, dataset: Dataset, number: int, form: RowForm | None = None) -> dict[str, Any]:
    """Return what the drawer shows of a row, and the ways to its neighbours."""
    row = row_or_404(dataset, number)
    value = grid.value_of(row.content)
    places = dataset.places
    index = places.index_of(row.position)
    talk = grid.talk(value)
    return {
        "dataset": dataset,
        "row": row,
        "number": number,
        "value": value,
        "talk": talk,
        "row_tab": request.GET.get("tab") or ("messages" if talk else "json"),
        "addition": grid.addition_of(dataset, row.position),
        "newer": places.position_of(index + 1) + 1 if index + 1 < dataset.row_count else None,
        "older": places.position_of(index - 1) + 1 if index else None,
        "form": form,
    }


@require_http_methods(["GET", "POST"])
@requires("operator")
def row_edit(request: HttpRequest, dataset_id: str, number: int) -> HttpResponse:
    """Give a row other content; refused when it was changed meanwhile."""
    dataset = dataset_or_404(dataset_id)
    row = row_or_404(dataset, number)
    text = grid.dumped(grid.value_of(row.content), indent=2)
    form = RowForm(request.POST if request.method == "POST" else None, initial={"content": text, "was": row.content})
    if request.method == "POST" and form.is_valid() and _changed(request, dataset, number, form):
        messages.success(request, f"Row {number} was saved.")
        return redirect("datasets:row-detail", dataset_id, number)
    context = row_context(request, dataset, number, form)
    return render(request, "datasets/row_form.html", context, status=422 if form.is_bound else 200)


def _changed(request: HttpRequest, dataset: Dataset, number: int, form: RowForm) -> bool:
    if wrong := rows.fits(dataset, form.value):
        form.add_error("content", wrong)
        return False
    was = form.cleaned_data["was"] or None
    try:
        with transaction.atomic():
            text = form.cleaned_data["content"]
            rows.replace_row(dataset.dataset_id, number - 1, text, principal_of(request), was)
    except ConsoleError as error:
        form.add_error(None, error.detail)
        return False
    live.changed_from_sync(dataset)
    return True


@require_POST
@requires("operator")
def rows_delete(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """Take the chosen rows away; the first send asks, the second, which says how many, acts."""
    dataset = dataset_or_404(dataset_id)
    chosen = [int(number) for number in request.POST.getlist("row") if number.isdecimal()][:AT_ONCE]
    back = reverse("datasets:dataset-detail", args=[dataset_id])
    if not chosen:
        messages.warning(request, "No row was chosen.")
        return redirect(back)
    if request.POST.get("count") != str(len(chosen)):
        context = {"dataset": dataset, "chosen": chosen, "back": back, "count": len(chosen)}
        return render(request, "datasets/rows_delete.html", context)
    with transaction.atomic():
        changed = rows.delete_rows(dataset_id, [number - 1 for number in chosen], principal_of(request))
    live.changed_from_sync(changed)
    gone = dataset.row_count - changed.row_count
    messages.success(request, f"{gone:,} row{'' if gone == 1 else 's'} deleted.")
    return redirect(back)


def row_or_404(dataset: Dataset, number: int) -> Row:
    """Return the row people call by this number."""
    try:
        return rows.row_at(dataset, number - 1)
    except NotFound as error:
        raise Http404(error.detail) from error
