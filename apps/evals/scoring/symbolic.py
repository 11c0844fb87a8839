"""Whether two expressions are the same by algebra. Runs in a child process; needs the ``math`` extra."""

from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

CONFIG = (LatexExtractionConfig(),)  # never as Python: what a model wrote must not be run


def same(order: Any) -> bool:
    """Return whether the answer equals the expected one; what cannot be read as mathematics does not."""
    # The library's own limits need a signal this process uses itself; the order has a limit already.
    expected, answer = (
        parse(f"${order[name]}$", CONFIG, fallback_mode="no_fallback", parsing_timeout=None)
        for name in ("expected", "answer")
    )
    return bool(expected and answer and verify(expected, answer, timeout_seconds=None))
