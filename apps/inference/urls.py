"""Pages of this app."""

from django.urls import URLPattern

app_name = "inference"
urlpatterns: list[URLPattern] = []
