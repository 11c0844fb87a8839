"""A job as the API tells it."""

from typing import Literal

from apps.core.spec import SpecModel

JobStatus = Literal["completed", "in_progress", "failed", "scheduled", "cancelled"]


class Job(SpecModel):
    """A piece of work and how far it is."""

    job_id: str
    status: JobStatus
