"""Which Redis databases the tests use: some processes of a run empty theirs while others hold live events."""

import os
from urllib.parse import urlsplit

CACHE = 8  # a test empties its cache, and with it a whole Redis database
CONSOLES = 7  # what running consoles keep
EACH = 3  # databases a worker of a parallel run has


def given() -> str:
    """Return REDIS_URL as it is meant for this worker of a parallel run; "" when it is not set."""
    url = os.environ.get("REDIS_URL", "")
    return numbered(int(urlsplit(url).path.strip("/") or 0)) if url else ""


def numbered(number: int) -> str:
    """Return the address of a Redis database of this worker: workers count on by three."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number + EACH * worker}").geturl()
