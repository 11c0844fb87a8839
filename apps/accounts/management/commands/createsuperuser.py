"""Django's ``createsuperuser``, which asks for no address: the console sends no mail."""

from django.contrib.auth.management.commands.createsuperuser import Command as DjangoCommand
from django.core.management.base import CommandParser


class Command(DjangoCommand):
    """Makes an administrator; ``--email`` may be left out."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Give the address a default."""
        super().add_arguments(parser)
        parser.set_defaults(email="")
