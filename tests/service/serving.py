"""A real service: a process of its own on a free loopback port, which the test stops."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lifeline import on_a_lifeline

START_SECONDS = 60.0
STOP_SECONDS = 60.0

_PROGRAM = """
import json, sys
from delivery.service.main import serve
from delivery.service.settings import Settings
if __name__ == "__main__":
    serve(Settings(**json.loads(sys.argv[1])), started=lambda url: print(url, flush=True))
"""


class RunningService:
    """`url` is where it answers, `data` its folder, `log` what it wrote to standard error."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.data, self.log = folder / "data", folder / "service.log"
        program = folder / "serve.py"  # a file: workers that are spawned import it again
        program.write_text(_PROGRAM)
        asked = {"host": "127.0.0.1", "port": 0, "data": str(self.data), "workers": 1, **settings}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                on_a_lifeline([sys.executable, str(program), json.dumps(asked)]),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        self.url = self._url()

    def _url(self) -> str:
        """The first line that it prints."""
        lines: queue.Queue[str] = queue.Queue()
        assert self.process.stdout is not None
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_SECONDS).strip()
        except queue.Empty:
            line = ""
        if not line:
            self.kill()
            pytest.fail(f"the service did not start; its log:\n{self.log_text()[-4000:]}")
        return line

    def log_text(self) -> str:
        """All that it has logged."""
        return self.log.read_text(errors="replace")

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client of it."""
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def stop(self) -> int:
        """Ask it to end, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the service did not stop; its log:\n{self.log_text()[-4000:]}")
        finally:
            self._close()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def running_service(folder: Path, **settings: Any) -> Iterator[RunningService]:
    """Serve from `folder` (its state stays there: a second call with the same folder is a restart) and stop at the end.

    settings: fields of `delivery.service.settings.Settings`, as JSON has them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    service = RunningService(folder, settings)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()
        service._close()
