"""The exact sign test, held against published and other people's numbers."""

import time

import pytest

from apps.evals.compare import certainty


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (1, 1, 1.0),
        (5, 0, 0.0625),
        (6, 0, 0.03125),
        (9, 13, 0.5235),  # scipy.stats.binomtest(9, 22).pvalue
        (41, 14, 0.000358),  # scipy.stats.binomtest(14, 55).pvalue
        (1, 7, 0.0703),  # Fagerland, Lydersen, Laake 2013, airway hyper-responsiveness: exact conditional p = 0.070
        (25, 25, 1.0),
    ],
)
def test_the_p_is_that_of_the_exact_binomial(better: int, worse: int, p: float) -> None:
    assert certainty.sign_test(better, worse) == pytest.approx(p, rel=0.01)
    assert certainty.sign_test(worse, better) == certainty.sign_test(better, worse)


@pytest.mark.parametrize(
    ("better", "worse", "words"),
    [
        (0, 0, "no row flipped"),
        (1, 0, "too few flipped to tell (p = 1.00)"),
        (5, 0, "too few flipped to tell (p = 0.06)"),
        (6, 0, "likely (p = 0.03)"),
        (41, 14, "clear (p < 0.01)"),
        (9, 13, "could be chance (p = 0.52)"),
    ],
)
def test_it_is_told_in_words(better: int, worse: int, words: str) -> None:
    assert certainty.of(better, worse).words == words


def test_ten_thousand_flips_cost_nothing() -> None:
    began = time.perf_counter()

    p = certainty.sign_test(5_000, 5_000)

    assert p == 1.0
    assert certainty.sign_test(4_000, 6_000) < 1e-80
    assert time.perf_counter() - began < 0.5
