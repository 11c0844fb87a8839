"""Pages of this app; ids of models hold slashes."""

from django.urls import path, register_converter

from apps.core.addresses import IdConverter
from apps.inference import views


class ModelId(IdConverter):
    """The id of a model."""

    words = ("new", "weights", "try", "unregister", "prices", "enable")


register_converter(ModelId, "model")
app_name = "inference"
ONE = "models/<model:identifier>/"
urlpatterns = [
    path("models/", views.model_list, name="model-list"),
    path("models/new/", views.model_new, name="model-new"),
    path("models/weights/<str:name>/pull/", views.weights_pull, name="weights-pull"),
    path(f"{ONE}try/", views.model_try, name="model-try"),
    path(f"{ONE}unregister/", views.model_unregister, name="model-unregister"),
    path(f"{ONE}prices/", views.model_prices, name="model-prices"),
    path(f"{ONE}enable/", views.model_enable, name="model-enable"),
    path(ONE, views.model_detail, name="model-detail"),
]
