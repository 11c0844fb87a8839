"""Benchmarks, schedules, scoring functions, evaluations and their rows in the admin: read by key, never counted."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.core.in_console import in_console
from apps.core.uncounted import Uncounted
from apps.evals.models import Benchmark, EvaluatedRow, Evaluation, HumanScore, Schedule, ScoringFunction

SHOWN = 120


class Shown(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are made, changed and deleted by the API and on their pages alone, where all that follows is done."""

    paginator = Uncounted
    show_full_result_count = False
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They are made by the API, on their page, or by a job."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The API has no change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What runs must be stopped with them: their pages do that."""
        return False


@admin.register(Benchmark)
class BenchmarkAdmin(Shown):
    """Shows benchmarks."""

    list_display = ("benchmark_id", "dataset_id", "created_at", "created_by", in_console)
    list_select_related = ("created_by",)
    search_fields = ("benchmark_id", "dataset_id")


@admin.register(Schedule)
class ScheduleAdmin(Shown):
    """Shows schedules."""

    list_display = ("id", "benchmark", "every", "next_at", "is_paused", "outcome", "created_by", in_console)
    list_select_related = ("benchmark", "created_by")
    search_fields = ("benchmark__benchmark_id",)


@admin.register(ScoringFunction)
class ScoringFunctionAdmin(Shown):
    """Shows the scoring functions somebody registered; built-in ones are code."""

    list_display = ("scoring_fn_id", "provider_scoring_fn_id", "created_at", "created_by", in_console)
    list_select_related = ("created_by",)
    search_fields = ("scoring_fn_id",)


@admin.register(Evaluation)
class EvaluationAdmin(Shown):
    """Shows evaluations."""

    list_display = ("id", "candidate", "benchmark_id", "state", "row_count", "failed_count", "created_at", in_console)
    list_select_related = ("job",)
    search_fields = ("benchmark_id__startswith", "candidate__startswith", "job__job_id__exact")
    raw_id_fields = ("job",)

    @admin.display(description="state")
    def state(self, row: Evaluation) -> str:
        """Return where its job is."""
        return row.job.get_status_display()


@admin.register(EvaluatedRow)
class EvaluatedRowAdmin(Shown):
    """Shows the rows of evaluations."""

    list_display = ("id", "evaluation", "position", "short", "error", "duration_ms", in_console)
    list_select_related = ("evaluation__job",)
    list_per_page = 50
    raw_id_fields = ("evaluation",)

    @admin.display(description="row")
    def short(self, row: EvaluatedRow) -> str:
        """Return the beginning of the row."""
        return row.row[:SHOWN]


@admin.register(HumanScore)
class HumanScoreAdmin(Shown):
    """Shows what people gave rows."""

    list_display = ("id", "evaluation", "position", "score", "note", "given_by", "given_at", in_console)
    list_select_related = ("evaluation__job", "given_by")
    search_fields = ("evaluation__job__job_id__exact", "given_by__username__startswith")
    raw_id_fields = ("evaluation", "given_by")
