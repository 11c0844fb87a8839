"""Pages of this app; what has a name of its own comes before the id of a trace."""

from django.urls import path

from apps.telemetry import keep_views, list_views, trace_export

app_name = "telemetry"
urlpatterns = [
    path("traces/", list_views.trace_list_page, name="trace-list"),
    path("traces/news/", list_views.trace_news, name="trace-news"),
    path("traces/sample/", list_views.trace_sample, name="trace-sample"),
    path("traces/delete/", list_views.traces_delete, name="traces-delete"),
    path("traces/keep/", keep_views.spans_keep, name="spans-keep"),
    path("traces/export/<str:kind>/", trace_export.trace_export, name="trace-export"),
    path("traces/exports/<uuid:job_id>/", trace_export.export_file, name="trace-export-file"),
]
