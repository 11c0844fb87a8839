"""How a worker hears that a job waits: django-tasks carries its id, through the database or through Redis.

The only file that knows the queue. A delivery is a wake-up and no more: the job's row says whether and what there is to
do, so one that is lost, late or doubled does no harm.
"""

import asyncio
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django_tasks import task
from django_tasks_db.models import DBTaskResult

from apps.core import db

POLL_S = 0.4
BLOCK_S = 1
_listeners: set[Callable[[], None]] = set()


@task()
def wake(job_id: str) -> None:
    """Mean that this job waits. A worker of the queue's own kind may run it: it does nothing."""


def deliver(queue: str, *job_ids: str) -> None:
    """Tell the workers of a queue, once the transaction is committed, that these jobs wait."""
    for job_id in job_ids:
        transaction.on_commit(partial(_send, queue, job_id), robust=True)


def _send(queue: str, job_id: str) -> None:
    try:
        wake.using(queue_name=queue).enqueue(job_id)
    finally:
        for listener in list(_listeners):
            listener()


def listen(listener: Callable[[], None]) -> None:
    """Call ``listener`` with each delivery made in this process."""
    _listeners.add(listener)


def forget(listener: Callable[[], None]) -> None:
    """Call it no more."""
    _listeners.discard(listener)


async def arrived(queues: list[str], many: int) -> bool:
    """Return whether something was delivered, taking up to ``many`` deliveries; waits a moment for the first."""
    if settings.REDIS_URL:
        return await asyncio.to_thread(_from_redis, queues, many)
    if await db.read(_in_database, queues):
        return await db.write(_from_database, queues, many)
    await asyncio.sleep(POLL_S)
    return False


def _in_database(queues: list[str]) -> bool:
    return bool(_waiting(queues).exists())


def _waiting(queues: list[str]) -> Any:
    return DBTaskResult.objects.ready().filter(queue_name__in=queues, task_path=wake.module_path)


def _from_database(queues: list[str], many: int) -> bool:
    keys = list(_waiting(queues).values_list("pk", flat=True)[:many])
    return bool(_waiting(queues).filter(pk__in=keys).delete()[0])


def _from_redis(queues: list[str], many: int) -> bool:
    from rq import Queue
    from rq.exceptions import DequeueTimeout
    from rq.job import Job

    connection, keys = _redis(tuple(queues))
    try:
        ids = [Queue.lpop(keys, BLOCK_S, connection=connection)[1]]
    except DequeueTimeout:
        return False
    if many > 1:
        ids += [one for key in keys for one in connection.lpop(key, many - 1) or ()]
    connection.delete(*(Job.key_for(one.decode()) for one in ids))
    return True


@cache
def _redis(queues: tuple[str, ...]) -> tuple[Any, list[str]]:
    import django_rq

    found = [django_rq.get_queue(name) for name in queues]
    return found[0].connection, [queue.key for queue in found]
