"""What stands between a service that forwards and its upstream, and what is asked of both."""

import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import uproot
from requesting import MET

PATIENCE = 4.0


def forwarding(url: str, **more: Any) -> dict[str, Any]:
    """Settings of a front service."""
    upstream = {"url": url, "codegens": ["uproot"], "poll_seconds": 0.1, "patience_seconds": PATIENCE, **more}
    return {"codegens": ["uproot-raw"], "upstream": upstream}


class Between:
    """Passes calls on to a service, unless `answer` gives another answer: called with method and path, it returns a
    status and a document, or None. `token` is the refresh token that it wants, if any; `calls` is what it was asked.
    """

    def __init__(self, target: str) -> None:
        self.answer: Callable[[str, str], tuple[int, Any] | None] = lambda method, path: None
        self.token, self.access = "", 0
        self.calls: list[str] = []
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                between.calls.append(f"{self.command} {self.path}")
                other = between.signed_in(self) or between.answer(self.command, self.path)
                if other is None:
                    headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
                    answer = httpx.request(self.command, target + self.path, content=body, headers=headers, timeout=60)
                    status, content = answer.status_code, answer.content
                else:
                    status, content = other[0], json.dumps(other[1]).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_DELETE = do_GET

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def signed_in(self, handler: BaseHTTPRequestHandler) -> tuple[int, Any] | None:
        if not self.token:
            return None
        given = handler.headers.get("Authorization")
        if handler.path == "/token/refresh":
            if given != f"Bearer {self.token}":
                return 401, {"message": "unknown token"}
            self.access += 1
            return 200, {"access_token": self.access_token()}
        return None if given == f"Bearer {self.access_token()}" else (401, {"message": "expired"})

    def access_token(self) -> str:
        claims = json.dumps({"exp": 4_000_000_000, "number": self.access})
        return f"eyJhbGciOiJub25lIn0.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.c2ln"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def submission(data: Path, *names: str, **more: Any) -> dict[str, Any]:
    usual = {
        "title": "a sample",
        "file-list": [str(data / "root" / name) for name in names],
        "selection": MET,
        "codegen": "uproot",
        "result-destination": "object-store",
        "result-format": "parquet",
    }
    return {key: value for key, value in {**usual, **more}.items() if value is not None}


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not happen: {what}")
        time.sleep(0.05)


def delivered(http: httpx.Client, request_id: str, folder: Path) -> list[list[float]]:
    """The column of each result, in the order of the results' names."""
    columns = []
    for row in results(http, request_id):
        content = http.get(f"/servicex/transformation/{request_id}/objects/{row['s3-object-name']}")
        assert content.status_code == 200, content.text
        assert len(content.content) == row["total-bytes"]
        (folder / "result.parquet").write_bytes(content.content)
        columns.append(pq.read_table(folder / "result.parquet")["met"].to_pylist())
    return columns


def results(http: httpx.Client, request_id: str) -> list[dict[str, Any]]:
    rows = http.get(f"/servicex/transformation/{request_id}/results").json()["results"]
    return sorted(rows, key=lambda row: str(row["s3-object-name"]))


def expected(data: Path, *names: str) -> list[list[float]]:
    return [
        uproot.open(data / "root" / name)["Events"]["MET_pt"].array(library="np").tolist() for name in sorted(names)
    ]
