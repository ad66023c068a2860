"""Ten thousand calls of people who mean harm, beside clients that do not read: one who means well is served whole."""

import asyncio
import base64
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pyarrow.parquet as pq
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
from people import People
from requesting import MET, ended, submitted
from serving import RunningService, running_service

CALLS, LINES = 10_000, 4
CALLS_PER_MINUTE, BODY_BYTES = 3000, 200_000
LET_GO_SECONDS = 240.0
"""More than twice what the service gives a client that does not read."""
ALLOWED = {"status": {200, 429}, "wrong token": {401, 429}, "malformed": {400, 429}, "too large": {413}}
MIXTURE = ("status", "wrong token", "status", "malformed") * 5 + ("too large",)
NAMES = ("nano_dimuon.root", "nano_dy.root")
LARGE = """
def run_query(input_filenames):
    import awkward as ak
    import numpy as np
    return ak.Array({"x": np.random.default_rng(1).random(2_500_000)})
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People.of(tmp_path_factory.mktemp("flood") / "data")


@pytest.fixture(scope="module")
def service(people: People, shared_data: Path) -> Iterator[RunningService]:
    limits = {"body_bytes": BODY_BYTES, "calls_per_minute": CALLS_PER_MINUTE}
    inputs = {"roots": [str(shared_data)]}
    codegens = ["uproot", "python"]
    with running_service(
        people.folder.parent, sign_in=True, inputs=inputs, limits=limits, codegens=codegens
    ) as running:
        yield running


def request(data: Path, *names: str, **changes: Any) -> dict[str, Any]:
    files = [str(data / "root" / name) for name in names]
    usual = {"title": "a sample", "file-list": files, "selection": MET, "codegen": "uproot"}
    return {**usual, "result-destination": "object-store", "result-format": "parquet", **changes}


def port_of(service: RunningService) -> int:
    return int(service.url.rpartition(":")[2])


def messages(people: People) -> dict[str, bytes]:
    """A call of each kind, as bytes."""
    bob, root = (people.bearer(name)["Authorization"] for name in ("bob", "root"))
    status = f"GET /servicex HTTP/1.1\r\nHost: a\r\nAuthorization: {bob}\r\n\r\n"
    wrong = f"GET /servicex HTTP/1.1\r\nHost: a\r\nAuthorization: {bob}x\r\n\r\n"
    submit = f"POST /servicex/transformation HTTP/1.1\r\nHost: a\r\nAuthorization: {root}\r\n"
    malformed = submit + 'Content-Type: application/json\r\nContent-Length: 16\r\n\r\n{"selection": 1]'
    too_large = submit + f"Content-Length: {BODY_BYTES + 1}\r\nExpect: 100-continue\r\n\r\n"
    return {kind: text.encode() for kind, text in zip(ALLOWED, (status, wrong, malformed, too_large), strict=True)}


class Flood:
    """Calls over a few connections that are kept, until there were `CALLS` and `enough` is set.

    `answers` counts them by kind and status; `lost` are those that got no answer.
    """

    def __init__(self, port: int, calls: dict[str, bytes]) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.lost: list[str] = []
        self.seconds = 0.0
        self.enough = threading.Event()
        self._port, self._calls = port, calls
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Flood":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        self._thread.join()

    async def _run(self) -> None:
        began = time.perf_counter()
        await asyncio.gather(*(self._line() for _ in range(LINES)))
        self.seconds = time.perf_counter() - began

    async def _line(self) -> None:
        connection = await asyncio.open_connection("127.0.0.1", self._port)
        number = 0
        while self.answers.total() < CALLS or not self.enough.is_set():
            kind = MIXTURE[number % len(MIXTURE)]
            number += 1
            try:
                status, keep = await self._ask(*connection, self._calls[kind])
            except (OSError, EOFError, ValueError) as error:
                self.lost.append(f"{kind}: {error!r}")
                status, keep = 0, False
            self.answers[kind, status] += 1
            if not keep:
                connection[1].close()
                connection = await asyncio.open_connection("127.0.0.1", self._port)
        connection[1].close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
    ) -> tuple[int, bool]:
        """The status, and whether the connection may be used again."""
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        (length,) = [line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:")]
        await reader.readexactly(int(length))
        return int(head.split()[1]), "connection: close" not in head


def slow_reader(service: RunningService, people: People, path: str) -> socket.socket:
    """A connection that has asked for a download and has room for little of it."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", port_of(service)))
    token = people.bearer("alice")["Authorization"]
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n".encode())
    assert line.recv(12) == b"HTTP/1.1 200"
    return line


def slow_sender(service: RunningService) -> socket.socket:
    """A connection that never ends its header."""
    line = socket.create_connection(("127.0.0.1", port_of(service)))
    line.sendall(b"GET /servicex HTTP/1.1\r\nHost: a\r\n")
    return line


def held(service: RunningService, lines: list[socket.socket]) -> int:
    """How many of our connections the service still holds."""
    ours = {line.getsockname()[1] for line in lines}
    found = psutil.Process(service.process.pid).net_connections("tcp")
    return sum(1 for one in found if one.raddr and one.raddr.port in ours and one.laddr.port == port_of(service))


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it has become true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    return true()


def drip(lines: list[socket.socket], readers: int, over: threading.Event) -> None:
    """The first ones read a byte a second, the others send one."""
    while not over.wait(1.0):
        for place, line in enumerate(lines):
            try:
                _ = line.recv(1) if place < readers else line.sendall(b"X")
            except OSError:
                continue


def whole(http: httpx.Client, request_id: str, data: Path, folder: Path) -> None:
    """The request is complete, with what uproot reads."""
    status = ended(http, request_id, seconds=200)
    assert (status["status"], status["files-completed"]) == ("Complete", len(NAMES)), status["failure-info"]
    rows = http.get(f"/servicex/transformation/{request_id}/results").json()["results"]
    for row in rows:
        place = f"/servicex/transformation/{request_id}/objects/{quote(row['s3-object-name'], safe='')}"
        (folder / "result").write_bytes(http.get(place).raise_for_status().content)
        found = pq.read_table(folder / "result")["met"].to_pylist()
        assert found == uproot.open(row["file-path"])["Events"]["MET_pt"].array(library="np").tolist()
    assert {row["file-path"] for row in rows} == {str(data / "root" / name) for name in NAMES}


def test_ten_thousand_calls_and_clients_that_do_not_read(
    service: RunningService,
    people: People,
    shared_data: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with service.client(headers=people.bearer("alice")) as http, ExitStack() as ending:
        text = base64.b64encode(LARGE.encode()).decode()
        large = submitted(http, request(shared_data, NAMES[0], codegen="python", selection=text))
        assert ended(http, large)["status"] == "Complete"
        (row,) = http.get(f"/servicex/transformation/{large}/results").json()["results"]
        assert row["total-bytes"] > 15_000_000, "more than the system's buffers take"
        path = f"/servicex/transformation/{large}/objects/{quote(row['s3-object-name'], safe='')}"
        readers = [ending.enter_context(slow_reader(service, people, path)) for _ in range(3)]
        lines = readers + [ending.enter_context(slow_sender(service)) for _ in range(20)]
        assert until(lambda: held(service, lines) == 23, 30), "each of them is heard"
        over = threading.Event()
        ending.callback(over.set)
        threading.Thread(target=drip, args=(lines, len(readers), over), daemon=True).start()

        with Flood(port_of(service), messages(people)) as flood:
            asked = [submitted(http, request(shared_data, *NAMES, title=f"honest {number}")) for number in range(2)]
            for request_id in asked:
                whole(http, request_id, shared_data, tmp_path)
        assert flood.lost == []
        assert flood.answers.total() >= CALLS
        assert all(status in ALLOWED[kind] for kind, status in flood.answers), flood.answers
        assert flood.answers["status", 200] >= CALLS_PER_MINUTE, "what may be asked in a minute is answered"
        assert {kind for kind, _ in flood.answers} == set(ALLOWED)
        record_property("calls", flood.answers.total())
        record_property("seconds", round(flood.seconds, 1))

        assert until(lambda: not held(service, lines), LET_GO_SECONDS), "who neither reads nor writes is let go"
        titles = Counter(one["title"] for one in http.get("/servicex/transformation").json()["requests"])
        assert titles == {"a sample": 1, "honest 0": 1, "honest 1": 1}
        assert http.get(path).content[:4] == b"PAR1", "who reads has it whole"
