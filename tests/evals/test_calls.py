"""Calls of scoring functions: counted while rows are scored, kept by the hour, told for the last 24."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils.timezone import now

from apps.evals import calls, schemas
from apps.evals.models import ScorerCalls, ScorerUse
from apps.evals.scoring import counting
from apps.evals.scoring.catalog import BUILT_IN
from apps.evals.scoring.counting import Counted, Counting, seconds_of, slot_of
from apps.evals.scoring.running import Scorers

pytestmark = pytest.mark.django_db


def counted(name: str, seconds: list[float], failed: int = 0, error: str = "no such column") -> Counted:
    """Return calls of these times, of which the first so many failed."""
    found = Counted()
    for at, took in enumerate(seconds):
        key = (name, slot_of(took))
        found.calls[key] = found.calls.get(key, 0) + 1
        if at < failed:
            found.failed[key] = found.failed.get(key, 0) + 1
            found.errors[name] = error
    return found


@pytest.mark.parametrize("seconds", [0.000_002, 0.004, 0.5, 3.0, 120.0])
def test_a_time_is_read_back_nearly_as_it_was(seconds: float) -> None:
    assert seconds <= seconds_of(slot_of(seconds)) * 1.000_001 <= seconds * 1.1


def test_what_is_counted_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting.time, "perf_counter", lambda: 2.0)
    one = Counting()
    one.count("a", 1.0, "")
    one.count("a", 1.0, "broken")

    taken, again = one.take(), one.take()

    key = ("a", slot_of(1.0))
    assert (taken.calls, taken.failed, taken.errors) == ({key: 2}, {key: 1}, {"a": "broken"})
    assert not again.calls


async def test_a_row_a_judge_gave_no_score_is_counted_as_failed() -> None:
    async def judge(model: str, prompt: str) -> str:
        return "No idea."

    params = schemas.LLMAsJudgeScoringFnParams(
        judge_model="m", prompt_template="{generated_answer}", judge_score_regexes=[r"Score: (\d)"]
    )
    scorers = Scorers({"mine": (BUILT_IN["llm-as-judge::base"], params)}, judge)
    await scorers.score({"input_query": "q", "expected_answer": "a", "generated_answer": "b"})

    taken = scorers.counting.take()
    assert sum(taken.failed.values()) == sum(taken.calls.values()) == 1
    assert taken.errors == {"mine": "The judge's words hold no score that the expressions find."}


async def test_a_row_that_lacks_a_column_says_nothing_of_the_function() -> None:
    async def nobody(model: str, prompt: str) -> str:
        raise AssertionError("nobody is asked")

    follows = BUILT_IN["basic::ifeval"]
    scorers = Scorers({"follows": (follows, follows.params)}, nobody)

    told = await scorers.score({"input_query": "q", "generated_answer": "b"})

    assert "The row needs 'instruction_id_list' and 'prompt'" in told["follows"]["error"]
    assert not scorers.counting.take().calls


def test_calls_of_several_keepings_add_up() -> None:
    calls.keep(counted("a", [0.01] * 60))
    calls.keep(counted("a", [0.01] * 30 + [2.0] * 10, failed=3))
    calls.keep(counted("b", [0.1]))

    told = calls.lately(["a", "b", "c"])

    assert (told["a"].calls, told["a"].failed, told["a"].error) == (100, 3, "no such column")
    assert told["a"].p95_s == pytest.approx(2.0, rel=0.1) and told["b"].p95_s == pytest.approx(0.1, rel=0.1)
    assert (told["c"].calls, told["c"].p95_s, told["c"].called_at) == (0, None, None)


def test_a_call_that_went_well_keeps_the_last_error() -> None:
    calls.keep(counted("a", [0.1], failed=1, error="the judge\0 is away"))
    failed_at = calls.lately(["a"])["a"].failed_at
    calls.keep(counted("a", [0.1]))

    told = calls.lately(["a"])["a"]

    assert (told.error, told.failed_at) == ("the judge is away", failed_at)
    assert told.called_at is not None and failed_at is not None and told.called_at > failed_at


def test_what_is_older_than_a_day_is_not_told_and_goes() -> None:
    long_ago = int(time.time()) // calls.HOUR_S - calls.HOURS
    ScorerCalls.objects.create(hour=long_ago, scoring_fn_id="a", slot=1, calls=5, failed=5)
    ScorerUse.objects.create(scoring_fn_id="a", called_at=now() - timedelta(days=1))

    told = calls.lately(["a"])["a"]
    calls.keep(counted("b", [0.1]))

    assert (told.calls, told.failed) == (0, 0) and told.called_at is not None
    assert list(ScorerCalls.objects.values_list("scoring_fn_id", flat=True)) == ["b"]


def test_reading_takes_two_queries_however_many_there_are(django_assert_num_queries: Any) -> None:
    names = [f"f{n}" for n in range(40)]
    for name in names:
        calls.keep(counted(name, [0.1, 0.2]))

    with django_assert_num_queries(2):
        told = calls.lately(names)

    assert all(one.calls == 2 for one in told.values())


def test_a_deleted_function_leaves_nothing_to_the_next_of_its_name() -> None:
    calls.keep(counted("a", [0.1], failed=1))

    calls.forget("a")

    assert calls.lately(["a"])["a"] == calls.Lately()


@pytest.mark.django_db(transaction=True)
def test_two_that_keep_the_same_functions_in_another_order_do_not_block_each_other() -> None:
    together = threading.Barrier(2)

    def keep(names: str) -> None:
        try:
            with transaction.atomic():
                calls.keep(counted(names[0], [0.5]))
                with suppress(threading.BrokenBarrierError):
                    together.wait(timeout=0.5)  # nobody comes while the other waits for this one
                calls.keep(counted(names[1], [0.5]))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(keep, ("ab", "ba")))

    assert [one.calls for one in calls.lately(["a", "b"]).values()] == [2, 2]
