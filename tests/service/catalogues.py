"""Loopback servers that answer as the CERN Open Data portal and as Rucio do."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

Answer = tuple[int, dict[str, str], bytes]


class Catalogue:
    """Answers by `answer(method, path, body)`; every call is in `calls`."""

    def __init__(self, answer: Callable[[str, str, bytes], Answer]) -> None:
        self.calls: list[str] = []
        catalogue = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                catalogue.calls.append(f"{self.command} {self.path}")
                status, headers, content = answer(self.command, unquote_plus(urlsplit(self.path).path), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def catalogue(answer: Callable[[str, str, bytes], Answer]) -> Iterator[Catalogue]:
    started = Catalogue(answer)
    try:
        yield started
    finally:
        started.close()


def portal(records: dict[str, Any]) -> Callable[[str, str, bytes], Answer]:
    """The portal's API over records by path; what is a number is an HTTP status."""

    def answer(_method: str, path: str, _body: bytes) -> Answer:
        found = records.get(path, 404)
        if isinstance(found, list) and found and isinstance(found[0], int):  # one status at each call
            found = found.pop(0) if len(found) > 1 else found[0]
        status = found if isinstance(found, int) else 200
        document = {"status": status, "message": "PID does not exist."} if isinstance(found, int) else found
        return status, {"Content-Type": "application/json"}, json.dumps(document).encode()

    return answer


def portal_file(name: str, size: int = 100, **more: Any) -> dict[str, Any]:
    """A file as it stands in a record."""
    uri = f"root://eospublic.cern.ch//eos/opendata/cms/{name}"
    return {"uri": uri, "size": size, "checksum": "adler32:1a2b3c4d", "key": name.rpartition("/")[2], **more}


def rucio(datasets: dict[str, list[dict[str, Any]]], password: str) -> Callable[[str, str, bytes], Answer]:
    """The calls of Rucio's REST that a lookup makes; files of datasets by ``scope:name``, with their `pfns`.

    Form: https://rucio.github.io/documentation/html/rest_api_doc.html, and lib/rucio/web/rest of Rucio itself.
    """
    token = {
        "X-Rucio-Auth-Token": "account-user-app-0123",
        "X-Rucio-Auth-Token-Expires": "Fri, 01 Jan 2100 00:00:00 UTC",
    }

    def lines(rows: list[dict[str, Any]]) -> Answer:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return 200, {"Content-Type": "application/x-json-stream"}, content

    def answer(_method: str, path: str, body: bytes) -> Answer:
        if path == "/auth/userpass":
            return 200, token, b""
        if path == "/auth/validate":
            return 200, token, b"{}"
        if path == "/replicas/list":
            (did,) = json.loads(body)["dids"]
            wanted = datasets[f"{did['scope']}:{did['name']}"]
            return lines([{**_file(file), "pfns": file["pfns"], "rses": {}, "states": {}} for file in wanted])
        found = re.fullmatch("/dids/([^/]+)/(.+)/files", path)
        if found and f"{found[1]}:{found[2]}" in datasets:
            return lines(
                [{**_file(file), "events": file["events"], "guid": None} for file in datasets[f"{found[1]}:{found[2]}"]]
            )
        headers = {"ExceptionClass": "DataIdentifierNotFound", "ExceptionMessage": "not found"}
        return 404, headers, json.dumps({"ExceptionClass": "DataIdentifierNotFound", "ExceptionMessage": "no"}).encode()

    return answer


def rucio_client(url: str, folder: Path, password: str) -> dict[str, str]:
    """What an operator sets up for Rucio's own client: its rucio.cfg in `folder`, and the environment to find it by."""
    (folder / "etc").mkdir(parents=True, exist_ok=True)
    (folder / "etc" / "rucio.cfg").write_text(
        f"[client]\nrucio_host = {url}\nauth_host = {url}\nauth_type = userpass\nusername = me\n"
        f"password = {password}\naccount = me\nrequest_retries = 1\nauth_token_file_path = {folder}/token\n"
    )
    return {"RUCIO_HOME": str(folder), "RUCIO_CONFIG": str(folder / "etc" / "rucio.cfg")}


def rucio_file(name: str, *urls: str) -> dict[str, Any]:
    """A file of scope ``data`` as `rucio` wants it, with its replicas in the order of their priority."""
    pfns = {url: {"priority": place, "type": "DISK", "rse": "SITE"} for place, url in enumerate(urls)}
    return {"scope": "data", "name": name, "bytes": 10, "adler32": "00c0ffee", "events": 5, "pfns": pfns}


def _file(file: dict[str, Any]) -> dict[str, Any]:
    return {key: file[key] for key in ("scope", "name", "bytes", "adler32")}
