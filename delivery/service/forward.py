"""Requests whose codegens run at another ServiceX: submitted there, followed, their results copied into our store.

The results are copied, not relayed: a ServiceX hands the keys of its whole object store to its clients, so passing them
on would open every result there to everyone here. A copied result is a result like any other: it has a digest, its
request's own keys open it, it is there when the upstream is not.

What was forwarded is in the database (`Transform.upstream_id`), so a restart goes on. Only the holder of the lease
"forward" follows. A crash between the submission there and its record here leaves a request there that nobody reads.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from artifacts.errors import ArtifactError
from artifacts.keys import Request
from artifacts.store import Store
from delivery.service import forwarded, state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.errors import BadRequest, NotThere, Unavailable
from delivery.service.settings import Settings, Upstream
from delivery.service.upstream import UpstreamService
from delivery.urls import shown

LEASE: Final = "forward"
LEASE_SECONDS: Final = 10.0
THREADS: Final = 8
STAGE, VERSION, OUTPUT = "forward", 1, "output"
LOST_TIMES: Final = 2
"""So often a request that the upstream does not know any more is submitted again."""

_LOOKUP: Final = ("does_not_exist", "bad_name", "internal_failure")

log = structlog.get_logger(__name__)


class Forwarder:
    """Follows the forwarded requests of this service, in a thread of its own."""

    def __init__(self, upstream: Upstream, settings: Settings, database: Database, store: Store, changes: Changes):
        self._upstream, self._database, self._store, self._changes = upstream, database, store, changes
        self._here, self._copies = tuple(settings.codegens), settings.data / "forward"
        self._service = UpstreamService(upstream)
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._leads = False
        self._stop, self._wake = threading.Event(), threading.Event()
        self._failing: dict[str, float] = {}  # since when calls for a request fail, by time.monotonic
        self._lost: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="forward")
        self._thread = threading.Thread(target=self._run, name="forward", daemon=True)

    def start(self) -> None:
        """Follow until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Let go; what was forwarded goes on at the upstream, and here with the next process."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()
        self._service.close()
        with suppress(Unavailable):
            self._database.transact(lambda session: state.release_lease(session, LEASE, self._holder))

    def wake(self) -> None:
        """Something changed: look now."""
        self._wake.set()

    def submit(self, request_id: str) -> None:
        """Hand a new request to the upstream at once, so that who sent it is told what is wrong with it.

        If the upstream cannot take it now, it is tried again later.

        Raises BadRequest if the upstream refuses it; the request is gone then.
        """
        try:
            self._hand_over(request_id)
        except BadRequest:
            self._database.transact(lambda session: forwarded.forget(session, request_id))
            raise
        except (Unavailable, NotThere) as error:
            log.warning("not forwarded yet", request_id=request_id, reason=str(error))
            self._database.transact(lambda session: forwarded.drop_id(session, request_id, ""))

    def step(self) -> None:
        """Look once at every request that is forwarded and not ended, here or there."""
        with self._database.reading() as session:
            follow = forwarded.followed(session, self._here)
            release = forwarded.released(session)
        jobs = [(ours, partial(self._follow, ours)) for ours in follow]
        jobs += [(ours, partial(self._release, ours, theirs, target)) for ours, theirs, target in release]
        running = {self._pool.submit(self._carefully, request_id, work) for request_id, work in jobs}
        while running:
            _, running = wait(running, LEASE_SECONDS / 3)
            if running:  # a large copy takes longer than the lease is good for
                with suppress(Unavailable):
                    self._lead()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._lead():
                    self.step()
            except Exception as error:
                log.exception("forwarding failed", reason=str(error))
            self._wake.wait(self._upstream.poll_seconds)
            self._wake.clear()

    def _lead(self) -> bool:
        """Whether this process is the one that follows; who begins clears away what a killed one left."""
        led, self._leads = (
            self._leads,
            self._database.transact(lambda session: state.acquire_lease(session, LEASE, self._holder, LEASE_SECONDS)),
        )
        if self._leads and not led:
            rmtree(self._copies, ignore_errors=True)
            self._copies.mkdir(parents=True, exist_ok=True)
        return self._leads

    def _carefully(self, request_id: str, work: Callable[[], None]) -> None:
        """Work on a request; what may pass is tried again for the upstream's `patience_seconds`."""
        if self._stop.is_set():
            return
        try:
            work()
            self._failing.pop(request_id, None)
        except BadRequest as error:
            self._end(request_id, "Fatal", str(error))
        except (Unavailable, NotThere, ArtifactError, OSError) as error:
            if request_id not in self._failing:
                log.warning("forwarding waits", request_id=request_id, reason=str(error))
            since = self._failing.setdefault(request_id, time.monotonic())
            if time.monotonic() - since > self._upstream.patience_seconds:
                self._failing.pop(request_id)
                self._end(request_id, "Fatal", f"for {self._upstream.patience_seconds:g} s: {error}")
        except Exception as error:
            log.exception("forwarding failed", request_id=request_id, reason=str(error))
            self._end(request_id, "Fatal", f"the service made a mistake in forwarding it ({type(error).__name__})")

    def _hand_over(self, request_id: str) -> None:
        """Submit a request to the upstream, once."""
        with self._database.reading() as session:
            transform = state.by_request_id(session, request_id)
            if transform.upstream_id or transform.status not in state.OPEN:
                return
            body = forwarded.submission(session, transform)
        upstream_id = self._service.submit(body)
        kept = self._database.transact(lambda session: forwarded.keep_id(session, request_id, upstream_id))
        if not kept:  # canceled meanwhile
            self._service.cancel(upstream_id)
        self._changes.notify(request_id)
        self._wake.set()

    def _follow(self, request_id: str) -> None:
        with self._database.reading() as session:
            upstream_id = state.by_request_id(session, request_id).upstream_id
        if not upstream_id:
            self._hand_over(request_id)
            return
        try:
            status = self._service.status(upstream_id)
        except NotThere as error:
            self._submit_again(request_id, error)
            return
        ended = status["status"] in state.ENDED
        files = self._database.transact(lambda session: forwarded.fit(session, request_id, status["files"]))
        results = self._service.results(upstream_id) if status["files"] else []
        pairs = forwarded.matched(files, results)
        if not ended:  # the count of files may still rise: the request must not end by it
            pairs = pairs[: max(0, sum(file.open for file in files) - 1)]
        for file, result in pairs:
            self._record(status, file, result)
        if ended:
            self._conclude(request_id, status)
        self._changes.notify(request_id)

    def _submit_again(self, request_id: str, error: NotThere) -> None:
        """The upstream has lost the request: what is missing is submitted anew."""
        self._lost[request_id] = self._lost.get(request_id, 0) + 1
        if self._lost[request_id] > LOST_TIMES:
            self._end(request_id, "Fatal", f"the upstream ServiceX lost the request {LOST_TIMES + 1} times: {error}")
            return
        self._database.transact(lambda session: forwarded.drop_id(session, request_id, ""))
        self._hand_over(request_id)

    def _record(self, status: Mapping[str, Any], file: forwarded.File, result: Mapping[str, Any]) -> None:
        """Keep what came of a file; an object that does not come whole is asked for again at the next look."""
        path = str(result["file-path"])
        self._database.transact(lambda session: forwarded.name_file(session, file.id, path))
        if result["transform_status"] != "success":
            said = "".join(f"; {status[key]}" for key in ("failure-info", "log-url") if status.get(key))
            self._failed(file, f"{shown(path)} failed at the upstream ServiceX {shown(self._upstream.url)}{said}")
            return
        name = str(result.get("s3-object-name") or "")
        request = Request(
            STAGE, VERSION, {"upstream": self._service.url, "request": str(status["request_id"]), "object": name}
        )
        try:
            with TemporaryDirectory(dir=self._copies) as folder:
                output = Path(folder) / "object"
                size, promised = self._service.fetch(status, name, output), result.get("total-bytes")
                if promised and size != int(promised):
                    raise Unavailable(f"{name} came with {size} of {promised} bytes from {shown(self._service.url)}")
                entry = self._store.put(request, {OUTPUT: output}, {})
        except NotThere as error:
            self._failed(file, str(error))
            return
        blob = entry.blobs[OUTPUT]
        done = state.Done(
            path=path,
            key=request.key,
            digest=blob.digest,
            bytes=blob.size,
            events_in=forwarded.number(result.get("events-in")),
            events_out=forwarded.number(result.get("total-events")) or 0,
            seconds=float(result.get("transform_time") or 0.0),
        )
        self._database.transact(lambda session: state.record_done(session, file.id, done))

    def _failed(self, file: forwarded.File, sentence: str) -> None:
        self._database.transact(
            lambda session: state.record_failed(session, file.id, "UpstreamFailure", sentence, sentence)
        )

    def _conclude(self, request_id: str, status: Mapping[str, Any]) -> None:
        """The request is ended there: end it here."""
        ended, where = status["status"], f"the upstream ServiceX {shown(self._upstream.url)}"
        said = str(status.get("failure-info") or "").strip()
        if ended == "Complete":
            if status["files"] == 0:
                self._database.transact(lambda session: forwarded.no_files(session, request_id))
            with self._database.reading() as session:
                left = [file for file in forwarded.files_of(session, request_id) if file.open]
            for file in left:
                self._failed(file, f"{where} counted {status['files']} files and gave no result for this one")
        elif ended == "Bad Dataset":
            kind, reason = self._lookup(status)
            self._database.transact(lambda session: forwarded.bad_dataset(session, request_id, kind, reason))
        else:
            self._end(request_id, ended, f"{where} ended it as {ended}" + (f": {said}" if said else ""))

    def _lookup(self, status: Mapping[str, Any]) -> tuple[str, str]:
        """Why the upstream did not find a dataset: one of the kinds that clients know, and a sentence."""
        try:
            found = self._service.dataset(int(status.get("did_id") or 0)).get("lookup_status")
        except (BadRequest, NotThere, ValueError):
            found = None
        kind = found if found in _LOOKUP else "internal_failure"
        said = str(status.get("failure-info") or "").strip() or kind.replace("_", " ")
        return kind, f"the upstream ServiceX {shown(self._upstream.url)} did not find {status.get('did')}: {said}"

    def _release(self, request_id: str, upstream_id: str, target: str) -> None:
        """Cancel or delete a request there that was canceled or deleted here."""
        if upstream_id:
            self._service.cancel(upstream_id)
            if target == "Deleted":
                self._service.delete(upstream_id)
        self._database.transact(lambda session: forwarded.drop_id(session, request_id))

    def _end(self, request_id: str, status: str, failure: str) -> None:
        def end(session: Session) -> None:
            transform = forwarded.row(session, request_id)
            if transform is not None:
                state.end(session, transform, status, failure)
                if transform.target in ("Canceled", "Deleted"):  # it was to end there too, and cannot
                    transform.upstream_id = None

        self._database.transact(end)
        self._changes.notify(request_id)
