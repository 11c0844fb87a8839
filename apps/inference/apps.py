"""The inference app."""

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class InferenceConfig(AppConfig):
    """Registers the app with Django, and itself with the health checks and with changes of rows."""

    name = "apps.inference"
    label = "inference"

    def ready(self) -> None:
        """Refresh a provider's models after each good check; look models up anew when any row changed."""
        from django.db import transaction

        from apps.inference import chat, listing
        from apps.inference.models import Model
        from apps.providers import health
        from apps.providers.models import Provider

        health.after_good_check("inference", listing.refresh)

        def changed(**_: object) -> None:
            chat.forget()
            transaction.on_commit(chat.forget)

        for sender in (Model, Provider):
            post_save.connect(changed, sender=sender, weak=False, dispatch_uid=f"inference-{sender.__name__}-saved")
            post_delete.connect(changed, sender=sender, weak=False, dispatch_uid=f"inference-{sender.__name__}-deleted")
