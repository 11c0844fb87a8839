"""``purge``: delete traces and metrics that are past their time, as the console itself does every hour."""

from typing import Any

from django.core.management.base import BaseCommand

from apps.telemetry import retention


class Command(BaseCommand):
    """Deletes what is past its time and says how much that was."""

    help = "Delete what is past its time: traces (TELEMETRY_DAYS, or their own) and points of metrics (METRICS_DAYS)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Purge, beside a running console or without one."""
        for kind, number in retention.purge().items():
            self.stdout.write(f"{kind}: {number:,}")
