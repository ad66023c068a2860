"""What a user does who reads a page: types its commands in a folder, with a service that goes on meanwhile."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
from lifeline import on_a_lifeline

PAGES_URL = "http://127.0.0.1:5000"


class Shell:
    """A folder, and an environment in which skimflow is installed; the service of `serve` ends with the block.

    ``url`` is the service's, which is not where the pages have it but on a port of its own. written: what the pages
    write, and what stands for it here.
    """

    def __init__(self, folder: Path, written: Mapping[str, str] | None = None) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.folder, self.url = folder, PAGES_URL
        self.service: subprocess.Popen[str] | None = None
        self._written = {**(written or {}), "--port 5001": "--port 0"}
        self._environment = {**os.environ, "PATH": path, "HOME": str(folder), "SKIMFLOW_PORT": "0", "COLUMNS": "400"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.service is not None:
            self.service.send_signal(signal.SIGINT)  # Ctrl-C
            said, _ = self.service.communicate(timeout=60)
            assert self.service.returncode == 0, said

    def meant(self, text: str) -> str:
        """A text of a page as it is meant here."""
        for written, here in {**self._written, PAGES_URL: self.url}.items():
            text = text.replace(written, here)
        return text

    def run(self, line: str | Sequence[str], code: int = 0) -> subprocess.CompletedProcess[str]:
        """A command that ends, with this exit code."""
        words = shlex.split(self.meant(line)) if isinstance(line, str) else list(line)
        done = subprocess.run(
            words, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, (words, done.stderr)
        return done

    def serve(self, line: str) -> str:
        """A service that goes on; the first line that it prints. Commands find it in the folder's servicex.yaml."""
        log = self.folder / "service.log"
        with log.open("w") as file:
            self.service = subprocess.Popen(
                on_a_lifeline(shlex.split(self.meant(line))), cwd=self.folder, env=self._environment,
                stdout=subprocess.PIPE, stderr=file, text=True,
            )  # fmt: skip
        assert self.service.stdout is not None
        said = self.service.stdout.readline()
        assert "http://" in said, said + log.read_text()
        self.url = said.split()[-1].replace("0.0.0.0", "127.0.0.1")
        (self.folder / "servicex.yaml").write_text(f"api_endpoints: [{{name: here, endpoint: '{self.url}'}}]\n")
        return said
