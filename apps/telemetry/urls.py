"""Pages of this app; what has a name of its own comes before the id of a trace."""

from django.urls import path, register_converter

from apps.core.addresses import IdConverter
from apps.telemetry.metrics import views as metric_views
from apps.telemetry.traces import export as trace_export
from apps.telemetry.traces import keep_views, list_views
from apps.telemetry.traces import views as trace_views


class MetricName(IdConverter):
    """The name of a metric, which may hold slashes."""

    words = ("panels", "series", "points.csv")


register_converter(MetricName, "metric")
app_name = "telemetry"
urlpatterns = [
    path("traces/", list_views.trace_list_page, name="trace-list"),
    path("traces/news/", list_views.trace_news, name="trace-news"),
    path("traces/sample/", list_views.trace_sample, name="trace-sample"),
    path("traces/delete/", list_views.traces_delete, name="traces-delete"),
    path("traces/keep/", keep_views.spans_keep, name="spans-keep"),
    path("traces/export/<str:kind>/", trace_export.trace_export, name="trace-export"),
    path("traces/exports/<uuid:job_id>/", trace_export.export_file, name="trace-export-file"),
    path("traces/step/<str:step_id>.json", trace_views.step_span, name="step-span"),
    path("traces/turn/<str:turn_id>/", trace_views.turn_traces, name="turn-traces"),
    path("traces/<str:trace_id>/", trace_views.trace_detail, name="trace-detail"),
    path("traces/<str:trace_id>/head/", trace_views.trace_head, name="trace-head"),
    path("traces/<str:trace_id>/find/", trace_views.trace_find, name="trace-find"),
    path("traces/<str:trace_id>/spans.json", trace_views.trace_structure, name="trace-structure"),
    path("traces/<str:trace_id>/otlp.json", trace_export.trace_otlp, name="trace-otlp"),
    path("traces/<str:trace_id>/spans/<int:number>/", trace_views.span_detail, name="span-detail"),
    path("metrics/", metric_views.metric_list, name="metric-list"),
    path("metrics/panels/", metric_views.metric_panels, name="metric-panels"),
    path("metrics/panels/<str:panel>.csv", metric_views.metric_panel_file, name="metric-panel-file"),
    path("metrics/<metric:name>/series/", metric_views.metric_series, name="metric-series"),
    path("metrics/<metric:name>/points.csv", metric_views.metric_file, name="metric-file"),
    path("metrics/<metric:name>/", metric_views.metric_detail, name="metric-detail"),
]
