"""Who may: people with a role, the keys of programs, and the audit line every write leaves."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils.timezone import now

from apps.core.fields import FastJSONField


class Role(models.TextChoices):
    """What somebody may do; each role includes those before it."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    ADMIN = "admin", "Admin"


THEMES = {"system": "Like the system", "light": "Light", "dark": "Dark"}
NAVS = {"auto": "Automatic", "full": "Words", "rail": "Icons"}
RANKS = {role.value: rank for rank, role in enumerate(Role)}


def includes(role: str, needed: str) -> bool:
    """Return whether ``role`` may do what ``needed`` may."""
    return RANKS.get(role, -1) >= RANKS[needed]


class UserManager(DjangoUserManager["User"]):
    """Finds and makes accounts."""

    use_in_migrations = False

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> "User":
        """Make an administrator; ``createsuperuser`` calls it."""
        return super().create_superuser(username, email, password, **{"role": Role.ADMIN, **extra})

    def able_admins(self) -> "models.QuerySet[User]":
        """The administrators who can sign in."""
        return self.filter(role=Role.ADMIN, is_active=True).exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)

    def lock_admins(self) -> set[int]:
        """Return the ids of administrators who can sign in, locked until the transaction ends.

        Two administrators who demote each other at the same time wait for one another here.
        """
        return set(self.able_admins().select_for_update().values_list("pk", flat=True))


class User(AbstractUser):
    """A person with one role and a few preferences."""

    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    theme = models.CharField(max_length=6, choices=THEMES, default="system")
    time_zone = models.CharField(max_length=64, blank=True, help_text="An IANA name; empty is the browser's own zone.")
    nav = models.CharField(
        "menu", max_length=4, choices=NAVS, default="auto", help_text="Automatic folds it on pages that need the width."
    )
    shortcuts = models.BooleanField("single-key shortcuts", default=True)

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ("username",)
        constraints = (models.CheckConstraint(condition=Q(role__in=Role.values), name="user_role_known"),)

    def can(self, needed: str) -> bool:
        """Return whether this person's role is ``needed`` or more."""
        return self.is_active and includes(self.role, needed)

    @property
    def is_invited(self) -> bool:
        """True until an invited person has set a password."""
        return not self.has_usable_password()

    def clean(self) -> None:
        """Refuse a change that would leave the console without an administrator."""
        super().clean()
        if self.pk and not self.can(Role.ADMIN):
            self.refuse_if_last_admin()

    def refuse_if_last_admin(self) -> None:
        """Raise ValidationError when nobody else could administer; call it inside the change's transaction."""
        with transaction.atomic():
            if User.objects.lock_admins() == {self.pk}:
                raise ValidationError(f"{self.username} is the last administrator. Make somebody else one first.")


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Reads of keys."""

    def of(self, user: User) -> "ApiKeyQuerySet":
        """The keys this person may see: their own, every key for an administrator."""
        return self if user.can(Role.ADMIN) else self.filter(user=user)

    def touch(self, key_id: int, at: datetime) -> None:
        """Note that a key was used."""
        self.filter(pk=key_id).update(last_used_at=at)

    def revoke(self, key_id: int) -> bool:
        """End a key at once; false when it was ended before."""
        return self.filter(pk=key_id, revoked_at=None).update(revoked_at=now()) == 1


class ApiKey(models.Model):
    """A program's way in. Only a hash of the key is kept; the prefix finds it."""

    name = models.CharField(max_length=100)
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    prefix = models.CharField(max_length=16, unique=True)
    hash = models.CharField(max_length=64)
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="api_keys")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ("-pk",)
        constraints = (models.CheckConstraint(condition=Q(role__in=Role.values), name="api_key_role_known"),)

    def __str__(self) -> str:
        return f"{self.name} (sc_{self.prefix}…)"

    @property
    def state(self) -> str:
        """``revoked``, ``expired`` or ``active``."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now() else "active"


class AuditLine(models.Model):
    """One write: who did what to which object, when and from where. Written once, never changed."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=40)
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=255)
    detail = FastJSONField(default=dict)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=36, blank=True)

    class Meta:
        ordering = ("-pk",)
        indexes = (models.Index(fields=("kind", "object_id"), name="audit_object"),)

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.kind} {self.object_id}"
