"""What the documents say is so: the provider of the guide runs, and every link leads to a file."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
from django.core.checks import run_checks

from apps.core import db
from tests import build
from tests.telemetry import spans

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def shout(settings: Any, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> str:
    """A model of the provider that docs/providers.md writes."""
    code, line = re.findall(r"```python\n(.*?)```", (ROOT / "docs/providers.md").read_text(), re.DOTALL)
    module = ModuleType("shout")
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "shout", module)
    types = {api: dict(known) for api, known in settings.PROVIDER_TYPES.items()}
    exec(line, {"PROVIDER_TYPES": types})
    settings.PROVIDER_TYPES = types
    return str(build.model(build.provider("shout", "inline::shout"), "loud").identifier)


async def test_the_provider_of_the_guide_answers(shout: str, api: httpx2.AsyncClient) -> None:
    body = {"model": shout, "messages": [{"role": "user", "content": "is anybody there"}]}

    answer = await api.post("/v1/chat/completions", json=body)

    assert answer.json()["choices"][0]["message"]["content"] == "IS ANYBODY THERE !"


async def test_an_agent_speaks_through_the_provider_of_the_guide(shout: str, api: httpx2.AsyncClient) -> None:
    agent = (await api.post("/v1alpha/agents", json={"agent_config": {"model": shout, "instructions": ""}})).json()
    path = f"/v1alpha/agents/{agent['agent_id']}/session"
    session = (await api.post(path, json={"session_name": "Guide"})).json()

    turn = await api.post(f"{path}/{session['session_id']}/turn", json={"messages": [build.said("hello")]})

    assert turn.json()["output_message"]["content"] == "HELLO !"


def test_the_provider_of_the_guide_passes_the_checks(shout: str) -> None:
    assert [message for message in run_checks() if message.id == "providers.E001"] == []


async def test_the_questions_of_the_telemetry_page_are_answered(api: httpx2.AsyncClient) -> None:
    text = (ROOT / "docs/telemetry.md").read_text()
    asked = re.findall(r"^ask (\S+)(?: -d '(.*)')?$", text, re.MULTILINE)
    record = spans.record()
    await db.write(spans.save, record)
    kept = {"dataset_id": "kept", "purpose": "post-training/messages", "source": {"type": "rows", "rows": []}}
    assert (await api.post("/v1beta/datasets", json=kept)).is_success

    for path, body in asked:
        url = "/v1alpha/telemetry/" + path.replace("$TRACE", record.trace_id).replace("$SPAN", record.span_id)
        answer = await (api.post(url, json=json.loads(body)) if body else api.get(url))
        assert answer.is_success, (path, answer.text)
    assert len(asked) == 7


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
