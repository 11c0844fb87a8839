"""Writing."""

from dataclasses import dataclass, field


@dataclass
class Saved:
    new: list[str] = field(default_factory=list)
    changed: dict[str, list[int]] = field(default_factory=dict)
