"""A model server that repeats what it was told in confidence, and a look through everything a console keeps."""

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CALLS = {"log_in": {"user": "ana", "password": "hunter2-of-the-model"}}


class LeakyModels:
    """An OpenAI-compatible server in this process. It echoes its caller's headers in errors, and calls ``log_in``."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

            def do_GET(self) -> None:
                self._send(200, json.dumps({"data": [{"id": "leaky"}]}).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.append(self.headers["Authorization"])
                said = str(body["messages"][-1]["content"])
                told = f"you sent Authorization: {self.headers['Authorization']}"
                if said.startswith("fail:"):
                    return self._send(int(said[5:8]), json.dumps({"error": {"message": told}}).encode())
                chunks = _call(body) if said.startswith("log in") else [{"choices": [{"delta": {"content": "done"}}]}]
                last = {"error": {"message": told}} if said == "break" else _end("stop")
                frames = [f"data: {json.dumps(chunk)}\n\n" for chunk in [*chunks, last]]
                return self._send(200, ("".join(frames) + "data: [DONE]\n\n").encode(), "text/event-stream")

            def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


def _call(body: dict[str, Any]) -> list[dict[str, Any]]:
    text = json.dumps(CALLS["log_in"])
    parts: list[dict[str, Any]] = [{"id": "call_1", "function": {"name": "log_in"}}]
    parts += [{"function": {"arguments": text[at : at + 3]}} for at in range(0, len(text), 3)]
    return [{"choices": [{"delta": {"tool_calls": [{"index": 0, **part}]}}]} for part in parts]


def _end(reason: str) -> dict[str, Any]:
    return {"choices": [{"delta": {}, "finish_reason": reason}]}


def rows_of(folder: Path, url: str = "") -> str:
    """Return every row of every table as text: of the SQLite file in a folder, or of the Postgres database at a URL."""
    if not url:
        with sqlite3.connect(f"file:{folder / 'console.sqlite3'}?mode=ro", uri=True) as found:
            names = found.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return "\n".join(str(row) for (name,) in names for row in found.execute(f'SELECT * FROM "{name}"'))
    import psycopg

    with psycopg.connect(url) as server:
        names = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return "\n".join(str(row) for (name,) in names for row in server.execute(f'SELECT * FROM "{name}"'.encode()))


def files_with(folder: Path, secret: str) -> list[str]:
    """Return the files of a folder whose bytes hold a secret: the database's free pages and the log among them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if secret.encode() in path.read_bytes()]
