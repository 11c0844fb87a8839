"""The rules of the house that no linter knows: sizes, names, documented settings."""

import ast
import gc
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = sorted(
    path
    for folder in ("apps", "stack_console")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*.html") if "admin" not in path.parts)
DRAWERS = {"utils.py", "helpers.py", "common.py", "base_views.py", "services.py", "tasks.py", "misc.py"}


def test_files_are_short_enough_to_read() -> None:
    found = [
        f"{_name(path)}: {lines} lines"
        for path in CODE
        if (lines := _lines(path)) > (400 if path.name == "schemas.py" else 300)
    ]

    assert found == []


def test_functions_fit_a_screen() -> None:
    found = [
        f"{_name(path)}: {node.name}"
        for path in CODE
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 40  # type: ignore[operator]
    ]

    assert found == []


def test_modules_say_what_they_know_and_are_no_drawers() -> None:
    silent = [_name(path) for path in CODE if path.name != "__init__.py" and not ast.get_docstring(_tree(path))]

    assert silent == []
    assert [_name(path) for path in CODE if path.name in DRAWERS] == []
    assert [_name(path) for path in CODE if path.name == "__init__.py" and path.read_text()] == []


def test_every_setting_is_documented() -> None:
    read = re.compile(r"""env(?:\.\w+)?\(\s*"([A-Z_]+)\"""")
    known = set(read.findall((ROOT / "stack_console/settings.py").read_text())) | {"DATABASE_URL"}
    told = set(re.findall(r"^\| `([A-Z_]+)` ", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))

    assert known - told == set(), "not in docs/settings.md"
    assert told - known == set(), "in docs/settings.md and no longer read"


def test_templates_fit_a_screen() -> None:
    # What cannot be broken may be longer: one tag of Django alone, or one attribute alone.
    alone = re.compile(r'\{%(?:(?!%\}).)*%\}|[\w-]+="[^"]*">?')
    # These show calls as they are typed.
    shown = {"datasets/_first_dataset.html", "evals/_first_benchmark.html"}

    tall = [f"{_name(path)}: {lines} lines" for path in TEMPLATES if (lines := _lines(path)) > 70]
    wide = [
        f"{_name(path)}:{number}: {len(line)} characters"
        for path in TEMPLATES
        if str(path.relative_to(ROOT / "templates")) not in shown
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 120 and not alone.fullmatch(line.strip())
    ]

    assert tall == []
    assert wide == []


def test_templates_keep_the_page_policy() -> None:
    inline = re.compile(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)|javascript:", re.IGNORECASE)
    # Data blocks are not scripts: a browser does not run them.
    data = re.compile(r'<script[^>]*type="application/json"')

    found = [
        f"{_name(path)}: {line.strip()[:100]}"
        for path in TEMPLATES
        for line in path.read_text().splitlines()
        if inline.search(line) and not data.search(line)
    ]

    assert found == []


def test_nothing_is_fetched_from_elsewhere() -> None:
    foreign = re.compile(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//(?!127\.0\.0\.1|localhost)""")
    files = [
        path
        for folder in ("templates", "static")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".html", ".css")
    ]

    found = [
        f"{_name(path)}: {line.strip()[:100]}"
        for path in files
        for line in path.read_text().splitlines()
        if foreign.search(line) and "<a " not in line
    ]

    assert found == []


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _tree(path: Path) -> ast.Module:
    """A module's syntax. CPython 3.11 fails to parse when the collector meanwhile ends something that parses too,
    as whatever logs a traceback does (python/cpython issue 106905)."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()
