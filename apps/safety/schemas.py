"""What a shield says."""

from typing import Any, Literal

from apps.core.spec import SpecModel

ViolationLevel = Literal["info", "warn", "error"]


class SafetyViolation(SpecModel):
    """What a shield objects to; only level ``error`` blocks."""

    violation_level: ViolationLevel
    user_message: str | None = None
    metadata: dict[str, Any]
