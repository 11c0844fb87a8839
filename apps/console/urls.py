"""Pages of the shell."""

from django.urls import path

from apps.console import favicon, views

app_name = "console"
urlpatterns = [
    path("", views.home, name="home"),
    path("favicon.ico", favicon.favicon, name="favicon"),
    path("go/<str:kind>/<path:name>/", views.go, name="go"),
    path("search/", views.search, name="search"),
    path("badge/", views.badge, name="badge"),
    path("preferences/theme/", views.set_theme, name="theme"),
    path("preferences/nav/", views.set_nav, name="nav"),
]
