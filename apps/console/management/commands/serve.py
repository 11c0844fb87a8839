"""``serve``: what ``make run`` starts. One process: the web server, and what works beside it."""

import socket
import sys
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser


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


def _serve(listener: socket.socket, *, works: bool) -> None:
    import daphne.server  # installs its reactor, so only here
    from twisted.internet import reactor

    from apps.jobs.embedded import EmbeddedWorker
    from apps.providers import health
    from stack_console.asgi import application

    worker = EmbeddedWorker(works=works)
    for start in (health.watch, worker.start):
        reactor.callLater(0, start)  # type: ignore[attr-defined,arg-type]  # once the loop runs
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
    try:
        server.run()
    except KeyboardInterrupt:
        sys.exit(0)
    finally:
        worker.stop()
