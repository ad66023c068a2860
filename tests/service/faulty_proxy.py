"""A proxy between a client and a service that has faults on demand: it stands for a bad network."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class FaultyProxy:
    """`fault` is asked of each call (method and path) and names what goes wrong with it.

    ``lost``: it is passed on, its answer never comes back. ``refused``: 405, it is not passed on. ``cut``: the answer
    breaks off in the middle of its body. ``spoiled``: a byte of the body is another. Else: nothing.
    """

    def __init__(self, url: str) -> None:
        self.target = url
        self.fault: Callable[[str, str], str] = lambda method, path: ""
        self.calls: list[tuple[str, str, str]] = []  # method, path, Range
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                proxy.pass_on(self)

            do_POST = do_DELETE = do_GET

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.calls.append((handler.command, handler.path, handler.headers.get("Range", "")))
        fault = self.fault(handler.command, handler.path)
        if fault == "refused":
            handler.send_error(405)
            return
        kept = ("content-type", "range", "last-event-id", "authorization")
        headers = {name: value for name, value in handler.headers.items() if name.lower() in kept}
        with httpx.stream(
            handler.command, self.target + handler.path, content=body, headers=headers, timeout=60
        ) as got:
            if fault == "lost":
                got.read()
                return
            handler.send_response(got.status_code)
            for name in ("Content-Type", "Content-Length", "Content-Range"):
                if name in got.headers:
                    handler.send_header(name, got.headers[name])
            handler.end_headers()
            for chunk in got.iter_raw():
                if fault == "cut":
                    handler.wfile.write(chunk[: len(chunk) // 2])
                    return
                handler.wfile.write(bytes([chunk[0] ^ 1]) + chunk[1:] if fault == "spoiled" else chunk)
                handler.wfile.flush()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def faulty_proxy(url: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
