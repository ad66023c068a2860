"""How many requests the service takes, how long they take, and what a file costs beyond the engine.

python -m benchmarks.service_load [--files N] [--seconds S] [--write]     # --write: into docs/service-load.md

One service process with its own two workers, SQLite and a folder, as `skimflow serve` starts it; clients are in this
process, on the same cores. The official client is the `servicex` library of this environment.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from benchmarks.measuring import Report, table, write_section
from delivery import engine
from delivery.requests import TransformRequest
from delivery.service_client.client import ServiceClient
from delivery.service_client.downloads import bundles
from delivery.service_client.records import FileResult, Submission

TESTS = Path(__file__).parents[1] / "tests"
DOCUMENT = TESTS.parent / "docs" / "service-load.md"
sys.path[:0] = [str(TESTS / "service"), str(TESTS / "delivery")]
from engine_inputs import qastle_text  # type: ignore[import-not-found] # noqa: E402 - beside the tests
from runner_service import small_file  # type: ignore[import-not-found] # noqa: E402
from serving import RunningService, running_service  # type: ignore[import-not-found] # noqa: E402

CLIENTS = (1, 10, 100)
EVENTS = 300
WORKERS = 2
QUERY = "DS.Where(lambda e: e.x > {cut}).Select(lambda e: {{'x': e.x, 'n': e.n}})"


def query(number: int) -> str:
    """The text of a query that no other number's is."""
    return str(qastle_text(QUERY.format(cut=number / 1000)))


@dataclass(frozen=True)
class Accepted:
    """Submissions by so many clients at once; seconds from sending one to its answer."""

    clients: int
    rate: float
    latencies: Sequence[float]


def accepted(url: str, file: Path, clients: int, seconds: float) -> Accepted:
    """Submit requests of a file whose result is there, by each client one after the other."""
    body = json.dumps(Submission(query(0), (str(file),)).to_wire() | {"request-id": None})
    at, until, found = urlsplit(url).netloc, time.perf_counter() + seconds, list[list[float]]()

    def client() -> None:
        connection, mine = http.client.HTTPConnection(at, timeout=60), list[float]()
        found.append(mine)
        while (began := time.perf_counter()) < until:
            connection.request("POST", "/servicex/transformation", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{answer.status}: {content.decode()}")
            mine.append(time.perf_counter() - began)
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for one in [pool.submit(client) for _ in range(clients)]:
            one.result()
    latencies = sorted(second for mine in found for second in mine)
    return Accepted(clients, len(latencies) / (time.perf_counter() - began), latencies)


def until_idle(url: str) -> None:
    """Wait until the service has nothing to run."""
    with ServiceClient(url) as client:
        while any(not each.ended for each in client.requests(limit=10_000)):
            time.sleep(0.5)


def _size(one: tuple[FileResult, Path]) -> int:
    return one[0].bytes


def ours(url: str, files: Sequence[Path], text: str, folder: Path) -> float:
    """Seconds from submission to the last result in a file, with our own client; results are brought as they come."""
    began = time.perf_counter()
    with ServiceClient(url) as client, ThreadPoolExecutor(8) as pool:
        request_id = client.submit(Submission(text, tuple(map(str, files))))
        bringing, brought = [], set[int]()
        for update in client.watch(request_id):
            new = [result for result in update.results if result.file not in brought]
            brought.update(result.file for result in new)
            wanted = [(result, folder / f"{result.file}") for result in new]
            bringing += [pool.submit(client.download_together, request_id, some) for some in bundles(wanted, _size)]
        for one in bringing:
            one.result()
        if update.status.status != "Complete" or len(brought) != len(files):
            raise RuntimeError(f"{update.status.status}, {len(brought)} files: {update.status.failure}")
    return time.perf_counter() - began


def official(url: str, files: Sequence[Path], text: str, folder: Path) -> float:
    """The same with the official client."""
    from servicex import ProgressBarFormat, dataset, deliver
    from servicex.query import FuncADL_Uproot

    folder.mkdir(parents=True)
    config = folder / "servicex.yaml"
    config.write_text(f"api_endpoints: [{{name: ours, endpoint: '{url}'}}]\ncache_path: {folder / 'cache'}\n")
    wanted = FuncADL_Uproot().FromTree("Events")
    wanted.set_provided_qastle(text)
    began = time.perf_counter()
    sample = {"Name": "sample", "Dataset": dataset.FileList([str(file) for file in files]), "Query": wanted}
    options = {"config_path": str(config), "servicex_name": "ours", "progress_bar": ProgressBarFormat.none}
    found = deliver({"Sample": [sample]}, **options)
    seconds = time.perf_counter() - began
    if len(list(found["sample"])) != len(files):
        raise RuntimeError(f"the official client brought {found}")
    return seconds


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and of CPU."""

    wall: float
    cpu: float


def cost(service: RunningService, work: Callable[[], object]) -> Cost:
    """What some work took, and the CPU time of the service and its workers meanwhile."""
    before, began = _cpu(service), time.perf_counter()
    work()
    return Cost(time.perf_counter() - began, _cpu(service) - before)


def _cpu(service: RunningService) -> float:
    first = psutil.Process(service.process.pid)
    times = [one.cpu_times() for one in (first, *first.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def engine_alone(files: Sequence[Path], text: str, folder: Path) -> Cost:
    """The same files through the engine in this process, one after the other."""
    folder.mkdir()
    jobs = [TransformRequest(text=text, input=str(one), output=folder / one.name, format="parquet") for one in files]
    engine.transform(jobs[0])
    began = time.perf_counter(), time.process_time()
    for job in jobs:
        engine.transform(job)
    return Cost(time.perf_counter() - began[0], time.process_time() - began[1])


def many_requests(url: str, groups: Sequence[Sequence[Path]], text: str) -> list[float]:
    """Seconds of each of many requests, submitted at once, until all of its results are there."""
    begin = threading.Barrier(len(groups))

    def one(files: Sequence[Path]) -> float:
        with ServiceClient(url) as client:
            begin.wait()
            began = time.perf_counter()
            for update in client.watch(client.submit(Submission(text, tuple(map(str, files))))):
                status = update.status
        if status.status != "Complete":
            raise RuntimeError(f"{status.status}: {status.failure}")
        return time.perf_counter() - began

    with ThreadPoolExecutor(len(groups)) as pool:
        return sorted(pool.map(one, groups))


def milliseconds(seconds: float) -> str:
    """For a table."""
    return f"{1000 * seconds:.1f} ms"


def at(share: float, ordered: Sequence[float]) -> float:
    """The value below which such a share lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def submissions(service: RunningService, file: Path, seconds: float) -> str:
    """The section on requests accepted."""
    rows = []
    for clients in CLIENTS:
        found = accepted(service.url, file, clients, seconds)
        half, most = at(0.5, found.latencies), at(0.99, found.latencies)
        rows.append((str(clients), f"{found.rate:.0f}", milliseconds(half), milliseconds(most)))
        until_idle(service.url)
    return "Requests of one file whose result is there, which run meanwhile.\n\n" + table(
        ("clients at once", "accepted each second", "p50", "p99"), rows
    )


def one_large(service: RunningService, files: Sequence[Path], folder: Path) -> str:
    """The section on the request of many small files."""
    alone = engine_alone(files, query(1), folder / "engine")
    first = cost(service, lambda: ours(service.url, files, query(1), folder / "ours"))
    again = cost(service, lambda: ours(service.url, files, query(1), folder / "again"))
    theirs = cost(service, lambda: official(service.url, files, query(2), folder / "official"))
    count = len(files)

    def row(name: str, one: Cost, base: Cost) -> tuple[str, ...]:
        beyond = (one.cpu - base.cpu) / count, (WORKERS * one.wall - base.wall) / count
        return (name, f"{one.wall:.1f} s", milliseconds(one.wall / count), milliseconds(one.cpu / count),
                *(map(milliseconds, beyond) if base.cpu else ("", "")))  # fmt: skip

    rows = [
        row("engine alone, one process", alone, Cost(0, 0)),
        row("our client", first, alone),
        row("our client, all results there", again, Cost(0, 0)),
        row("official client", theirs, alone),
    ]
    head = ("", "wall", "wall / file", "service's CPU / file", "CPU beyond the engine / file",
            f"wall x {WORKERS} workers beyond the engine / file")  # fmt: skip
    return f"{count} files of {EVENTS} events in one request, submit to the last result in a local file.\n\n" + table(
        head, rows
    )


def small_and_warm(service: RunningService, file: Path, folder: Path) -> str:
    """The section on the shortest way of a result."""
    new = [ours(service.url, [file], query(10 + number), folder / f"new-{number}") for number in range(12)]
    same = [ours(service.url, [file], query(10), folder / f"same-{number}") for number in range(12)]
    theirs = [official(service.url, [file], query(30 + number), folder / f"theirs-{number}") for number in range(2)]
    rows = [
        (name, milliseconds(statistics.median(found)), milliseconds(min(found)), milliseconds(max(found)))
        for name, found in (
            ("our client, a new query", new),
            ("our client, a query asked before", same),
            ("official client, a new query", theirs),
        )
    ]
    return "One small file, submit to the result in a local file.\n\n" + table(("", "median", "least", "most"), rows)


def together(service: RunningService, files: Sequence[Path]) -> str:
    """The section on many requests at once."""
    groups = [files[start : start + 20] for start in range(0, len(files) // 20 * 20, 20)][:100]
    began = time.perf_counter()
    found = many_requests(service.url, groups, query(3))
    wall = time.perf_counter() - began
    rate = sum(map(len, groups)) / wall
    row = (f"{len(groups)} x 20 files", f"{wall:.1f} s", f"{rate:.0f}", f"{at(0.5, found):.1f} s", f"{found[-1]:.1f} s")
    return "Requests of 20 files each, submitted at the same moment, each by a client of its own.\n\n" + table(
        ("requests", "all done in", "files / s", "median request", "last request"), [row]
    )


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=8.0, help="of submissions with each number of clients")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/service-load.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skimflow-load-") as name:
        folder = Path(name)
        (folder / "inputs").mkdir()
        files = [
            small_file(folder / "inputs" / f"file-{number}.root", EVENTS, seed=number)
            for number in range(options.files)
        ]
        limits = {"submits_per_minute": 10_000_000, "calls_per_minute": 10_000_000, "open_requests": 10_000_000}
        settings = {"workers": WORKERS, "inputs": {"roots": [str(folder / "inputs")]}, "limits": limits}
        with running_service(folder / "service", **settings) as service:
            ours(service.url, files[:4], query(0), folder / "first")  # the workers are there
            sections: Sequence[tuple[str, Callable[[], str]]] = (
                ("A small warm file", lambda: small_and_warm(service, files[0], folder)),
                ("Requests accepted", lambda: submissions(service, files[0], options.seconds)),
                ("Many small files", lambda: one_large(service, files, folder)),
                ("Many requests at once", lambda: together(service, files)),
            )
            for title, measured in sections:
                report = Report(title, "python -m benchmarks.service_load", measured(), figures=None)
                print(f"## {title}\n\n{report.text}\n(load of the machine: {os.getloadavg()[0]:.1f})\n", flush=True)
                if options.write:
                    write_section(DOCUMENT, report)


if __name__ == "__main__":
    main()
