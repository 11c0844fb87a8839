"""Published clients register functions and score by them."""

import pytest

from tests.client.test_clients import run
from tests.processes import Console


@pytest.mark.parametrize("version", ["0.3.0", "0.2.23", "0.2.12"])
def test_every_scoring_call_of_the_client_works(console: Console, version: str) -> None:
    assert "all scoring calls were answered" in run(console, "scoring.py", version)


@pytest.mark.parametrize("version", ["0.3.0", "0.2.23", "0.2.12"])
def test_every_eval_call_of_the_client_works(console: Console, version: str) -> None:
    assert "all eval calls were answered" in run(console, "evaluations.py", version)
