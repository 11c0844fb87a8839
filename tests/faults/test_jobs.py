"""Jobs while their workers, the web server and their own processes are killed; all are real processes."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.shop import Shop, rows_are_whole, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TAKEN_UP_S = 30


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A console's data, a clerk, no worker yet."""
    one = Shop(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("work", ["count_rows", "count_rows_in_loop"])
def test_a_killed_worker_loses_and_repeats_nothing(shop: Shop, work: str) -> None:
    first = shop.worker()
    [job_id] = shop.ask(give=work, arguments={"total": 100, "each_s": 0.05})
    until(lambda: (shop.job(job_id)["checkpoint"] or {}).get("done", 0) >= 10, 20)
    shop.worker()
    first.kill()
    first.wait()
    kept = shop.job(job_id)["checkpoint"]["done"]

    taken_up = until(lambda: shop.job(job_id)["attempt"] == 2, TAKEN_UP_S, shop.log)
    job = shop.ended(job_id)

    print(f"taken up after {taken_up:.1f} s from row {kept}")
    assert (job["status"], job["result"]) == ("completed", {"rows": 100})
    assert rows_are_whole(shop, job_id, 100)


def test_a_killed_web_server_goes_on_with_its_job_when_it_is_back(shop: Shop) -> None:
    shop.console.start()
    [job_id] = shop.ask(give="count_rows", arguments={"total": 60, "each_s": 0.05})
    until(lambda: (shop.job(job_id)["checkpoint"] or {}).get("done", 0) >= 10, 20)
    shop.console.kill()
    assert shop.job(job_id)["status"] == "in_progress"

    shop.console.start()
    taken_up = until(lambda: shop.job(job_id)["attempt"] == 2, TAKEN_UP_S, shop.console.log)
    job = shop.ended(job_id)

    print(f"taken up {taken_up:.1f} s after the start")
    assert job["status"] == "completed" and rows_are_whole(shop, job_id, 60)


def test_a_killed_child_is_started_again_from_its_checkpoint(shop: Shop) -> None:
    shop.worker()
    [job_id] = shop.ask(give="die_once", isolated=True)

    job = shop.ended(job_id, TAKEN_UP_S)

    assert (job["status"], job["attempt"], job["result"]) == ("completed", 2, {"checkpoint": {"step": 7}})


def test_a_child_killed_from_outside_repeats_nothing(shop: Shop) -> None:
    worker = shop.worker()
    [job_id] = shop.ask(give="count_rows", arguments={"total": 80, "each_s": 0.05}, isolated=True)
    until(lambda: (shop.job(job_id)["checkpoint"] or {}).get("done", 0) >= 10, 20, shop.log)
    [child] = psutil.Process(worker.pid).children()
    child.kill()

    taken_up = until(lambda: shop.job(job_id)["attempt"] == 2, TAKEN_UP_S, shop.log)
    job = shop.ended(job_id)

    print(f"taken up after {taken_up:.1f} s")
    assert job["status"] == "completed" and rows_are_whole(shop, job_id, 80)


def test_the_children_of_a_killed_worker_die_with_it(shop: Shop) -> None:
    worker = shop.worker()
    [job_id] = shop.ask(give="start_grandchild", isolated=True)
    until(lambda: shop.job(job_id)["checkpoint"], 20, shop.log)
    kept = shop.job(job_id)["checkpoint"]
    worker.kill()
    worker.wait()

    until(lambda: not psutil.pid_exists(kept["child"]), 5)
    until(lambda: not psutil.pid_exists(kept["grandchild"]) or is_zombie(kept["grandchild"]), 5)


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_that_ignores_everything_is_cancelled_within_five_seconds(shop: Shop) -> None:
    shop.worker()
    [job_id] = shop.ask(give="start_grandchild", isolated=True)
    until(lambda: shop.job(job_id)["checkpoint"], 20, shop.log)
    kept = shop.job(job_id)["checkpoint"]

    shop.ask(cancel=job_id)
    took = until(lambda: shop.job(job_id)["status"] == "cancelled", 5, shop.log)

    print(f"cancelled after {took:.1f} s")
    until(lambda: not psutil.pid_exists(kept["child"]) and is_zombie(kept["grandchild"]), 5)


def test_a_job_that_kills_its_process_every_time_ends_with_a_reason(shop: Shop) -> None:
    shop.worker()
    [job_id] = shop.ask(give="die_always", isolated=True, max_attempts=2)

    job = shop.ended(job_id)

    assert (job["status"], job["attempt"]) == ("failed", 2)
    assert "killed by SIGKILL" in job["error"]


@pytest.mark.parametrize("number", [2, 3])
def test_several_workers_empty_a_full_queue_and_run_each_job_once(shop: Shop, number: int) -> None:
    """Two on SQLite; with DATABASE_URL and REDIS_URL the same on Postgres and Redis. One is killed in the middle."""
    workers = [shop.worker() for _ in range(number)]
    ids = shop.ask(give="note_once", many=150)
    slow = shop.ask(give="count_rows", arguments={"total": 40, "each_s": 0.05}, many=4, queue="eval")
    until(lambda: sum(job["status"] == "completed" for job in shop.ask(look=ids)) >= 20, 60, shop.log)
    workers[0].kill()

    until(lambda: all(job["status"] == "completed" for job in shop.ask(look=ids + slow)), 90, shop.log)

    jobs = shop.ask(look=ids)
    ran = {job_id: len(shop.ask(rows=job_id)) for job_id in ids}
    again = [job["job_id"] for job in jobs if job["attempt"] > 1]
    # A job is repeated only when its worker died between the work and its end; such work keeps a checkpoint.
    assert all(count == 1 for job_id, count in ran.items() if job_id not in again) and len(again) <= 2
    assert all(rows_are_whole(shop, job_id, 40) for job_id in slow)
    # Who came first to how many is the machine's affair; a fast one may leave nothing for another.
    print(f"shared as {sorted(Counter(job['worker'] for job in jobs).values())}")


def test_a_worker_asked_to_stop_hands_back_and_exits_well(shop: Shop) -> None:
    shop.console.extra["JOB_STOP_S"] = "1"
    worker = shop.worker()
    [job_id] = shop.ask(give="count_rows", arguments={"total": 300, "each_s": 0.05})
    [child_id] = shop.ask(give="count_rows", arguments={"total": 300, "each_s": 0.05}, isolated=True)
    until(lambda: all((shop.job(one)["checkpoint"] or {}).get("done", 0) >= 5 for one in (job_id, child_id)), 20)

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0

    for one in (job_id, child_id):
        job = shop.job(one)
        assert (job["status"], job["attempt"], job["lease_owner"]) == ("scheduled", 0, ""), shop.log()
        assert rows_are_whole(shop, one, job["checkpoint"]["done"])
    assert shop.ask(workers=True)[-1][1] == "stopped"


def test_a_stopped_worker_is_seen_as_lost_and_its_job_taken_over(shop: Shop) -> None:
    """Stopped as by Ctrl-Z: alive, and silent. When it wakes it may write nothing."""
    shop.worker(), shop.worker()
    [job_id] = shop.ask(give="count_rows", arguments={"total": 200, "each_s": 0.05})
    until(lambda: (shop.job(job_id)["checkpoint"] or {}).get("done", 0) >= 10, 20, shop.log)
    first = shop.job(job_id)["worker"]
    pid = int(first.split(":")[1])
    shop.freeze(pid, job_id)

    red = until(lambda: dict(shop.ask(workers=True))[first] == "lost", 30, shop.log)
    taken_up = red + until(lambda: shop.job(job_id)["attempt"] == 2, TAKEN_UP_S - red, shop.log)
    os.kill(pid, signal.SIGCONT)
    job = shop.ended(job_id)

    print(f"red after {red:.1f} s, taken up after {taken_up:.1f} s")
    assert job["status"] == "completed" and job["worker"] != first, (job, shop.log())
    assert rows_are_whole(shop, job_id, 200)
