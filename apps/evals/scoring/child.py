"""The child process's side: reads orders, one line of JSON each, and answers each with a line.

Started by ``pool``; imports nothing of Django. The alarm's default action ends the process, even in the middle of an
expression that runs in C, and even when the parent has died meanwhile.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from apps.evals.scoring.refusal import Refused

MEMORY = 2 * 1024**3
TASKS = {
    "search": "apps.evals.scoring.searching:search",
    "fault": "apps.evals.scoring.searching:fault",
    "same": "apps.evals.scoring.symbolic:same",
    "follow": "apps.evals.scoring.ifeval_instructions:follow",
    "calls": "apps.evals.scoring.bfcl_check:verdict",
}


def main() -> None:
    """Answer orders until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with suppress(OSError, ValueError):  # some systems keep no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(2_000)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        task = _task(order["task"])  # importing what it needs is not on the row's time
        signal.setitimer(signal.ITIMER_REAL, order["seconds"])
        answer = _answer(task, order["payload"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(answer + b"\n")
        answers.flush()


def _task(name: str) -> Callable[[Any], Any]:
    module, _, function = TASKS[name].partition(":")
    task: Callable[[Any], Any] = getattr(import_module(module), function)
    return task


def _answer(task: Callable[[Any], Any], payload: Any) -> bytes:
    """Return the answer as a line. Rows come from anywhere: what a task trips over is the row's error."""
    try:
        return json.dumps({"value": task(payload)}).encode()
    except Refused as error:
        return json.dumps({"error": str(error)}).encode()
    except Exception as error:
        return json.dumps({"error": f"The row cannot be scored: {type(error).__name__}: {error}"[:500]}).encode()


if __name__ == "__main__":
    main()
