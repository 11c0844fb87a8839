"""Which process this is, and whether another one still lives: a process id alone is used again by others."""

import os
import resource
import socket
from functools import cache
from pathlib import Path

from apps.core.numbers import whole


@cache
def this_process() -> str:
    """Return ``host:pid:start``, a name no other process ever has."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """Return whether a process of this host is gone; of another host nothing is known, so False."""
    host, _, rest = process.partition(":")
    number, _, started = rest.partition(":")
    pid = whole(number)
    if host != socket.gethostname() or pid is None:
        return False
    return _started(pid) != started


def memory() -> int:
    """Return the bytes of memory this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the most it ever held
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]  # start time in clock ticks since boot, proc(5)
