"""The main job on real input: the embedded model, the official client, a real browser."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.rooms import answers, say, turns_of, ui
from tests.client.test_clients import run
from tests.processes import ROOT, Console, ModelServer
from tests.program import Program

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(240)]
MODEL = "embedded/smollm2-135m"


@pytest.fixture(scope="module")
def embedded_console(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console with the small embedded models; their weights come from the working folder when it has them."""
    extra = {"EMBEDDED_MODELS": "1", "STACK_CONSOLE_WEIGHTS_CACHE": str(ROOT / "var/weights")}
    console = Console(tmp_path_factory.mktemp("embedded"), model_server, extra).prepare()
    pull = [sys.executable, "manage.py", "pull_model", "--starters"]
    pulled = subprocess.run(pull, cwd=ROOT, env=console.environment, capture_output=True, text=True, timeout=200)
    if pulled.returncode:
        pytest.skip(f"no weights: {pulled.stderr.splitlines()[-1]}")
    yield console.start()
    console.remove()


def test_the_official_client_is_answered_by_the_embedded_model(embedded_console: Console) -> None:
    assert "the embedded models answered" in run(embedded_console, "embedded_turn.py", "0.3.0")


def test_a_chat_with_the_embedded_model_grows_word_by_word(tabs: Callable[..., Tab], embedded_console: Console) -> None:
    tab = tabs(embedded_console)
    page = tab.open("/agents/new/")
    ui(page, "field-name").fill("Small talk")
    ui(page, "field-model").select_option(MODEL)
    ui(page, "create-agent").click()
    expect(page).to_have_url(re.compile(r"/chat/[^/]+/[^/]+/$"))

    say(page, "Write a long story about a cat.")
    expect(answers(page)).to_have_text(re.compile(r"\w+ \w+"), timeout=60_000)
    early = answers(page).inner_text()
    expect(answers(page)).to_have_text(re.compile(r"(\w+\W+){25}"), timeout=60_000)
    ui(page, "stop").click()

    expect(ui(page, "turn-stopped").or_(ui(page, "turn-foot")).first).to_be_visible(timeout=10_000)
    assert answers(page).inner_text().startswith(early.split()[0])
    tab.audit("chat-embedded")


def test_two_turns_are_answered_at_once_and_after_the_model_was_killed(embedded_console: Console) -> None:
    program = Program(embedded_console)
    short = {"sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 12}}
    paths = [program.session(MODEL, **short) for _ in range(2)]

    with program.stream(paths[0], "Say hello.") as first, program.stream(paths[1], "Say hello.") as second:
        ends = [list(frames)[-1] for frames in (first, second)]
    assert [end["event"]["payload"]["event_type"] for end in ends] == ["turn_complete"] * 2

    assert embedded_console.process is not None
    children = psutil.Process(embedded_console.process.pid).children()
    assert children
    for child in children:
        child.kill()
    assert program.turn(paths[0], "And again.")["output_message"]["content"]
    assert len(turns_of(program, paths[0])) == 2
