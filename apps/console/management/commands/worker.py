"""``worker``: a process that runs jobs, beside as many others as there is work for."""

import asyncio
import logging
import os
import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.jobs.worker import JobWorker
from stack_console import tracing


class Command(BaseCommand):
    """Runs jobs until it is asked to stop; then finishes them, or hands them back."""

    help = "Run jobs of the given queues. Stop it with Ctrl-C or SIGTERM; a second time ends it at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the queues."""
        parser.add_argument("--queues", default=",".join(settings.JOB_QUEUES), help="names, with commas between")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work; raises CommandError for a queue nobody knows."""
        queues = [name.strip() for name in options["queues"].split(",") if name.strip()]
        unknown = sorted(set(queues) - set(settings.JOB_QUEUES))
        if unknown or not queues:
            known = ", ".join(settings.JOB_QUEUES)
            raise CommandError(f"No queue is named '{', '.join(unknown)}'. Known: {known}.")
        tracing.start()
        worker = JobWorker(queues)
        self.stdout.write(f"Worker {worker.worker_id} takes jobs of {', '.join(queues)}.")
        self.stdout.flush()
        asyncio.run(_work(worker))
        tracing.stop()
        if worker.is_busy:  # a thread that did not listen would keep the process
            logging.shutdown()
            os._exit(0)


async def _work(worker: JobWorker) -> None:
    loop, asked = asyncio.get_running_loop(), 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            os._exit(1)
        worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await worker.run()
