"""Makes what runs follow what the database says: files to flights, flights to tasks, outcomes to the ledger."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from sqlalchemy.orm import Session

from artifacts.store import Store
from delivery.identity import local_path
from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.runner.batching import batches, paced
from delivery.service.runner.choosing import Queue, choose
from delivery.service.runner.dispatch import Dispatch, Ended, Lost, WorkerState
from delivery.service.runner.flights import Flight, Task, Waiter
from delivery.service.runner.jobs import Failed, Made, Outcome, PartMade, Split, Stopped
from delivery.service.runner.ledger import Ledger, memos
from delivery.service.runner.looking import Looks
from delivery.service.runner.requests import Requests, Running
from delivery.service.runner.verdicts import Again, Over, after_failure, after_kill, death, shrinks
from delivery.service.settings import Settings
from delivery.urls import shown

WINDOWS = 20
"""Requests whose next files are read in one pass."""

log = logging.getLogger(__name__)


class Reconciler:
    """One pass after the other, by one thread."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: Store,
        changes: Changes,
        versions: dict[str, str],
        leads: Callable[[Session], bool],
    ) -> None:
        self._settings, self._database, self._store = settings, database, store
        self._requests = Requests(settings.codegens, versions)
        self._ledger = Ledger(database, changes, leads)
        self._flights: dict[str, Flight] = {}
        self._own_faults: defaultdict[int, int] = defaultdict(int)  # by file
        self._suspects: set[int] = set()  # files that may have killed a worker which others shared
        self._bounds: dict[int | None, int] = {}
        self._turn = 0
        self._ready: list[Flight] = []  # their start is written down
        self.dispatch = Dispatch(settings, store.url, versions)
        self._looks = Looks(store, settings, self.dispatch.wake)

    def step(self, timeout: float, *, look: bool, begin: bool) -> None:
        """Hear what ended, look at the database if it is time, begin what may begin, write it all down.

        Raises Unavailable while the database is away, nothing is lost then; NotLeading.
        """
        for ended in self.dispatch.wait(0.0 if look else timeout):
            self._ended(ended)
        self._ledger.commit()
        if look:
            self._look()
        if begin:
            self._read_files()
            self._begin()
        self._ledger.commit()
        self._send()
        self.dispatch.send_stops()

    def _look(self) -> None:
        for ended in self.dispatch.lost():
            self._ended(ended)
        with self._database.reading() as session:
            gone = set(self._requests.look(session))
            self._bounds = self._requests.bounds(session, self._settings.limits.running_files)
        if gone:
            self._leave(gone)
        for ended in self.dispatch.overdue():
            self._ended(ended)
        for task in self.dispatch.running_too_long():
            if self.dispatch.stop(task):
                self._stopped(task)
        for flight in self.dispatch.held_up():
            if not flight.ended:
                self._lost(flight, "it waited behind a file that takes long")
        self._tell_progress()

    def _leave(self, requests: set[int]) -> None:
        """Requests that were canceled wait for nothing any more; what nobody waits for is stopped."""
        for flight in list(self._flights.values()):
            flight.waiters = [waiter for waiter in flight.waiters if waiter.transform not in requests]
            if not flight.waiters:
                self._abandon(flight)

    def _abandon(self, flight: Flight) -> None:
        self._end(flight)
        for task in list(flight.tasks.values()):
            self.dispatch.stop(task)

    def _end(self, flight: Flight) -> None:
        """Nobody is to join it, and it begins no more tasks."""
        flight.ended = True
        flight.ranges.clear()
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _tell_progress(self) -> None:
        for flight in self._flights.values():
            worker = next((task.worker for task in flight.tasks.values() if task.worker is not None), None)
            if worker is not None and (worker, flight.events()) != flight.told:
                flight.told = worker, flight.events()
                for waiter in flight.waiters:
                    self._ledger.progress(waiter, worker, *flight.events())

    def _read_files(self) -> None:
        """Fill the windows that are empty; files whose result is there, or that may not be read, end at once."""
        wanting = [each for each in self._requests.running.values() if each.unread and not each.window]
        begun = sorted((each for each in wanting if not each.looking), key=lambda each: each.last)[:WINDOWS]
        for running in begun:
            with self._database.reading() as session:
                waiters = self._requests.read_files(session, running)
                paths = [str(path.absolute()) for one in waiters for each in one.paths if (path := local_path(each))]
                known = memos(session, paths)
            running.unread = max(0, running.unread - len(waiters)) if waiters else 0
            self._looks.begin(running, waiters, known)
        for look in self._looks.ended(begun):
            waiter = look.waiter
            if self._requests.running.get(look.running.id) is not look.running:
                continue  # the request was ended, or another process leads
            if isinstance(look.found, Made):
                self._ledger.done(waiter, look.found, None, waiter.path)
            elif isinstance(look.found, Failed):
                self._ledger.start(waiter, lambda _: None)
                self._failed(waiter, waiter.path, look.found)
            else:
                look.running.window.append(waiter)

    def _begin(self) -> None:
        """Begin the tasks whose turn it is."""
        room = self.dispatch.room
        cut: defaultdict[int, list[Flight]] = defaultdict(list)
        tasks: defaultdict[int, int] = defaultdict(int)
        for flight in self._flights.values():
            if flight.payer is not None:
                tasks[flight.payer] += len(flight.tasks)
                if flight.ranges:
                    cut[flight.payer].append(flight)
        queues = [
            Queue(
                request=each.id,
                user=each.user,
                priority=each.priority,
                waiting=self._next_files(each, tasks[each.id]) + sum(len(flight.ranges) for flight in cut[each.id]),
                running=tasks[each.id],
                last=each.last,
            )
            for each in self._requests.running.values()
        ]
        for number in choose(queues, room, self._bounds):
            running = self._requests.running[number]
            self._turn += 1
            running.last = self._turn
            if cut[number]:
                self._begin_part(cut[number])
            elif running.window:  # files that join a flight need no turn, and leave fewer than were counted
                self._begin_file(running, running.window.popleft())

    def _next_files(self, running: Running, tasks: int) -> int:
        """The first ones show how long the others take: these can then go together."""
        most = len(running.window)
        return most if running.pace is not None else min(most, max(0, self.dispatch.cluster.threads - tasks))

    def _begin_part(self, flights: list[Flight]) -> None:
        flight = flights[0]
        entries = flight.ranges.popleft()
        if not flight.ranges:
            flights.pop(0)
        if not self.dispatch.send([flight], "part", entries):
            self._lost(flight, "the workers went away")

    def _begin_file(self, running: Running, waiter: Waiter) -> None:
        """Start a file's flight, or let it wait for the one that makes the same result."""
        flight = self._flights.get(waiter.key)
        if flight is not None:
            flight.waiters.append(waiter)
            self._ledger.start(waiter, lambda held, flight=flight: self._started(flight, waiter, held))  # type: ignore[misc]
            return
        flight = self._flights[waiter.key] = Flight(
            key=waiter.key,
            query=running.query,
            path=waiter.path,
            memo=waiter.memo,
            bytes=waiter.bytes,
            pace=running.pace,
            alone=waiter.file in self._suspects or waiter.kills > 0,
            shrink=shrinks(waiter.kills, waiter.small),
            waiters=[waiter],
        )
        self._ledger.start(waiter, lambda held: self._started(flight, waiter, held, send=True))

    def _started(self, flight: Flight, waiter: Waiter, held: bool, *, send: bool = False) -> None:
        """A file's start is written down, or its request was ended before."""
        if not held:
            flight.waiters = [each for each in flight.waiters if each is not waiter]
        if not flight.waiters:
            self._abandon(flight)
        elif send:
            self._ready.append(flight)

    def _send(self) -> None:
        """Hand the files that were started to the workers, small ones together."""
        ready = [flight for flight in self._ready if not flight.ended]
        self._ready.clear()
        for flights in batches(ready, len(self.dispatch.tasks), self.dispatch.cluster.threads):
            if not self.dispatch.send(flights):
                for flight in flights:
                    self._lost(flight, "the workers went away")

    def _ended(self, ended: Ended) -> None:
        task, outcome = ended
        flight = task.flight
        if flight.ended:
            return
        if isinstance(outcome, Lost):
            self._task_lost(task, outcome)
        elif isinstance(outcome, Stopped) or task.too_long:
            self._stopped(task)
        else:
            self._outcome(task, flight, outcome)

    def _outcome(self, task: Task, flight: Flight, outcome: Outcome) -> None:
        for number in {waiter.transform for waiter in flight.waiters}:
            running = self._requests.running.get(number)
            if running is not None and task.spent is not None:
                running.pace = paced(running.pace, task.spent)
        match outcome:
            case Made():
                self._made(flight, outcome)
            case Split():
                flight.memo = outcome.memo or flight.memo
                flight.cut(outcome.ranges)
            case PartMade():
                flight.part_made(task.entries, outcome.key)
                if flight.whole and not flight.merging:
                    flight.merging = True
                    if not self.dispatch.send([flight], "merge"):
                        self._lost(flight, "the workers went away")
            case Failed():
                self._flight_failed(flight, outcome)

    def _made(self, flight: Flight, made: Made) -> None:
        self._end(flight)
        path = local_path(flight.path)
        if made.memo and path is not None:
            self._ledger.identity(str(path.absolute()), made.memo)
        for number, waiter in enumerate(flight.waiters):
            its = (made, flight.worker) if number == 0 else (replace(made, reused=True, memo=""), None)
            self._ledger.done(waiter, *its, waiter.path)
            self._own_faults.pop(waiter.file, None)
            self._suspects.discard(waiter.file)

    def _flight_failed(self, flight: Flight, failed: Failed) -> None:
        """The first waiter's try has failed; the others go on by themselves."""
        self._end(flight)
        first, *others = flight.waiters
        self._failed(first, flight.path, failed, flight.worker)
        self._wait_again(others)

    def _failed(self, waiter: Waiter, path: str, failed: Failed, worker: str | None = None) -> None:
        own = self._own_faults[waiter.file]
        verdict = after_failure(failed, waiter.tried + 1, own, len(waiter.paths), self._settings.limits.tries)
        if isinstance(verdict, Over):
            self._own_faults.pop(waiter.file, None)
            self._ledger.failed(waiter, path, "failed", replace(failed, sentence=verdict.sentence), worker)
            return
        if failed.blame == "ours":
            self._own_faults[waiter.file] += 1
        self._ledger.again(waiter, path, "failed", failed, worker, pause=verdict.pause, counted=verdict.counted)

    def _task_lost(self, task: Task, lost: Lost) -> None:
        """A worker died, or the scheduler went away; who is to blame, if anybody."""
        flight = task.flight
        if task.too_long:
            self._stopped(task)
            return
        if not lost.began and task.kind == "part":  # another part of the same file may have killed the worker
            flight.ranges.appendleft(task.entries)
            return
        if not lost.began:
            self._lost(flight, lost.reason)
            return
        self._end(flight)
        first, *others = flight.waiters
        worker = task.worker or task.batch.worker
        failed = death(flight.path, worker, self.dispatch.cluster.over_memory(worker))
        if lost.alone:
            first.kills += 1
        verdict = after_kill(flight.path, first.kills, failed) if lost.alone else Again(0.0, counted=False)
        if isinstance(verdict, Over):
            self._ledger.failed(
                first, flight.path, "lost", Failed(verdict.kind, verdict.sentence, "lasting"), task.worker
            )
        else:
            self._suspects.add(first.file)
            self._ledger.again(first, flight.path, "lost", failed, task.worker, counted=verdict.counted)
        self._wait_again(others)

    def _stopped(self, task: Task) -> None:
        """A task has stopped because it was told to."""
        flight = task.flight
        if flight.ended or not task.too_long:
            return
        for other in list(flight.tasks.values()):
            self.dispatch.stop(other)
        limit = self._settings.limits.file_seconds
        what = f"it took longer than {limit:g} s, which one try at a file may take"
        self._flight_failed(flight, Failed("TimedOut", f"{shown(flight.path)}: {what}", "passing"))

    def _lost(self, flight: Flight, reason: str) -> None:
        """Nobody's fault: all who wait for the flight wait again."""
        log.info("%s: %s", shown(flight.path), reason)
        self._abandon(flight)
        self._wait_again(flight.waiters)

    def _wait_again(self, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            self._ledger.again(waiter, waiter.path, None, Failed("", "", "ours"), counted=False)

    def take_over(self) -> None:
        """Begin to lead: what ran under a leader that is gone waits again."""
        gone = "the service that ran it has ended"
        count = self._database.transact(lambda session: state.requeue_running(session, gone))
        if count:
            log.info("%d files that ran under another process wait again", count)

    def forget(self) -> None:
        """Another process leads now: drop everything, and write nothing."""
        self._ledger.clear()
        self._requests.running.clear()
        for flight in list(self._flights.values()):
            self._abandon(flight)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and all is written."""
        return not self._flights and self._ledger.is_empty

    def put_back(self) -> None:
        """What runs still waits again, for whoever leads next. Raises Unavailable."""
        for flight in list(self._flights.values()):
            self._abandon(flight)
            self._wait_again(flight.waiters)
        self._ledger.commit()

    def workers(self) -> list[WorkerState]:
        """The workers and what they do."""
        return self.dispatch.workers()

    def counts(self) -> dict[str, int]:
        """What runs and what waits, as far as this process has looked."""
        running = list(self._requests.running.values())
        return {
            "requests": len(running),
            "tasks": len(self.dispatch.tasks),
            "waiting_files": sum(each.unread + each.looking + len(each.window) for each in running),
        }

    def close(self) -> None:
        """End the workers."""
        self._looks.close()
        self.dispatch.close()
