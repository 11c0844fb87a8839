"""Which benchmarks use a scoring function."""

from collections import Counter

from apps.evals.models import Benchmark

NAMED = 8


def counts() -> Counter[str]:
    """Return how many benchmarks use each function; one query."""
    lists = Benchmark.objects.order_by().values_list("scoring_functions", flat=True)
    return Counter(name for names in lists.iterator(2_000) for name in set(names))


def benchmarks(name: str) -> tuple[list[str], int]:
    """Return the newest benchmarks that use a function, and how many do."""
    rows = Benchmark.objects.order_by("-id").values_list("benchmark_id", "scoring_functions")
    found = [benchmark for benchmark, names in rows.iterator(2_000) if name in names]
    return found[:NAMED], len(found)


def what_goes(name: str, users: list[str], count: int) -> str:
    """Return what a person should know before a function is deleted."""
    if not users:
        return f"No benchmark uses {name}. Runs that were scored by it keep their scores."
    more = f" and {count - len(users):,} more" if count > len(users) else ""
    which = "Benchmark" if count == 1 else "Benchmarks"
    return f"{which} {', '.join(users)}{more} cannot be run without {name}. Scores of earlier runs stay."
