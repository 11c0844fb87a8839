"""The evaluation an address names by its job."""

from django.http import Http404

from apps.evals.models import Evaluation


def evaluation(job_id: str) -> Evaluation | None:
    """Return the evaluation of this job together with it; None when there is none (yet)."""
    rows = Evaluation.objects.select_related("job__created_by", "job__retry_of")
    return rows.filter(job__job_id=job_id).first() if "\0" not in job_id else None


def evaluation_or_404(job_id: str) -> Evaluation:
    """Return the evaluation of this job together with it, or answer that there is none."""
    one = evaluation(job_id)
    if one is None:
        raise Http404(f"Evaluation '{job_id}' not found")
    return one
