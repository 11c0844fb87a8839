"""Pages of this app; ids of benchmarks may hold slashes, so what follows an id comes before the id alone."""

from django.urls import path

from apps.evals import (
    benchmark_views,
    compare_export,
    compare_keep,
    compare_views,
    evaluation_views,
    keep_views,
    run_export,
    run_views,
    scorer_views,
)

app_name = "evals"
BENCHMARK = "benchmarks/<path:benchmark_id>/"
RUN = "evaluations/<str:job_id>/"
SCORER = "scorers/<path:scoring_fn_id>/"
urlpatterns = [
    path("benchmarks/", benchmark_views.benchmark_list, name="benchmark-list"),
    path("benchmarks/new/", benchmark_views.benchmark_new, name="benchmark-new"),
    path(f"{BENCHMARK}delete/", benchmark_views.benchmark_delete, name="benchmark-delete"),
    path(BENCHMARK, benchmark_views.benchmark_detail, name="benchmark-detail"),
    path("evaluations/", run_views.evaluation_list, name="evaluation-list"),
    path("evaluations/new/", run_views.evaluation_new, name="evaluation-new"),
    path("evaluations/estimate/", run_views.evaluation_estimate, name="evaluation-estimate"),
    path("evaluations/compare/", compare_views.evaluation_compare, name="evaluation-compare"),
    path("evaluations/compare/export.csv", compare_export.compare_export, name="compare-export"),
    path("evaluations/compare/keep/", compare_keep.compare_keep, name="compare-keep"),
    path(f"{RUN}rows/<int:number>/", evaluation_views.evaluation_row, name="evaluation-row"),
    path(f"{RUN}cancel/", evaluation_views.evaluation_cancel, name="evaluation-cancel"),
    path(f"{RUN}again/", evaluation_views.evaluation_again, name="evaluation-again"),
    path(f"{RUN}keep/", keep_views.rows_keep, name="rows-keep"),
    path(f"{RUN}export/<str:kind>/", run_export.evaluation_export, name="evaluation-export"),
    path(RUN, evaluation_views.evaluation_detail, name="evaluation-detail"),
    path("scorers/", scorer_views.scorer_list, name="scorer-list"),
    path("scorers/new/", scorer_views.scorer_new, name="scorer-new"),
    path(f"{SCORER}delete/", scorer_views.scorer_delete, name="scorer-delete"),
    path(f"{SCORER}try/", scorer_views.scorer_try, name="scorer-try"),
    path(SCORER, scorer_views.scorer_detail, name="scorer-detail"),
]
