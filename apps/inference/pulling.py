"""Fetching weights as a job: asked for on a page, run in a child process, followed with a progress bar."""

from typing import Any

from apps.accounts.principals import Principal
from apps.inference import catalog, weights
from apps.jobs import runner
from apps.jobs.handle import Handle
from apps.jobs.models import Job

KIND = "weights"


def start(entry: catalog.Weights, actor: Principal) -> Job:
    """Return the job that fetches these weights: the one at work, or a new one."""
    running = at_work().get(entry.name)
    if running is not None:
        return running
    return runner.enqueue(
        "apps.inference.pulling.run",
        {"name": entry.name},
        kind=KIND,
        title=f"Fetch {entry.title}",
        about=(KIND, entry.name),
        isolated=True,  # a download that hangs can be killed, and what it needs of memory goes with it
        actor=actor,
    )


def at_work() -> dict[str, Job]:
    """Return the jobs that fetch weights now, by the weights' name."""
    rows = Job.objects.active().filter(about_kind=KIND).order_by("pk")
    return {job.about_id: job for job in rows}


def run(job: Handle) -> dict[str, Any]:
    """Fetch the weights this job names; the file gets its name only when its hash was found right."""
    entry = catalog.named(job.arguments["name"])
    said = ""

    def tell(done: int, total: int, what: str) -> None:
        nonlocal said
        job.check()
        job.progress(done, total, "B", what)
        if what != said:
            said = what
            job.log(f"{entry.file}: {what}")

    path = weights.pull(entry, tell)
    return {"file": path.name, "size": path.stat().st_size, "sha256": entry.sha256}
