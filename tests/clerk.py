"""A process that asks for jobs and tells what became of them, beside servers that a test kills.

Reads one JSON request a line, answers with one JSON line: ``{"give": work, "arguments": {…}, "many": n, …}`` or
``{"look": [job ids]}`` or ``{"rows": job id}`` or ``{"cancel": job id}`` or ``{"free": job id}`` or
``{"workers": true}``.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))  # the checkout, from which it is started
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stack_console.settings")

import django

django.setup()

from django.db import OperationalError, connection, transaction  # noqa: E402

from apps.accounts.models import AuditLine  # noqa: E402
from apps.accounts.principals import TERMINAL  # noqa: E402
from apps.jobs import runner  # noqa: E402
from apps.jobs.models import Job, Worker  # noqa: E402

COLUMNS = ("job_id", "status", "attempt", "worker", "checkpoint", "result", "error", "progress", "lease_owner")


def give(request: dict[str, Any]) -> Any:
    """Enqueue jobs and return their ids."""
    fields = {name: request[name] for name in ("queue", "isolated", "max_attempts", "priority") if name in request}
    work, arguments = f"tests.jobs.works.{request['give']}", request.get("arguments", {})
    titles = request.get("titles") or [request["give"]] * request.get("many", 1)
    return [
        runner.enqueue(work, arguments, kind="test", title=title, actor=TERMINAL, **fields).job_id for title in titles
    ]


def is_free(job_id: str) -> bool:
    """Return whether no transaction of another process holds what a write of this job needs."""
    _wait_for_locks(500)
    try:
        with transaction.atomic():  # SQLite's begins with the lock of the whole file
            list(Job.objects.select_for_update(nowait=True).filter(job_id=job_id))
            return True
    except OperationalError:
        return False
    finally:
        _wait_for_locks(20_000)


def _wait_for_locks(milliseconds: int) -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout={milliseconds}")


def answer(request: dict[str, Any]) -> Any:
    """Do what is asked."""
    if "give" in request:
        return give(request)
    if "cancel" in request:
        return runner.cancel(Job.objects.filter(job_id=request["cancel"]), TERMINAL)
    if "free" in request:
        return is_free(request["free"])
    if "rows" in request:
        rows = AuditLine.objects.filter(kind="test", object_id__startswith=request["rows"])
        return list(rows.values_list("object_id", flat=True))
    if "workers" in request:
        return [[worker.worker_id, worker.state] for worker in Worker.objects.order_by("pk")]
    return list(Job.objects.filter(job_id__in=request["look"]).order_by("pk").values(*COLUMNS))


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
