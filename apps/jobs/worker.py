"""A worker: takes jobs, runs several at once, keeps their leases, and takes up what others left behind.

It lives on an event loop of its own, in a process of its own (``manage.py worker``) or beside the web server.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.utils.timezone import now

from apps.core import db
from apps.core import live as topics
from apps.core.process import memory, this_process
from apps.jobs import carrying, delivery, live, periodic, settling
from apps.jobs.handle import CANCELLED, GIVEN_BACK, LOST, Handle
from apps.jobs.models import BEAT_S, QUEUES, Job, Status, Worker

log = logging.getLogger(__name__)
WATCH_S = 1.0
SWEEP_S = 2.0  # how often the table is asked although nothing was delivered: deliveries may be lost
GRACE_S = 3.5  # how long a stopping job may take before its row is settled without it


class Running:
    """A job in the worker's hands."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.handle = Handle(job)
        self.stopping = asyncio.Event()

    def stop(self, reason: str) -> None:
        """Ask the job to stop; the first reason counts."""
        self.handle.stop_reason = self.handle.stop_reason or reason
        self.stopping.set()


class JobWorker:
    """Runs jobs of some queues until it is told to stop."""

    def __init__(self, queues: Iterable[str] = QUEUES, *, embedded: bool = False) -> None:
        self.worker_id = this_process()
        self.queues = list(queues)
        self.embedded = embedded
        self.draining = False
        self._running: dict[str, Running] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads = ThreadPoolExecutor(max_workers=sum(settings.JOB_SLOTS.values()) * 2, thread_name_prefix="job")

    async def run(self) -> None:
        """Work until ``stop`` is called; then let jobs finish for a while and hand the rest back."""
        self._loop = asyncio.get_running_loop()
        self._awake, self._ending = asyncio.Event(), asyncio.Event()
        if not self.embedded:
            topics.at_home(self._loop)
        delivery.listen(self._wake)
        await db.write(self._register)
        keeping = [
            asyncio.create_task(_every(BEAT_S, self._beat), name="worker beat"),
            asyncio.create_task(_every(WATCH_S, self._watch), name="worker watch"),
            asyncio.create_task(_every(BEAT_S, self._reap), name="worker reap"),
            asyncio.create_task(_every(periodic.LOOK_S, periodic.look), name="worker periodic"),
        ]
        try:
            await self._take_until_stopped()
            await self._finish()
        finally:
            delivery.forget(self._wake)
            for task in keeping:
                task.cancel()
            await db.write(Worker.objects.filter(worker_id=self.worker_id).update, stopped_at=now())
            live.list_changed()
            self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """Whether a job that did not listen is still at work in a thread."""
        return bool(self._running)

    def stop(self) -> None:
        """Begin to stop; from any thread."""
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._ending.set)
            self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._awake.set)

    def _register(self) -> None:
        fields = {
            "queues": ",".join(self.queues),
            "is_embedded": self.embedded,
            "memory": memory(),
            "started_at": now(),
            "heartbeat_at": now(),
            "stopped_at": None,
            "is_draining": False,
        }
        Worker.objects.update_or_create(worker_id=self.worker_id, defaults=fields)

    async def _take_until_stopped(self) -> None:
        while not self._ending.is_set():
            self._awake.clear()
            try:
                if not await self._take():
                    await self._wait()
            except Exception:  # the database or the broker may be away for a while
                log.exception("no job could be taken; next try in %s s", SWEEP_S)
                await asyncio.sleep(SWEEP_S)

    def _free(self) -> list[str]:
        if self.draining:
            return []
        used = [running.job.queue for running in self._running.values()]
        return [queue for queue in self.queues if used.count(queue) < settings.JOB_SLOTS[queue]]

    async def _take(self) -> bool:
        """Begin the next job that a free place is there for; False when there is none."""
        free = self._free()
        if not free or not await db.read(Job.objects.due(free).exists):
            return False
        job = await db.write(Job.objects.claim_next, free, self.worker_id)
        if job is None:
            return False
        self._running[job.lease_owner] = running = Running(job)
        task = asyncio.create_task(self._attend(running), name=f"job {job.job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _wait(self) -> None:
        """Return when something was delivered, a place became free, or it is time to look."""
        free = self._free()
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_S):
                while not self._awake.is_set():
                    if not free:
                        await self._awake.wait()
                        return
                    if await self._delivered(free):
                        return

    async def _delivered(self, free: list[str]) -> bool:
        arriving = asyncio.ensure_future(delivery.arrived(free, len(free)))
        waking = asyncio.ensure_future(self._awake.wait())
        try:
            await asyncio.wait({arriving, waking}, return_when=asyncio.FIRST_COMPLETED)
            return waking.done() or (arriving.done() and arriving.result())
        finally:
            arriving.cancel()
            waking.cancel()

    async def _attend(self, running: Running) -> None:
        """Run a job to its end and write down how it ended."""
        job, handle = running.job, running.handle
        live.changed(job.job_id)
        doing = asyncio.ensure_future(carrying.carry_out(job, handle, self._threads))
        stopping = asyncio.ensure_future(running.stopping.wait())
        try:
            await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                if carrying.is_interruptible(job):
                    doing.cancel()
                await asyncio.wait({doing}, timeout=GRACE_S)
            handle.flush()
            await settling.settle(job, handle, doing)
        finally:
            stopping.cancel()
            live.changed(job.job_id)
            if not doing.done():  # a thread that does not look: it can write nothing more, but takes its place
                await asyncio.wait({doing})
            if not doing.cancelled():
                doing.exception()
            self._running.pop(job.lease_owner, None)
            self._wake()

    async def _beat(self) -> None:
        """Tell that this worker lives, keep its leases, and hear whether it is to drain."""
        self.draining = await db.write(self._beat_row, list(self._running))

    def _beat_row(self, leases: list[str]) -> bool:
        rows = Worker.objects.filter(worker_id=self.worker_id)
        if not rows.update(heartbeat_at=now(), memory=memory(), stopped_at=None):
            self._register()
        if leases:
            Job.objects.beat(leases)
        return bool(rows.values_list("is_draining", flat=True).get())

    async def _watch(self) -> None:
        """Hear which running jobs somebody cancelled or another worker has taken."""
        watched = dict(self._running)  # a job begun while the rows are read is looked at next time
        if not watched:
            return
        held = Job.objects.filter(lease_owner__in=list(watched), status=Status.IN_PROGRESS)
        asked = dict(await db.read(lambda: list(held.values_list("lease_owner", "cancel_requested"))))
        for lease, running in watched.items():
            if lease not in asked:
                running.stop(LOST)
            elif asked[lease]:
                running.stop(CANCELLED)

    async def _reap(self) -> None:
        """Free the jobs of workers that are gone, and tell who waits."""
        if not await db.read(Job.objects.filter(status=Status.IN_PROGRESS).exists):
            return
        lost = await db.write(_reap_and_tell)
        if lost:
            log.warning("%s job(s) of a worker that stopped are taken up again", len(lost))
            self._wake()

    async def _finish(self) -> None:
        """Give running jobs a while, then hand them back; those who do not listen are left to their leases."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=settings.JOB_STOP_S)
        for running in self._running.values():
            running.stop(GIVEN_BACK)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S + 1)


def _reap_and_tell() -> list[Job]:
    lost = Job.objects.reap()
    for job in lost:
        delivery.deliver(job.queue, job.job_id)
        job.lines.create(level="warning", text=f"Worker {job.worker} stopped while it ran attempt {job.attempt}.")
    live.changed(*(job.job_id for job in lost))
    return lost


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await act()
        except Exception:  # a database that is away for a while must not end the worker
            log.exception("the worker could not do its rounds; next try in %s s", seconds)
        await asyncio.sleep(seconds)
