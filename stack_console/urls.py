"""Every address of the console: REST, pages, admin. Probes are answered before (apps.console.health)."""

from django.contrib import admin
from django.urls import include, path

from apps.console import reference
from stack_console.api import api, document

urlpatterns = [
    path("", include("apps.console.urls")),  # before the API, whose own root answers 404
    path("", api.urls),
    path("docs/api/", reference.api_reference, {"document": document}, name="api-reference"),
    path("admin/", admin.site.urls),
    path("", include("apps.accounts.urls")),
    path("", include("apps.agents.urls")),
    path("", include("apps.telemetry.urls")),
    path("", include("apps.datasets.urls")),
    path("", include("apps.evals.urls")),
    path("", include("apps.inference.urls")),
    path("", include("apps.providers.urls")),
    path("", include("apps.jobs.urls")),
]

handler403 = "apps.console.views.forbidden"
handler404 = "apps.console.views.not_found"
handler500 = "apps.console.views.server_error"
