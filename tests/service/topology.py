"""The service as a facility runs it, on loopback: every part is a process of its own that can be killed and restarted.

Two service processes, PostgreSQL, an S3 server behind a relay, a Dask scheduler, two workers and a web server with
inputs. Ports are chosen once, so that a part that was killed comes back where it was.
"""

import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import httpx
import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

sys.path.insert(0, str(Path(__file__).parent))
from conftest import postgresql_program
from lifeline import on_a_lifeline

ROOT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS = 90.0, 40.0
BUCKET = "results"
SERVICES, WORKERS = ("service-0", "service-1"), ("worker-0", "worker-1")
IN_ORDER = ("postgresql", "s3", "relay", "scheduler", "inputs", *WORKERS, *SERVICES)

_SERVE = """
import json, sys
from delivery.service.main import serve
from delivery.service.settings import Settings
serve(Settings(**json.loads(sys.argv[1])))
"""


class Part:
    """One process, in a session of its own: a signal to it reaches its children, too. It ends with the tests."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        options: Mapping[str, Any],
    ) -> None:
        self.name, self.log = name, log
        self._command, self._environment, self._ready, self._options = command, environment, ready, options
        self._process: subprocess.Popen[bytes] | None = None
        self._written = 0

    def start(self) -> None:
        """Start the process; `wait` until it is ready."""
        self._written = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                on_a_lifeline(self._command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                start_new_session=True,
                **self._options,
            )

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Return when it answers; AssertionError with the end of its log if it does not."""
        deadline = time.monotonic() + seconds
        while not self._ready():
            if not self.alive or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not run; its log:\n{self.log_text()[-4000:]}")
            time.sleep(0.05)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process is not None
        return self._process.pid

    def send(self, number: int) -> None:
        """Send a signal to the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """kill -9, children too; what is paused dies as well."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and its exit status; kill it if it does not."""
        assert self._process is not None
        self._process.send_signal(number)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end; its log:\n{self.log_text()[-4000:]}") from None

    def log_text(self) -> str:
        """What it has written since it was started."""
        return self.log.read_bytes()[self._written :].decode(errors="replace")


class Topology:
    """All parts, by name in `parts`; `urls` are the services'. A with block starts and ends them.

    folder: for everything but PostgreSQL's own files, which are in `database_folder`. inputs: the folder that requests
    may read, by path and, through the web server, below `inputs_url`. disk: so many MB each for the state of PostgreSQL
    and for what services and workers write (None: the disk; else root's rights are needed). preload: a library that
    every process loads; each finds CLOCK_SHIFT in its environment, a file of its own. settings: the services'.
    """

    def __init__(
        self, folder: Path, inputs: Path, *, disk: int | None = None, preload: Path | None = None, **settings: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.inputs, self._disk, self._preload = folder, inputs, disk, preload
        self.database_folder = Path(tempfile.mkdtemp(prefix="skimflow-topology-"))
        self.data_folder = folder / "data"
        ports = dict(zip([*SERVICES, "postgresql", "s3", "relay", "scheduler", "inputs"], free_ports(7), strict=True))
        self._ports = ports
        self.urls = [f"http://127.0.0.1:{ports[name]}" for name in SERVICES]
        self.inputs_url = f"http://127.0.0.1:{ports['inputs']}"
        self.database = f"postgresql://skimflow@127.0.0.1:{ports['postgresql']}/postgres"
        self.settings = settings
        self._who: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            self._who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.parts = {name: self._part(name) for name in IN_ORDER}

    def __enter__(self) -> Self:
        try:
            self._make_folders()
            for names in (IN_ORDER[:4], IN_ORDER[4:]):
                for name in names:
                    self.parts[name].start()
                for name in names:
                    self.parts[name].wait()
                if "s3" in names:
                    self._s3().create_bucket(Bucket=BUCKET)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def restart(self, name: str) -> None:
        """Start a part that is down and wait until it answers."""
        self.parts[name].start()
        self.parts[name].wait()

    def shift(self, names: Sequence[str], seconds: int) -> None:
        """Set the wall clocks of parts so many seconds ahead, from now on; `preload` must read the file."""
        for name in names:
            with (self.folder / f"{name}.clock").open("r+b") as file:  # never shorter: it is mapped into memory
                file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def revive(self) -> list[str]:
        """Start what has ended, as a supervisor does; the parts that had."""
        ended = [name for name in IN_ORDER if not self.parts[name].alive]
        for name in ended:
            self.parts[name].start()
        for name in ended:
            self.parts[name].wait()
        return ended

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, or of a function that ends sessions; a server that recovers is waited for."""
        options = {"application_name": "checks", "connect_timeout": 10, "options": "-c statement_timeout=30s"}

        def rows() -> list[tuple[Any, ...]]:
            with psycopg.connect(self.database, autocommit=True, **options) as connection:  # type: ignore[arg-type]
                return connection.execute(query).fetchall()  # type: ignore[arg-type]

        recovers = retry_if_exception_type(psycopg.OperationalError)
        return Retrying(retry=recovers, stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True)(rows)

    def leader(self) -> str | None:
        """The service that runs the files."""
        for name, url in zip(SERVICES, self.urls, strict=True):
            with suppress(httpx.TransportError):
                if httpx.get(f"{url}/ready", timeout=10).json().get("runner", {}).get("leads"):
                    return name
        return None

    def tails(self, characters: int = 4000) -> list[str]:
        """What each part wrote last, and what the services say of themselves."""
        said = []
        for url in self.urls:
            with suppress(httpx.TransportError):
                said.append(f"{url}/ready: {httpx.get(f'{url}/ready', timeout=10).text}")
        return said + [f"{name}:\n{part.log_text()[-characters:]}" for name, part in self.parts.items()]

    def _part(self, name: str) -> Part:
        port = self._ports.get(name, 0)
        kind = name.partition("-")[0]
        if kind == "service":
            url = self.urls[SERVICES.index(name)]
            ready: Callable[[], bool] = lambda: answers(f"{url}/ready")  # noqa: E731
        elif kind == "worker":
            ready = lambda: bool(re.search("Registered to:", self.parts[name].log_text()))  # noqa: E731
        else:
            ready = self._database_answers if kind == "postgresql" else lambda: listens(port)
        environment = {
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._ports['relay']}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "skimflow",
            "AWS_SECRET_ACCESS_KEY": "skimflow-secret",
        }
        if self._preload is not None and kind in ("service", "worker", "scheduler", "postgresql"):
            environment |= {"LD_PRELOAD": str(self._preload), "CLOCK_SHIFT": str(self.folder / f"{name}.clock")}
        options: dict[str, Any] = {"cwd": self.database_folder, **self._who} if kind == "postgresql" else {}
        return Part(name, self._command(name, port), self.folder / f"{name}.log", environment, ready, options)

    def _command(self, name: str, port: int) -> list[str]:
        python, at = sys.executable, f"127.0.0.1:{self._ports['scheduler']}"
        match name.partition("-")[0]:
            case "postgresql":
                settings = ("fsync=off", "listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=")
                words = [word for one in settings for word in ("-c", one)]
                more = ["-c", "max_connections=120", "-c", "min_wal_size=32MB", "-c", "max_wal_size=48MB"]
                return [postgresql_program("postgres"), "-D", str(self.database_folder / "cluster"), *words, *more]
            case "s3":
                return [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            case "relay":
                return [python, str(Path(__file__).with_name("relay.py")), str(port), str(self._ports["s3"])]
            case "scheduler":
                where = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
                return [python, "-m", "distributed.cli.dask_scheduler", *where]
            case "worker":
                here = ["--local-directory", str(self.data_folder / name), "--host", "127.0.0.1"]
                more = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", *here]
                return [python, "-m", "distributed.cli.dask_worker", f"tcp://{at}", *more]
            case "inputs":
                return [python, str(Path(__file__).with_name("relay.py")), str(port), str(self.inputs)]
        return [python, "-c", _SERVE, json.dumps(self._service_settings(name, port))]

    def _service_settings(self, name: str, port: int) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": port,
            "data": str(self.data_folder / name),
            "database": self.database,
            "store": f"s3://{BUCKET}/store",
            "secret_file": str(self.folder / "secret"),
            "scheduler": f"tcp://127.0.0.1:{self._ports['scheduler']}",
            "inputs": {"roots": [str(self.inputs)], "schemes": ["http"], "hosts": ["127.0.0.1"]},
            "shutdown_seconds": 10.0,
            **self.settings,
        }

    def _make_folders(self) -> None:
        self.data_folder.mkdir(parents=True, exist_ok=True)
        if self._disk is not None:
            for place in (self.data_folder, self.database_folder):
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._disk}m", "tmpfs", str(place)], check=True)
        for name in IN_ORDER:
            (self.data_folder / name).mkdir(exist_ok=True)
            (self.folder / f"{name}.clock").write_bytes(bytes(8))
        (self.folder / "secret").write_text(secrets.token_hex(32))
        (self.folder / "secret").chmod(0o600)
        if self._who:
            os.chown(self.database_folder, self._who["user"], self._who["group"])
        options = ["--auth=trust", "--username=skimflow", "--no-sync", "--encoding=UTF8", "--no-locale"]
        made = [postgresql_program("initdb"), "-D", str(self.database_folder / "cluster"), "--wal-segsize=1", *options]
        subprocess.run(made, cwd=self.database_folder, check=True, stdout=subprocess.DEVNULL, **self._who)

    def _database_answers(self) -> bool:
        try:
            psycopg.connect(self.database, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _s3(self) -> Any:
        keys = {"aws_access_key_id": "skimflow", "aws_secret_access_key": "skimflow-secret"}
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self._ports['relay']}", region_name="us-east-1", **keys
        )

    def _end(self) -> None:
        for name in reversed(IN_ORDER):
            self.parts[name].kill()
        if self._disk is not None:
            for place in (self.data_folder, self.database_folder):
                subprocess.run(["umount", "--lazy", str(place)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.database_folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in with_ports]
    for one in with_ports:
        one.close()
    return ports


def listens(port: int) -> bool:
    """Whether connections are taken there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a call of it goes well."""
    try:
        return httpx.get(url, timeout=10).is_success
    except httpx.TransportError:
        return False
