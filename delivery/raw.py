"""No skim: the input files go to processing as they are."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from time import perf_counter

from delivery.errors import MissingFile
from delivery.identity import local_path
from delivery.outputs import tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest, Outcome
from delivery.retry import attempts, sentence


class RawEndpoint:
    """Looks at each input (is it there, has it the tree, how many events) and hands it on untouched.

    threads: files looked at side by side; a look is a few small reads, most of it waiting for a far storage.
    """

    name = "raw"

    def __init__(self, threads: int = 8) -> None:
        self._threads = threads

    def identity(self) -> dict[str, str]:
        """The input decides everything."""
        return {"endpoint": "raw"}

    def deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:  # noqa: ARG002 - nothing is written
        """Yield each input as its own delivery; see `delivery.endpoint.Endpoint.deliver`."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="raw") as pool:
            futures = [pool.submit(_look, request) for request in requests]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)


def _look(request: FileRequest) -> Outcome:
    path = local_path(request.file) or request.file
    start = perf_counter()
    retrying = attempts(request.file)
    try:
        if isinstance(path, Path) and not path.exists():
            raise MissingFile(str(path))
        tree, entries = retrying(tree_and_entries, path, request.tree)
    except Exception as error:  # noqa: BLE001 - whatever one file raises is that file's failure, not the run's
        return FileFailed(request, *sentence(error), attempts=retrying.statistics.get("attempt_number", 1))
    return FileDelivered(
        request,
        path,
        tree,
        events_in=entries,
        events_out=entries,
        cutflow=(),
        attempts=retrying.statistics["attempt_number"],
        seconds=perf_counter() - start,
        bytes_read=0,
    )
