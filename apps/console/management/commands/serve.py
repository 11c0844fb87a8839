"""``serve``: what ``make run`` starts. One process: the web server, and what works beside it."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

log = logging.getLogger("stack_console.serve")
FIRST_LOOK_S = 2.0
_beside: set["asyncio.Future[Any]"] = set()  # the loop itself keeps no task alive


class Command(BaseCommand):
    """Migrates, prepares static files, prints the address and serves until it is interrupted."""

    help = "Serve the console: pages, REST and live sockets."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where to listen."""
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (HOST)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="port to listen on, 0 for a free one (PORT)"
        )
        parser.add_argument("--no-worker", action="store_true", help="run no jobs here; start `worker` beside it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the server; raises CommandError when the port is taken."""
        listener = _listen(options["host"], options["port"])
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        _prepare()
        self._greet(options["host"], listener.getsockname()[1])
        _serve(listener, works=not options["no_worker"])

    def _greet(self, host: str, port: int) -> None:
        from apps.accounts import first_run

        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
        self.stdout.write(f"Stack Console is at {address}/")
        link = first_run.link(address)
        if link:
            self.stdout.write(f"No account exists yet. Make the first one at {link}")
        self.stdout.flush()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}. Set PORT to a free port.") from error
    listener.listen(512)
    return listener


def _prepare() -> None:
    """Bring the rows in line with the environment and with the last shutdown."""
    from apps.agents import turns
    from apps.providers import bootstrap

    bootstrap.ensure()
    async_to_sync(turns.recover)()
    async_to_sync(_look_at_providers)()


async def _look_at_providers() -> None:
    """Learn which models there are before the first page asks; who answers late is asked again while serving."""
    from apps.providers import health, instances

    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_LOOK_S):
            await health.check_all()
    await instances.close()


def _serve(listener: socket.socket, *, works: bool) -> None:
    import daphne.server  # installs its reactor, so only here
    from daphne import http_protocol
    from twisted.internet import reactor

    from apps.agents import running, turns
    from apps.jobs.embedded import EmbeddedWorker
    from apps.providers import health
    from apps.telemetry import unfinished
    from stack_console.asgi import application

    # Forms are Django's to read: Twisted would read each in memory before, and refuse what it cannot read unsaid.
    http_protocol.WebRequest = partial(http_protocol.WebRequest, parsePOSTFormSubmission=False)
    worker = EmbeddedWorker(works=works)
    for start in (turns.watch, health.watch, unfinished.watch, worker.start):
        reactor.callLater(0, _begin, start)  # type: ignore[attr-defined,arg-type]  # once the loop runs
    reactor.addSystemEventTrigger("before", "shutdown", _end, running.shut_down)  # type: ignore[attr-defined,arg-type]
    server = daphne.server.Server(
        application=application,
        endpoints=[f"fd:fileno={listener.fileno()}"],
        signal_handlers=True,
        action_logger=None,
        http_timeout=None,
        websocket_handshake_timeout=10,
        ping_interval=20,
        ping_timeout=30,
        server_name="stack-console",
        application_close_timeout=10,
        verbosity=0,
    )
    with suppress(KeyboardInterrupt):
        server.run()
    with suppress(KeyboardInterrupt):  # a second Ctrl-C: what runs is left to its lease
        worker.stop()
    _leave()


def _begin(start: Callable[[], Any]) -> None:
    """Call what works beside the server; what is a coroutine becomes a task."""
    begun = start()
    if asyncio.iscoroutine(begun):
        _beside.add(asyncio.ensure_future(begun))


def _end(work: Callable[[], Coroutine[Any, Any, None]]) -> Any:
    """Return what the reactor waits for before it stops, while the loop still runs."""
    from twisted.internet.defer import Deferred

    log.info("the server stops")
    return Deferred.fromFuture(asyncio.ensure_future(work()))


def _leave() -> None:
    """End the process at once, its writes committed.

    A page that was still being made waits in a thread for a loop that is gone, and Python would wait for the thread.
    """
    from apps.core import db
    from stack_console import tracing

    tracing.stop()
    with suppress(TimeoutError):
        db.write_soon(lambda: None).result(timeout=10)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)
