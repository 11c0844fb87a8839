"""What people fill in: sign-in, set-up, preferences, keys, invitations."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.timezone import now

from apps.accounts.models import ApiKey, Role, User, includes

EXPIRIES = {"": "Never", "7": "In 7 days", "30": "In 30 days", "90": "In 90 days", "365": "In a year"}


def weaknesses(password: str, user: User | None = None) -> list[str]:
    """Return why a password is too weak, in words for the person who typed it; empty when it is fine."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        return error.messages
    return []


def _password(label: str, autocomplete: str) -> forms.CharField:
    # Spaces belong to a password.
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, max_length=1_000, widget=widget)


class SignInForm(forms.Form):
    """Name and password."""

    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = _password("Password", "current-password")


class PasswordForm(forms.Form):
    """A new password for somebody who proved who they are."""

    password = _password("Password", "new-password")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        """Refuse a weak password with every reason."""
        password = str(self.cleaned_data["password"])
        validate_password(password, self.user)
        return password


class ChangePasswordForm(PasswordForm):
    """A new password for somebody signed in, who shows the old one."""

    old_password = _password("Current password", "current-password")
    field_order = ("old_password", "password")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.fields["password"].label = "New password"

    def clean_old_password(self) -> str:
        """Check the old password."""
        password = str(self.cleaned_data["old_password"])
        if not self.user.check_password(password):
            raise ValidationError("This is not your current password.")
        return password


class SetupForm(forms.ModelForm):  # type: ignore[type-arg]
    """The first account."""

    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = _password("Password", "new-password")

    class Meta:
        model = User
        fields = ("username",)

    def clean(self) -> dict[str, Any]:
        """Refuse a weak password; it may not resemble the name either."""
        values = super().clean() or self.cleaned_data
        reasons = weaknesses(values.get("password", ""), User(username=values.get("username", "")))
        if "password" in values and reasons:
            self.add_error("password", ValidationError([ValidationError(reason) for reason in reasons]))
        return values


class InviteForm(forms.ModelForm):  # type: ignore[type-arg]
    """An account for somebody else."""

    username = forms.CharField(
        label="Name",
        max_length=150,
        help_text="Letters, digits and @ . + - _",
        widget=forms.TextInput({"autocomplete": "off"}),
    )

    class Meta:
        model = User
        fields = ("username", "role")


class RoleForm(forms.Form):
    """Another role for an account."""

    role = forms.ChoiceField(choices=Role)


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    """How the console looks and behaves for one person."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        required=False,
        choices=lambda: [("", "The browser's own"), *((name, name) for name in sorted(available_timezones()))],
    )

    class Meta:
        model = User
        fields = ("theme", "time_zone", "nav", "shortcuts")


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key for a program: never with more than its maker's role."""

    name = forms.CharField(max_length=100, help_text="What uses it, for example the host or the script.")
    expires = forms.ChoiceField(label="Expires", required=False, choices=EXPIRIES)

    class Meta:
        model = ApiKey
        fields = ("name", "role")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        possible = [choice for choice in Role.choices if includes(user.role, choice[0])]
        # A key with little power is the safer default; more is one choice away.
        self.fields["role"] = forms.ChoiceField(choices=possible, initial=possible[:2][-1][0])

    @property
    def expires_at(self) -> datetime | None:
        """When the key ends."""
        days = self.cleaned_data["expires"]
        return now() + timedelta(days=int(days)) if days else None
