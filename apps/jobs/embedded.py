"""The worker beside the web server: a thread of the same process with a loop of its own."""

import asyncio
import logging
import threading

from django.conf import settings

from apps.core import live
from apps.jobs.worker import GRACE_S, JobWorker

log = logging.getLogger(__name__)


class EmbeddedWorker:
    """Starts a worker in a thread, and stops it with the server; one that does not work only tells of jobs."""

    def __init__(self, *, works: bool = True) -> None:
        self._works = works
        self._worker = JobWorker(embedded=True)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to work; call it in the loop that serves the live sockets."""
        live.at_home(asyncio.get_running_loop())
        if self._works:
            self._thread.start()

    def stop(self) -> None:
        """Hand back what runs; a job that does not listen ends with the process."""
        if self._thread.is_alive():
            self._worker.stop()
            self._thread.join(settings.JOB_STOP_S + 2 * GRACE_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._worker.run())
        except Exception:
            log.exception("the worker ended; jobs wait until the server is started again")
