"""Make an API key from the terminal: the key alone goes to standard output."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from apps.accounts import keys
from apps.accounts.models import Role
from apps.accounts.principals import TERMINAL


class Command(BaseCommand):
    """``create_api_key NAME --role viewer|operator|admin``."""

    help = "Make an API key and print it. It is shown once; only a hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name and role."""
        parser.add_argument("name")
        parser.add_argument("--role", choices=Role.values, default=Role.OPERATOR.value)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the key and print it."""
        with transaction.atomic():
            _, token = keys.issue(TERMINAL, options["name"], options["role"])
        self.stdout.write(token)
