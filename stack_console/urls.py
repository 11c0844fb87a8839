"""Every address of the console: REST, pages, admin, health."""

from django.contrib import admin
from django.urls import include, path

from apps.console import health, reference
from stack_console.api import api

urlpatterns = [
    path("", include("apps.console.urls")),  # before the API, whose own root answers 404
    path("", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("docs/api/", reference.api_reference, {"document": api.get_openapi_schema}, name="api-reference"),
    path("admin/", admin.site.urls),
    path("", include("apps.accounts.urls")),
    path("", include("apps.agents.urls")),
    path("", include("apps.datasets.urls")),
    path("", include("apps.inference.urls")),
    path("", include("apps.providers.urls")),
    path("", include("apps.jobs.urls")),
]

handler403 = "apps.console.views.forbidden"
handler404 = "apps.console.views.not_found"
handler500 = "apps.console.views.server_error"
