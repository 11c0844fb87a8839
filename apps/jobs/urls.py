"""Pages of this app."""

from django.urls import path

from apps.jobs import views

app_name = "jobs"
urlpatterns = [
    path("system/jobs/", views.job_list, name="job-list"),
    path("system/jobs/badge/", views.badge, name="badge"),
    path("system/jobs/many/", views.job_many, name="job-many"),
    path("system/jobs/<str:job_id>/", views.job_detail, name="job-detail"),
    path("system/jobs/<str:job_id>/cancel/", views.job_cancel, name="job-cancel"),
    path("system/jobs/<str:job_id>/retry/", views.job_retry, name="job-retry"),
    path("system/workers/", views.worker_list, name="worker-list"),
    path("system/workers/<int:number>/drain/", views.worker_drain, name="worker-drain"),
]
