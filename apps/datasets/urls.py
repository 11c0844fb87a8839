"""Pages of this app; ids of datasets hold slashes, so what follows an id comes before the id alone."""

from django.urls import path, register_converter

from apps.core.addresses import IdConverter
from apps.datasets import export_views, file_views, row_views, views


class DatasetId(IdConverter):
    """The id of a dataset."""

    words = ("new", "files", "exports", "rows", "add", "schema", "delete", "export")


register_converter(DatasetId, "dataset")
app_name = "datasets"
ONE = "datasets/<dataset:dataset_id>/"
urlpatterns = [
    path("datasets/", views.dataset_list, name="dataset-list"),
    path("datasets/new/", views.dataset_new, name="dataset-new"),
    path("datasets/files/", file_views.upload_new, name="upload-new"),
    path("datasets/files/<uuid:upload_id>/part/", file_views.upload_part, name="upload-part"),
    path("datasets/files/<uuid:upload_id>/", file_views.upload_preview, name="upload-preview"),
    path("datasets/exports/<uuid:job_id>/", export_views.export_file, name="export-file"),
    path(f"{ONE}rows/<int:number>/", row_views.row_detail, name="row-detail"),
    path(f"{ONE}rows/<int:number>/edit/", row_views.row_edit, name="row-edit"),
    path(f"{ONE}rows/delete/", row_views.rows_delete, name="rows-delete"),
    path(f"{ONE}add/", views.dataset_add, name="dataset-add"),
    path(f"{ONE}schema/", views.dataset_schema, name="dataset-schema"),
    path(f"{ONE}delete/", views.dataset_delete, name="dataset-delete"),
    path(f"{ONE}export/<str:kind>/", export_views.export, name="dataset-export"),
    path(ONE, views.dataset_detail, name="dataset-detail"),
]
