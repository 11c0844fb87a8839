"""Files on their way in: kept part by part in the data folder, looked through, then loaded or given up."""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.timezone import now

from apps.accounts.models import User
from apps.core.errors import BadRequest, Conflict, ConsoleError, TooLarge
from apps.core.ids import new_id
from apps.datasets import cutting, purposes, readers
from apps.datasets.grid import dumped
from apps.datasets.models import Upload
from apps.datasets.readers import Line

SHOWN_ROWS = 20
SHOWN_BAD = 50
LOOK_S = 2.0
KEEP = timedelta(days=1)


def begin(name: str, size: int, user: User) -> Upload:
    """Make room for a file; raises BadRequest for one of no known format, TooLarge over the limit."""
    if readers.kind_of_name(name) is None:
        raise BadRequest(f"'{name[:80]}' does not end like a file of {readers.KNOWN}.")
    if not size:
        raise BadRequest("The file is empty.")
    if not 0 < size <= settings.DATASET_MAX_BYTES:
        raise TooLarge(
            f"The file has {size:,} bytes; it may have 1 to {settings.DATASET_MAX_BYTES:,} (DATASET_MAX_BYTES)."
        )
    clear_old()
    upload = Upload.objects.create(upload_id=new_id(), name=Path(name).name[:255], size=size, created_by=user)
    path_of(upload).touch(mode=0o600)
    return upload


def put(upload: Upload, offset: int, part: bytes) -> int:
    """Write a part and return how much has arrived; raises Conflict for a part that does not come next.

    What was written before the count was kept is written again: a part is there whole, or is asked for anew.
    """
    if offset != upload.received:
        raise Conflict(f"{upload.received} bytes have arrived; the next part begins there.")
    if offset + len(part) > upload.size:
        raise BadRequest(f"The file was announced with {upload.size:,} bytes, and more came.")
    with path_of(upload).open("r+b") as file:
        file.seek(offset)
        file.write(part)
    moved = Upload.objects.filter(pk=upload.pk, received=offset).update(received=offset + len(part))
    if not moved:
        raise Conflict("Another part of the same file came at the same time.")
    return offset + len(part)


def path_of(upload: Upload) -> Path:
    """Return where the file is kept."""
    folder = Path(settings.DATASET_UPLOADS_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{upload.upload_id}.{readers.kind_of_name(upload.name)}"


def opened(upload: Upload) -> BinaryIO:
    """Open the whole file; raises BadRequest while parts are missing."""
    if upload.received < upload.size:
        raise BadRequest(f"Only {upload.received:,} of {upload.size:,} bytes of the file have arrived.")
    return path_of(upload).open("rb")


def give_up(upload: Upload) -> None:
    """Forget a file."""
    path_of(upload).unlink(missing_ok=True)
    upload.delete()


def clear_old() -> None:
    """Forget files nobody loaded within a day, and exports nobody needs any more."""
    for upload in Upload.objects.filter(created_at__lt=now() - KEEP)[:50]:
        give_up(upload)
    old = time.time() - 7 * KEEP.total_seconds()
    for path in (Path(settings.DATASET_UPLOADS_DIR) / "exports").glob("*.*"):
        if path.stat().st_mtime < old:
            path.unlink(missing_ok=True)


@dataclass
class Look:
    """What a first look at a file found: rows to show, columns, bad lines by number, and how far it went."""

    rows: list[Line] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    bad: list[Line] = field(default_factory=list)
    bad_count: int = 0
    good_count: int = 0
    is_whole: bool = True
    fault: str = ""

    @property
    def first(self) -> list[dict[str, Any]]:
        """The values of the first rows."""
        return [line.value for line in self.rows]


def look(upload: Upload) -> Look:
    """Read a file for at most two seconds; a fault after which it makes no sense is told as such."""
    found = Look()
    until = time.monotonic() + LOOK_S
    columns: dict[str, None] = {}
    try:
        with opened(upload) as file:
            for line in readers.read(file, readers.kind_of_name(upload.name) or ""):
                _take(found, line, columns)
                if time.monotonic() > until:
                    found.is_whole = False
                    break
    except ConsoleError as error:
        found.fault = error.detail
    found.columns = list(columns)
    return found


def _take(found: Look, line: Line, columns: dict[str, None]) -> None:
    if line.error:
        found.bad_count += 1
        if len(found.bad) < SHOWN_BAD:
            found.bad.append(line)
        return
    found.good_count += 1
    if len(found.rows) < SHOWN_ROWS:
        found.rows.append(line)
        columns |= dict.fromkeys(line.value)


def wanted(purpose: str) -> list[str]:
    """Return the columns a purpose asks for, to which columns of the file can be mapped."""
    return list(purposes.ACCEPTED[purpose][0])


def misfit(purpose: str, lines: list[Line]) -> str:
    """Return the first line whose row does not fit the purpose, and why, or ""."""
    wrong = ((line.number, purposes.problem(purpose, line.value)) for line in lines)
    return next((f"Line {number}: {why}" for number, why in wrong if why), "")


def renamed(line: Line, mapping: dict[str, str]) -> Line:
    """Return a row with its columns under other names; ``mapping`` leads from the old name to the new one."""
    if not mapping or line.error:
        return line

    value = {mapping.get(name, name): cell for name, cell in line.value.items()}
    return Line(line.number, value, cutting.checked(value, dumped(value)))
