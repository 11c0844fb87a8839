"""Pages of this app."""

from django.urls import URLPattern

app_name = "providers"
urlpatterns: list[URLPattern] = []
