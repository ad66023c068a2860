"""Real servers on loopback for the tests of remote files: an XRootD server and a web server that serves ranges."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NO_XROOTD = "SKIMFLOW_TESTS_WITHOUT_XROOTD"


class XrootdServer:
    """Debian's ``xrootd`` serving a folder; ``trace()`` tells how it was read since the last call."""

    def __init__(self, served: Path, folder: Path, port: int | None = None) -> None:
        binary = shutil.which("xrootd")
        if binary is None:
            pytest.fail(f"these tests need an XRootD server: apt install xrootd-server (or set {NO_XROOTD}=1)")
        self._log, self._seen = folder / "log", 0
        said = ""
        for attempt in range(3):  # another program may have taken the port meanwhile
            self.port = port or free_port()
            self._process = subprocess.Popen(
                self._command(binary, served, folder, attempt),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
            )
            self.url = f"root://127.0.0.1:{self.port}/"
            if self._listens():
                return
            self.close()
            said += f"ended with {self._process.returncode}; "
        pytest.fail(f"the XRootD server did not start: {said}its log: {self.log_text()[-2000:]}")

    def _command(self, binary: str, served: Path, folder: Path, attempt: int) -> list[str]:
        admin = folder / f"admin{attempt}"
        admin.mkdir()
        configuration = folder / "xrootd.cfg"
        configuration.write_text(
            f"xrd.port {self.port}\nxrd.network nodnr\nxrd.allow host 127.0.0.1\nall.export /\n"
            f"oss.localroot {served}\nall.adminpath {admin}\nall.pidpath {admin}\nxrootd.trace request\n"
        )
        command = [binary, "-c", str(configuration), "-l", str(self._log), "-n", "test"]
        if pwd.getpwuid(folder.stat().st_uid).pw_name in ("root", "nobody"):  # it refuses to run as root
            for path in (folder, admin):
                shutil.chown(path, "nobody")
            command += ["-R", "nobody"]
        return command

    def _listens(self) -> bool:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.05)
        return False

    def log_text(self) -> str:
        """All that the server has logged."""
        return "".join(path.read_text(errors="replace") for path in self._log.parent.rglob("log"))

    def trace(self) -> list[str]:
        """The requests that read something since the last call: ``read`` or ``readv`` (a vector read)."""
        kinds = re.findall(r" req=(read\w*) ", self.log_text())
        new, self._seen = kinds[self._seen :], len(kinds)
        return new

    def close(self) -> None:
        """Kill it, as a server dies."""
        self._process.kill()
        self._process.wait()


@contextmanager
def xrootd_with(files: Iterable[Path]) -> Iterator[XrootdServer]:
    """A server of copies of these files, by their names; skips where there is to be none."""
    if os.environ.get(NO_XROOTD):
        pytest.skip(f"{NO_XROOTD} is set")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # one that a server without rights can read
        Path(folder).chmod(0o755)
        served, logs = Path(folder, "served"), Path(folder, "logs")
        served.mkdir()
        logs.mkdir()
        for file in files:
            shutil.copyfile(file, served / file.name)
        server = XrootdServer(served, logs)
        try:
            yield server
        finally:
            server.close()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RangeServer:
    """A web server that serves one file's ranges; what it was asked for is in ``requests``, one list of ranges each.

    ``many`` says whether it answers several ranges in one request, ``ranges`` whether it knows ranges at all. It breaks
    off all answers once ``dead`` is set, and gives ``status`` if that is not 200.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.requests = content, list[list[tuple[int, int]]]()
        self.many, self.ranges, self.dead, self.status = True, True, False, 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                server.answer(self)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/file.root"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        size = len(self.content)
        wanted = [
            (int(start), min(int(stop) + 1, size))
            for start, stop in re.findall(r"(\d+)-(\d+)", handler.headers.get("Range", ""))
        ]
        self.requests.append(wanted)
        if self.status != 200 or urlsplit(handler.path).path != "/file.root":
            handler.send_error(self.status if self.status != 200 else 404)
        elif not size:
            self._send(handler, 416, {"Content-Range": "bytes */0"}, b"")
        elif not self.ranges or (len(wanted) > 1 and not self.many):
            self._send(handler, 200, {}, self.content)
        elif len(wanted) == 1:
            ((start, stop),) = wanted
            self._send(handler, 206, {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}, self.content[start:stop])
        else:
            heads = [f"\r\n--SEP\r\nContent-Range: bytes {a}-{b - 1}/{size}\r\n\r\n".encode() for a, b in wanted]
            parts = [head + self.content[a:b] for head, (a, b) in zip(heads, wanted, strict=True)]
            kind = {"Content-Type": "multipart/byteranges; boundary=SEP"}
            self._send(handler, 206, kind, b"".join(parts) + b"\r\n--SEP--\r\n")

    def _send(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        try:
            handler.wfile.write(body[: len(body) // 2] if self.dead else body)
        except OSError:  # the client did not want the rest
            handler.close_connection = True
        if self.dead:
            handler.close_connection = True

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
