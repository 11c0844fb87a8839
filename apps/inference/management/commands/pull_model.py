"""``pull_model NAME…``: fetch weights of the catalog, checked, with their progress in the terminal."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import ConsoleError
from apps.inference import catalog, weights


class Command(BaseCommand):
    """Fetches weights for the embedded models."""

    help = "Fetch weights of embedded models; what is there already is left alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take names, or all; without either, list what is known."""
        parser.add_argument("names", nargs="*", metavar="NAME", help="names of the catalog")
        parser.add_argument("--all", action="store_true", help="fetch everything the catalog knows")
        parser.add_argument(
            "--starters", action="store_true", help="fetch the small ones every installation begins with"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Fetch each; the first failure ends the command with its reason."""
        try:
            wanted = _wanted(options)
            if not wanted and not options["starters"]:
                self._list()
            for entry in wanted:
                self._pull(entry)
        except ConsoleError as error:
            raise CommandError(error.detail) from None

    def _pull(self, entry: catalog.Weights) -> None:
        if entry.is_present:
            self.stdout.write(f"{entry.name}: there already")
            return
        bar = _Bar(entry.name, self.stdout)
        weights.pull(entry, bar)
        self.stdout.write(f"{entry.name}: ready, {entry.path.stat().st_size / 1e6:,.0f} MB, {entry.licence}")

    def _list(self) -> None:
        for entry in catalog.CATALOG:
            state = "here" if entry.is_present else f"{entry.download_size / 1e6:,.0f} MB to fetch"
            self.stdout.write(f"{entry.name:20} {entry.licence:11} {state:18} {entry.about}")


def _wanted(options: dict[str, Any]) -> list[catalog.Weights]:
    if options["all"]:
        return list(catalog.CATALOG)
    chosen = [catalog.named(name) for name in options["names"]]
    return [*chosen, *(catalog.STARTERS if options["starters"] and settings.EMBEDDED_MODELS else ())]


class _Bar:
    """Draws progress on one line of a terminal; elsewhere it writes a line for every tenth."""

    def __init__(self, name: str, out: Any) -> None:
        self._name, self._out = name, out
        self._is_terminal = sys.stdout.isatty()
        self._drawn_at = 0.0
        self._tenth = -1

    def __call__(self, done: int, total: int, what: str) -> None:
        share = min(done / total, 1.0) if total else 0.0
        line = f"{self._name}: {what} {share:4.0%} of {total / 1e6:,.0f} MB"
        if self._is_terminal:
            if time.monotonic() - self._drawn_at > 0.1 or share == 1.0:
                self._drawn_at = time.monotonic()
                self._out.write(f"\r\033[K{line}", ending="\n" if what == "ready" else "")
                self._out.flush()
        elif int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            self._out.write(line)
