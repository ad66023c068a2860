"""Faults that are done to the parts of a running topology, and undone; and the runs that meet them."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

sys.path.insert(0, str(Path(__file__).parent))
from lifeline import on_a_lifeline
from topology import SERVICES, WORKERS, Topology
from workload import Load, make_load, seen_by_official_client

RUN_SECONDS = 300.0
"""So long a run may take; then it is looked at why its requests do not end."""


class Client:
    """The process that makes the requests."""

    def __init__(self, plan: Path) -> None:
        self._command = [sys.executable, "-X", "faulthandler", str(Path(__file__).with_name("workload.py")), str(plan)]
        self._log = plan.with_name(f"{plan.name}.log")
        self.start()

    def start(self) -> None:
        """Begin, or go on after `kill`."""
        root = str(Path(__file__).parents[2])
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                on_a_lifeline(self._command), stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": root}
            )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stacks(self) -> str:
        """What it waits for: it ends, and leaves the stack of each thread."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


@dataclass
class Run:
    """One load on a topology; faults draw from `random` what exactly they do."""

    topology: Topology
    load: Load
    client: Client
    random: random.Random
    undo: list[Callable[[], None]] = field(default_factory=list)

    def pause(self, least: float = 0.0, most: float = 3.0) -> None:
        """Some seconds."""
        time.sleep(self.random.uniform(least, most))

    def down(self, names: Sequence[str]) -> str:
        """kill -9, and a new start some seconds later."""
        for name in names:
            self.topology.parts[name].kill()
        self.pause()
        for name in names:
            self.topology.restart(name)
        return f"{' and '.join(names)} killed"


def service(run: Run) -> str:
    """One of the two."""
    return run.down([run.random.choice(SERVICES)])


def leader(run: Run) -> str:
    """The one that runs the files."""
    return run.down([run.topology.leader() or SERVICES[0]])


def services(run: Run) -> str:
    """Both."""
    return run.down(SERVICES)


def worker(run: Run) -> str:
    """A worker with its nanny, as when its machine goes."""
    return run.down([run.random.choice(WORKERS)])


def worker_process(run: Run) -> str:
    """The worker only; its nanny starts another one."""
    nanny = run.topology.parts[run.random.choice(WORKERS)]
    children = Path(f"/proc/{nanny.pid}/task/{nanny.pid}/children").read_text().split()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
    return f"the process below {nanny.name}'s nanny killed"


def scheduler(run: Run) -> str:
    """The scheduler; workers that end of that are started again."""
    return run.down(["scheduler"])


def client(run: Run) -> str:
    """The process that made the requests and waits for them; started again, it goes on."""
    run.client.kill()
    run.pause()
    run.client.start()
    return "client killed"


def database_sessions(run: Run) -> str:
    """All connections of the services, twice."""
    ended = 0
    for _ in range(2):
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'skimflow'"
        ended += len(run.topology.sql(query))
        run.pause(0.0, 1.0)
    return f"{ended} database connections ended"


def database_session(run: Run) -> str:
    """kill -9 of the server process of one connection: PostgreSQL ends all others and recovers."""
    pids = run.topology.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'skimflow'")
    with suppress(ProcessLookupError):
        os.kill(run.random.choice(pids)[0], signal.SIGKILL)
    return "server process of a database connection killed"


def database(run: Run) -> str:
    """The whole server."""
    return run.down(["postgresql"])


def clock_of_all(run: Run) -> str:
    """The machine's clock is set, by more than any lease, pause or signature lasts; undone when all is over."""
    seconds = run.random.choice((-7200, 7200))
    return _clock(run, (*SERVICES, *WORKERS, "scheduler", "postgresql"), seconds)


def clock_of_one(run: Run) -> str:
    """One service's clock is another one than all others'."""
    return _clock(run, (run.topology.leader() or SERVICES[0],), run.random.choice((-7200, 7200)))


def _clock(run: Run, names: Sequence[str], seconds: int) -> str:
    run.topology.shift(names, seconds)
    run.undo.append(lambda: run.topology.shift(names, 0))
    return f"clock of {' '.join(names) if len(names) == 1 else 'all'} set by {seconds:+} s"


def disk_of_workers(run: Run) -> str:
    """The disk of services and workers is full for a while."""
    return _full(run, run.topology.data_folder, 10.0)


def disk_of_database(run: Run) -> str:
    """PostgreSQL's disk is full for a while; its server ends if it cannot write its log, and is started again."""
    return _full(run, run.topology.database_folder, 5.0)


def _full(run: Run, place: Path, seconds: float) -> str:
    filler = place / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    time.sleep(seconds)
    filler.unlink()
    return (
        f"disk of {'the database' if place == run.topology.database_folder else 'the workers'} full for {seconds:g} s"
    )


def store_silent(run: Run) -> str:
    """The store takes connections, and answers nothing for 30 s."""
    return _stopped(run, "relay", 30.0)


def store_refuses(run: Run) -> str:
    """Nobody listens at the store's address for 30 s."""
    run.topology.parts["relay"].kill()
    time.sleep(30.0)
    run.topology.restart("relay")
    return "store's address refused connections for 30 s"


def inputs_stall(run: Run) -> str:
    """The input server stalls for longer than one read may take, not for as long as all tries take."""
    return _stopped(run, "inputs", 8.0)


def inputs_stall_for_good(run: Run) -> str:
    """The input server stalls and does not come back: its files end with that as their reason."""
    part = run.topology.parts["inputs"]
    part.send(signal.SIGSTOP)
    run.undo.append(lambda: part.send(signal.SIGCONT))
    return "inputs stalled for good"


def _stopped(run: Run, name: str, seconds: float) -> str:
    part = run.topology.parts[name]
    part.send(signal.SIGSTOP)
    time.sleep(seconds)
    part.send(signal.SIGCONT)
    return f"{'store' if name == 'relay' else name} stalled for {seconds:g} s"


def nothing(run: Run) -> str:
    """The undisturbed run."""
    return "undisturbed"


@dataclass(frozen=True)
class Met:
    """What a run came to: `wrong` is empty if all is as it must be."""

    fault: str
    what: str
    seconds: float
    statuses: dict[str, int]
    revived: list[str]
    wrong: list[str]


def fault_run(
    topology: Topology,
    fault: Callable[[Run], str],
    *,
    seed: int,
    requests: int = 200,
    files: int = 40,
    seconds: float = RUN_SECONDS,
) -> Met:
    """Begin the load, do the fault when a random share of the requests has ended, wait for the end, and look.

    What has not ended after so many seconds is wrong, and is said with what the parts know of it.
    """
    drawn = random.Random(seed)
    load = make_load(
        topology.folder, topology.inputs, topology.urls, topology.inputs_url, requests=requests, files=files, seed=seed
    )
    began = time.monotonic()
    run = Run(topology, load, Client(load.plan.write(topology.folder / f"plan-{seed}.json")), drawn)
    deadline, wrong = began + seconds, []
    try:
        moment = drawn.randrange(0, requests * 3 // 4)
        revived = _until(run, moment, deadline)
        run.pause(0.0, 0.5)
        what = fault(run)
        revived += _until(run, requests, deadline)
        took = time.monotonic() - began
        if run.client.process.poll() is None:
            wrong.append(_unended(run, took))
    finally:
        run.client.kill()
        for undo in run.undo:
            undo()
    may_fail = topology.inputs_url if fault is inputs_stall_for_good else None
    wrong += load.faults(topology.sql, may_fail)
    if len(load.plan.came()) == requests:
        wrong += seen_by_official_client(load, topology.urls[seed % 2], max(1, requests // 40), seed)
    statuses = Counter(row["status"] for row in load.plan.came().values())
    return Met(fault.__name__, f"{what} after {moment} requests", took, dict(statuses), revived, wrong)


def _until(run: Run, ended: int, deadline: float) -> list[str]:
    """Wait for so many outcomes (all: for the client's end), and start again what has ended, as a supervisor does.

    Workers end some seconds after their scheduler did, maybe after the run before.
    """
    revived: list[str] = []
    all_of_them = len(run.load.plan.requests)
    while run.client.process.poll() is None and time.monotonic() < deadline:
        if ended < all_of_them and len(run.load.plan.came()) >= ended:
            return revived
        revived += run.topology.revive()
        time.sleep(0.1)
    return revived + run.topology.revive()


def _unended(run: Run, seconds: float) -> str:
    """Everything that may say why a run does not end."""
    requests = ", ".join(f"'{one.request_id}'" for one in run.load.plan.requests)
    tables = (
        f"SELECT * FROM transforms WHERE request_id IN ({requests}) AND finish_time IS NULL",
        "SELECT * FROM transform_files WHERE state IN ('waiting', 'running')",
        "SELECT * FROM leases",
    )
    rows = [f"{query}\n" + "\n".join(map(repr, run.topology.sql(query))) for query in tables]
    parts = [f"the client:\n{run.client.stacks()[-8000:]}", *run.topology.tails()]
    return "\n\n".join([f"the client has not ended after {seconds:.0f} s", *rows, *parts])
