"""What can go wrong between us and a service or the workers."""

from collections.abc import Sequence
from typing import ClassVar

from delivery.errors.base import DeliveryError
from delivery.urls import shown


class UnknownEndpoint(DeliveryError):
    """No endpoint has this name; ``known`` are those that there are."""

    def __init__(self, name: str, known: Sequence[str], where: str) -> None:
        super().__init__(name, tuple(known), where)
        self.name, self.known, self.where = name, tuple(known), where

    def sentence(self) -> str:
        """What was wrong, and what is allowed."""
        return f"no endpoint {self.name!r} {self.where}; allowed: {', '.join(self.known) or 'none'}"


class EndpointUnreachable(DeliveryError):
    """Nothing answers at the endpoint's address."""

    transient: ClassVar[bool] = True
    hint = "`skimflow doctor` says what answers from here"

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = shown(url), reason
        super().__init__(self.url, reason)

    def sentence(self) -> str:
        """What was wrong."""
        return f"cannot reach the endpoint {self.url}: {self.reason}"


class NotAuthorized(DeliveryError):
    """The endpoint refuses the token; ``source`` is where the token comes from."""

    def __init__(self, url: str, source: str) -> None:
        self.url, self.source = shown(url), source
        super().__init__(self.url, source)
        self.hint = f"get a new token from {self.url}/profile and put it there"

    def sentence(self) -> str:
        """What was wrong."""
        return f"{self.url} refuses {self.source}"


class RequestFailed(DeliveryError):
    """The endpoint could not carry out a request, for a reason that it gives."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = shown(url), reason
        super().__init__(self.url, reason)

    def sentence(self) -> str:
        """What was wrong, as the endpoint says it."""
        return f"{self.url}: {self.reason}"


class MissingResult(RequestFailed):
    """The endpoint ended the request without a result for this file."""


class NoWorkers(DeliveryError):
    """The scheduler has tasks to run and no worker has been there to run them for ``seconds``."""

    hint = "start workers there (`dask worker ADDRESS`, or scale the cluster) and run again: what was delivered is kept"

    def __init__(self, scheduler: str, seconds: float, left: int) -> None:
        super().__init__(scheduler, seconds, left)
        self.scheduler, self.seconds, self.left = scheduler, seconds, left

    def sentence(self) -> str:
        """What was wrong."""
        return (
            f"the Dask scheduler {self.scheduler} has had no workers for {self.seconds:.0f} s and "
            f"{self.left} files are left"
        )


class WorkerDiffers(DeliveryError):
    """A worker has another version of a library that decides the bytes of delivered files.

    ``found`` is the worker's version, ``wanted`` the one of the process that asks and keeps the files.
    """

    hint = (
        "install the same versions on both sides (then restart the workers) and run again: what was delivered is kept"
    )

    def __init__(self, worker: str, library: str, found: str, wanted: str) -> None:
        super().__init__(worker, library, found, wanted)
        self.worker, self.library, self.found, self.wanted = worker, library, found, wanted

    def sentence(self) -> str:
        """What was wrong."""
        return (
            f"the worker {self.worker} has {self.library} {self.found} and this process has {self.wanted}: its files "
            "would be kept under the wrong version"
        )


class WorkerKilled(DeliveryError):
    """The file killed every worker that tried it alone."""

    file: str
    hint = "the worker's log says which"

    def __init__(self, file: str, workers: int) -> None:
        self.file, self.workers = shown(file), workers
        super().__init__(self.file, workers)

    def sentence(self) -> str:
        """What was wrong."""
        return (
            f"{self.file} killed the {self.workers} workers that tried it, the last one alone: out of memory, or "
            "damaged in a way that crashes the reader"
        )
