"""What browsers load: vendored files as published, budgets, and no part of a page that breaks its policy."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
OWN_CSS = ["app.css", "work.css"]
OWN_JS = ["console.js", "live.js"]
VENDORED = ["vendor/basecoat/basecoat.cdn.min.css", "vendor/htmx/htmx.min.js", "vendor/idiomorph/idiomorph-ext.min.js"]


def _packed(*names: str) -> int:
    return sum(len(gzip.compress((STATIC / name).read_bytes(), 9, mtime=0)) for name in names)


def test_vendored_files_are_as_published() -> None:
    entries = json.loads((STATIC / "vendor/VENDOR.json").read_text())["vendored"]

    listed = {name for entry in entries for name in entry["files"]}
    for entry in entries:
        assert (STATIC / entry["licence_text"]).stat().st_size > 300, entry["name"]
        for name, digest in entry["files"].items():
            assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
    there = {str(path.relative_to(STATIC)) for path in (STATIC / "vendor").rglob("*") if path.is_file()}
    assert {name for name in there if not name.endswith(("LICENSE", "VENDOR.json"))} <= listed


def test_what_every_page_loads_is_small() -> None:
    assert _packed(*OWN_CSS) <= 9 * 1024
    assert _packed("live.js") <= 4 * 1024
    assert _packed(*OWN_CSS, *OWN_JS, *VENDORED, "icons.svg") <= 80 * 1024


def test_a_page_takes_twelve_requests_at_most() -> None:
    base = (ROOT / "templates/base.html").read_text()
    linked = set(re.findall(r"{% static '([^']+)' %}", base))

    # The page itself, the sprite, the second face, and a page's own script.
    assert len(linked) + 4 <= 12


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static files as ``serve`` prepares them."""
    folder = tmp_path_factory.mktemp("static")
    storages = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
    with override_settings(STATIC_ROOT=folder, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
    return folder


def test_collected_files_have_hashed_names_and_are_packed(collected: Path) -> None:
    names = json.loads((collected / "staticfiles.json").read_text())["paths"]

    css = (collected / names["app.css"]).read_text()
    assert f'url("{names["vendor/geist/geist.woff2"]}")' in css
    assert (collected / (names["live.js"] + ".gz")).exists()


def test_every_symbol_used_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    text = "\n".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    used = set(re.findall(r'{% icon "([^"]+)"', text)) | set(re.findall(r'\bicon="([a-z0-9-]+)"', text))

    assert used - sprite == set()


def test_scripts_keep_nothing_in_the_browser() -> None:
    for path in STATIC.glob("*.js"):
        assert not re.search(r"localStorage|sessionStorage|indexedDB|\beval\(|new Function", path.read_text()), (
            path.name
        )


def test_no_timer_of_an_idle_page_is_faster_than_five_seconds() -> None:
    for name in OWN_JS:
        text = (STATIC / name).read_text()
        for wait in re.findall(r"setInterval\([^;]*?,\s*([\w.]+)\)", text):
            milliseconds = float(wait) if wait[0].isdigit() else float(re.search(rf"{wait} = (\d+)", text)[1])  # type: ignore[index]
            assert milliseconds >= 5000, f"{name}: {wait}"
