"""The service in a thread of the test, with requests as a lab's day leaves them; no runner takes them up."""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import update
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.app import create_app
from delivery.service.context import Service
from delivery.service.database import Database
from delivery.service.protocol import catalog
from delivery.service.settings import Settings
from delivery.service.tables import Result, Transform, TransformFile, utc_now
from queries.named import load

HOSTILE = "<script>alert('x')</script>\"'&amp;</title><img src=x onerror=alert(1)>"
NANO = "root://eospublic.cern.ch//eos/opendata/cms/mc/RunIIFall15MiniAODv2/TT_TuneCUETP8M1_13TeV-powheg-pythia8/NANO"


@dataclass(frozen=True)
class Site:
    """A service that answers at `url`."""

    url: str
    service: Service

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def change(self, work: Any, request_id: str) -> Any:
        """Change the state as the service's own process does: the transaction, then the news."""
        found = self.service.database.transact(work)
        self.service.changes.notify(request_id)
        return found


class _Leading:
    """Holds the lease of who runs files, so that the service's runner does not: the test says what becomes of them."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.database_url)
        self._database.upgrade()
        self._ended = threading.Event()
        self._take()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        with self._database.session() as session:
            assert state.acquire_lease(session, "runner", "the test", 30)

    def _hold(self) -> None:
        while not self._ended.wait(2):
            self._take()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(30)
        self._database.close()


@contextmanager
def site(folder: Path, **settings: Any) -> Iterator[Site]:
    """Serve from a folder until the block ends."""
    chosen = Settings(**{"data": folder, "host": "127.0.0.1", "workers": 1, "shutdown_seconds": 5, **settings})
    folder.mkdir(parents=True, exist_ok=True)
    leading = _Leading(chosen)
    app = create_app(chosen)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.02)
    assert server.started, "the service did not start"
    try:
        yield Site(f"http://127.0.0.1:{listening.getsockname()[1]}", app.state.service)
    finally:
        app.state.service.changes.close()
        server.should_exit = True
        thread.join(30)
        listening.close()
        leading.end()
        assert not thread.is_alive(), "the service did not stop"


def submit(session: Session, title: str, paths: list[str], **more: Any) -> Transform:
    """A request with its files, as the protocol submits it."""
    dataset = catalog.of_name(session, f"list of {title}", "user", paths or None)
    columns = {
        "request_id": str(uuid.uuid4()),
        "owner_id": None,
        "title": title,
        "did": "File List Provided in Request",
        "dataset_id": dataset.id,
        "max_files": None,
        "selection": load("queries.ttbar:selected").text,
        "codegen": "uproot",
        "semantics": "servicex",
        "tree": None,
        "result_destination": "object-store",
        "result_format": "parquet",
        "partial": False,
        "priority": 0,
    }
    transform = state.submit(session, **{**columns, **more})
    if paths:
        state.set_files(session, transform, [[path] for path in paths])
    return transform


def files_of(session: Session, transform: Transform) -> list[TransformFile]:
    return list(state.files_of(session, transform))


def start(session: Session, file: TransformFile, worker: str = "tcp://10.0.3.17:41233") -> None:
    assert state.start_file(session, file, worker)


def done(file: TransformFile, events: int = 131_000, **more: Any) -> state.Done:
    cutflow = ((1, 0.231), (2, 0.118), (3, 0.0942))
    texts = {1: "e.leptons.Count() == 1", 2: "e.jets.Where(lambda jet: jet.pt > 20).Count() >= 4", 3: "b-tagged >= 1"}
    facts: dict[str, Any] = {
        "path": file.paths[0],
        "key": f"{file.id:064x}",
        "digest": f"{file.id + 7:064x}",
        "bytes": int(events * 0.0942 * 212),
        "events_in": events,
        "events_out": int(events * 0.0942),
        "bytes_read": events * 640,
        "seconds": 1.9,
        "cutflow": tuple((texts[number], int(events * part)) for number, part in cutflow),
        "sum_of_weights": events * 0.98,
        "log": "INFO opened, 947 branches, 31 read\nINFO 3 ranges of 44 000 entries\nINFO written",
    }
    return state.Done(**{**facts, **more})


def finish(session: Session, file: TransformFile, **more: Any) -> None:
    start(session, file)
    state.record_attempts(session, [state.Try(file, "done")])
    assert state.record_done(session, file.id, done(file, **more)) is not None


def fail(session: Session, file: TransformFile, sentence: str, kind: str = "UnknownBranch") -> None:
    start(session, file)
    state.record_attempts(session, [state.Try(file, "failed", error_kind=kind, error=sentence)])
    log = f"INFO opened\nERROR {sentence}"
    assert state.record_failed(session, file.id, kind, sentence, log) is not None


def a_day(session: Session) -> dict[str, str]:
    """Requests of every kind; their ids by a short name."""
    paths = [f"{NANO}/{one:02d}.root" for one in range(48)]
    ids: dict[str, str] = {}
    ids["complete"] = _finished(session, "ttbar nominal", paths[:24], minutes=95)
    ids["partial"] = _finished(session, "single top t-channel", paths[:6], minutes=70, partial=True, failing=1)
    ids["fatal"] = _finished(session, "W+jets", paths[:12], minutes=52, failing=3)
    canceled = submit(session, "ttbar, parton shower variation", paths[:9])
    state.cancel(session, canceled)
    ids["canceled"] = canceled.request_id
    bad = submit(session, "rucio://user.kchoi:no.such.dataset", [], did="rucio://user.kchoi:no.such.dataset")
    state.end(session, bad, "Bad Dataset", "the dataset user.kchoi:no.such.dataset does not exist in Rucio")
    ids["bad"] = bad.request_id
    ids["running"] = _running(session, "ttbar, scale down", paths)
    looking = submit(session, "CMS 2015 open data 19980", [], did="cernopendata://19980")
    state.set_status(session, looking, "Lookup")
    ids["lookup"] = looking.request_id
    hostile = submit(session, HOSTILE, [f"/data/{HOSTILE.replace('/', '_')}.root", "/data/b.root"], selection=HOSTILE)
    fail(session, files_of(session, hostile)[0], f"there is no branch {HOSTILE}")
    ids["hostile"] = hostile.request_id
    return ids


def _finished(
    session: Session, title: str, paths: list[str], *, minutes: float, failing: int = 0, partial: bool = False
) -> str:
    transform = submit(session, title, paths, partial=partial)
    for place, file in enumerate(files_of(session, transform)):
        if place < failing:
            fail(session, file, f"{paths[place]}: there is no branch 'Jet_btagCSV'; did you mean Jet_btagCSVV2?")
        else:
            finish(session, file, events=120_000 + 3000 * (place % 5), reused=place % 4 == 3)
    _shift(session, transform, minutes, 41.0)
    return transform.request_id


def _running(session: Session, title: str, paths: list[str]) -> str:
    transform = submit(session, title, paths, priority=5)
    for place, file in enumerate(files_of(session, transform)):
        if place < 17:
            finish(session, file)
        elif place < 21:
            start(session, file, f"tcp://10.0.3.{place}:38211")
            state.progress(session, file.id, 21_000 * (place - 15), 131_000)
        elif place == 21:
            fail(
                session, file, f"{file.paths[0]}: the server did not answer for 120 s, three times", "InputUnreachable"
            )
    _shift(session, transform, 1.2, 70.0)
    return transform.request_id


def _shift(session: Session, transform: Transform, minutes: float, seconds: float) -> None:
    """Times as if it had run `minutes` ago for so many seconds, four files at once."""
    begin = utc_now() - timedelta(minutes=minutes)
    values: dict[str, Any] = {"submit_time": begin, "start_time": begin + timedelta(seconds=0.4)}
    session.flush()
    if transform.finish_time is not None:
        values["finish_time"] = begin + timedelta(seconds=seconds)
    session.execute(update(Transform).where(Transform.id == transform.id).values(values))
    files = files_of(session, transform)
    step = seconds / max(1, sum(file.started_at is not None for file in files) / 4)
    for place, file in enumerate(files):
        if file.started_at is not None:
            at = begin + timedelta(seconds=0.4 + step * (place // 4))
            end = at + timedelta(seconds=step * (0.7 + 0.3 * (place % 3) / 2)) if file.finished_at else None
            times = {"started_at": at, "finished_at": end}
            session.execute(update(TransformFile).where(TransformFile.id == file.id).values(times))
            spent = {"seconds": step * 0.8}
            session.execute(update(Result).where(Result.file_id == file.id).values(spent))
