"""Run as a process of its own: put two runs of a shop's questions into the console the environment names.

The last line it prints is JSON: the jobs of the base and of the run to hold against it, and one of a third.
"""

import json
import os
from typing import Any

ROWS = (
    ("Can a gift card be used twice?", "Yes, until its balance is zero.", "No, gift cards are single use.",
     "Yes, until the balance is zero."),
    ("Is the Fell boot resoleable?", "Yes, by us, 79 EUR.", "I could not find this.",
     "Yes, we resole it for 79 EUR."),
    ("Return window for sale items?", "14 days.", "14 days.", "30 days."),
    ("Do you ship to Svalbard?", "Yes, 8 to 12 working days.", "No.", "Yes, 8 to 12 working days."),
    ("Who pays return freight?", "The shop, label included.", "The customer.", "We do; the label is in the box."),
    ("Can I change the address after dispatch?", "No, only before.", "No.", "Yes, call the carrier."),
)  # fmt: skip
BETTER, WORSE, TOTAL = 41, 14, 212
MATCH, JUDGE, CITES = "basic::equality", "mine/llm_judge::helpful", "mine/regex::cites_policy"


def main() -> None:
    """Store the runs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stack_console.settings")
    import django

    django.setup()
    from django.db import transaction

    with transaction.atomic():
        print(json.dumps(stored()))


def stored() -> dict[str, str]:
    """Store three runs of 212 rows and return their jobs."""
    from tests.evals import made, runs

    average = {"params": {"type": "basic", "aggregation_functions": ["average"]}}
    scoring = {MATCH: runs.EQUALITY, JUDGE: {"function": "judge", **average}, CITES: {"function": "regex", **average}}
    rows = [runs.row(ROWS[n % 6][0], ROWS[n % 6][1]) | {"number": n} for n in range(TOTAL)]
    made.dataset("support-gold-test", rows)
    made.benchmark("support-gold", "support-gold-test", MATCH)
    kinds = [_kind(n) for n in range(TOTAL)]
    old = [0.0 if kind == "better" else 1.0 if kind == "worse" else float(n % 3 != 0) for n, kind in enumerate(kinds)]
    new = [1.0 if kind == "better" else 0.0 if kind == "worse" else old[n] for n, kind in enumerate(kinds)]
    about: dict[str, Any] = {"benchmark_id": "support-gold", "dataset_id": "support-gold-test", "scoring": scoring}

    def run(name: str, place: int, match: list[float], shift: int) -> str:
        helpful = [float(1 + (n * 7 + shift * (n % 3)) % 5) for n in range(TOTAL)]
        cites = [float((n + shift * (n % 11 == 0)) % 5 > 0) for n in range(TOTAL)]
        answers = [ROWS[n % 6][place] for n in range(TOTAL)]
        scores = {MATCH: match, JUDGE: helpful, CITES: cites}
        return runs.run(rows, answers, scores, candidate=name, **about).job.job_id

    base = run("llama-3.2-3b-instruct", 2, old, 0)
    other = run("support-lora-v3@epoch-4", 3, new, 1)
    third = run("qwen2.5-coder-1.5b", 3, old[::-1], 3)
    return {"base": base, "with": other, "third": third}


def _kind(n: int) -> str:
    if n % 5 == 0 and n // 5 < BETTER:
        return "better"
    return "worse" if n % 15 == 2 and n // 15 < WORSE else "same"


if __name__ == "__main__":
    main()
