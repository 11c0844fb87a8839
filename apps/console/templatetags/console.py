"""What every template may use without loading it: icons, states, numbers, times, fields, code."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django import template
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, FileInput, RadioSelect, Select, Textarea
from django.templatetags.static import static
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now

from apps.accounts.models import User
from apps.agents.values import MEDIUM, Shown, as_value, cut
from apps.core import markdown as core_markdown
from apps.core import once as core_once
from apps.core.keyset import Page

register = template.Library()
UNKNOWN = "–"
SHOWN_JSON = 100_000
# A state is always the same tone, icon and word, wherever it is shown.
STATES = {
    "running": ("run", "loader-circle", "Running"),
    "answering": ("run", "loader-circle", "Answering"),
    "waiting": ("wait", "hand", "Waiting for you"),
    "completed": ("ok", "circle-check", "Completed"),
    "cancelled": ("off", "square", "Stopped"),
    "failed": ("err", "circle-x", "Failed"),
    "healthy": ("ok", "circle-check", "Healthy"),
    "unhealthy": ("err", "circle-x", "Unreachable"),
    "unreachable": ("err", "circle-x", "Unreachable"),
    "unknown": ("off", "minus", "Not checked"),
    "disabled": ("off", "circle-slash", "Switched off"),
    "missing": ("err", "triangle-alert", "Missing"),
    "ok": ("ok", "circle-check", "OK"),
    "error": ("err", "circle-x", "Error"),
    "safe": ("ok", "shield-check", "Safe"),
    "blocked": ("err", "shield-x", "Blocked"),
    "stopping": ("wait", "hourglass", "Stopping"),
    "draining": ("wait", "hourglass", "Draining"),
    "stopped": ("off", "square", "Stopped"),
    "lost": ("err", "unplug", "Lost"),
    "queued": ("off", "clock", "Queued"),
    "partial": ("wait", "circle-dashed", "Partial"),
    "active": ("ok", "circle-check", "Active"),
    "expired": ("off", "clock", "Expired"),
    "revoked": ("off", "circle-slash", "Revoked"),
    "no judge": ("wait", "triangle-alert", "No judge"),
    "judge away": ("err", "circle-x", "Judge unreachable"),
    "cut off": ("wait", "triangle-alert", "Cut off"),
    "errors lately": ("wait", "triangle-alert", "Errors lately"),
    "never used": ("off", "minus", "Never used"),
}
# The levels of messages: tone and icon; static/console.js has the same table.
LEVELS = {"error": ("err", "circle-x"), "warning": ("wait", "triangle-alert"), "success": ("ok", "circle-check")}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Return a symbol of the sprite, hidden from screen readers; ``extra`` are further classes (``s``, ``spin``)."""
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', f"i {extra}".strip(), static("icons.svg"), name
    )


@register.simple_tag
def status(state: object, word: str = "", pill: bool = False) -> SafeString:
    """Return a state as icon and word; an unlisted state is shown by its own name."""
    key = str(state or "unknown").lower()
    tone, symbol, usual = STATES.get(key, ("off", "circle-dashed", str(state)))
    spin = "spin" if symbol == "loader-circle" else ""
    return format_html(
        '<span class="st{}" data-t="{}" data-state="{}">{}{}</span>',
        " pill" if pill else "", tone, key, icon(symbol, spin), word or usual,
    )  # fmt: skip


@register.filter
def tone_icon(level: str) -> str:
    """Return the icon name of a message's level."""
    return LEVELS.get(level, ("off", "info"))[1]


@register.filter
def tone(level: str) -> str:
    """Return the tone of a message's level."""
    return LEVELS.get(level, ("off", "info"))[0]


@register.filter
def duration(value: object) -> str:
    """Return a time span (timedelta or seconds) with its unit: 84 ms, 1.02 s, 4 min 12 s, 1 h 5 min."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, int | float):
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


@register.filter
def roughly(value: object) -> str:
    """Return an estimate of seconds as people say it: 8 s, 50 s, 4 min, 2 h 10 min."""
    if not isinstance(value, int | float):
        return UNKNOWN
    if value < 60:
        return f"{max(1, round(value))} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@register.filter
def pace(rate: object, unit: str) -> str:
    """Return how many a second, or a minute where that says more: 340 rows/s, 2.5 rows/s, 21 rows/min."""
    if not isinstance(rate, int | float):
        return UNKNOWN
    if unit == "B":
        return f"{size(rate)}/s"
    if rate < 1:
        return f"{rate * 60:.2g} {unit}/min"
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"


@register.filter
def ms(value: object) -> str:
    """Return milliseconds as a duration."""
    return duration(value / 1000) if isinstance(value, int | float) else UNKNOWN


@register.filter
def count(value: object) -> str:
    """Return a number with separators (1,284; 4.21 M); unknown is a dash and never 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNKNOWN
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:,.2f} M".replace("-", "−")
    return (f"{value:,}" if isinstance(value, int) else f"{value:,.1f}").replace("-", "−")


@register.filter
def size(value: object) -> str:
    """Return bytes as kB, MB or GB."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNKNOWN
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= step:
            return f"{value / step:.3g} {unit}"
    return f"{value} B"


@register.filter
def percent(value: object) -> str:
    """Return a share between 0 and 1 as a percentage."""
    return f"{value * 100:.1f}\u2009%" if isinstance(value, int | float) else UNKNOWN


@register.filter
def when(value: datetime | None) -> str:
    """Return a moment; the browser turns it into the reader's zone, without script it is UTC."""
    return _time(value, "at")


@register.filter
def ago(value: datetime | None) -> str:
    """Return how long ago something was, kept current by the browser."""
    return _time(value, "ago")


def _time(value: datetime | None, style: str) -> str:
    if value is None:
        return UNKNOWN
    moment = value.astimezone(UTC)
    full = f"{moment:%d %b %Y, %H:%M:%S} UTC"
    shown = _distance(now() - value) if style == "ago" else f"{moment:%d %b, %H:%M} UTC"
    return format_html(
        '<time datetime="{}" data-when="{}" title="{}">{}</time>', moment.isoformat(), style, full, shown
    )


def _distance(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 60:
        return "now"
    for unit, step in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= step:
            return f"{seconds // step:.0f} {unit}"
    return "now"


@register.filter
def markdown(text: str | None) -> SafeString:
    """Return a model's text as safe HTML."""
    return core_markdown.render(text or "")


TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*|\b(?:true|false|null)\b)'
)


@register.filter
def shown(value: object, limit: int = MEDIUM) -> Shown:
    """Return what a page shows of a long text, or of a value as JSON, and how long the whole is."""
    return cut(as_value(value), limit)


@register.filter
def json_code(data: object) -> SafeString:
    """Return a value, or text that holds one, as coloured JSON for a ``.code`` block."""
    if isinstance(data, str):
        text, data = data, _value_of(data)
        if data is None:
            return conditional_escape(text)
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    if len(text) > SHOWN_JSON:
        return conditional_escape(text)
    return mark_safe("".join(_coloured(text)))  # every piece is escaped in _coloured


def _value_of(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _coloured(text: str) -> list[str]:
    parts: list[str] = []
    end = 0
    for match in TOKEN.finditer(text):
        css = {"key": "p", "text": "q", "number": "n"}[match.lastgroup or "text"]
        parts += [
            conditional_escape(text[end : match.start()]),
            format_html('<span class="{}">{}</span>', css, match[0]),
        ]
        end = match.end()
    return [*parts, conditional_escape(text[end:])]


@register.inclusion_tag("_field.html")
def field(bound: BoundField, **attributes: Any) -> dict[str, Any]:
    """Return a form field: label above, help and errors below, tied to the control for screen readers."""
    widget = bound.field.widget
    kind = _kind_of(widget)
    attrs: dict[str, Any] = {name.replace("_", "-"): value for name, value in attributes.items()}
    attrs |= {"class": _css_of(widget, kind), "data-ui": f"field-{bound.name}"}
    described = [f"{bound.auto_id}-{part}" for part, there in (("e", bound.errors), ("h", bound.help_text)) if there]
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if bound.errors:
        attrs["aria-invalid"] = "true"
    control = bound.as_widget(attrs={k: v for k, v in attrs.items() if v})
    return {"field": bound, "kind": kind, "control": control, "described": " ".join(described)}


def _kind_of(widget: object) -> str:
    if isinstance(widget, RadioSelect | CheckboxSelectMultiple):
        return "group"
    return "check" if isinstance(widget, CheckboxInput) else "field"


def _css_of(widget: Any, kind: str) -> str:
    own = str(widget.attrs.get("class", ""))
    if kind != "field":
        return own
    usual = "textarea" if isinstance(widget, Textarea) else "select" if isinstance(widget, Select) else "input"
    return f"{usual} file {own}".strip() if isinstance(widget, FileInput) else f"{usual} {own}".strip()


@register.inclusion_tag("_form_errors.html")
def form_errors(form: Any) -> dict[str, Any]:
    """Return the summary of what a form refused, each line a link to its field."""
    return {"form": form}


@register.inclusion_tag("_pager.html")
def pager(page: Page[Any]) -> dict[str, Any]:
    """Return the links to the neighbours of a page."""
    return {"page": page}


@register.simple_tag
def once() -> SafeString:
    """Return the hidden key that makes a second send of this form harmless (see apps.core.once)."""
    return format_html('<input type="hidden" name="{}" value="{}">', core_once.FIELD, uuid4().hex)


@register.filter
def can(user: object, role: str) -> bool:
    """Return whether this person's role is ``role`` or more."""
    return isinstance(user, User) and user.can(role)
