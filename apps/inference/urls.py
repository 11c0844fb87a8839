"""Pages of this app; ids of models hold slashes."""

from django.urls import path

from apps.inference import views

app_name = "inference"
urlpatterns = [
    path("models/", views.model_list, name="model-list"),
    path("models/new/", views.model_new, name="model-new"),
    path("models/weights/<str:name>/pull/", views.weights_pull, name="weights-pull"),
    path("models/<path:identifier>/try/", views.model_try, name="model-try"),
    path("models/<path:identifier>/unregister/", views.model_unregister, name="model-unregister"),
    path("models/<path:identifier>/prices/", views.model_prices, name="model-prices"),
    path("models/<path:identifier>/enable/", views.model_enable, name="model-enable"),
    path("models/<path:identifier>/", views.model_detail, name="model-detail"),
]
