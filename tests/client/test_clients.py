"""Published clients drive a live server; each runs in a process of its own, with its own version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, Console

CLIENTS = Path(os.environ.get("STACK_CONSOLE_CLIENTS", sys.prefix)) / "clients"


def run(console: Console, script: str, version: str = "") -> str:
    """Return what a script printed; it must end well."""
    folders = [CLIENTS / version, CLIENTS / "shared"] if version else []
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        pytest.skip(f"not installed: {', '.join(missing)}; `make test` installs it")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")},
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "BASE_URL": console.url,
        "API_KEY": console.key("operator"),
        "STACK_CONSOLE_KEY": console.key("operator"),
        "VIEWER_KEY": console.key("viewer"),
        "MODEL": "openai/fake",
        "EMBEDDING_MODEL": "openai/fake-embed-e8",
    }
    command = [sys.executable, str(ROOT / "tests/client/scripts" / script)]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("version", ["0.3.0", "0.2.23", "0.2.12"])
def test_every_agents_call_of_the_client_works(console: Console, version: str) -> None:
    assert "all calls were answered" in run(console, "raw_calls.py", version)


@pytest.mark.parametrize("version", ["0.3.0", "0.2.23", "0.2.12"])
def test_every_datasets_call_of_the_client_works(console: Console, version: str) -> None:
    assert "all datasets calls were answered" in run(console, "datasets.py", version)


@pytest.mark.parametrize("version", ["0.3.0", "0.2.23", "0.2.12"])
def test_every_telemetry_call_of_the_client_works(console: Console, version: str) -> None:
    assert "all telemetry calls were answered" in run(console, "telemetry.py", version)


@pytest.mark.parametrize("version", ["0.2.23", "0.2.12"])
def test_the_agent_helper_runs_a_python_function_as_a_tool(console: Console, version: str) -> None:
    printed = run(console, "agent_helper.py", version)

    assert "the helper drove two turns" in printed


def test_the_openai_client_is_answered(console: Console) -> None:
    assert "the OpenAI client was answered" in run(console, "openai_calls.py")
