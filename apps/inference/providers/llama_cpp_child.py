"""The process that serves one model file on a unix socket. Started by ``llama_cpp_server``; knows nothing of Django.

It reads what to do as JSON from its standard input and lives as long as some process holds the lock on ``users``.
"""

import fcntl
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOOK_EVERY_S = 1.0
PROMPT_CACHE_MIB = 64


def main() -> None:
    """Serve until nobody wants it any more."""
    order = json.load(sys.stdin)
    socket = Path(order["socket"])
    alive = Path(order["alive"]).open("w")  # noqa: SIM115 - held to the end, so that others see a child that still loads
    fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print(os.getpid(), file=alive, flush=True)
    threading.Thread(target=_leave_when_unwanted, args=(order["users"], socket), daemon=True).start()
    os.umask(0o177)  # the socket is for this user alone
    socket.unlink(missing_ok=True)
    server = _serve(order)
    print("serving", order["model"], "on", server.listening_address, flush=True)
    threading.Event().wait()


def _serve(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.hostnames, params.port = [order["socket"]], 0
    params.api_keys = [order["key"]]
    params.n_parallel = order["slots"]
    params.n_ctx = order["context"] * order["slots"]  # the runtime divides it among the slots
    params.endpoint_slots = True
    params.ui = False
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.verbosity = 0
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = order["threads"]
    if order["embedding"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_batch = params.n_ubatch = params.n_ctx  # a text is embedded in one piece
    return xllamacpp.Server(params)


def _leave_when_unwanted(users: str, socket: Path) -> None:
    """End the process when its lock is free: the kernel frees it of every process that ended, however it ended."""
    with Path(users).open("r+") as lock:
        while True:
            time.sleep(LOOK_EVERY_S)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # Kept until the end: who comes now waits, finds no socket and starts a new one.
            socket.unlink(missing_ok=True)
            os._exit(0)


if __name__ == "__main__":
    main()
