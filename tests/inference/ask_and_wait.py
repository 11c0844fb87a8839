"""A process that loads a model, prints the child's process id and waits to be killed; run by a test."""

import asyncio
import os
import sys
import time
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "stack_console.settings"


async def main() -> None:
    """Ask once."""
    from apps.inference.providers.llama_cpp_server import Load, ModelServer

    server = ModelServer("tiny", Load(Path(sys.argv[1]), 512, 1, 1, False))
    async with server.in_use():
        print(server._alive.read_text().strip(), flush=True)
    time.sleep(60)


asyncio.run(main())
