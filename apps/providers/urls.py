"""Pages of this app."""

from django.urls import path

from apps.providers import views

app_name = "providers"
urlpatterns = [
    path("providers/", views.provider_list, name="provider-list"),
    path("providers/new/", views.provider_new, name="provider-new"),
    path("providers/<str:provider_id>/", views.provider_detail, name="provider-detail"),
    path("providers/<str:provider_id>/edit/", views.provider_edit, name="provider-edit"),
    path("providers/<str:provider_id>/check/", views.provider_check, name="provider-check"),
    path("providers/<str:provider_id>/switch/", views.provider_switch, name="provider-switch"),
    path("providers/<str:provider_id>/delete/", views.provider_delete, name="provider-delete"),
]
