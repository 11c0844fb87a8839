"""Calls of the API as code: what a page shows can be pasted into a shell or a Python file and works."""

import shlex
from dataclasses import dataclass

from django.http import HttpRequest

AUTHORIZED = '-H "Authorization: Bearer $STACK_CONSOLE_KEY"'
CLIENT = """\
import os

from llama_stack_client import LlamaStackClient

client = LlamaStackClient(
    base_url={origin!r},
    api_key=os.environ["STACK_CONSOLE_KEY"],
)
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API, for a shell and with the published client; one that only reads has a path to open.

    One that reads a long body from a ``file`` has the path the file comes from.
    """

    curl: str
    python: str
    path: str = ""
    file: str = ""


def origin_of(request: HttpRequest) -> str:
    """Return the address of this console, without a slash at the end."""
    return request.build_absolute_uri("/")[:-1]


def read(origin: str, path: str, python: str) -> Call:
    """Return the call that reads what is at a path; ``python`` does the same with a ready client."""
    return Call(f'curl "{origin}{path}" \\\n  {AUTHORIZED}', CLIENT.format(origin=origin) + python, path)


def post(address: str, body: str) -> str:
    """Return the call that sends JSON, for a shell."""
    return (
        f'curl -X POST "{address}" \\\n  {AUTHORIZED} -H "Content-Type: application/json" \\\n  -d {shlex.quote(body)}'
    )
