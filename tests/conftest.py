"""People and things every test may ask for: roles, keys, clients of the API, an agent, a session, a running console."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection, connections, transaction
from django.test import TransactionTestCase

pytest.register_assert_rewrite("tests.spec.calls", "tests.processes", "tests.program")

from tests import build, chromium  # noqa: E402
from tests import site as web_site  # noqa: E402
from tests.processes import Console, ModelServer  # noqa: E402
from tests.program import Program  # noqa: E402

Line = dict[str, Any]
CHECK = re.compile(r"test_[A-Z]\d+_")  # a browser test that is one of the numbered checks every page must pass


def pytest_configure(config: pytest.Config) -> None:
    """Let connections to Redis end with the event loop of the test they belong to."""
    if os.environ.get("REDIS_URL"):
        config.addinivalue_line("filterwarnings", "ignore::pytest.PytestUnraisableExceptionWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder they stand in, and leave out what this machine cannot run."""
    scaled = os.environ.get("DATABASE_URL", "").startswith("postgres") and os.environ.get("REDIS_URL")
    for item in items:
        for name in ("browser", "client", "scale"):
            if f"/tests/{name}/" in str(item.path):
                item.add_marker(name)
        if item.get_closest_marker("browser") and not CHECK.match(item.name):
            item.add_marker("pages")
        if item.get_closest_marker("browser") and os.environ.get("CI"):
            # Two cores, two browsers, a dozen processes: what missed a beat is tried once more, and -ra names it.
            item.add_marker(pytest.mark.flaky(reruns=1))
        if item.get_closest_marker("browser") and not chromium.PATH.exists():
            item.add_marker(pytest.mark.skip(reason=f"no Chromium at {chromium.PATH}: apt-get install chromium"))
        if item.get_closest_marker("scale") and not scaled:
            item.add_marker(pytest.mark.skip(reason="needs DATABASE_URL (Postgres) and REDIS_URL: make test-scale"))


def _empty_tables(case: TransactionTestCase) -> None:
    """Undo a test that committed: empty the tables that hold rows.

    Django would flush all of them and make content types and permissions anew, which takes longer than most tests.
    """
    kept = {"django_migrations", "django_content_type", "auth_permission"}
    names = [name for name in connection.introspection.django_table_names(only_existing=True) if name not in kept]
    quoted = {name: connection.ops.quote_name(name) for name in names}
    with connection.cursor() as cursor:
        asked = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quoted[name]})" for name in names)
        cursor.execute(" UNION ALL ".join(asked))
        full = [row[0] for row in cursor.fetchall()]
        with transaction.atomic():
            for name in full:
                cursor.execute(f"DELETE FROM {quoted[name]}")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Make the test database; give back the connections of the console's threads before it goes."""
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[method-assign]
    yield
    from apps.core import db

    with django_db_blocker.unblock():
        db.close_all()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # threads of third parties keep connections too
                others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                cursor.execute(f"{others} AND pid <> pg_backend_pid()")
            connections.close_all()
            connection.close_pool()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Forget what the process keeps between requests: caches, backends, known models, connections."""
    yield
    build.forget()
    Program.close_all()


@pytest.fixture
def people(transactional_db: None) -> dict[str, Any]:
    """A person of each role, by role."""
    return {role: build.user(role) for role in ("viewer", "operator", "admin")}


@pytest.fixture
def viewer(people: dict[str, Any]) -> Any:
    """A person who may read."""
    return people["viewer"]


@pytest.fixture
def operator(people: dict[str, Any]) -> Any:
    """A person who may work."""
    return people["operator"]


@pytest.fixture
def admin(people: dict[str, Any]) -> Any:
    """A person who may do everything."""
    return people["admin"]


@pytest.fixture
def scripted(transactional_db: None) -> Callable[..., str]:
    """Give the model ``scripted/scripted`` its lines; return its name."""

    def play(*lines: Line | str, **config: Any) -> str:
        script = [{"text": line} if isinstance(line, str) else line for line in lines]
        return build.scripted_model(script, **config)

    return play


@pytest.fixture
def model(scripted: Callable[..., str]) -> str:
    """The name of a model that says back what it was told."""
    return scripted()


@pytest.fixture
def agent(model: str) -> Any:
    """An agent on the echoing model."""
    return build.agent(model=model)


@pytest.fixture
def session(agent: Any) -> Any:
    """A session of the agent."""
    return build.session(agent)


@pytest.fixture
async def client_for(transactional_db: None) -> AsyncIterator[Callable[..., httpx2.AsyncClient]]:
    """Make HTTP clients of the whole ASGI application, with an API key of a role or, for "", without one."""
    from stack_console.asgi import application

    made: list[httpx2.AsyncClient] = []

    def client(role: str = "operator", **headers: str) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=application)  # type: ignore[arg-type]
        if role:
            headers["Authorization"] = f"Bearer {tokens[role]}"
        made.append(httpx2.AsyncClient(transport=transport, base_url="http://testserver", headers=headers, timeout=30))
        return made[-1]

    # One thread, so that what a test reads and writes beside the loop is closed with it.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    tokens = await asyncio.to_thread(_keys)
    yield client
    for one in made:
        await one.aclose()
    await turns_to_end()
    await asyncio.to_thread(connections.close_all)


def _keys() -> dict[str, str]:
    return {role: build.key(role) for role in ("viewer", "operator", "admin")}


async def turns_to_end(seconds: float = 5) -> None:
    """Wait for what the server still does after the last answer: turns that nobody reads any more."""
    turns = [task for task in asyncio.all_tasks() if task.get_name().startswith("turn ")]
    if turns:
        await asyncio.wait(turns, timeout=seconds)


@pytest.fixture
def api(client_for: Callable[..., httpx2.AsyncClient]) -> httpx2.AsyncClient:
    """The API for an operator's program."""
    return client_for("operator")


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    """A model server that costs nothing."""
    server = ModelServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def console(model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A running console every test of the run shares: leave no rule of it changed."""
    one = Console(tmp_path_factory.mktemp("console"), model_server).prepare().start()
    yield one
    one.remove()


@pytest.fixture
def own_console(tmp_path: Path) -> Iterator[Console]:
    """A running console, with a model server of its own, that a test may kill."""
    one = Console(tmp_path, ModelServer().start()).prepare().start()
    yield one
    one.remove()
    one.models.stop()


@pytest.fixture
async def site(settings: Any) -> AsyncIterator[str]:
    """A web site on this machine that an operator has allowed; its address."""
    settings.FETCH_ALLOWED_HOSTS = ["127.0.0.1"]
    async with web_site.serving() as address:
        yield address
