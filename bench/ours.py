"""``make bench``: a console of its own beside the model server that costs nothing, measured by ``bench.py``.

Arguments are handed on, for example ``make bench ARGS="--only agents --conc 32"``.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.processes import ROOT, Console, ModelServer, free_port

SECTIONS = "start,agents,history,datasets,eval,telemetry,badinput,robust"


def main() -> int:
    """Run the measurements; return the exit status of ``bench.py``."""
    models = ModelServer().start()
    with tempfile.TemporaryDirectory(prefix="stack-console-bench-") as folder:
        console = Console(Path(folder), models, port=free_port()).prepare()
        command = [sys.executable, str(ROOT / "bench/bench.py"), *_arguments(console), *sys.argv[1:]]
        try:
            return subprocess.run(command, env=console.environment, cwd=ROOT, check=False).returncode
        finally:
            console.remove()
            models.stop()


def _arguments(console: Console) -> list[str]:
    return [
        "--base-url", console.url,
        "--fake-url", console.models.url,
        "--model-prefix", "openai/",
        "--header", f"Authorization=Bearer {console.key()}",
        "--start-cmd", f"{sys.executable} manage.py serve --port {console.port}",
        "--only", SECTIONS,
        "--out", "bench_result.json",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
