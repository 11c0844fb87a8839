"""Whether a difference between two runs could be chance. Knows numbers only."""

from dataclasses import dataclass

CLEAR, LIKELY = 0.01, 0.05
FEW = 6  # of fewer flipped rows not even all the same way would be unlikely enough: 2 · 0.5⁵ > 0.05


@dataclass(frozen=True, slots=True)
class Certainty:
    """How likely rows flip so one-sidedly if neither run is better; ``p`` is None when no row flipped."""

    p: float | None
    words: str


def of(better: int, worse: int) -> Certainty:
    """Return how sure one can be that better and worse rows are not alike by chance."""
    if not better + worse:
        return Certainty(None, "no row flipped")
    p = sign_test(better, worse)
    shown = f"p = {p:.2f}" if p >= CLEAR else "p < 0.01"
    if better + worse < FEW:
        return Certainty(p, f"too few flipped to tell ({shown})")
    verdict = "clear" if p < CLEAR else "likely" if p < LIKELY else "could be chance"
    return Certainty(p, f"{verdict} ({shown})")


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p of the exact sign test, which for right and wrong is McNemar's exact test.

    Fagerland, Lydersen, Laake: The McNemar test for binary matched-pairs data, BMC Med Res Methodol 13:91 (2013),
    "exact conditional test". Rows that stayed the same say nothing and are left out.
    """
    flipped, fewer = better + worse, min(better, worse)
    term = total = 1
    for at in range(fewer):
        term = term * (flipped - at) // (at + 1)
        total += term
    return min(1.0, float(2 * total / (1 << flipped)))
