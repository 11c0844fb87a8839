"""Pages of this app; ids of benchmarks may hold slashes, so what follows an id comes before the id alone."""

from django.urls import path, register_converter

from apps.core.addresses import IdConverter
from apps.evals.benchmarks import schedule_views as schedules
from apps.evals.benchmarks import views as benchmarks
from apps.evals.compare import baseline_views
from apps.evals.compare import export_views as compare_exports
from apps.evals.compare import keep_views as compare_keeps
from apps.evals.compare import views as compare
from apps.evals.runs import export_views, json_views, keep_views, list_views, removal_views, row_views, start_views
from apps.evals.runs import views as runs
from apps.evals.scorers import change_views as scorer_changes
from apps.evals.scorers import views as scorers


class BenchmarkId(IdConverter):
    """The id of a benchmark."""

    words = ("new", "delete")


class ScorerId(IdConverter):
    """The id of a scoring function."""

    words = ("new", "edit", "switch", "delete", "try")


register_converter(BenchmarkId, "benchmark")
register_converter(ScorerId, "scorer")
app_name = "evals"
BENCHMARK = "benchmarks/<benchmark:benchmark_id>/"
SCHEDULE = "evaluations/schedules/<int:number>/"
RUN = "evaluations/<str:job_id>/"
SCORER = "scorers/<scorer:scoring_fn_id>/"
urlpatterns = [
    path("benchmarks/", benchmarks.benchmark_list, name="benchmark-list"),
    path("benchmarks/new/", benchmarks.benchmark_new, name="benchmark-new"),
    path(f"{BENCHMARK}delete/", benchmarks.benchmark_delete, name="benchmark-delete"),
    path(BENCHMARK, benchmarks.benchmark_detail, name="benchmark-detail"),
    path("evaluations/", list_views.evaluation_list, name="evaluation-list"),
    path("evaluations/new/", start_views.evaluation_new, name="evaluation-new"),
    path("evaluations/estimate/", start_views.evaluation_estimate, name="evaluation-estimate"),
    path("evaluations/compare/", compare.evaluation_compare, name="evaluation-compare"),
    path("evaluations/compare/export.csv", compare_exports.compare_export, name="compare-export"),
    path("evaluations/compare/keep/", compare_keeps.compare_keep, name="compare-keep"),
    path(f"{SCHEDULE}run/", schedules.schedule_run, name="schedule-run"),
    path(f"{SCHEDULE}edit/", schedules.schedule_edit, name="schedule-edit"),
    path(f"{SCHEDULE}pause/", schedules.schedule_pause, name="schedule-pause"),
    path(f"{SCHEDULE}delete/", schedules.schedule_delete, name="schedule-delete"),
    path(f"{RUN}rows/<int:number>/", row_views.evaluation_row, name="evaluation-row"),
    path(f"{RUN}rows/<int:number>.json", json_views.row_json, name="row-json"),
    path(f"{RUN}rows/<int:number>/score/", row_views.row_score, name="row-score"),
    path(f"{RUN}cancel/", runs.evaluation_cancel, name="evaluation-cancel"),
    path(f"{RUN}baseline/", baseline_views.evaluation_baseline, name="evaluation-baseline"),
    path(f"{RUN}again/", runs.evaluation_again, name="evaluation-again"),
    path(f"{RUN}delete/", removal_views.evaluation_delete, name="evaluation-delete"),
    path(f"{RUN}keep/", keep_views.rows_keep, name="rows-keep"),
    path(f"{RUN}export/<str:kind>/", export_views.evaluation_export, name="evaluation-export"),
    path(f"{RUN}<str:what>.json", json_views.evaluation_json, name="evaluation-json"),
    path(RUN, runs.evaluation_detail, name="evaluation-detail"),
    path("scorers/", scorers.scorer_list, name="scorer-list"),
    path("scorers/new/", scorer_changes.scorer_new, name="scorer-new"),
    path(f"{SCORER}edit/", scorer_changes.scorer_edit, name="scorer-edit"),
    path(f"{SCORER}switch/", scorer_changes.scorer_switch, name="scorer-switch"),
    path(f"{SCORER}delete/", scorer_changes.scorer_delete, name="scorer-delete"),
    path(f"{SCORER}try/", scorers.scorer_try, name="scorer-try"),
    path(SCORER, scorers.scorer_detail, name="scorer-detail"),
]
