"""The dialog that adds spans to a dataset, from the list of traces and from a trace; without script it is a page."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.auth import principal_of
from apps.accounts.pages import requires
from apps.accounts.principals import Principal
from apps.core.errors import BadRequest, ConsoleError
from apps.core.numbers import whole
from apps.core.once import only
from apps.datasets import live as dataset_live
from apps.datasets import registry, rows, schemas, uses
from apps.datasets.models import Dataset, Purpose
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.jobs.models import Job
from apps.telemetry import windows
from apps.telemetry.models import Span
from apps.telemetry.traces import filters, keeping
from apps.telemetry.traces import listing as trace_list
from apps.telemetry.traces.listing import Asked

OFFERED = 100
SHOWN = 3
FITTED = 50  # spans of which one must fit for a purpose to be offered
AT_ONCE = 500  # spans that are added while somebody waits; more are a job
CHOSEN = 500
KEEP = "apps.telemetry.traces.keep_views.run"


@dataclass(frozen=True, slots=True)
class Choice:
    """The spans a form speaks of: single ones, or those of a kind in traces."""

    numbers: tuple[int, ...] = ()
    asked: Asked | None = None
    which: str = ""

    def spans(self) -> QuerySet[Span]:
        """Return them, in no order."""
        if self.asked is None:
            return Span.objects.filter(pk__in=self.numbers).order_by()
        return keeping.spans_of(self.asked.traces(), self.which)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What a form sends to mean the same."""
        if self.asked is None:
            return [("span", ",".join(map(str, self.numbers)))]
        if self.asked.chosen:
            return [("trace", ",".join(self.asked.chosen))]
        return [("all", "1"), *self.asked.query.items()]

    @property
    def arguments(self) -> dict[str, Any]:
        """The same for a job, which runs later: times are fixed."""
        if self.asked is None:
            return {"numbers": list(self.numbers)}
        window = self.asked.window
        return {
            "q": self.asked.filter.text,
            "from_ns": window.start_ns,
            "to_ns": window.until_ns,
            "chosen": list(self.asked.chosen),
            "which": self.which,
        }


def choice_of(query: QueryDict) -> Choice:
    """Return which spans are meant; raises BadRequest for none, or for a filter that was not understood."""
    told = [whole(one) for text in query.getlist("span") for one in text.split(",")]
    numbers = tuple(number for number in told if number is not None)
    if len(numbers) > CHOSEN:
        raise BadRequest(f"At most {CHOSEN} spans are chosen one by one.")
    if numbers:
        return Choice(numbers)
    asked = trace_list.chosen_of(query)
    asked.check()
    which = query.get("which", "inf")
    return Choice(asked=asked, which=which if which in keeping.WHICH else "inf")


class KeepForm(forms.Form):
    """Which spans go where."""

    which = forms.ChoiceField(choices=list(keeping.WHICH.items()), label="Spans")
    into = forms.ChoiceField(label="Dataset", required=False)
    name = forms.CharField(label="Name of the new dataset", max_length=255, required=False)
    purpose = forms.ChoiceField(choices=Purpose.choices, label="For")
    again = forms.BooleanField(label="Add those that are in it already once more", required=False)

    def __init__(self, *args: Any, datasets: list[Dataset], **options: Any) -> None:
        super().__init__(*args, **options)
        offered = [(one.dataset_id, f"{one.dataset_id} ({one.get_purpose_display()})") for one in datasets]
        self.fields["into"].choices = [("", "A new dataset"), *offered]  # type: ignore[attr-defined]


def _datasets(fitting: set[str]) -> tuple[list[Dataset], list[tuple[Dataset, str]]]:
    """Return the datasets that rows may go to, and the others with why not."""
    found = Dataset.objects.shown().defer("gaps").order_by("-updated_at")[:OFFERED]
    offered, others = [], []
    for one in found:
        why = uses.refusal_of_rows(one)
        if not why and one.purpose not in fitting:
            why = f"none of these spans makes a row of {one.get_purpose_display()}"
        if why:
            others.append((one, why))
        else:
            offered.append(one)
    return offered, others


@dataclass
class Asking:
    """What the dialog knows: the spans that are meant, where they may go, and the rows they become."""

    choice: Choice
    count: int
    form: KeepForm
    others: list[tuple[Dataset, str]]
    target: Dataset | None
    purpose: str
    made: keeping.Rows

    @property
    def context(self) -> dict[str, Any]:
        """What the dialog shows."""
        return {
            "form": self.form,
            "fields": self.choice.fields,
            "has_traces": self.choice.asked is not None,
            "target": self.target,
            "count": self.count,
            "is_more": self.count > trace_list.EXACT,
            "is_job": self.count > AT_ONCE,
            "made": self.made,
            "shown": [kept.row for kept in self.made.kept[:SHOWN]],
            "others": self.others,
            "back": reverse("telemetry:trace-list"),
        }


def _asking(query: QueryDict) -> Asking:
    """Return what a form asks for, of the first spans that are meant; raises BadRequest."""
    choice = choice_of(query)
    spans = choice.spans()
    first = next(keeping.in_chunks(spans), [])
    fitting = {purpose for purpose in Purpose.values if len(keeping.rows_of(first[:FITTED], purpose))}
    offered, others = _datasets(fitting)
    usual = str(Purpose.TRAINING) if Purpose.TRAINING in fitting or not fitting else min(fitting)
    form = KeepForm({"which": choice.which or "inf", "purpose": usual} | query.dict(), datasets=offered)
    form.is_valid()
    target = next((one for one in offered if one.dataset_id == form.cleaned_data.get("into")), None)
    purpose = target.purpose if target else form.cleaned_data.get("purpose") or usual
    made = keeping.rows_of(first, purpose)
    if target is not None and not form.cleaned_data.get("again"):
        made = keeping.without(made, keeping.kept_in(target))
    return Asking(choice, spans[: trace_list.EXACT + 1].count(), form, others, target, purpose, made)


@require_http_methods(["GET", "POST"])
@requires("operator")
@only
def spans_keep(request: HttpRequest) -> HttpResponse:
    """Ask which dataset spans go to, show the first rows they become, and add them."""
    sent = request.method == "POST"
    try:
        asking = _asking(request.POST if sent else request.GET)
    except BadRequest as error:
        return _nothing(request, error.detail)
    if sent and asking.form.is_valid():
        try:
            return _keep(request, asking)
        except ConsoleError as error:
            asking.form.add_error(None, error.detail)
    template = "telemetry/_keep.html" if request.htmx else "telemetry/spans_keep.html"  # type: ignore[attr-defined]
    return render(request, template, asking.context, status=422 if sent else 200)


def _nothing(request: HttpRequest, why: str) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "telemetry/_kept.html", {"why": why})
    messages.warning(request, why)
    return redirect("telemetry:trace-list")


def _keep(request: HttpRequest, asking: Asking) -> HttpResponse:
    """Add the rows, or ask for the job that does; raises ConsoleError and adds nothing."""
    actor, given = principal_of(request), asking.form.cleaned_data
    if asking.count > AT_ONCE:
        with transaction.atomic():
            dataset = asking.target or _new(given["name"], asking.purpose, actor)
            job = _ask(asking, dataset, actor)
        return _kept(request, {"dataset": dataset, "job": job})
    spans = [span for some in keeping.in_chunks(asking.choice.spans()) for span in some]
    with transaction.atomic():
        dataset = asking.target or _new(given["name"], asking.purpose, actor)
        made = add(spans, dataset, actor, skip=not given["again"])
        if not made.kept:
            raise ConsoleError(f"Nothing was added: {_told(made)}", status=409)
    dataset.refresh_from_db()
    dataset_live.changed_from_sync(dataset)
    return _kept(request, {"dataset": dataset, "made": made})


def _ask(asking: Asking, dataset: Dataset, actor: Principal) -> Job:
    arguments = asking.choice.arguments | {
        "into": dataset.dataset_id,
        "skip": not asking.form.cleaned_data["again"],
        "count": asking.count,
        "actor": actor.name,
        "user_id": actor.user_id,
    }
    title, about = f"Add spans to {dataset.dataset_id}", ("dataset", dataset.dataset_id)
    return runner.enqueue(KEEP, arguments, kind="span keep", title=title, about=about, actor=actor)


def _told(made: keeping.Rows) -> str:
    reasons = (f"{number:,} {why}" for why, number in made.left_out.items())
    return "; ".join(reasons) + "." if made.left_out else "no span fits."


def _new(name: str, purpose: str, actor: Principal) -> Dataset:
    registry.check_name(name or None)
    asked = schemas.RegisterDatasetRequest.model_validate(
        {"purpose": purpose, "source": schemas.RowsDataSource(rows=[]), "dataset_id": name or None}
    )
    return registry.register_rows(registry.Request(asked, [], []), actor)


def add(spans: list[Span], dataset: Dataset, actor: Principal, *, skip: bool) -> keeping.Rows:
    """Add spans as rows and return what was added; called inside a write. With ``skip`` none is added twice."""
    locked = rows.locked(dataset.dataset_id)
    made = keeping.rows_of(spans, locked.purpose)
    if skip:
        made = keeping.without(made, keeping.kept_in(locked))
    if made.kept:
        texts, origins = [kept.text for kept in made.kept], [kept.origin for kept in made.kept]
        traces = len({origin["trace_id"] for origin in origins})
        about = f"{traces:,} trace{'' if traces == 1 else 's'}"
        rows.append_rows(locked.dataset_id, texts, actor, rows.Source("span", about), origins)
    return made


def _kept(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "telemetry/_kept.html", context)
    if job := context.get("job"):
        return redirect("jobs:job-detail", job.job_id)
    return redirect("datasets:dataset-detail", context["dataset"].dataset_id)


def run(job: Handle) -> dict[str, Any]:
    """Add many spans, some at a time, going on behind the last one added: the work of the job ``span keep``."""
    told = job.arguments
    dataset = Dataset.objects.named(told["into"])
    actor = Principal("operator", user_id=told["user_id"], name=told["actor"])
    state = dict(job.checkpoint or {"above": 0, "seen": 0, "rows": 0})
    for some in keeping.in_chunks(_meant(told).spans(), state["above"]):
        job.check()
        with transaction.atomic():
            made = add(some, dataset, actor, skip=told["skip"])
            state = {
                "above": some[-1].pk,
                "seen": state["seen"] + len(some),
                "rows": state["rows"] + len(made),
            }
            job.keep(state)
        job.progress(state["seen"], max(told["count"], state["seen"]), "spans")
    dataset.refresh_from_db()
    dataset_live.changed_from_sync(dataset)
    return {"spans": state["seen"], "rows": state["rows"], "dataset": dataset.dataset_id}


def _meant(told: dict[str, Any]) -> Choice:
    if "numbers" in told:
        return Choice(tuple(told["numbers"]))
    window = windows.Window("own", told["from_ns"], told["to_ns"])
    asked = Asked(filters.parse(told["q"], window.start_ns), window, tuple(told["chosen"]))
    return Choice(asked=asked, which=told["which"])
