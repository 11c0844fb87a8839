"""Answers that are files."""

import tempfile
from collections.abc import Iterable
from typing import BinaryIO, cast

from django.http import FileResponse


def as_file(parts: Iterable[bytes], name: str, content_type: str) -> FileResponse:
    """Return the answer that sends these parts as a file to be kept.

    They are all made before the first is sent: whoever asks gets the whole file or an error, and no half of one.
    """
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the response closes it
    for part in parts:
        file.write(part)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=name, content_type=content_type)
