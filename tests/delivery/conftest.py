"""Servers on loopback: a storage that serves files (with ranges, and with bad days), and a small ServiceX."""

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest


class FileServer:
    """Serves a folder. ``answer`` may be replaced: called with the path of each request, it returns a status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Callable[[str], int] = lambda path: 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                status = server.answer(self.path)
                path = server.folder / urlsplit(self.path).path.lstrip("/")
                if status == 200 and path.is_file():
                    send_file(self, path)
                else:
                    self.send_error(404 if status == 200 else status)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def send_file(handler: BaseHTTPRequestHandler, path: Path) -> None:
    content = path.read_bytes()
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    first, last = (int(wanted[1]), int(wanted[2] or len(content) - 1)) if wanted else (0, len(content) - 1)
    part = content[first : last + 1]
    handler.send_response(206 if wanted else 200)
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Length", str(len(part)))
    if wanted:
        handler.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(part)


@pytest.fixture
def web(shared_data: Path) -> Iterator[FileServer]:
    """The real ROOT files behind a web server."""
    server = FileServer(shared_data / "root")
    yield server
    server.close()


class ServiceXServer:
    """A ServiceX small enough to read: the calls that the official client makes, its object store on the same port.

    ``transform(input, selection, format, output)`` makes one result and returns the rows it wrote, which published
    transformers report as ``total-events``; what it raises is a failed file. ``ending`` maps a sample's title to how
    its request ends: ``Complete`` unless told otherwise, ``short`` (Complete, one result never made), ``overcount``
    (Complete, one more result counted than there is) or ``mute`` (the status call breaks after the submission).
    """

    def __init__(self, folder: Path, transform: Callable[[str, str, str, Path], int]) -> None:
        self.folder, self.transform = folder, transform
        self.ending: dict[str, str] = {}
        self.token = ""  # the refresh token that it wants, if any
        self.capabilities = ["poll_local_transformation_results", "long_sample_titles_10240"]
        self.submitted: list[dict[str, Any]] = []
        self.statuses: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                server.get(self)

            def do_HEAD(self) -> None:
                server.get(self)

            def do_POST(self) -> None:
                server.post(self)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        parts = unquote(url.path).strip("/").split("/")
        if parts[0] in self.statuses:
            self.get_object(handler, parts[0], "/".join(parts[1:]))
        elif self.token and handler.headers.get("Authorization") != f"Bearer {access_token()}":
            send_json(handler, {"message": "who are you?"}, 401)
        elif parts == ["servicex"]:
            code_generators = {"uproot": "an/image:1", "uproot-raw": "an/image:1"}
            send_json(
                handler, {"app-version": "test", "code-gen-image": code_generators, "capabilities": self.capabilities}
            )
        elif len(parts) == 3 and parts[2] in self.statuses:
            status = self.statuses[parts[2]]
            broken = self.ending.get(status["title"]) == "mute"
            send_json(handler, {"message": "database gone"} if broken else status, 500 if broken else 200)
        elif len(parts) == 4 and parts[3] == "results":
            send_json(handler, {"results": self.rows[parts[2]]})
        else:
            send_json(handler, {"message": f"no {url.path}"}, 404)

    def get_object(self, handler: BaseHTTPRequestHandler, bucket: str, key: str) -> None:
        path = self.folder / bucket / key
        if key and path.is_file():
            send_file(handler, path)
        elif not key:
            objects = "".join(
                f"<Contents><Key>{path.name}</Key><Size>{path.stat().st_size}</Size></Contents>"
                for path in (self.folder / bucket).iterdir()
            )
            send(handler, f"<ListBucketResult><Name>{bucket}</Name>{objects}</ListBucketResult>".encode(), "text/xml")
        else:
            send(handler, b"", "text/xml", 404)

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.path == "/token/refresh":
            good = handler.headers.get("Authorization") == f"Bearer {self.token}"
            send_json(handler, {"access_token": access_token()} if good else {"message": "no"}, 200 if good else 401)
        else:
            request = json.loads(content)
            if request["selection"] == "nonsense":
                send_json(handler, {"message": "cannot parse the query at 1:1"}, 400)
            else:
                send_json(handler, {"request_id": self.run(request)})

    def run(self, request: dict[str, Any]) -> str:
        """All of a request's work, before its submission is answered: a later status is final."""
        request_id, ending = str(uuid.uuid4()), self.ending.get(request["title"], "Complete")
        self.submitted.append(request)
        (self.folder / request_id).mkdir(parents=True)
        files = request["file-list"]
        rows = [self.result_row(request_id, request, file) for file in files[1 if ending == "short" else 0 :]]
        completed = sum(row["transform_status"] == "success" for row in rows)
        self.rows[request_id] = rows
        self.statuses[request_id] = {
            "request_id": request_id,
            "did": "files",
            "did_id": 1,
            "title": request["title"],
            "selection": request["selection"],
            "tree-name": None,
            "image": "",
            "generated-code-cm": "",
            "app-version": "test",
            "result-destination": "object-store",
            "result-format": request["result-format"],
            "status": ending if ending in ("Fatal", "Canceled") else "Complete",
            "submit-time": "2026-01-01T00:00:00",
            "files": len(files),
            "files-completed": completed + (ending == "overcount"),
            "files-failed": len(rows) - completed,
            "minio-endpoint": self.host,
            "minio-secured": False,
            "minio-access-key": "key",
            "minio-secret-key": "secret",
            "log-url": f"{self.url}/logs/{request_id}",
        }
        return request_id

    def result_row(self, request_id: str, request: dict[str, Any], file: str) -> dict[str, Any]:
        output = self.folder / request_id / file.replace("/", ":")
        row = {"file-path": file, "s3-object-name": output.name, "created_at": "2026-01-01T00:00:00"}
        try:
            rows = self.transform(file, request["selection"], request["result-format"], output)
        except Exception:  # noqa: BLE001 - as a service does: the file has failed
            return {**row, "transform_status": "failure", "total-events": 0, "total-bytes": 0}
        return {**row, "transform_status": "success", "total-events": rows, "total-bytes": output.stat().st_size}


def access_token() -> str:
    """A JWT as the client wants it: it reads the expiry and checks no signature."""
    payload = base64.urlsafe_b64encode(json.dumps({"exp": 4_000_000_000}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.c2ln"


def send_json(handler: BaseHTTPRequestHandler, document: Any, status: int = 200) -> None:
    send(handler, json.dumps(document).encode(), "application/json", status)


def send(handler: BaseHTTPRequestHandler, content: bytes, kind: str, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)


@pytest.fixture(scope="module")
def servicex_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceXServer]:
    server = ServiceXServer(tmp_path_factory.mktemp("objects"), run_engine)
    yield server
    server.close()


def run_engine(file: str, selection: str, output_format: Any, output: Path) -> int:
    from delivery.engine import transform
    from delivery.requests import TransformRequest

    return transform(TransformRequest(selection, file, output, format=output_format)).events_out
