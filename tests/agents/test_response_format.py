"""An agent's response format reaches its model, or is refused by whoever cannot keep it."""

from collections.abc import Callable

import httpx2
import pytest

from apps.core import db
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)
GRAMMAR = {"type": "grammar", "bnf": {"grammar": 'root ::= "yes"'}}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_grammar_the_provider_has_no_field_for_is_not_built_in(
    api: httpx2.AsyncClient, scripted: Callable[..., str], stream: bool
) -> None:
    session = await db.write(lambda: build.session(build.agent(model=scripted("Hi."), response_format=GRAMMAR)))
    path = f"/v1alpha/agents/{session.agent.agent_id}/session/{session.session_id}/turn"

    answer = await api.post(path, json={"messages": [build.said("hi")], "stream": stream})

    assert "takes no grammar" in answer.text
    if stream:
        assert '"status":501' in answer.text
    else:
        assert answer.status_code == 501
        assert answer.headers["x-should-retry"] == "false"
